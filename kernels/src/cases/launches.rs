//! What it costs to give a GPU anything at all: launches of a kernel with next to nothing to do.

use crate::coordinate::device::TableError;
use crate::device::{Buffer, DeviceError, Graph, Stream};
use crate::tally::Tally;
use crate::tally::device::DeviceTally;

/// Launches of a graph.
pub const GRAPH: usize = 20;

/// Launches of a kernel over one row.
pub struct Launches {
    graph: Option<Graph>,
    scores: Buffer<f32>,
    labels: Buffer<f32>,
    tally: DeviceTally,
}

impl Launches {
    /// Launches on the GPU of this stream; waits.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn new(stream: &Stream) -> Result<Launches, TableError> {
        let tally = DeviceTally::new(stream, &Tally::new(false, false))?;
        let (scores, labels) = (stream.buffer_of(&[0.5])?, stream.buffer_of(&[1.0])?);
        let mut launches = Launches { graph: None, scores, labels, tally };
        // Loaded and warm.
        launches.give(stream, 1)?;
        stream.wait()?;
        Ok(launches)
    }

    /// Launches the kernel so often, without waiting.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn give(&mut self, stream: &Stream, count: usize) -> Result<(), TableError> {
        let rows = (&self.scores, &self.labels);
        (0..count).try_for_each(|_| self.tally.add(stream, rows, 1))
    }

    /// Launches it [`GRAPH`] times by one graph, without waiting.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn replay(&mut self, stream: &Stream) -> Result<(), TableError> {
        if self.graph.is_none() {
            let Launches { scores, labels, tally, .. } = self;
            let give = |stream: &Stream| {
                let rows = (&*scores, &*labels);
                let given = (0..GRAPH).try_for_each(|_| tally.add(stream, rows, 1));
                given.map_err(|error| match error {
                    TableError::Device(error) => error,
                    TableError::Kernel(error) => unreachable!("one row fits: {error}"),
                })
            };
            // SAFETY: buffers and tally live as long as the graph: they are dropped after it, in
            // the order of the fields, and are never given other memory.
            let graph: Result<Graph, DeviceError> = unsafe { stream.graph(give) };
            self.graph = Some(graph?);
        }
        let graph = self.graph.as_ref().expect("recorded above");
        Ok(stream.replay(graph)?)
    }
}
