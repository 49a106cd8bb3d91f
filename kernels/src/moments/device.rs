//! Running standardisation on a GPU: the sums of all columns there, the launch of `moments.cu`, and
//! those of `moments/wide.cu`, which makes dense features and standardises them at once.

mod wide;

use super::{Column, Moments, MomentsSpec};
use crate::KernelError;
use crate::coordinate::device::{RowBuffers, TableError};
use crate::device::{Argument, Buffer, DeviceError, Launch, Plain, Stream};
use crate::fixed::device::Sums;

/// Most threads of a column.
const THREADS: u64 = 256;

/// The running moments of some columns, on a GPU.
#[derive(Debug)]
pub struct DeviceMoments {
    spec: MomentsSpec,
    position: u64,
    columns: Buffer<Sums>,
    means: Buffer<f64>,
    inverses: Buffer<f64>,
    wide: wide::Room,
}

/// As moments.cu declares it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Argued {
    addresses: [u64; 3],
    rows: [u64; 4],
    clip: f32,
    include_current: u32,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct RowsArgued {
    matrix: u64,
    stretch: u64,
    rows: u32,
    stride: u32,
    offset: u32,
    unused: u32,
    header: u64,
}

// SAFETY: numbers only, without padding: 64 and 40 bytes.
unsafe impl Plain for Argued {}
// SAFETY: as above.
unsafe impl Plain for RowsArgued {}

fn small(value: usize) -> u32 {
    u32::try_from(value).expect("rows and columns are below 2^32")
}

impl DeviceMoments {
    /// The moments of `here`, on a GPU.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn new(stream: &Stream, here: &Moments) -> Result<DeviceMoments, DeviceError> {
        let gpu = stream.gpu();
        let width = here.spec.width;
        let mut there = DeviceMoments {
            spec: here.spec,
            position: 0,
            columns: Buffer::new(gpu, width)?,
            means: Buffer::new(gpu, width)?,
            inverses: Buffer::new(gpu, width)?,
            wide: wide::Room::new(gpu)?,
        };
        there.send(stream, here)?;
        Ok(there)
    }

    /// Standardises the next rows of the stream where they lie, without waiting.
    ///
    /// # Shapes
    /// Columns `offset..offset + width` of the dense features are replaced.
    ///
    /// # Errors
    /// [`TableError`], for a shape before anything is changed.
    pub fn standardize(
        &mut self,
        stream: &Stream,
        rows: &mut RowBuffers,
        offset: usize,
    ) -> Result<(), TableError> {
        let (count, stride, width) = (rows.count() as u64, rows.dense_width(), self.spec.width);
        if stride < offset + width {
            let (kernel, argument, expected) = ("moments", "rows.dense_width", offset + width);
            return Err(KernelError::Shape { kernel, argument, expected, given: stride }.into());
        }
        // A matrix without columns has no rows.
        if stride == 0 || count == 0 {
            return Ok(());
        }
        if width == 0 {
            self.position += count;
            return Ok(());
        }
        let stretch = self.stretch(count);
        let stretches = (self.position + count - 1) / stretch - self.position / stretch + 1;
        self.launch(stream, (rows, offset), (stretch, stretches), 0)?;
        self.position += count;
        Ok(())
    }

    /// Gives the same for as many rows as `rows` has at most, to be recorded: `header` will hold
    /// the position and the number of rows of each batch ([`DeviceMoments::header`]).
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn give(
        &mut self,
        stream: &Stream,
        rows: &mut RowBuffers,
        header: &Buffer<u64>,
    ) -> Result<(), DeviceError> {
        let most = rows.count() as u64;
        if self.spec.width == 0 || most == 0 {
            return Ok(());
        }
        // One that fades has one stretch, whatever the position.
        let fades = self.spec.half_life_rows > 0;
        let stretch = if fades { 1 << 62 } else { self.stretch(most) };
        let stretches = if fades { 1 } else { most.div_ceil(stretch) + 1 };
        self.launch(stream, (rows, 0), (stretch, stretches), header.address())
    }

    /// What the header of a batch of so many rows says; the batch is given next.
    pub fn header(&mut self, rows: usize) -> [u64; 2] {
        let position = self.position;
        self.position += rows as u64;
        [position, rows as u64]
    }

    fn launch(
        &self,
        stream: &Stream,
        (rows, offset): (&mut RowBuffers, usize),
        (stretch, stretches): (u64, u64),
        header: u64,
    ) -> Result<(), DeviceError> {
        let model = self.argument();
        let of_rows = RowsArgued {
            matrix: rows.dense_mut().address(),
            stretch,
            rows: small(rows.count()),
            stride: small(rows.dense_width()),
            offset: small(offset),
            unused: 0,
            header,
        };
        let threads = u32::try_from(stretches).expect("at most 257").next_multiple_of(32);
        let launch = Launch {
            kernel: "moments_standardize",
            blocks: small(self.spec.width),
            threads,
            shared_bytes: threads * small(size_of::<Sums>()),
        };
        // SAFETY: the kernel's arguments; the columns lie within the rows, by the caller's check,
        // and every stretch has a thread.
        unsafe { stream.launch(launch, &[Argument::of(&model), Argument::of(&of_rows)]) }
    }

    /// Reads the state into moments of the same specification; waits.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn fetch(&self, stream: &Stream, here: &mut Moments) -> Result<(), DeviceError> {
        let mut sums = vec![Sums::default(); self.columns.len()];
        stream.read(&self.columns, &mut sums)?;
        for (column, sums) in here.columns.iter_mut().zip(sums) {
            let (count, sum, squares) = sums.parts();
            *column = Column { sum, squares, count };
        }
        stream.read(&self.means, &mut here.means)?;
        stream.read(&self.inverses, &mut here.inverses)?;
        here.position = self.position;
        Ok(())
    }

    /// Takes the state of moments of the same specification; waits.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn send(&mut self, stream: &Stream, here: &Moments) -> Result<(), DeviceError> {
        let of = |column: &Column| Sums::new(column.count, column.sum, column.squares);
        let sums: Vec<Sums> = here.columns.iter().map(of).collect();
        stream.write(&mut self.columns, &sums)?;
        stream.write(&mut self.means, &here.means)?;
        stream.write(&mut self.inverses, &here.inverses)?;
        self.position = here.position;
        Ok(())
    }

    /// Rows of a thread: whole intervals of the refresh, and no more threads than a block has. Sums
    /// that fade cannot be taken apart: one thread has them all.
    fn stretch(&self, count: u64) -> u64 {
        if self.spec.half_life_rows > 0 {
            return self.position + count;
        }
        let every = self.spec.refresh_every_rows;
        every.saturating_mul(count.div_ceil(every.saturating_mul(THREADS - 1)))
    }

    fn argument(&self) -> Argued {
        let spec = &self.spec;
        Argued {
            addresses: [self.columns.address(), self.means.address(), self.inverses.address()],
            rows: [
                self.position,
                spec.half_life_rows,
                spec.refresh_dense_rows,
                spec.refresh_every_rows,
            ],
            clip: spec.clip,
            include_current: u32::from(spec.include_current),
        }
    }
}
