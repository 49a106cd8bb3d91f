//! Work for the kernels that make features.

use super::{Draw, Work, bytes, pinned, read};
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
    there: (ColumnBuffers, Assembler, RowBuffers),
}

impl AssembleWork {
    pub fn open(
        stream: &Stream,
        (rows, seed): (usize, u64),
        spec: AssembleSpec,
    ) -> Result<Box<dyn Work>, TableError> {
        let (mut draw, gpu) = (Draw::new(seed), stream.gpu());
        let (numbers, categories, given) = (13, 26, spec.given_width());
        let times_ms: Vec<i64> = (0..rows).map(|_| (draw.bits() >> 22) as i64).collect();
        let of_numbers: Vec<f32> = (0..rows * numbers).map(|_| draw.number()).collect();
        let of_categories: Vec<u64> = (0..rows * categories).map(|_| draw.bits()).collect();
        let of_given: Vec<f32> = (0..rows * given).map(|_| draw.number()).collect();
        let mut columns = ColumnBuffers::new(gpu, [numbers, categories, given], rows)?;
        let mut here = (
            pinned(stream, &times_ms)?,
            pinned(stream, &of_numbers)?,
            pinned(stream, &of_categories)?,
        );
        let given_columns =
            PinnedColumns { times_ms: &mut here.0, numbers: &mut here.1, categories: &mut here.2 };
        columns.give(stream, given_columns, rows)?;
        columns.give_known(stream, &mut pinned(stream, &of_given)?)?;
        let (dense, sparse) = (spec.dense.len(), spec.sparse.len());
        Ok(Box::new(AssembleWork {
            there: (columns, Assembler::new(stream, &spec)?, RowBuffers::new(gpu, dense, sparse)?),
            rows,
            times_ms,
            numbers: of_numbers,
            categories: of_categories,
            given: of_given,
            dense: vec![0.0; rows * dense],
            sparse: vec![0; rows * sparse],
            spec,
        }))
    }
}

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

    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        let (columns, assembler, rows) = &mut self.there;
        assembler.run(stream, columns, rows)
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let (_, _, rows) = &self.there;
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
    raw_there: Buffer<f32>,
    rows_there: RowBuffers,
    moments_there: DeviceMoments,
}

impl MomentsWork {
    const WIDTH: usize = 13;

    pub fn open(stream: &Stream, rows: usize, seed: u64) -> Result<Box<dyn Work>, TableError> {
        let mut draw = Draw::new(seed);
        let raw: Vec<f32> = (0..rows * Self::WIDTH).map(|_| draw.number()).collect();
        let moments = Moments::new(MomentsSpec::new(Self::WIDTH))?;
        let mut rows_there = RowBuffers::new(stream.gpu(), Self::WIDTH, 0)?;
        rows_there.make(rows)?;
        Ok(Box::new(MomentsWork {
            raw_there: stream.buffer_of(&raw)?,
            moments_there: DeviceMoments::new(stream, &moments)?,
            rows_there,
            values: vec![0.0; raw.len()],
            moments,
            raw,
        }))
    }
}

impl Work for MomentsWork {
    fn here(&mut self) -> Result<(), TableError> {
        self.values.copy_from_slice(&self.raw);
        Ok(self.moments.standardize(&mut self.values, Self::WIDTH, 0)?)
    }

    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        stream.copy(self.rows_there.dense_mut(), &self.raw_there, self.raw.len())?;
        self.moments_there.standardize(stream, &mut self.rows_there, 0)
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let mut fetched = Moments::new(*self.moments.spec())?;
        self.moments_there.fetch(stream, &mut fetched)?;
        let mut values = read(stream, self.rows_there.dense_mut(), 0.0)?;
        values.truncate(self.values.len());
        let joined = |values: &[f32], moments: &Moments| {
            let mut joined = bytes(values);
            moments.write_state(&mut joined).expect("a vector takes all bytes");
            joined
        };
        Ok([joined(&self.values, &self.moments), joined(&values, &fetched)])
    }
}
