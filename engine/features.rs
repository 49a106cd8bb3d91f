//! Fourth stage: what the model sees of each event, made once, at the moment it is scored.
//!
//! Dense features are standardised numbers, parts of the calendar and aggregates of windows;
//! sparse features are hashed categories and crosses. A batch's features are one row-major matrix
//! each; rows are copied to the pending events, so that learning sees exactly what was scored.
//!
//! Windows over events are computed for the whole batch; windows over labels take the labels in
//! between the rows, at the positions the join has found. Neither depends on the batch cuts.

pub mod plan;
mod state;
mod windows;

use pelton_kernels::calendar::{Calendar, Clock};
use pelton_kernels::hash;
use pelton_kernels::math;
use pelton_kernels::moments::{Moments, MomentsSpec};
use pelton_models::{FeatureShape, Features};

use crate::config::Config;
use crate::config::features::NumberForm;
use crate::error::Error;
use crate::join::{Join, Resolved};
use crate::ring::Slot;

use plan::{Dense, Plan, Sparse};
use windows::{EventTable, LabelTable};

/// The state of the feature stage.
pub struct FeatureStage {
    plan: Plan,
    calendar: Calendar,
    events: Vec<EventTable>,
    labels: Vec<LabelTable>,
    moments: Option<Moments>,
    rows: usize,
    dense: Vec<f32>,
    sparse: Vec<u32>,
}

impl FeatureStage {
    /// The stage for this configuration.
    ///
    /// # Errors
    /// [`Error::Kernel`] when a window is not possible.
    pub fn new(config: &Config) -> Result<FeatureStage, Error> {
        let plan = Plan::new(config);
        let events = plan.event_tables.iter().map(EventTable::new).collect::<Result<_, _>>()?;
        let labels = plan.label_tables.iter().map(LabelTable::new).collect::<Result<_, _>>()?;
        let clip = config.features.clip_sigma;
        let spec = MomentsSpec { clip, ..MomentsSpec::new(plan.width()) };
        let moments = config.features.standardize.then(|| Moments::new(spec)).transpose()?;
        let calendar = plan::calendar(&config.features.time_zone);
        let (dense, sparse) = (Vec::new(), Vec::new());
        Ok(FeatureStage { plan, calendar, events, labels, moments, rows: 0, dense, sparse })
    }

    /// What the model will see of a row.
    #[must_use]
    pub fn shape(&self) -> FeatureShape {
        self.plan.shape()
    }

    /// What is computed, with names.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Makes the features of the batch and stores them with its pending events.
    ///
    /// # Errors
    /// [`Error::Kernel`] for a bug only.
    pub fn run(
        &mut self,
        slot: &Slot,
        join: &mut Join,
        resolved: &[Resolved],
    ) -> Result<(), Error> {
        self.rows = slot.rows;
        let width = self.plan.width();
        self.dense.resize(slot.rows * width, 0.0);
        self.sparse.resize(slot.rows * self.plan.sparse.len(), 0);
        // A batch of labels alone has no rows to make features of.
        if slot.rows > 0 {
            self.fill_dense(slot);
            self.fill_sparse(slot);
        }
        for table in &mut self.events {
            table.run(slot, &mut self.dense, width)?;
        }
        for (index, table) in self.labels.iter_mut().enumerate() {
            let key = |resolved: &Resolved| join.pending().label_key(resolved.entry, index);
            table.run(slot, resolved, key, (&mut self.dense, width))?;
        }
        if let Some(moments) = &mut self.moments {
            moments.standardize(&mut self.dense, width.max(1), 0)?;
        }
        for row in 0..slot.rows {
            let entry = join.admitted()[row];
            let features = self.rows(row, row + 1);
            join.pending_mut().store_features(entry, features.dense, features.sparse);
        }
        Ok(())
    }

