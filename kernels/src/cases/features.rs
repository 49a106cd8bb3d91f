//! Work for the kernels that make features.

use super::{Draw, Work, brought, bytes, pinned, read};
use crate::assemble::device::{Assembler, ColumnBuffers, PinnedColumns};
use crate::assemble::{AssembleSpec, Columns, Dense, Form, Sparse, SparseColumn};
use crate::calendar::{Calendar, Part};
use crate::coordinate::device::{RowBuffers, TableError};
use crate::device::{Buffer, Stream};
use crate::hash::mix64;
use crate::moments::device::DeviceMoments;
use crate::moments::{Moments, MomentsSpec};

fn spec(dense: Vec<Dense>, sparse: Vec<Sparse>) -> AssembleSpec {
    let salted = |(at, source)| SparseColumn { source, salt: mix64(at as u64 + 1) };
    AssembleSpec {
        dense,
        sparse: sparse.into_iter().enumerate().map(salted).collect(),
        hash_bits: 22,
        calendar: Calendar::new(vec![(i64::MIN, 3_600_000), (1 << 40, 7_200_000)]),
        night: (22, 5),
    }
}

pub(super) fn clicks() -> AssembleSpec {
    let number = |column| Dense::Number { column, form: Form::Log, clip: None };
    spec((0..13).map(number).collect(), (0..26).map(Sparse::Category).collect())
}

pub(super) fn everything() -> AssembleSpec {
    let number = |form, clip| Dense::Number { column: 0, form, clip };
    let wave = |sine| [Part::DayCycle { sine }, Part::WeekCycle { sine }].map(Dense::Calendar);
    let mut dense = vec![
        number(Form::Identity, Some((-1.0, 2.0))),
        number(Form::Log, None),
        Dense::Calendar(Part::Weekend),
        Dense::Calendar(Part::Night),
    ];
    dense.extend(wave(true).into_iter().chain(wave(false)));
    dense.extend((0..6).map(Dense::Given));
    let boundaries = (0..20).map(|at| at as f32 * 0.25 - 2.0).collect();
    let sparse = vec![
        Sparse::Category(1),
        Sparse::Cross(vec![0, 1]),
        Sparse::Buckets { column: 1, boundaries },
        Sparse::Calendar(Part::Hour),
        Sparse::Calendar(Part::Weekday),
        Sparse::Category(0),
    ];
    spec(dense, sparse)
}

pub(super) struct AssembleWork {
    spec: AssembleSpec,
    rows: usize,
    times_ms: Vec<i64>,
    numbers: Vec<f32>,
    categories: Vec<u64>,
    given: Vec<f32>,
    dense: Vec<f32>,
    sparse: Vec<u32>,
    there: Option<(ColumnBuffers, Assembler, RowBuffers)>,
}

impl AssembleWork {
    pub fn open(
        (rows, seed): (usize, u64),
        spec: AssembleSpec,
    ) -> Result<Box<dyn Work>, TableError> {
        let mut draw = Draw::new(seed);
        let (dense, sparse) = (spec.dense.len(), spec.sparse.len());
        Ok(Box::new(AssembleWork {
            rows,
            times_ms: (0..rows).map(|_| (draw.bits() >> 22) as i64).collect(),
            numbers: (0..rows * NUMBERS).map(|_| draw.number()).collect(),
            categories: (0..rows * CATEGORIES).map(|_| draw.bits()).collect(),
            given: (0..rows * spec.given_width()).map(|_| draw.number()).collect(),
            dense: vec![0.0; rows * dense],
            sparse: vec![0; rows * sparse],
            spec,
            there: None,
        }))
    }
}

const NUMBERS: usize = 13;
const CATEGORIES: usize = 26;

impl Work for AssembleWork {
    fn here(&mut self) -> Result<(), TableError> {
        let columns = Columns {
            rows: self.rows,
            stride: self.rows,
            times_ms: &self.times_ms,
            numbers: &self.numbers,
            categories: &self.categories,
            given: &self.given,
        };
        Ok(self.spec.run(&columns, (&mut self.dense, &mut self.sparse))?)
    }

    fn bring(&mut self, stream: &Stream) -> Result<(), TableError> {
        let (gpu, spec) = (stream.gpu(), &self.spec);
        let widths = [NUMBERS, CATEGORIES, spec.given_width()];
        let mut columns = ColumnBuffers::new(gpu, widths, self.rows)?;
        let mut times_ms = pinned(stream, &self.times_ms)?;
        let mut numbers = pinned(stream, &self.numbers)?;
        let mut categories = pinned(stream, &self.categories)?;
        let from = PinnedColumns {
            times_ms: &mut times_ms,
            numbers: &mut numbers,
            categories: &mut categories,
        };
        columns.give(stream, from, self.rows)?;
        columns.give_known(stream, &mut pinned(stream, &self.given)?)?;
        let rows = RowBuffers::new(gpu, spec.dense.len(), spec.sparse.len())?;
        self.there = Some((columns, Assembler::new(stream, spec)?, rows));
        Ok(())
    }

    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        let (columns, assembler, rows) = brought(&mut self.there);
        assembler.run(stream, columns, rows)
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let (_, _, rows) = brought(&mut self.there);
        let mut dense = pinned(stream, &vec![0.0; self.dense.len()])?;
        let mut sparse = pinned(stream, &vec![0; self.sparse.len()])?;
        rows.download(stream, &mut dense, &mut sparse)?;
        let joined = |dense: &[f32], sparse: &[u32]| {
            let sparse = sparse.iter().flat_map(|index| index.to_le_bytes());
            bytes(dense).into_iter().chain(sparse).collect()
        };
        Ok([joined(&self.dense, &self.sparse), joined(&dense, &sparse)])
    }
}

