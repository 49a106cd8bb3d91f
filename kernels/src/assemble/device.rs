//! Features made on a GPU: columns on their way there, and the launches of `assemble.cu`.

use std::sync::Arc;

use super::{AssembleSpec, Dense, Form, Sparse};
use crate::KernelError;
use crate::calendar::Part;
use crate::coordinate::device::{RowBuffers, TableError};
use crate::device::{Argument, Buffer, DeviceError, Gpu, Launch, Pinned, Plain, Stream};

/// Rows that a thread makes one sparse feature of, as assemble.cu says.
const QUAD: usize = 4;

/// The columns of a batch in the memory of a GPU.
#[derive(Debug)]
pub struct ColumnBuffers {
    rows: usize,
    stride: usize,
    times_ms: Buffer<i64>,
    numbers: Buffer<f32>,
    categories: Buffer<u64>,
    given: Buffer<f32>,
}

/// Columns in page-locked memory, as [`super::Columns`] has them.
#[derive(Debug)]
pub struct PinnedColumns<'a> {
    /// `[stride]`.
    pub times_ms: &'a mut Pinned<i64>,
    /// `[numbers, stride]`.
    pub numbers: &'a mut Pinned<f32>,
    /// `[categories, stride]`.
    pub categories: &'a mut Pinned<u64>,
}

/// An [`AssembleSpec`] on a GPU.
#[derive(Debug)]
pub struct Assembler {
    widths: [usize; 3],
    /// Number and category columns that must be there.
    columns: [usize; 2],
    hash_bits: u32,
    night: (u8, u8),
    dense: Buffer<DenseEntry>,
    sparse: Buffer<SparseEntry>,
    crossed: Buffer<u32>,
    boundaries: Buffer<f32>,
    offsets: Buffer<[i64; 2]>,
}

/// As assemble.cu declares it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct DenseEntry {
    kind: u32,
    column: u32,
    clip: [f32; 2],
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct SparseEntry {
    kind: u32,
    column: u32,
    list: u32,
    count: u32,
    salt: u64,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Assembly {
    addresses: [u64; 5],
    numbers: [u32; 8],
}

#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct ColumnsArgument {
    addresses: [u64; 4],
    rows: u32,
    stride: u32,
}

// SAFETY: numbers only, without padding: 16, 24, 72 and 40 bytes.
unsafe impl Plain for DenseEntry {}
// SAFETY: as above.
unsafe impl Plain for SparseEntry {}
// SAFETY: as above.
unsafe impl Plain for Assembly {}
// SAFETY: as above.
unsafe impl Plain for ColumnsArgument {}

fn part(part: Part) -> u32 {
    match part {
        Part::Hour => 0,
        Part::Weekday => 1,
        Part::Weekend => 2,
        Part::Night => 3,
        Part::DayCycle { sine } => 4 + u32::from(sine),
        Part::WeekCycle { sine } => 6 + u32::from(sine),
    }
}

fn count(value: usize) -> u32 {
    u32::try_from(value).expect("columns and rows are below 2^32")
}

fn dense_entry(dense: &Dense) -> DenseEntry {
    let (kind, column, clip) = match *dense {
        Dense::Number { column, form: Form::Identity, clip } => (0, count(column), clip),
        Dense::Number { column, form: Form::Log, clip } => (1, count(column), clip),
        Dense::Calendar(of) => (2, part(of), None),
        Dense::Given(column) => (3, count(column), None),
    };
    // Between infinities every number stays as it is.
    let (low, high) = clip.unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
    DenseEntry { kind, column, clip: [low, high] }
}

impl ColumnBuffers {
    /// Room for `stride` rows.
    ///
    /// # Errors
    /// [`DeviceError::Memory`], [`DeviceError::Lost`].
    pub fn new(
        gpu: &Arc<Gpu>,
        [numbers, categories, given]: [usize; 3],
        stride: usize,
    ) -> Result<ColumnBuffers, DeviceError> {
        Ok(ColumnBuffers {
            rows: 0,
            stride,
            times_ms: Buffer::new(gpu, stride)?,
            numbers: Buffer::new(gpu, numbers * stride)?,
            categories: Buffer::new(gpu, categories * stride)?,
            given: Buffer::new(gpu, given * stride)?,
        })
    }

    /// The same with memory that is there, each as large.
    pub(crate) fn over(
        stride: usize,
        times_ms: Buffer<i64>,
        numbers: Buffer<f32>,
        (categories, given): (Buffer<u64>, Buffer<f32>),
    ) -> ColumnBuffers {
        ColumnBuffers { rows: 0, stride, times_ms, numbers, categories, given }
    }

