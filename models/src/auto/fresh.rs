//! Fresh trees after a drift: grown beside the old ones from what comes since, until it is clear
//! which are better.
//!
//! Trees are grown over a sample of all the past. Where the stream turns for good, that past is a
//! burden: the stack soon gives old trees little weight, but they come right again only when most
//! of the sample is new. So their own loss is watched (ADWIN, [`crate::drift::Adwin`]), and a rise
//! of it starts an ensemble of the rows since, as adaptive random forests do tree by tree (Gomes
//! et al. 2017). It takes the old one's place once it has been better by
//! [`SURE`] standard errors of the paired losses, and is given up when it has not been after
//! [`ROWS_MAX`] labels. A false alarm costs time for a while, and nothing else.
//!
//! Invariants: a function of the rows in their order; part of the state.

use std::io::{self, Read, Write};

use pelton_kernels::state::{StateReader, StateWriter, invalid};

use crate::boost::{Boost, BoostConfig};
use crate::drift::Adwin;
use crate::{FeatureShape, Model, ModelError};

/// Standard errors by which one has to be better.
const SURE: f64 = 4.0;
/// Labels before it may be, and before a second alarm starts it again.
const ROWS_MIN: u64 = 300;
const AGAIN_ROWS: u64 = 3000;
/// Labels after which it is given up.
const ROWS_MAX: u64 = 20_000;
/// Labels whose mean loss is one value of the detector.
const BLOCK: u64 = 8;
/// Chance that an alarm is false, by the detector's bound.
const DELTA: f64 = 1e-4;

/// The detector, and fresh trees while there are any.
pub(super) struct Renewal {
    config: BoostConfig,
    shape: FeatureShape,
    adwin: Adwin,
    /// Labels so far, and the sum of losses of the block.
    labels: u64,
    block: f64,
    pub fresh: Option<Fresh>,
    /// Times that trees were started afresh, and that those took the old ones' place.
    pub started: u64,
    pub replaced: u64,
}

/// Trees of the rows since a drift.
pub(super) struct Fresh {
    pub model: Boost,
    rows: u64,
    /// Sum of differences of losses, the old ones' less theirs, and of their squares.
    sum: f64,
    squares: f64,
}

impl Renewal {
    pub fn new(config: BoostConfig, shape: FeatureShape) -> Renewal {
        Renewal {
            config,
            shape,
            adwin: Adwin::new(DELTA),
            labels: 0,
            block: 0.0,
            fresh: None,
            started: 0,
            replaced: 0,
        }
    }

    /// Takes in the losses of a row: the old trees' in `0..=1`, and both in nats (or usual
    /// residuals). Returns fresh trees that are to take the place of the old ones.
    pub fn observe(
        &mut self,
        bounded: f64,
        old: f64,
        fresh: Option<f64>,
    ) -> Result<Option<Boost>, ModelError> {
        if let (Some(own), Some(loss)) = (&mut self.fresh, fresh) {
            let difference = (old - loss).clamp(-8.0, 8.0);
            own.rows += 1;
            own.sum += difference;
            own.squares += difference * difference;
            if own.rows >= ROWS_MIN && own.sum > SURE * own.squares.sqrt() {
                self.replaced += 1;
                self.adwin = Adwin::new(DELTA);
                return Ok(self.fresh.take().map(|own| own.model));
            }
            let is_worse = own.rows >= AGAIN_ROWS && own.sum < -SURE * own.squares.sqrt();
            if own.rows >= ROWS_MAX || is_worse {
                self.fresh = None;
            }
        }
        self.labels += 1;
        self.block += bounded;
        if !self.labels.is_multiple_of(BLOCK) {
            return Ok(None);
        }
        let before = self.adwin.mean();
        let is_alarm = self.adwin.update(self.block / BLOCK as f64);
        self.block = 0.0;
        let is_young = self.fresh.as_ref().is_some_and(|own| own.rows < AGAIN_ROWS);
        if is_alarm && self.adwin.mean() > before && !is_young {
            let model = Boost::new(self.config, self.shape)?;
            self.fresh = Some(Fresh { model, rows: 0, sum: 0.0, squares: 0.0 });
            self.started += 1;
        }
        Ok(None)
    }

    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.slice(&[self.labels, self.started, self.replaced])?;
        state.put(self.block)?;
        self.adwin.write(state)?;
        state.put(u8::from(self.fresh.is_some()))?;
        let Some(own) = &self.fresh else { return Ok(()) };
        state.put(own.rows)?;
        state.slice(&[own.sum, own.squares])?;
        own.model.write_state(out)
    }

    pub fn read(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let state = &mut StateReader::new(from);
        [self.labels, self.started, self.replaced] = state.get()?;
        self.block = state.get()?;
        self.adwin.read(state)?;
        self.fresh = match state.get::<u8>()? {
            0 => None,
            1 => {
                let rows = state.get()?;
                let [sum, squares] = state.get()?;
                let mut model = Boost::new(self.config, self.shape)?;
                model.read_state(from)?;
                Some(Fresh { model, rows, sum, squares })
            }
            _ => return Err(invalid("fresh trees are neither there nor not").into()),
        };
        Ok(())
    }
}
