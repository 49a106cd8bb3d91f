//! Work for the kernels that repair columns and judge scores.

use super::{Draw, Work, brought, bytes, read, written};
use crate::coordinate::device::TableError;
use crate::device::{Buffer, Stream};
use crate::repair::device::DeviceRepair;
use crate::repair::{Outliers, Repair, RepairSpec};
use crate::tally::Tally;
use crate::tally::device::DeviceTally;

pub(super) struct RepairWork {
    rows: usize,
    raw: Vec<f32>,
    repairs: Vec<Repair>,
    values: Vec<f32>,
    /// The values as they are at first, those that are repaired, what is known of them.
    there: Option<(Buffer<f32>, Buffer<f32>, DeviceRepair)>,
}

impl RepairWork {
    pub fn open<const COLUMNS: usize>(
        (rows, seed): (usize, u64),
        rules: [Outliers; COLUMNS],
    ) -> Result<Box<dyn Work>, TableError> {
        let mut draw = Draw::new(seed);
        let mut value = || if draw.unit() < 0.1 { f32::NAN } else { draw.number() };
        let raw: Vec<f32> = (0..rows * COLUMNS).map(|_| value()).collect();
        let range = Some((-50.0, 100.0));
        let spec = |outliers| RepairSpec { range, clips_range: true, constant: None, outliers };
        let repairs: Vec<Repair> = rules.into_iter().map(|rule| Repair::new(spec(rule))).collect();
        Ok(Box::new(RepairWork { values: vec![0.0; raw.len()], repairs, rows, raw, there: None }))
    }
}

impl Work for RepairWork {
    fn here(&mut self) -> Result<(), TableError> {
        self.values.copy_from_slice(&self.raw);
        let columns = self.values.chunks_mut(self.rows.max(1));
        self.repairs.iter_mut().zip(columns).for_each(|(repair, column)| repair.run(column));
        Ok(())
    }

    fn bring(&mut self, stream: &Stream) -> Result<(), TableError> {
        let (raw, values) = (stream.buffer_of(&self.raw)?, stream.buffer_of(&self.raw)?);
        self.there = Some((raw, values, DeviceRepair::new(stream, &self.repairs)?));
        Ok(())
    }

    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        let (raw, values, repairs) = brought(&mut self.there);
        stream.copy(values, raw, raw.len())?;
        repairs.run(stream, values, (self.rows, self.rows))
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let (_, values, repairs) = brought(&mut self.there);
        let mut fetched = self.repairs.clone();
        repairs.fetch(stream, &mut fetched)?;
        let values = read(stream, values, 0.0)?;
        let joined = |values: &[f32], repairs: &[Repair]| {
            let mut joined = bytes(values);
            joined.extend(written(|state| {
                repairs.iter().try_for_each(|repair| {
                    repair.write_sums(state)?;
                    repair.write_quantiles(state)
                })
            }));
            joined
        };
        Ok([joined(&self.values, &self.repairs), joined(&values, &fetched)])
    }
}

pub(super) struct TallyWork {
    scores: Vec<f32>,
    labels: Vec<f32>,
    tally: Tally,
    there: Option<(Buffer<f32>, Buffer<f32>, DeviceTally)>,
}

impl TallyWork {
    pub fn open(rows: usize, seed: u64) -> Result<Box<dyn Work>, TableError> {
        let mut draw = Draw::new(seed);
        let scores: Vec<f32> = (0..rows).map(|_| draw.unit()).collect();
        let labels: Vec<f32> =
            scores.iter().map(|score| f32::from(u8::from(draw.unit() < *score))).collect();
        Ok(Box::new(TallyWork { scores, labels, tally: Tally::new(true, true), there: None }))
    }
}

impl Work for TallyWork {
    fn here(&mut self) -> Result<(), TableError> {
        let rows = self.scores.iter().zip(&self.labels);
        rows.for_each(|(score, label)| self.tally.add(*score, *label == 1.0, 1));
        Ok(())
    }

    fn bring(&mut self, stream: &Stream) -> Result<(), TableError> {
        let (scores, labels) = (stream.buffer_of(&self.scores)?, stream.buffer_of(&self.labels)?);
        self.there = Some((scores, labels, DeviceTally::new(stream, &self.tally)?));
        Ok(())
    }

    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        let (scores, labels, tally) = brought(&mut self.there);
        tally.add(stream, (scores, labels), self.scores.len())
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let mut fetched = self.tally.clone();
        brought(&mut self.there).2.fetch(stream, &mut fetched)?;
        Ok([&self.tally, &fetched].map(|tally| written(|state| tally.write(state))))
    }
}
