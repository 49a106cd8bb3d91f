//! What a stage shows of itself: that it moves on, and what it is about.
//!
//! A stage writes two atomics when it takes a batch and one when what it does changes; it asks no
//! clock and takes no lock. How long it stands still is measured by whoever looks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What a stage does. All but [`Doing::Works`] depends on others and has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Doing {
    /// It has nothing in hand.
    #[default]
    Rests,
    /// It works on a batch.
    Works,
    /// It waits for a free slot of the ring.
    WaitsForSlot,
    /// Its input is a pipe that has nothing now.
    WaitsForRecords,
    /// It asks the brokers for something.
    WaitsForBroker,
    /// It waits for the next stage to take its batch.
    WaitsForNext,
    /// It waits for a topic to take records.
    WaitsForSink,
    /// It waits until all before its cut is delivered.
    WaitsForDelivery,
    /// It waits for an object store, which has time limits of its own.
    WaitsForStore,
}

impl Doing {
    const ALL: [Doing; 9] = [
        Doing::Rests,
        Doing::Works,
        Doing::WaitsForSlot,
        Doing::WaitsForRecords,
        Doing::WaitsForBroker,
        Doing::WaitsForNext,
        Doing::WaitsForSink,
        Doing::WaitsForDelivery,
        Doing::WaitsForStore,
    ];

    /// For messages: a stage, a space and this are a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Doing::Rests => "has nothing in hand",
            Doing::Works => "works",
            Doing::WaitsForSlot => "waits for a slot",
            Doing::WaitsForRecords => "waits for records",
            Doing::WaitsForBroker => "waits for the brokers",
            Doing::WaitsForNext => "waits for the next stage",
            Doing::WaitsForSink => "waits for the sink",
            Doing::WaitsForDelivery => "waits for a delivery",
            Doing::WaitsForStore => "waits for the object store",
        }
    }
}

/// A stage, of one partition where each has a pipeline of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whose {
    /// `ingest`, `compute`, `emit` or `checkpoint`.
    pub stage: &'static str,
    /// The partition.
    pub partition: Option<i32>,
}

/// A stage at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Differs whenever the stage has moved on.
    pub beat: u64,
    /// What it does.
    pub doing: Doing,
    /// The number of its batch, from 1 in each run.
    pub batch: u64,
    /// Rows of that batch.
    pub rows: u64,
}

/// A stage's side. It is written by one thread at a time; clones are of the same stage. One that
/// is made by `default` is looked at by nobody.
#[derive(Clone, Debug, Default)]
pub struct Heart(Arc<Beats>);

#[derive(Debug, Default)]
struct Beats {
    whose: Whose,
    /// How often it has moved on, and in the last byte what it does.
    beat: AtomicU64,
    batch: AtomicU64,
    rows: AtomicU64,
}

impl Heart {
    /// Takes a batch of so many rows, and works on it.
    pub fn begins(&self, rows: usize) {
        let Beats { batch, rows: shown, .. } = &*self.0;
        batch.store(batch.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        shown.store(rows as u64, Ordering::Relaxed);
        self.is(Doing::Works);
    }

    /// Works on, with so many rows by now.
    pub fn works(&self, rows: usize) {
        self.0.rows.store(rows as u64, Ordering::Relaxed);
        self.is(Doing::Works);
    }

    /// Does this from now on.
    pub fn is(&self, doing: Doing) {
        let beat = self.0.beat.load(Ordering::Relaxed);
        self.0.beat.store((((beat >> 8) + 1) << 8) | doing as u64, Ordering::Relaxed);
    }

    /// Does this until the value is dropped, then again what it did before.
    #[must_use]
    pub fn meanwhile(&self, doing: Doing) -> Meanwhile {
        let before = self.sight().doing;
        self.is(doing);
        Meanwhile { heart: self.clone(), before }
    }

    /// How it looks now.
    #[must_use]
    pub fn sight(&self) -> Sight {
        let beat = self.0.beat.load(Ordering::Relaxed);
        let doing = Doing::ALL.get((beat & 0xff) as usize).copied().unwrap_or_default();
        let [batch, rows] = [&self.0.batch, &self.0.rows].map(|at| at.load(Ordering::Relaxed));
        Sight { beat, doing, batch, rows }
    }
}

/// A wait that ends with this value.
#[derive(Debug)]
pub struct Meanwhile {
    heart: Heart,
    before: Doing,
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        self.heart.is(self.before);
    }
}

/// The stages of one run.
#[derive(Clone, Debug, Default)]
pub struct Hearts {
    /// Reads and decodes.
    pub ingest: Heart,
    /// Owns the state.
    pub compute: Heart,
    /// Sends scores and dead letters.
    pub emit: Heart,
    /// Writes checkpoints.
    pub checkpoint: Heart,
}

/// Where runs say that they have begun; a stage whose hearts are all dropped is gone.
#[derive(Debug, Default)]
pub struct Register(Mutex<Vec<Shown>>);

/// A heart that is looked at, for as long as its stage lives.
#[derive(Debug)]
pub struct Shown(Weak<Beats>);

impl Register {
    /// The stages of a run that begins, or of one partition's.
    #[must_use]
    pub fn of_run(&self, partition: Option<i32>) -> Hearts {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|shown| shown.0.strong_count() > 0);
        let mut heart = |stage| {
            let beats = Arc::new(Beats { whose: Whose { stage, partition }, ..Beats::default() });
            all.push(Shown(Arc::downgrade(&beats)));
            Heart(beats)
        };
        Hearts {
            ingest: heart("ingest"),
            compute: heart("compute"),
            emit: heart("emit"),
            checkpoint: heart("checkpoint"),
        }
    }

    /// Those that have come since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Shown> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shown {
    /// Whose it is and how it looks now; none once the stage is gone.
    #[must_use]
    pub fn look(&self) -> Option<(Whose, Sight)> {
        let beats = self.0.upgrade()?;
        Some((beats.whose, Heart(beats).sight()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_shows_and_a_stage_that_is_gone_is_not_seen() {
        let register = Register::default();
        let hearts = register.of_run(Some(3));
        let shown = register.take();
        let look = || shown[1].look().unwrap();
        assert_eq!(look().0, Whose { stage: "compute", partition: Some(3) });
        let mut beats = vec![look().1.beat];
        let mut moves = |heart: &Heart, does: &dyn Fn(&Heart), doing, batch, rows| {
            does(heart);
            let sight = look().1;
            assert!(!beats.contains(&sight.beat), "{sight:?}");
            beats.push(sight.beat);
            assert_eq!((sight.doing, sight.batch, sight.rows), (doing, batch, rows));
        };
        let heart = &hearts.compute;
        moves(heart, &|heart| heart.begins(7), Doing::Works, 1, 7);
        moves(heart, &|heart| heart.works(9), Doing::Works, 1, 9);
        for doing in Doing::ALL {
            moves(heart, &|heart| heart.is(doing), doing, 1, 9);
        }
        moves(heart, &|heart| heart.begins(2), Doing::Works, 2, 2);
        let wait = heart.meanwhile(Doing::WaitsForSink);
        assert_eq!(look().1.doing, Doing::WaitsForSink);
        moves(heart, &|_| (), Doing::WaitsForSink, 2, 2);
        drop(wait);
        moves(heart, &|_| (), Doing::Works, 2, 2);
        drop(hearts);
        assert_eq!(shown[1].look(), None);
        assert!(register.take().is_empty());
    }
}
