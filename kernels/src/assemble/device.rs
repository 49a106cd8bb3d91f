//! Features made on a GPU: columns on their way there, and the launches of `assemble.cu`.

mod columns;

use super::{AssembleSpec, Dense, Form, Sparse};
use crate::KernelError;
use crate::calendar::Part;
use crate::coordinate::device::{RowBuffers, TableError};
use crate::device::{Argument, Buffer, DeviceError, Launch, Plain, Stream};

pub use columns::{ColumnBuffers, PinnedColumns};

/// Rows that a thread makes one sparse feature of, as assemble.cu says.
const QUAD: usize = 4;

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

// SAFETY: numbers only, without padding: 16, 24 and 72 bytes.
unsafe impl Plain for DenseEntry {}
// SAFETY: as above.
unsafe impl Plain for SparseEntry {}
// SAFETY: as above.
unsafe impl Plain for Assembly {}

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
        self.launch(stream, columns, ("assemble_dense", self.widths[0] * columns.rows()), dense)
    }

    /// Makes the sparse features of the rows, without waiting; where the dense ones belong.
    pub(crate) fn run_sparse(
        &self,
        stream: &Stream,
        columns: &ColumnBuffers,
        rows: &mut RowBuffers,
    ) -> Result<u64, TableError> {
        self.check(columns, rows)?;
        let (dense, sparse) = rows.make(columns.rows())?;
        let items = self.widths[1] * columns.rows().div_ceil(QUAD);
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
        equal("given", columns.lengths()[2], given * columns.rows_max())?;
        let least = |argument, given: usize, columns_used: usize| {
            let expected = columns_used * columns.rows_max();
            match given >= expected {
                true => Ok(()),
                false => Err(KernelError::Shape { kernel, argument, expected, given }),
            }
        };
        least("numbers", columns.lengths()[0], self.columns[0])?;
        least("categories", columns.lengths()[1], self.columns[1])?;
        // Whole blocks of threads are counted in 32 bits.
        if sparse * columns.rows().div_ceil(QUAD) >= 1 << 31 {
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
