//! Fourth stage: what the model sees of each event, made once, at the moment it is scored.
//!
//! Dense features are standardised numbers, parts of the calendar and aggregates of windows;
//! sparse features are hashed categories and crosses. A batch's features are one row-major matrix
//! each; rows are copied to the pending events, so that learning sees exactly what was scored.
//!
//! Windows over events are computed for the whole batch; windows over labels take the labels in
//! between the rows, at the positions the join has found. Neither depends on the batch cuts. All
//! else ([`pelton_kernels::assemble`], [`pelton_kernels::moments`]) is done where the engine
//! computes, and so are exact windows (`place.rs`): on a GPU the columns are on their way there
//! while labels are joined.

mod place;
pub mod plan;
mod state;
mod windows;

use pelton_kernels::coordinate::device::{RowsThere, Scorer};
use pelton_kernels::device::{Device, Pinned, Pinning};
use pelton_kernels::hash;
use pelton_kernels::moments::Moments;
use pelton_kernels::window::WindowTable;
use pelton_models::{FeatureShape, Features};

use crate::config::Config;
use crate::error::Error;
use crate::join::{Join, Resolved};
use crate::ring::Slot;

use place::Place;
pub use place::Way;
use plan::Plan;
use windows::{EventTable, LabelTable};

/// The state of the feature stage.
pub struct FeatureStage {
    plan: Plan,
    events: Vec<EventTable>,
    labels: Vec<LabelTable>,
    device: Device,
    /// Aggregates of windows, `[rows, given_width]`.
    given: Pinned<f32>,
    place: Place,
    /// Version of the model that scored the batch last run, where one did.
    scored_by: Option<u64>,
}

impl FeatureStage {
    /// The stage for this configuration, on the CPU.
    ///
    /// # Errors
    /// As [`FeatureStage::on`].
    pub fn new(config: &Config) -> Result<FeatureStage, Error> {
        FeatureStage::on(config, &Device::Cpu)
    }

    /// The stage for this configuration.
    ///
    /// # Errors
    /// [`Error::Kernel`] when a window is not possible, [`Error::Device`] when the GPU cannot take
    /// it in.
    pub fn on(config: &Config, device: &Device) -> Result<FeatureStage, Error> {
        let plan = Plan::new(config);
        let mut events: Vec<EventTable> =
            plan.event_tables.iter().map(EventTable::new).collect::<Result<_, _>>()?;
        let mut labels: Vec<LabelTable> =
            plan.label_tables.iter().map(LabelTable::new).collect::<Result<_, _>>()?;
        let mut there = Vec::new();
        if device.gpu().is_some() {
            events.iter_mut().for_each(|table| table.move_there(&mut there));
            labels.iter_mut().for_each(|table| table.inner.move_there(&mut there));
        }
        let place = Place::on(device, config, &plan, there)?;
        let (device, given) = (device.clone(), Pinned::ordinary(0));
        Ok(FeatureStage { plan, events, labels, device, given, place, scored_by: None })
    }

    /// What the model will see of a row.
    #[must_use]
    pub fn shape(&self) -> FeatureShape {
        self.plan.shape()
    }

    /// What scales the dense features, where that is done here and not by the model; none on a GPU.
    #[must_use]
    pub fn moments(&self) -> Option<&Moments> {
        self.place.moments()
    }

    /// What is computed, with names.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Sends the columns of the batch, which nothing changes any more, on their way to a GPU.
    ///
    /// # Errors
    /// [`Error::Device`] when it is lost.
    pub fn begin(&mut self, slot: &mut Slot) -> Result<(), Error> {
        self.place.begin(slot)
    }

