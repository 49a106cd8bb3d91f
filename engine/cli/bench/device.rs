//! `pelton bench device`: the ceilings of this machine and its GPU, to hold the other figures
//! against, each kernel beside its floor, and the way of a batch from its columns to
//! the weights, wide and small.

mod clicks;
mod cpu;
mod gpu;
mod kernels;

use std::time::Instant;

use clap::Args;
use pelton::device::{Device, DeviceChoice};
use pelton::error::Error;
use serde_json::{Map, Value, json};

use super::median;
use crate::cli::usage;

/// Arguments of `pelton bench device`.
#[derive(Debug, Args)]
pub struct Ceilings {
    /// "auto" is the GPU where there is one; "cpu"; "cuda:N" for the GPU of number N.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: String,
    /// Small sizes and few passes: to see that all of it runs, not how fast.
    #[arg(long)]
    quick: bool,
}

/// How much is done for a figure.
#[derive(Clone, Copy)]
struct Effort {
    is_quick: bool,
    passes: usize,
    copy_bytes: usize,
}

impl Effort {
    /// The median time of some passes, in seconds.
    fn seconds<E>(&self, mut work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
        let once = |_| {
            let started = Instant::now();
            work().map(|()| started.elapsed().as_secs_f64())
        };
        (0..self.passes).map(once).collect::<Result<_, E>>().map(median)
    }
}

impl Ceilings {
    /// Measures each a few times; medians.
    pub fn measure(&self) -> Result<Map<String, Value>, Error> {
        let choice = DeviceChoice::parse(&self.device).ok_or_else(|| {
            usage(format!("no device is called {:?}", self.device), "give auto, cpu or cuda:0")
        })?;
        let (device, why) = Device::open(choice)?;
        let effort = match self.quick {
            true => Effort { is_quick: true, passes: 1, copy_bytes: 1 << 20 },
            false => Effort { is_quick: false, passes: 7, copy_bytes: 256 << 20 },
        };
        let mut figures = json!({
            "bench": "device",
            "device": device.to_string(),
            "cores": std::thread::available_parallelism().map_or(1, usize::from),
            "cpu": cpu::measure(effort),
        });
        let gpu = device.gpu();
        figures["gpu"] = match gpu {
            Some(gpu) => gpu::measure(gpu, effort)?,
            None => json!(why.map_or_else(|| "not asked for".to_owned(), |why| why.to_string())),
        };
        let ceiling = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let memory = ceiling(&figures["gpu"]["memory_bytes_per_second"]);
        let upload = ceiling(&figures["gpu"]["copies"][UPLOADS_PINNED]["bytes_per_second"]);
        // A copy reads and writes each byte, as on a GPU.
        let copy = 2.0 * ceiling(&figures["cpu"]["copy_bytes_per_second"]);
        figures["kernels"] = kernels::measure(gpu, effort, [copy, memory])?;
        figures["clicks"] = clicks::measure(gpu, effort, [upload, memory])?;
        figures["small_batches"] = clicks::measure_small(gpu, effort, upload)?;
        Ok(figures.as_object().cloned().unwrap_or_default())
    }
}

/// Which of the copies is the upload from page-locked memory.
const UPLOADS_PINNED: usize = 1;