pub(super) struct MomentsWork {
    raw: Vec<f32>,
    moments: Moments,
    values: Vec<f32>,
    /// The values as they are at first, rows that are standardised, the moments.
    there: Option<(Buffer<f32>, RowBuffers, DeviceMoments)>,
}

impl MomentsWork {
    pub fn open(rows: usize, seed: u64) -> Result<Box<dyn Work>, TableError> {
        let mut draw = Draw::new(seed);
        let raw: Vec<f32> = (0..rows * NUMBERS).map(|_| draw.number()).collect();
        let moments = Moments::new(MomentsSpec::new(NUMBERS))?;
        Ok(Box::new(MomentsWork { values: vec![0.0; raw.len()], moments, raw, there: None }))
    }
}

impl Work for MomentsWork {
    fn here(&mut self) -> Result<(), TableError> {
        self.values.copy_from_slice(&self.raw);
        Ok(self.moments.standardize(&mut self.values, NUMBERS, 0)?)
    }

    fn bring(&mut self, stream: &Stream) -> Result<(), TableError> {
        let mut rows = RowBuffers::new(stream.gpu(), NUMBERS, 0)?;
        rows.make(self.raw.len() / NUMBERS)?;
        let moments = DeviceMoments::new(stream, &self.moments)?;
        self.there = Some((stream.buffer_of(&self.raw)?, rows, moments));
        Ok(())
    }

    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        let (raw, rows, moments) = brought(&mut self.there);
        stream.copy(rows.dense_mut(), raw, raw.len())?;
        moments.standardize(stream, rows, 0)
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let (_, rows, moments) = brought(&mut self.there);
        let mut fetched = Moments::new(*self.moments.spec())?;
        moments.fetch(stream, &mut fetched)?;
        let mut values = read(stream, rows.dense_mut(), 0.0)?;
        values.truncate(self.values.len());
        let joined = |values: &[f32], moments: &Moments| {
            let mut joined = bytes(values);
            moments.write_state(&mut joined).expect("a vector takes all bytes");
            joined
        };
        Ok([joined(&self.values, &self.moments), joined(&values, &fetched)])
    }
}

/// Dense features of clicks, made and standardised: at once, or one after the other.
pub(super) struct ScaledWork {
    spec: AssembleSpec,
    numbers: Vec<f32>,
    rows: usize,
    is_at_once: bool,
    moments: Moments,
    dense: Vec<f32>,
    there: Option<(ColumnBuffers, Assembler, RowBuffers, DeviceMoments)>,
}

impl ScaledWork {
    pub fn open((rows, seed): (usize, u64), is_at_once: bool) -> Result<Box<dyn Work>, TableError> {
        let mut draw = Draw::new(seed);
        let spec = AssembleSpec { sparse: Vec::new(), ..clicks() };
        // As far into a stream as refreshes are sparse.
        let refresh = MomentsSpec { refresh_dense_rows: 0, ..MomentsSpec::new(NUMBERS) };
        Ok(Box::new(ScaledWork {
            spec,
            numbers: (0..rows * NUMBERS).map(|_| draw.number()).collect(),
            rows,
            is_at_once,
            moments: Moments::new(refresh)?,
            dense: vec![0.0; rows * NUMBERS],
            there: None,
        }))
    }
}

impl Work for ScaledWork {
    fn here(&mut self) -> Result<(), TableError> {
        let columns = Columns {
            rows: self.rows,
            stride: self.rows,
            times_ms: &vec![0; self.rows],
            numbers: &self.numbers,
            categories: &[],
            given: &[],
        };
        self.spec.run(&columns, (&mut self.dense, &mut []))?;
        Ok(self.moments.standardize(&mut self.dense, NUMBERS, 0)?)
    }

    fn bring(&mut self, stream: &Stream) -> Result<(), TableError> {
        let gpu = stream.gpu();
        let mut columns = ColumnBuffers::new(gpu, [NUMBERS, 0, 0], self.rows)?;
        let from = PinnedColumns {
            times_ms: &mut pinned(stream, &vec![0; self.rows])?,
            numbers: &mut pinned(stream, &self.numbers)?,
            categories: &mut pinned(stream, &[])?,
        };
        columns.give(stream, from, self.rows)?;
        let rows = RowBuffers::new(gpu, NUMBERS, 0)?;
        let moments = DeviceMoments::new(stream, &self.moments)?;
        self.there = Some((columns, Assembler::new(stream, &self.spec)?, rows, moments));
        Ok(())
    }

    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        let is_at_once = self.is_at_once;
        let (columns, assembler, rows, moments) = brought(&mut self.there);
        if is_at_once {
            return moments.make(stream, (assembler, columns), rows);
        }
        assembler.run(stream, columns, rows)?;
        moments.standardize(stream, rows, 0)
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let (_, _, rows, moments) = brought(&mut self.there);
        let mut fetched = Moments::new(*self.moments.spec())?;
        moments.fetch(stream, &mut fetched)?;
        let mut dense = pinned(stream, &vec![0.0; self.dense.len()])?;
        rows.download(stream, &mut dense, &mut pinned(stream, &[])?)?;
        let joined = |dense: &[f32], moments: &Moments| {
            let mut joined = bytes(dense);
            moments.write_state(&mut joined).expect("a vector takes all bytes");
            joined
        };
        Ok([joined(&self.dense, &self.moments), joined(&dense, &fetched)])
    }
}
