//! The order of the stages: the only place that knows it.
//!
//! One thread owns a [`Pipeline`] and all of its state; there are no locks. State is a function of
//! the records in the order they were read, never of time, batch cuts or threads.

mod state;

use crate::clean::Clean;
use crate::config::Config;
use crate::config::guard::Action;
use crate::device::Device;
use crate::error::Error;
use crate::features::{FeatureStage, Way};
use crate::join::{Join, PendingShape, Resolved};
use crate::learn::Learner;
use crate::metrics::{Stage, StageClock};
use crate::ring::Slot;

pub use state::SECTIONS;

/// Everything that is known, and the stages that use it.
pub struct Pipeline {
    clean: Clean,
    join: Join,
    features: FeatureStage,
    learner: Learner,
    resolved: Vec<Resolved>,
    clock: StageClock,
    device: Device,
}

impl Pipeline {
    /// An empty pipeline on the CPU.
    ///
    /// # Errors
    /// As [`Pipeline::on`].
    pub fn new(config: &Config) -> Result<Pipeline, Error> {
        Pipeline::on(config, &Device::Cpu)
    }

    /// An empty pipeline on a device.
    ///
    /// # Errors
    /// When the configuration asks for a feature, model or metric that is not possible.
    pub fn on(config: &Config, device: &Device) -> Result<Pipeline, Error> {
        let features = FeatureStage::on(config, device)?;
        let shape = features.shape();
        let learner = Learner::new(config, features.plan(), device)?;
        let pending = PendingShape {
            dense_width: shape.dense_width,
            sparse_width: shape.sparse_width,
            outputs: config.model.task.outputs(),
            notes_width: learner.notes_width(),
            label_keys: features.plan().label_tables.iter().map(|t| t.key.clone()).collect(),
            group: config.evaluate.group,
        };
        Ok(Pipeline {
            clean: Clean::new(&config.event, config.features.keys_max),
            join: Join::new(&config.labels, pending).guarded(config.guard.action == Action::Pause),
            features,
            learner,
            resolved: Vec::new(),
            clock: StageClock::default(),
            device: device.clone(),
        })
    }

    /// Moves one micro-batch through the stages; its scores are in the slot afterwards.
    ///
    /// # Errors
    /// For a bug only: whatever can be wrong with data is counted.
    pub fn step(&mut self, slot: &mut Slot) -> Result<(), Error> {
        self.clock.start();
        self.clean.run(slot);
        self.clock.lap(Stage::Clean);
        self.features.begin(slot)?;
        self.join.run(slot, &mut self.resolved);
        self.clock.lap(Stage::Join);
        let scorer = self.learner.scorer(slot.rows, &self.resolved);
        self.features.run(slot, &mut self.join, &self.resolved, scorer)?;
        self.clock.lap(Stage::Features);
        self.learner.run(slot, &self.features, &mut self.join, &self.resolved)?;
        self.clock.lap(Stage::Learn);
        self.join.settle();
        Ok(())
    }

    /// The stream has ended: labels that a recording still holds arrive and are learned.
    ///
    /// # Errors
    /// As [`Pipeline::step`].
    pub fn finish(&mut self) -> Result<(), Error> {
        self.join.flush(&mut self.resolved);
        self.learner.finish(&mut self.join, &self.resolved)?;
        self.join.settle();
        Ok(())
    }

    /// Takes the model of another pipeline of the same configuration, and what its guard takes for
    /// usual. Everything else stays, labels that wait for the end of a step too.
    ///
    /// # Errors
    /// For a bug only.
    pub fn adopt_model(&mut self, other: Pipeline) -> Result<(), Error> {
        self.learner.adopt(other.learner)
    }

    /// Takes the place of a pipeline of the same configuration but for the challengers, of whom
    /// `stay` go on.
    ///
    /// # Errors
    /// [`Error::Usage`] where its champion has no place here; see [`Learner::succeed`].
    pub fn succeed(&mut self, former: Pipeline, stay: &[String]) -> Result<(), Error> {
        let Pipeline { clean, join, features, learner, .. } = former;
        (self.clean, self.join, self.features) = (clean, join, features);
        self.learner.succeed(learner, stay, &mut self.join)
    }

    /// Makes a model of the contest the champion; whether there is one of that name.
    pub fn promote(&mut self, name: &str) -> bool {
        self.learner.promote(name)
    }

    /// Lets a guard that has tripped learn again.
    pub fn resume_learning(&mut self) {
        self.learner.resume();
    }

    /// Notes the course of the measures from here on, for a page; not part of the state.
    pub fn keep_history(&mut self) {
        self.learner.keep_history();
    }

    /// Sends every small batch this way on a GPU, instead of by what the ways cost: for tests. The
    /// results are the same.
    pub fn go(&mut self, way: Way) {
        self.features.go(way);
    }

    /// What it computes on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The clean stage.
    #[must_use]
    pub fn clean(&self) -> &Clean {
        &self.clean
    }

    /// The join stage.
    #[must_use]
    pub fn join(&self) -> &Join {
        &self.join
    }

    /// The feature stage.
    #[must_use]
    pub fn features(&self) -> &FeatureStage {
        &self.features
    }

    /// The score and learn stage.
    #[must_use]
    pub fn learner(&self) -> &Learner {
        &self.learner
    }
}