    /// Rows there is room for.
    #[must_use]
    pub fn rows_max(&self) -> usize {
        self.stride
    }

    /// Rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Says that there are so many rows: of those that are there, on their way or made by a kernel.
    ///
    /// # Panics
    /// If there is no room for as many.
    pub fn keep(&mut self, rows: usize) {
        assert!(rows <= self.stride, "rows there is room for");
        self.rows = rows;
    }

    /// Columns of numbers, categories and what is given.
    #[must_use]
    pub fn widths(&self) -> [usize; 3] {
        let stride = self.stride.max(1);
        [self.numbers.len(), self.categories.len(), self.given.len()].map(|all| all / stride)
    }

    /// Copies the columns of `rows` rows to the GPU, without waiting.
    ///
    /// # Errors
    /// [`DeviceError`].
    ///
    /// # Panics
    /// If the columns are of another shape.
    pub fn give(
        &mut self,
        stream: &Stream,
        columns: PinnedColumns<'_>,
        rows: usize,
    ) -> Result<(), DeviceError> {
        let PinnedColumns { times_ms, numbers, categories } = columns;
        assert!(rows <= self.stride, "a batch of the rows there is room for");
        assert_eq!(numbers.len(), self.numbers.len(), "numbers");
        assert_eq!(categories.len(), self.categories.len(), "categories");
        self.rows = rows;
        stream.upload((&mut self.times_ms, 0), (times_ms, 0), rows)?;
        stream.upload_rows(&mut self.numbers, numbers, (self.stride, rows))?;
        stream.upload_rows(&mut self.categories, categories, (self.stride, rows))
    }

    /// Copies the times of other rows over columns that stay as they are, without waiting.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn give_times(
        &mut self,
        stream: &Stream,
        times_ms: &mut Pinned<i64>,
    ) -> Result<(), DeviceError> {
        stream.upload((&mut self.times_ms, 0), (times_ms, 0), self.rows)
    }

    /// Copies dense features that are known already, `[rows, given]`.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn give_known(
        &mut self,
        stream: &Stream,
        given: &mut Pinned<f32>,
    ) -> Result<(), DeviceError> {
        let length = self.given.len() / self.stride.max(1) * self.rows;
        stream.upload((&mut self.given, 0), (given, 0), length)
    }

    /// Copies the same back, without waiting; whoever reads `given` waits for it.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn take_known(&self, stream: &Stream, given: &mut Pinned<f32>) -> Result<(), DeviceError> {
        let length = self.given.len() / self.stride.max(1) * self.rows;
        stream.download((given, 0), (&self.given, 0), length)
    }

    /// Copies the columns of the rows there are back, without waiting; of the same shape.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub(crate) fn fetch(
        &self,
        stream: &Stream,
        (times_ms, numbers, categories): (&mut Pinned<i64>, &mut Pinned<f32>, &mut Pinned<u64>),
    ) -> Result<(), DeviceError> {
        let (rows, stride) = (self.rows, self.stride.max(1));
        stream.download((times_ms, 0), (&self.times_ms, 0), rows)?;
        for at in (0..self.numbers.len()).step_by(stride) {
            stream.download((numbers, at), (&self.numbers, at), rows)?;
        }
        for at in (0..self.categories.len()).step_by(stride) {
            stream.download((categories, at), (&self.categories, at), rows)?;
        }
        Ok(())
    }

    /// Where times, numbers and categories are, and what is given: for kernels that write them.
    pub(crate) fn addresses(&self) -> [u64; 4] {
        self.argument().addresses
    }

    pub(crate) fn argument(&self) -> ColumnsArgument {
        ColumnsArgument {
            addresses: [
                self.times_ms.address(),
                self.numbers.address(),
                self.categories.address(),
                self.given.address(),
            ],
            rows: count(self.rows),
            stride: count(self.stride),
        }
    }
}

