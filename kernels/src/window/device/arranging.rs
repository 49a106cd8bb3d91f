//! How a batch is brought in order on a GPU: by one block a table, or by many where calls are many.
//!
//! One block is one launch, and the shortest way for what one multiprocessor does in the time of
//! a few launches. Many blocks (`window/wide.cu`) are five launches and two for each 8 bits of
//! slots, one less for the first of them. Both give the same calls in the same order.

use super::layout::small;
use crate::device::{Argument, DeviceError, Launch, Stream};

/// Most threads of the block that arranges a table's batch alone.
const ALONE: usize = 512;
/// Threads of a block that has a stretch of a table's batch: the kernels are written for as many.
const THREADS: u32 = 256;
/// Calls such a block brings in order at a time.
const TILE: usize = 1024;
/// Most stretches of a batch: a thread of each block has one.
const STRETCHES_MAX: usize = 256;

/// Which batches go by many blocks, and how they are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arranging {
    /// Calls of a batch, from which on it goes by many blocks.
    pub wide_from: usize,
    /// Calls of a stretch, which a block has; more where there would be too many of them.
    pub stretch: usize,
}

impl Default for Arranging {
    /// From four tiles on, a tile a stretch: a table's one block has eight calls a thread then,
    /// which wait for the memory more than ten times each. Counted, not measured (docs/wide.md).
    fn default() -> Arranging {
        Arranging { wide_from: 4 * TILE, stretch: TILE }
    }
}

impl Arranging {
    /// Calls of a stretch, in a batch or a shape of so many.
    pub fn stretch_of(self, calls: usize) -> usize {
        if calls.div_ceil(self.stretch) <= STRETCHES_MAX {
            return self.stretch;
        }
        calls.div_ceil(STRETCHES_MAX).next_multiple_of(TILE).max(self.stretch)
    }

    /// Stretches of a batch of so many calls; where launches are shaped for more calls, it has no
    /// more of them.
    pub fn stretches(self, calls: usize) -> usize {
        calls.div_ceil(self.stretch_of(calls))
    }

    /// Passes of the sort that launches for so many calls make, where they go by many blocks and
    /// slots have so many bits.
    pub fn passes(self, calls: usize, slot_bits: u32) -> Option<u32> {
        (calls >= self.wide_from).then(|| slot_bits.div_ceil(8))
    }

    /// Brings the batch of `count` tables at an address in order; slots of none of them have more
    /// bits.
    pub fn give(
        self,
        stream: &Stream,
        (tables, count): (u64, usize),
        (calls, slot_bits): (usize, u32),
    ) -> Result<(), DeviceError> {
        let Some(passes) = self.passes(calls, slot_bits) else {
            let threads = small(calls.next_multiple_of(32).min(ALONE));
            let (kernel, shared_bytes) = ("window_arrange", threads * (8 + 16 * 4));
            let launch = Launch { kernel, blocks: small(count), threads, shared_bytes };
            // SAFETY: the kernel takes this argument; what the tables point at has the sizes that
            // are said there, and lives as long as they do.
            return unsafe { stream.launch(launch, &[Argument::of(&tables)]) };
        };
        let (blocks, stretch) = (small(self.stretches(calls)), small(self.stretch_of(calls)));
        let sorts = (0..passes).flat_map(|pass| {
            // What is placed is counted for the first pass.
            let digits = (pass > 0).then_some(("window_digits", pass));
            digits.into_iter().chain([("window_scatter", pass)])
        });
        let before = ["window_merge", "window_accept", "window_place"];
        let behind = ["window_begins", "window_segments"];
        let all = before.map(|kernel| (kernel, 0)).into_iter().chain(sorts);
        all.chain(behind.map(|kernel| (kernel, 0))).try_for_each(|(kernel, pass)| {
            let all_blocks = blocks * small(count);
            let launch = Launch { kernel, blocks: all_blocks, threads: THREADS, shared_bytes: 0 };
            let shape = [blocks, stretch, pass];
            // SAFETY: as above; each table has as many stretches as its calls make.
            unsafe { stream.launch(launch, &[Argument::of(&tables), Argument::of(&shape)]) }
        })
    }
}
