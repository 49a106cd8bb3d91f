//! Features of a batch, the dense ones standardised: in two launches that go from columns to scaled
//! features, or, where the stream does not allow it, as [`Assembler::run`] and
//! [`DeviceMoments::standardize`].
//!
//! Of a row of `w` numbers that moves `3 * 4 w` bytes (columns read twice, features written) where
//! the other way moves `5 * 4 w`, by as many launches; and it has a block for each column and 128
//! intervals of the refresh where the other one has a block a column.

use std::sync::Arc;

use super::{DeviceMoments, small};
use crate::assemble::device::{Assembler, ColumnBuffers};
use crate::coordinate::device::{RowBuffers, TableError};
use crate::device::{Argument, Buffer, DeviceError, Gpu, Launch, Plain, Stream};
use crate::fixed::device::Sums;

/// Threads of a block, each with an interval of the refresh.
const THREADS: usize = 128;

/// What the first launch leaves for the second.
#[derive(Debug)]
pub(super) struct Room {
    /// `[width, 1 + chunks]`.
    totals: Buffer<Sums>,
    /// `[width, 2]`.
    before: Buffer<f64>,
}

/// As moments/wide.cu declares it.
#[derive(Clone, Copy)]
#[repr(C)]
struct WideArgued {
    addresses: [u64; 3],
    chunks: u32,
    unused: u32,
}

// SAFETY: numbers only, 32 bytes without padding.
unsafe impl Plain for WideArgued {}

impl Room {
    pub fn new(gpu: &Arc<Gpu>) -> Result<Room, DeviceError> {
        Ok(Room { totals: Buffer::new(gpu, 0)?, before: Buffer::new(gpu, 0)? })
    }
}

impl DeviceMoments {
    /// Makes the features of the next rows of the stream and standardises the dense ones, which
    /// are those of the moments, without waiting: the bits of [`Assembler::run`] and
    /// [`DeviceMoments::standardize`].
    ///
    /// # Shapes
    /// As those of [`Assembler::run`].
    ///
    /// # Errors
    /// [`TableError`], for a shape before anything is changed.
    pub fn make(
        &mut self,
        stream: &Stream,
        (assembler, columns): (&Assembler, &ColumnBuffers),
        rows: &mut RowBuffers,
    ) -> Result<(), TableError> {
        let (count, spec) = (columns.rows(), &self.spec);
        let is_sparse_refresh =
            self.position >= spec.refresh_dense_rows && spec.half_life_rows == 0;
        let is_whole = spec.width > 0 && spec.width == assembler.dense_width();
        if !is_sparse_refresh || !is_whole || count == 0 {
            assembler.run(stream, columns, rows)?;
            return self.standardize(stream, rows, 0);
        }
        let (width, every) = (spec.width, spec.refresh_every_rows);
        let last = self.position + count as u64 - 1;
        let intervals = (last / every - self.position / every + 1) as usize;
        let chunks = intervals.div_ceil(THREADS);
        self.wide.totals.reserve(width * (1 + chunks))?;
        self.wide.before.reserve(2 * width)?;
        let out = assembler.run_sparse(stream, columns, rows)?;
        let wide = WideArgued {
            addresses: [self.wide.totals.address(), self.wide.before.address(), out],
            chunks: small(chunks),
            unused: 0,
        };
        let (assembly, columns, model) =
            (assembler.argument(), columns.argument(), self.argument());
        let arguments = [
            Argument::of(&assembly),
            Argument::of(&columns),
            Argument::of(&model),
            Argument::of(&wide),
        ];
        for kernel in ["moments_wide_sums", "moments_wide_rows"] {
            let threads = small(THREADS);
            let shared_bytes = threads * small(size_of::<Sums>());
            let launch = Launch { kernel, blocks: small(width * chunks), threads, shared_bytes };
            // SAFETY: the kernels' arguments; the assembler has checked the columns and made room
            // for the features, which are as wide as the moments, and every interval has a thread.
            unsafe { stream.launch(launch, &arguments) }?;
        }
        self.position += count as u64;
        Ok(())
    }
}