impl Assembler {
    /// The features on a GPU.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn new(stream: &Stream, spec: &AssembleSpec) -> Result<Assembler, DeviceError> {
        let dense: Vec<DenseEntry> = spec.dense.iter().map(dense_entry).collect();
        let (mut crossed, mut boundaries) = (Vec::new(), Vec::new());
        let mut entry = |source: &Sparse| match source {
            Sparse::Category(column) => [0, count(*column), 0, 0],
            Sparse::Cross(columns) => {
                let list = count(crossed.len());
                crossed.extend(columns.iter().map(|column| count(*column)));
                [1, 0, list, count(columns.len())]
            }
            Sparse::Buckets { column, boundaries: own } => {
                let list = count(boundaries.len());
                boundaries.extend_from_slice(own);
                [2, count(*column), list, count(own.len())]
            }
            Sparse::Calendar(of) => [3, part(*of), 0, 0],
        };
        let sparse: Vec<SparseEntry> = spec
            .sparse
            .iter()
            .map(|column| {
                let [kind, source, list, count] = entry(&column.source);
                SparseEntry { kind, column: source, list, count, salt: column.salt }
            })
            .collect();
        let offsets: Vec<[i64; 2]> = spec
            .calendar
            .offsets()
            .iter()
            .map(|&(from_ms, offset_ms)| [from_ms, offset_ms])
            .collect();
        Ok(Assembler {
            widths: [spec.dense.len(), spec.sparse.len(), spec.given_width()],
            columns: spec.columns_used(),
            hash_bits: spec.hash_bits,
            night: spec.night,
            dense: stream.buffer_of(&dense)?,
            sparse: stream.buffer_of(&sparse)?,
            crossed: stream.buffer_of(&crossed)?,
            boundaries: stream.buffer_of(&boundaries)?,
            offsets: stream.buffer_of(&offsets)?,
        })
    }

    /// Makes the features of the rows, without waiting.
    ///
    /// # Shapes
    /// As those of [`AssembleSpec::run`]; `rows` becomes as long.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn run(
        &self,
        stream: &Stream,
        columns: &ColumnBuffers,
        rows: &mut RowBuffers,
    ) -> Result<(), TableError> {
        let dense = self.run_sparse(stream, columns, rows)?;
        self.launch(stream, columns, ("assemble_dense", self.widths[0] * columns.rows), dense)
    }

    /// Makes the sparse features of the rows, without waiting; where the dense ones belong.
    pub(crate) fn run_sparse(
        &self,
        stream: &Stream,
        columns: &ColumnBuffers,
        rows: &mut RowBuffers,
    ) -> Result<u64, TableError> {
        self.check(columns, rows)?;
        let (dense, sparse) = rows.make(columns.rows)?;
        let items = self.widths[1] * columns.rows.div_ceil(QUAD);
        self.launch(stream, columns, ("assemble_sparse", items), sparse)?;
        Ok(dense)
    }

    fn launch(
        &self,
        stream: &Stream,
        columns: &ColumnBuffers,
        (kernel, items): (&'static str, usize),
        to: u64,
    ) -> Result<(), TableError> {
        if items == 0 {
            return Ok(());
        }
        let (assembly, columns) = (self.argument(), columns.argument());
        let arguments = [Argument::of(&assembly), Argument::of(&columns), Argument::of(&to)];
        // SAFETY: the kernels' arguments; every column that the spec names is there, and there is
        // room for what they write, by `check`.
        unsafe { stream.launch(Launch::over(kernel, items, 256), &arguments) }?;
        Ok(())
    }

    fn check(&self, columns: &ColumnBuffers, rows: &RowBuffers) -> Result<(), KernelError> {
        let (kernel, [dense, sparse, given]) = ("assemble", self.widths);
        let equal = |argument, given: usize, expected: usize| match given == expected {
            true => Ok(()),
            false => Err(KernelError::Shape { kernel, argument, expected, given }),
        };
        equal("rows.dense_width", rows.dense_width(), dense)?;
        equal("rows.sparse_width", rows.sparse_width(), sparse)?;
        equal("given", columns.given.len(), given * columns.stride)?;
        let least = |argument, given: usize, columns_used: usize| {
            let expected = columns_used * columns.stride;
            match given >= expected {
                true => Ok(()),
                false => Err(KernelError::Shape { kernel, argument, expected, given }),
            }
        };
        least("numbers", columns.numbers.len(), self.columns[0])?;
        least("categories", columns.categories.len(), self.columns[1])?;
        // Whole blocks of threads are counted in 32 bits.
        if sparse * columns.rows.div_ceil(QUAD) >= 1 << 31 {
            let (argument, reason) = ("columns.rows", "must be fewer for so many features");
            return Err(KernelError::Value { kernel, argument, reason });
        }
        Ok(())
    }

    /// Dense features of a row.
    pub(crate) fn dense_width(&self) -> usize {
        self.widths[0]
    }

    pub(crate) fn argument(&self) -> Assembly {
        let [dense, sparse, given] = self.widths.map(count);
        Assembly {
            addresses: [
                self.dense.address(),
                self.sparse.address(),
                self.crossed.address(),
                self.boundaries.address(),
                self.offsets.address(),
            ],
            numbers: [
                dense,
                sparse,
                given,
                self.hash_bits,
                count(self.offsets.len()),
                u32::from(self.night.0),
                u32::from(self.night.1),
                0,
            ],
        }
    }
}