    /// The features of rows `from..to` of the batch last run.
    #[must_use]
    pub fn rows(&self, from: usize, to: usize) -> Features<'_> {
        let (dense, sparse) = (self.plan.width(), self.plan.sparse.len());
        Features {
            rows: to - from,
            dense: &self.dense[from * dense..to * dense],
            sparse: &self.sparse[from * sparse..to * sparse],
        }
    }

    /// Keys, bytes and evictions of the window tables, by the name of their key.
    pub fn window_gauges(&self) -> impl Iterator<Item = windows::Gauge<'_>> {
        let events = self.events.iter().map(EventTable::gauge);
        events.chain(self.labels.iter().map(LabelTable::gauge))
    }

    fn fill_dense(&mut self, slot: &Slot) {
        let width = self.plan.width();
        for (offset, column) in self.plan.dense.iter().enumerate() {
            let out = self.dense[offset..].iter_mut().step_by(width);
            match *column {
                Dense::Number { column, form, clip } => {
                    for (out, &x) in out.zip(slot.number(column)) {
                        let x = clip.map_or(x, |(low, high)| x.clamp(low, high));
                        *out = match form {
                            NumberForm::Identity => x,
                            NumberForm::Log => math::ln_1p_f32(x.abs()).copysign(x),
                        };
                    }
                }
                Dense::Calendar(part) => {
                    let night = self.plan.night;
                    for (out, &time_ms) in out.zip(&slot.times_ms[..slot.rows]) {
                        *out = part.value(&self.calendar.local(time_ms), night);
                    }
                }
                Dense::Window => {}
            }
        }
    }

    fn fill_sparse(&mut self, slot: &Slot) {
        let (width, bits) = (self.plan.sparse.len(), self.plan.hash_bits);
        for (offset, column) in self.plan.sparse.iter().enumerate() {
            let out = self.sparse[offset..].iter_mut().step_by(width);
            let salt = column.salt;
            match &column.source {
                Sparse::Category(column) => {
                    for (out, &code) in out.zip(slot.category(*column)) {
                        *out = hash::bucket(code, salt, bits);
                    }
                }
                Sparse::Cross(columns) => {
                    for (row, out) in out.enumerate() {
                        *out = hash::bucket(cross_of(slot, columns, row), salt, bits);
                    }
                }
                Sparse::Buckets { column, boundaries } => {
                    for (out, &x) in out.zip(slot.number(*column)) {
                        let index = boundaries.partition_point(|&boundary| boundary <= x);
                        *out = hash::bucket(index as u64 + 1, salt, bits);
                    }
                }
                Sparse::Calendar(part) => {
                    for (out, &time_ms) in out.zip(&slot.times_ms[..slot.rows]) {
                        let code = part.code(&self.calendar.local(time_ms));
                        *out = hash::bucket(code + 1, salt, bits);
                    }
                }
            }
        }
    }
}

impl crate::config::features::CalendarPart {
    /// The part as a number.
    fn value(self, clock: &Clock, night: (u8, u8)) -> f32 {
        use crate::config::features::CalendarPart as Part;
        let is = |yes: bool| f32::from(u8::from(yes));
        match self {
            Part::Hour | Part::Weekday => self.code(clock) as f32,
            Part::Weekend => is(clock.weekday >= 5),
            Part::Night if night.0 <= night.1 => is((night.0..=night.1).contains(&clock.hour)),
            Part::Night => is(clock.hour >= night.0 || clock.hour <= night.1),
            Part::DayCycle { sine } => wave(clock.day_turn, sine),
            Part::WeekCycle { sine } => wave(clock.week_turn, sine),
        }
    }

    /// The part as a category.
    fn code(self, clock: &Clock) -> u64 {
        use crate::config::features::CalendarPart as Part;
        match self {
            Part::Hour => u64::from(clock.hour),
            Part::Weekday => u64::from(clock.weekday),
            _ => 0,
        }
    }
}

fn wave(turn: f64, sine: bool) -> f32 {
    let (sin, cos) = math::sin_cos_turns(turn);
    if sine { sin as f32 } else { cos as f32 }
}

/// The key of a row over one or more category columns; 0 when one of them is missing.
#[must_use]
pub fn key_of(slot: &Slot, columns: &[usize], row: usize) -> u64 {
    match columns {
        [column] => slot.categories[[*column, row]],
        columns if columns.iter().any(|&column| slot.categories[[column, row]] == 0) => 0,
        columns => cross_of(slot, columns, row).max(1),
    }
}

/// Several categories as one code; a missing one is a category of its own.
fn cross_of(slot: &Slot, columns: &[usize], row: usize) -> u64 {
    columns.iter().fold(0, |code, &column| {
        hash::mix64(code.rotate_left(17) ^ slot.categories[[column, row]].wrapping_add(CROSS))
    })
}

const CROSS: u64 = 0x9e37_79b9_7f4a_7c15;
