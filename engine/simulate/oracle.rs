//! The oracle: the same pipeline over the same records in the same order, in one go, with other
//! batches, a disk and sinks that never fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::dice::Dice;
use super::job::Job;
use super::source::{Decoder, first_at, is_full};
use super::topic::{Origin, Stored};
use crate::emit::delivered::Delivered;
use crate::emit::{Emit, Record, Sink, SinkPosition};
use crate::error::Error;
use crate::metrics::Totals;
use crate::pipeline::{Pipeline, SECTIONS};
use crate::ring::Slot;

/// A stretch of one partition: its index, first and next offset.
pub type Stretch = (usize, i64, i64);

/// The outcome of an order.
pub struct Oracle {
    /// The state behind it.
    pub pipeline: Pipeline,
    /// What went in, and what became of it.
    pub totals: Totals,
    /// Scores, then dead letters, by their origin.
    pub outputs: [Vec<Stored>; 2],
}

/// Runs the job in this order.
///
/// # Errors
/// For a bug only.
pub fn lead(job: &Job, order: &[Stretch], dice: &mut Dice) -> Result<Oracle, Error> {
    let kept = [Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new()))];
    let sinks = kept.each_ref().map(|kept| Some(Box::new(Kept(Arc::clone(kept))) as Box<dyn Sink>));
    let mut emit = Emit::with_sinks(&job.config, sinks);
    let mut pipeline = Pipeline::new(&job.config)?;
    let mut totals = Totals::default();
    let decoder = Decoder::new(&job.config);
    let mut slot = Slot::new(&job.config.event.schema, job.config.batch.rows_max);
    let mut finish = |slot: &mut Slot| -> Result<(), Error> {
        pipeline.step(slot)?;
        totals.add(slot);
        emit.run(slot)?;
        slot.clear();
        Ok(())
    };
    for &(partition, first, next) in order {
        let of = &job.partitions[partition];
        for at in first_at(of, first)..first_at(of, next) {
            if is_full(&slot) || (!slot.is_empty() && dice.per_mille(40)) {
                finish(&mut slot)?;
            }
            let span = slot.span_index(&of.topic, of.number);
            decoder.decode(of, at, span, &mut slot);
        }
    }
    finish(&mut slot)?;
    pipeline.finish()?;
    let outputs = kept.map(|kept| std::mem::take(&mut *lock(&kept)));
    Ok(Oracle { pipeline, totals, outputs })
}

/// The whole state as bytes, section by section.
///
/// # Errors
/// [`Error::State`] for a bug only.
pub fn state(pipeline: &Pipeline) -> Result<BTreeMap<&'static str, Vec<u8>>, Error> {
    let mut sections = BTreeMap::new();
    for section in SECTIONS {
        let mut bytes = Vec::new();
        let written = pipeline.write_section(section, &mut bytes);
        written.map_err(|source| Error::State { section: section.to_owned(), source })?;
        sections.insert(section, bytes);
    }
    Ok(sections)
}

/// Records by the record they were made from.
#[must_use]
pub fn by_origin(records: Vec<Stored>) -> BTreeMap<Option<Origin>, Vec<Stored>> {
    let mut found: BTreeMap<_, Vec<Stored>> = BTreeMap::new();
    for record in records {
        found.entry(record.origin()).or_default().push(record);
    }
    found
}

fn lock<T>(kept: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A sink that keeps everything.
struct Kept(Arc<Mutex<Vec<Stored>>>);

impl Sink for Kept {
    fn send(&mut self, record: &Record<'_>) -> Result<(), Error> {
        let headers = record.headers.iter().map(|(n, v)| ((*n).to_owned(), v.to_vec())).collect();
        lock(&self.0).push(Stored { payload: record.payload.to_vec(), headers });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn position(&mut self) -> Result<SinkPosition, Error> {
        Ok(SinkPosition::File { path: String::new(), bytes: 0 })
    }

    fn tail(&mut self, _: &SinkPosition, _: Duration, _: &mut Delivered) -> Result<(), Error> {
        Ok(())
    }
}
