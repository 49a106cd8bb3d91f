//! Each kernel beside its floor: the bytes that it must move, at the rate of the memory.

use std::sync::Arc;

use pelton::error::Error;
use pelton_kernels::cases::Case;
use pelton_kernels::device::{Gpu, Stream};
use pelton_models::cases;
use serde_json::{Value, json};

use super::Effort;

pub(super) fn measure(
    gpu: Option<&Arc<Gpu>>,
    effort: Effort,
    [copy, memory]: [f64; 2],
) -> Result<Value, Error> {
    let stream = gpu.map(Stream::new).transpose()?;
    let each = cases::all().map(|case| one(stream.as_ref(), effort, case, [copy, memory]));
    each.collect::<Result<Vec<Value>, Error>>().map(Value::from)
}

fn one(
    stream: Option<&Stream>,
    effort: Effort,
    case: &Case,
    [copy, memory]: [f64; 2],
) -> Result<Value, Error> {
    let rows = if effort.is_quick { 64 } else { case.rows };
    let nanoseconds = |seconds: f64| seconds * 1e9 / rows as f64;
    let mut work = (case.open)(rows, 1)?;
    let mut figures = json!({ "kernel": case.kernel, "shape": case.shape, "rows": rows });
    if let Some(stream) = stream {
        work.bring(stream)?;
        work.there(stream)?;
    }
    // Once each from the same start, which also loads and warms both.
    work.here()?;
    if let Some(stream) = stream {
        let [here, there] = work.results(stream)?;
        figures["same_bits"] = json!(here == there);
    }
    let here = effort.seconds(|| work.here())?;
    figures["cpu_ns_per_row"] = json!(nanoseconds(here));
    figures["cpu_floor_ns_per_row"] = json!(case.bytes_per_row / copy * 1e9);
    let Some(stream) = stream else { return Ok(figures) };
    let times = if effort.is_quick { 1 } else { 10 };
    let there = effort.seconds(|| {
        (0..times).try_for_each(|_| work.there(stream))?;
        Ok::<(), Error>(stream.wait()?)
    })?;
    figures["gpu_ns_per_row"] = json!(nanoseconds(there / f64::from(times)));
    let floor = case.bytes_per_row / memory;
    figures["gpu_floor_ns_per_row"] = json!(floor * 1e9);
    figures["floor_bytes_per_row"] = json!(case.bytes_per_row);
    figures["gpu_share_of_floor"] = json!(floor * rows as f64 * f64::from(times) / there);
    Ok(figures)
}
