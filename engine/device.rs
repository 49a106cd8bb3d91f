//! Which device a run computes on: chosen once, at start, and said once.
//!
//! `auto` takes the GPU where there is one and the settings keep it busy, else the CPU; a GPU that
//! was asked for by number and cannot be used is an error. The other place where a run changes its
//! device is the loss of a GPU: see [`Error::is_device_lost`].

use std::sync::atomic::{AtomicBool, Ordering};

use metrics::{counter, gauge};
pub use pelton_kernels::device::{Device, DeviceChoice, DeviceError};

use crate::config::Config;
use crate::config::family::{Kind, Optimizer};
use crate::control::Control;
use crate::error::Error;

/// Labels learned in one step from which on a GPU is worth its launches.
const STEP_ROWS_MIN: u64 = 256;

/// Opens the device of this configuration.
///
/// # Errors
/// [`Error::Device`] when a certain GPU is asked for and cannot be used.
pub fn open(config: &Config) -> Result<Device, Error> {
    let (device, why) = choose(config)?;
    match (&device, why) {
        (Device::Gpu(gpu), _) => {
            let about = gpu.description();
            let memory_gib = about.memory_bytes >> 30;
            tracing::info!(name = about.name, memory_gib, "computing on a GPU");
        }
        (Device::Cpu, Some(why)) => tracing::warn!(why, "computing on the CPU"),
        (Device::Cpu, None) => {}
    }
    show(&device);
    Ok(device)
}

/// The device of this configuration, and why `auto` gives no GPU.
///
/// # Errors
/// As [`open`].
pub fn choose(config: &Config) -> Result<(Device, Option<String>), Error> {
    let (device, reason) = Device::open(config.device)?;
    if config.device == DeviceChoice::Auto
        && device.gpu().is_some()
        && let Some(why) = too_little(config)
    {
        return Ok((Device::Cpu, Some(why)));
    }
    Ok((device, reason.map(|reason| reason.to_string())))
}

/// Why these settings give a GPU too little to do at once.
fn too_little(config: &Config) -> Option<String> {
    let step_rows = config.learn.step_rows;
    if config.model.family.kind != Kind::Linear {
        return Some(
            "there is a GPU, but of this model.kind it is not known to be the quicker place; give \
             \"linear\", or device = \"cuda:0\" to use it all the same (mlp, deep, fm and ffm \
             learn there too)"
                .to_owned(),
        );
    }
    if step_rows < STEP_ROWS_MIN {
        return Some(format!(
            "there is a GPU, but with learn.step_rows = {step_rows} it would learn a few labels \
             at a time, which the CPU does faster; give 1024 and another model.optimizer than \
             \"auto\", or device = \"cuda:0\" to use it all the same"
        ));
    }
    (config.model.family.optimizer == Optimizer::Auto).then(|| {
        "there is a GPU, but model.optimizer = \"auto\" learns label after label, which the CPU \
         does faster; give \"ftrl\", or device = \"cuda:0\" to use it all the same"
            .to_owned()
    })
}

/// Calls `run` on the device, and once more on the CPU when a GPU is lost and something `keeps`
/// what it can go on from. A run that fails raises `stop`; it stays so only where a signal has
/// asked for the end.
///
/// # Errors
/// Those of `run`.
pub fn supervise<T>(
    device: &Device,
    keeps: bool,
    (stop, control): (&AtomicBool, &Control),
    mut run: impl FnMut(&Device) -> Result<T, Error>,
) -> Result<T, Error> {
    match run(device) {
        Err(error) if keeps && error.is_device_lost() => {
            say_lost(&error);
            // Lowered first and asked then, so that a signal in between is not lost.
            stop.store(false, Ordering::SeqCst);
            if control.has_asked() {
                stop.store(true, Ordering::SeqCst);
            }
            run(&Device::Cpu)
        }
        result => result,
    }
}

/// Says that a run goes on without its GPU.
pub fn say_lost(error: &Error) {
    tracing::error!(
        error = error.chain(),
        "the GPU is lost; going on from the last consistent state on the CPU"
    );
    counter!("pelton_device_losses_total").increment(1);
    show(&Device::Cpu);
}

/// The gauge of the device in use.
pub fn show(device: &Device) {
    for kind in ["cpu", "cuda"] {
        gauge!("pelton_device", "kind" => kind).set(f64::from(u8::from(kind == device.kind())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_leaves_to_the_cpu_what_gives_a_gpu_too_little_to_do() {
        let why = |text: &str| too_little(&Config::parse(text).expect("possible"));
        let linear = |text: &str| why(&format!("model.kind = 'linear'\n{text}"));
        let wide = "learn.step_rows = 256";
        assert!(linear("").is_some_and(|why| why.contains("step_rows = 1 ")));
        assert!(linear(wide).is_some_and(|why| why.contains("label after label")));
        assert_eq!(linear(&format!("model.optimizer = 'ftrl'\n{wide}")), None);
        for kind in ["auto", "boost", "forest", "fm"] {
            let other = format!("learn.step_rows = 256\nmodel.kind = '{kind}'");
            assert!(why(&other).is_some_and(|why| why.contains("quicker place")));
        }
    }
}
