//! Work for the kernels that repair columns and judge scores.

use super::{Draw, Work, bytes, read, written};
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
    raw_there: Buffer<f32>,
    values_there: Buffer<f32>,
    repairs_there: DeviceRepair,
}

impl RepairWork {
    pub fn open<const COLUMNS: usize>(
        stream: &Stream,
        (rows, seed): (usize, u64),
        rules: [Outliers; COLUMNS],
    ) -> Result<Box<dyn Work>, TableError> {
        let mut draw = Draw::new(seed);
        let mut value = || if draw.unit() < 0.1 { f32::NAN } else { draw.number() };
        let raw: Vec<f32> = (0..rows * COLUMNS).map(|_| value()).collect();
        let range = Some((-50.0, 100.0));
        let spec = |outliers| RepairSpec { range, clips_range: true, constant: None, outliers };
        let repairs: Vec<Repair> = rules.into_iter().map(|rule| Repair::new(spec(rule))).collect();
        Ok(Box::new(RepairWork {
            raw_there: stream.buffer_of(&raw)?,
            values_there: stream.buffer_of(&raw)?,
            repairs_there: DeviceRepair::new(stream, &repairs)?,
            values: vec![0.0; raw.len()],
            repairs,
            rows,
            raw,
        }))
    }
}

impl Work for RepairWork {
    fn here(&mut self) -> Result<(), TableError> {
        self.values.copy_from_slice(&self.raw);
        let columns = self.values.chunks_mut(self.rows.max(1));
        self.repairs.iter_mut().zip(columns).for_each(|(repair, column)| repair.run(column));
        Ok(())
    }

    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        stream.copy(&mut self.values_there, &self.raw_there, self.raw.len())?;
        self.repairs_there.run(stream, &mut self.values_there, (self.rows, self.rows))
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let mut fetched = self.repairs.clone();
        self.repairs_there.fetch(stream, &mut fetched)?;
        let values = read(stream, &self.values_there, 0.0)?;
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
    there: (Buffer<f32>, Buffer<f32>, DeviceTally),
}

impl TallyWork {
    pub fn open(stream: &Stream, rows: usize, seed: u64) -> Result<Box<dyn Work>, TableError> {
        let mut draw = Draw::new(seed);
        let scores: Vec<f32> = (0..rows).map(|_| draw.unit()).collect();
        let labels: Vec<f32> =
            scores.iter().map(|score| f32::from(u8::from(draw.unit() < *score))).collect();
        let tally = Tally::new(true, true);
        let tally_there = DeviceTally::new(stream, &tally)?;
        let there = (stream.buffer_of(&scores)?, stream.buffer_of(&labels)?, tally_there);
        Ok(Box::new(TallyWork { there, scores, labels, tally }))
    }
}

impl Work for TallyWork {
    fn here(&mut self) -> Result<(), TableError> {
        let rows = self.scores.iter().zip(&self.labels);
        rows.for_each(|(score, label)| self.tally.add(*score, *label == 1.0, 1));
        Ok(())
    }

    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        let (scores, labels, tally) = &mut self.there;
        tally.add(stream, (scores, labels), self.scores.len())
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let mut fetched = self.tally.clone();
        self.there.2.fetch(stream, &mut fetched)?;
        Ok([&self.tally, &fetched].map(|tally| written(|state| tally.write(state))))
    }
}