    /// Makes the features of the batch that [`FeatureStage::begin`] has begun, and stores them with
    /// its pending events. What scores rows on a GPU scores them behind their features
    /// ([`FeatureStage::scores`]), by a model of this version.
    ///
    /// # Errors
    /// [`Error::Device`] when the GPU is lost; [`Error::Kernel`] for a bug only.
    pub fn run(
        &mut self,
        slot: &Slot,
        join: &mut Join,
        resolved: &[Resolved],
        scorer: Option<(&dyn Scorer, u64)>,
    ) -> Result<(), Error> {
        let width = self.plan.given_width();
        if slot.rows * width > self.given.len() {
            let room = slot.rows_max() * width;
            self.given = Pinned::new(&self.device, room, Pinning::Both)?;
        }
        for (index, table) in self.labels.iter_mut().enumerate() {
            let key = |resolved: &Resolved| join.pending().label_key(resolved.entry, index);
            table.take(resolved, key, &mut self.place)?;
        }
        self.bring_home(slot)?;
        let given = &mut self.given[..slot.rows * width];
        for table in &mut self.events {
            table.run(slot, given, width)?;
        }
        for table in &mut self.labels {
            table.run(slot, given, width)?;
        }
        self.place.make(slot, &mut self.given, scorer.map(|(scorer, _)| scorer))?;
        self.scored_by = scorer.map(|(_, version)| version);
        let (dense_width, sparse_width) = (self.plan.width(), self.plan.sparse.len());
        let (dense, sparse) = self.place.features();
        for row in 0..slot.rows {
            let entry = join.admitted()[row];
            let dense = &dense[row * dense_width..][..dense_width];
            let sparse = &sparse[row * sparse_width..][..sparse_width];
            join.pending_mut().store_features(entry, dense, sparse);
        }
        Ok(())
    }

    /// Takes the tables off a GPU that cannot be kept there through the next batch.
    fn bring_home(&mut self, slot: &Slot) -> Result<(), Error> {
        while let Some((gone, table)) = self.place.leaving(slot)? {
            self.move_home(gone, table);
        }
        Ok(())
    }

    /// The table of number `gone` on the GPU is not there any more, and is kept here from now on.
    fn move_home(&mut self, gone: usize, table: WindowTable) {
        let mut table = Some(table);
        let labels = self.labels.iter_mut().map(|table| &mut table.inner);
        for own in self.events.iter_mut().chain(labels) {
            own.move_home(gone, &mut table);
        }
    }

    /// The features of rows `from..to` of the batch last run, without notes.
    #[must_use]
    pub fn rows(&self, from: usize, to: usize) -> Features<'_> {
        let (dense_width, sparse_width) = (self.plan.width(), self.plan.sparse.len());
        let (dense, sparse) = self.place.features();
        Features {
            rows: to - from,
            dense: &dense[from * dense_width..to * dense_width],
            sparse: &sparse[from * sparse_width..to * sparse_width],
            notes: &[],
        }
    }

    /// Aggregates of windows of the same rows, before they are scaled: `[rows, given_width]`.
    #[must_use]
    pub fn given_rows(&self, from: usize, to: usize) -> &[f32] {
        let width = self.plan.given_width();
        &self.given[from * width..to * width]
    }

    /// The same rows in the memory of a GPU, where they were made there.
    #[must_use]
    pub fn rows_there(&self, from: usize, to: usize) -> Option<RowsThere<'_>> {
        self.place.features_there().map(|rows| rows.part(from..to))
    }

    /// What scored the batch last run behind its features has come to, `[rows, outputs]` or longer,
    /// where it was a model of this version.
    #[must_use]
    pub fn scores(&self, version: u64) -> Option<&[f32]> {
        self.place.scores().filter(|_| self.scored_by == Some(version))
    }

    /// Sends every small batch this way on a GPU, instead of by what the ways cost: for tests.
    pub fn go(&mut self, way: Way) {
        self.place.go(way);
    }

    /// Keys, bytes and evictions of the window tables, by the name of their key.
    pub fn window_gauges(&self) -> impl Iterator<Item = windows::Gauge<'_>> {
        let labels = self.labels.iter().map(|table| &table.inner);
        let there = self.place.windows();
        self.events.iter().chain(labels).map(move |table| table.gauge(there))
    }
}

/// The key of a row over one or more category columns; 0 when one of them is missing.
#[must_use]
pub fn key_of(slot: &Slot, columns: &[usize], row: usize) -> u64 {
    let codes = || columns.iter().map(|&column| slot.categories[[column, row]]);
    match columns {
        [column] => slot.categories[[*column, row]],
        _ if codes().any(|code| code == 0) => 0,
        _ => hash::cross(codes()).max(1),
    }
}
