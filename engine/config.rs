//! All settings as types: read from one TOML file, checked once, passed down by value.
//!
//! Unknown keys, wrong types and values out of range are gathered and reported together, each with
//! its key path and what would be legal. There are no globals and no layers; only secrets may come
//! from the environment (`{ env = "NAME" }` in `[kafka.properties]`).

pub mod checkpoint;
pub mod contest;
pub mod decode;
pub mod drift;
pub mod emit;
pub mod event;
pub mod family;
pub mod features;
pub mod guard;
pub mod imported;
pub mod layout;
pub mod learn;
mod listing;
pub mod read;
pub mod run;
pub mod shard;
pub mod stream;

use std::path::{Path, PathBuf};

use toml::{Table, Value};

pub use read::{Problem, Problems, Setting};

use crate::device::DeviceChoice;
use crate::error::Error;
use checkpoint::CheckpointConfig;
use contest::ContestConfig;
use decode::DecodeBy;
use drift::DriftConfig;
use emit::{EmitConfig, SinkConfig};
use event::EventConfig;
use family::Kind;
use features::FeaturesConfig;
use guard::{Action, GuardConfig};
use layout::Layout;
use learn::{EvaluateConfig, LearnConfig, MetricsConfig, ModelConfig};
use read::{Findings, Section};
use run::RunConfig;
pub use stream::BatchConfig;
use stream::{KafkaConfig, LabelsConfig, SourceConfig};

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `device`
    pub device: DeviceChoice,
    /// `[kafka]`
    pub kafka: KafkaConfig,
    /// `[source]`
    pub source: SourceConfig,
    /// `[source] decode`
    pub decode: DecodeBy,
    /// `[event]`, `[fields]`, `[[filter]]`
    pub event: EventConfig,
    /// `[event] format`, `[layout]`: where the fields of binary records lie; none where records are
    /// JSON.
    pub layout: Option<Layout>,
    /// `[labels]`
    pub labels: LabelsConfig,
    /// `[batch]`
    pub batch: BatchConfig,
    /// `[transform]`, `[[features]]`
    pub features: FeaturesConfig,
    /// `[model]`
    pub model: ModelConfig,
    /// `[[challengers]]`, `[contest]`
    pub contest: ContestConfig,
    /// `[learn]`
    pub learn: LearnConfig,
    /// `[guard]`
    pub guard: GuardConfig,
    /// `[drift]`
    pub drift: DriftConfig,
    /// `[emit]`
    pub emit: EmitConfig,
    /// `[dead_letters]`
    pub dead_letters: SinkConfig,
    /// `[evaluate]`
    pub evaluate: EvaluateConfig,
    /// `[checkpoint]`
    pub checkpoint: CheckpointConfig,
    /// `[metrics]`
    pub metrics: MetricsConfig,
    /// `[run]`
    pub run: RunConfig,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read, [`Error::Config`] with every problem in it.
    pub fn load(path: &Path) -> Result<Config, Error> {
        let bytes = std::fs::read(path).map_err(Error::file("read", path))?;
        let text = std::str::from_utf8(&bytes).map_err(|error| Error::Config {
            path: path.to_owned(),
            problems: Problems(vec![Problem { path: "TOML".into(), message: error.to_string() }]),
        })?;
        Config::parse(text).map_err(|problems| Error::Config { path: path.to_owned(), problems })
    }

    /// Reads settings from TOML.
    ///
    /// # Errors
    /// Every problem found.
    pub fn parse(text: &str) -> Result<Config, Problems> {
        Config::parse_with(text, &Replaced::default())
    }

    /// Reads settings from TOML, with some replaced by the command line.
    ///
    /// # Errors
    /// Every problem found.
    pub fn parse_with(text: &str, replaced: &Replaced) -> Result<Config, Problems> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            Problems(vec![Problem { path: "TOML".into(), message: error.to_string() }])
        })?;
        let findings = Findings::default();
        let config = Config::read(table, replaced, &findings);
        let problems = findings.problems.into_inner();
        if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
    }

    /// Every setting with its default and legal values, lists of tables shown with one entry each.
    #[must_use]
    pub fn settings() -> Vec<Setting> {
        const EVERY_KIND: &str = "
            fields.NUMBER.type = 'number'
            fields.CATEGORY.type = 'category'
            filter = [{ field = 'NUMBER' }]
            layout.NUMBER = { offset = 0 }
            features = [{ number = 'NUMBER' }, { category = 'CATEGORY' }, { calendar = ['hour'] },
                        { window = 'CATEGORY', widths = ['1h', '1d'], aggregates = ['count'] }]
            challengers = [{ name = 'NAME' }]";
        let findings = Findings::default();
        let table = EVERY_KIND.parse().expect("a constant");
        Config::read(table, &Replaced::default(), &findings);
        findings.settings.into_inner()
    }

    /// The same as a configuration: reading it gives the defaults. Tables that the user names or
    /// repeats, and settings without a default, are comments in it.
    #[must_use]
    pub fn settings_toml() -> String {
        listing::toml(&Config::settings())
    }

    /// Whether numbers are standardised before anything sees them: if all models take them so.
    #[must_use]
    pub fn scales_rows(&self) -> bool {
        let challengers = self.contest.challengers.iter().map(|(_, family)| family.kind);
        let mut kinds = challengers.chain([self.model.family.kind]);
        self.features.standardize && kinds.all(Kind::sees_standardized)
    }

    fn read(mut table: Table, replaced: &Replaced, findings: &Findings) -> Config {
        replaced.apply(&mut table);
        let mut root = Section::new("", table, findings);
        let device = run::read_device(&mut root);
        let kafka = KafkaConfig::read(&mut root);
        let (source, decode) = SourceConfig::read(&mut root);
        let (mut event, layout) = EventConfig::read(&mut root);
        let labels = LabelsConfig::read(&mut root, &mut event);
        let batch = BatchConfig::read(&mut root);
        let features = FeaturesConfig::read(&mut root, &event.schema);
        let model = ModelConfig::read(&mut root, &mut event.schema);
        let contest = ContestConfig::read(&mut root, model.task);
        let learn = LearnConfig::read(&mut root);
        let guard = GuardConfig::read(&mut root);
        let drift = DriftConfig::read(&mut root);
        let emit = EmitConfig::read(&mut root, &mut event);
        let dead_letters = emit::read_dead_letters(&mut root, &mut event);
        // Only what can be put aside is worth its bytes.
        event.schema.keeps_labels = guard.action == Action::Pause
            && labels.topic.is_some()
            && dead_letters != SinkConfig::None;
        let evaluate = EvaluateConfig::read(&mut root, &event.schema, model.task);
        let checkpoint = CheckpointConfig::read(&mut root);
        let metrics = MetricsConfig::read(&mut root);
        let run = RunConfig::read(&mut root);
        shard::check(&mut root, &source, &checkpoint);
        layout::check(&mut root, &event, layout.as_ref());
        decode::check(&mut root, decode, (&event, layout.as_ref()));
        root.finish();
        Config {
            device,
            kafka,
            source,
            decode,
            event,
            layout,
            labels,
            batch,
            features,
            model,
            contest,
            learn,
            guard,
            drift,
            emit,
            dead_letters,
            evaluate,
            checkpoint,
            metrics,
            run,
        }
    }
}

/// Settings that `pelton replay` takes from its arguments: labels come from the recording, and
/// nothing goes to Kafka.
#[derive(Clone, Debug, Default)]
pub struct Replaced {
    /// Whether this is a replay; the other two count only then.
    pub is_replay: bool,
    /// File for the scores.
    pub scores: Option<PathBuf>,
    /// File for dead letters.
    pub dead_letters: Option<PathBuf>,
}

impl Replaced {
    fn apply(&self, table: &mut Table) {
        if !self.is_replay {
            return;
        }
        if let Some(Value::Table(labels)) = table.get_mut("labels") {
            labels.remove("topic");
        }
        if let Some(Value::Table(checkpoint)) = table.get_mut("checkpoint") {
            checkpoint.remove("dir");
        }
        for (section, file) in [("emit", &self.scores), ("dead_letters", &self.dead_letters)] {
            let entry = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(entry) = entry else { continue };
            entry.remove("topic");
            if let Some(path) = file {
                entry.insert("file".to_owned(), path.display().to_string().into());
            }
        }
    }
}
