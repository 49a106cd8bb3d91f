//! What the GPU can do at best: copies to it, from it and within it, and what a launch costs.

use std::sync::Arc;

use pelton::error::Error;
use pelton_kernels::cases::{GRAPH, Launches};
use pelton_kernels::device::{Buffer, Device, Gpu, Pinned, Pinning, Stream};
use serde_json::{Value, json};

use super::Effort;

pub(super) fn measure(gpu: &Arc<Gpu>, effort: Effort) -> Result<Value, Error> {
    let stream = Stream::new(gpu)?;
    let about = gpu.description();
    let within = within(&stream, effort)?;
    let (launch, round_trip, graph) = launches(&stream, effort)?;
    Ok(json!({
        "name": about.name,
        "capability": format!("{}.{}", about.capability.0, about.capability.1),
        "memory_bytes": about.memory_bytes,
        "multiprocessors": about.multiprocessors,
        "copies": copies(&stream, effort)?,
        // A copy reads and writes each byte.
        "memory_bytes_per_second": 2.0 * within,
        "launch_microseconds": launch * 1e6,
        "launch_and_wait_microseconds": round_trip * 1e6,
        "graph_launch_microseconds": graph.map(|seconds| seconds * 1e6),
    }))
}

fn copies(stream: &Stream, effort: Effort) -> Result<Value, Error> {
    let (gpu, bytes) = (stream.gpu(), effort.copy_bytes);
    let device = Device::Gpu(Arc::clone(gpu));
    let mut there = Buffer::<u8>::new(gpu, bytes)?;
    let mut pageable = vec![1_u8; bytes];
    let mut pinned = Pinned::<u8>::new(&device, bytes, Pinning::Both)?;
    let mut combined = Pinned::<u8>::new(&device, bytes, Pinning::Upload)?;
    let up_pageable = effort.seconds(|| stream.write(&mut there, &pageable))?;
    let up_pinned = effort.seconds(|| {
        stream.upload((&mut there, 0), (&mut pinned, 0), bytes)?;
        stream.wait()
    })?;
    let up_combined = effort.seconds(|| {
        stream.upload((&mut there, 0), (&mut combined, 0), bytes)?;
        stream.wait()
    })?;
    let down_pageable = effort.seconds(|| stream.read(&there, &mut pageable))?;
    let down_pinned = effort.seconds(|| {
        stream.download((&mut pinned, 0), (&there, 0), bytes)?;
        stream.wait()
    })?;
    let down_combined = effort.seconds(|| {
        stream.download((&mut combined, 0), (&there, 0), bytes)?;
        stream.wait()
    })?;
    let rate = |direction: &str, memory: &str, seconds: f64| {
        let rate = bytes as f64 / seconds;
        json!({ "direction": direction, "memory": memory, "bytes_per_second": rate })
    };
    Ok(json!([
        rate("up", "pageable", up_pageable),
        rate("up", "pinned", up_pinned),
        rate("up", "write-combined", up_combined),
        rate("down", "pageable", down_pageable),
        rate("down", "pinned", down_pinned),
        rate("down", "write-combined", down_combined),
    ]))
}

/// Bytes a second that are copied within the memory of the GPU.
fn within(stream: &Stream, effort: Effort) -> Result<f64, Error> {
    const TIMES: usize = 8;
    let (gpu, bytes) = (stream.gpu(), effort.copy_bytes);
    let (mut to, mut from) = (Buffer::<u8>::new(gpu, bytes)?, Buffer::<u8>::new(gpu, bytes)?);
    stream.clear(&mut from)?;
    let seconds = effort.seconds(|| {
        (0..TIMES).try_for_each(|_| stream.copy(&mut to, &from, bytes))?;
        stream.wait()
    })?;
    Ok((TIMES * bytes) as f64 / seconds)
}

/// Seconds of a launch among many, of one that is waited for, and of one among many of a graph.
fn launches(stream: &Stream, effort: Effort) -> Result<(f64, f64, Option<f64>), Error> {
    let count = if effort.is_quick { 10 } else { 2000 };
    let mut launches = Launches::new(stream)?;
    let many = effort.seconds(|| {
        launches.give(stream, count)?;
        Ok::<(), Error>(stream.wait()?)
    })?;
    let waited = effort.seconds(|| {
        (0..count).try_for_each(|_| {
            launches.give(stream, 1)?;
            Ok::<(), Error>(stream.wait()?)
        })
    })?;
    // What plays a GPU in tests has no graphs.
    let graphs = count.div_ceil(GRAPH);
    let graph = match gpu_has_graphs(stream) {
        false => None,
        true => Some(effort.seconds(|| {
            (0..graphs).try_for_each(|_| launches.replay(stream))?;
            Ok::<(), Error>(stream.wait()?)
        })?),
    };
    let each = |seconds: f64| seconds / count as f64;
    Ok((each(many), each(waited), graph.map(|seconds| seconds / (graphs * GRAPH) as f64)))
}

fn gpu_has_graphs(stream: &Stream) -> bool {
    stream.gpu().description().name != "double"
}
