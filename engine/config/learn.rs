//! `[model]`, `[learn]`, `[evaluate]`, `[metrics]`: what is learned and how it is judged.

use toml::Value;

use pelton_models::Task;
use pelton_models::evaluate::Metric;

use crate::schema::{LabelMeaning, Scalar, Schema, TimeUnit, time_ms};

use super::family::FamilyConfig;
use super::read::{Key, Section};

/// What is learned.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Binary, multi-class or regression.
    pub task: Task,
    /// Names of the classes, for multi-class.
    pub classes: Vec<String>,
    /// The member of the family.
    pub family: FamilyConfig,
}

/// Beyond so many, one linear model a class is the wrong tool.
const CLASSES_MAX: usize = 1024;

/// When the model learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnConfig {
    /// Rows of the stream that share one version of the model.
    pub step_rows: u64,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluateConfig {
    /// The metrics of the report.
    pub metrics: Vec<Metric>,
    /// Category field whose groups `grouped_precision_at_k` ranks.
    pub group: Option<usize>,
    /// First event time that counts.
    pub from_ms: Option<i64>,
    /// First event time that no longer counts.
    pub to_ms: Option<i64>,
    /// Rows of the trailing window.
    pub trailing_rows: usize,
}

/// The metrics page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Where it listens; none = no page.
    pub listen: Option<std::net::SocketAddr>,
}

impl ModelConfig {
    /// Reads `[model]`; the task decides what labels mean.
    pub fn read(root: &mut Section<'_>, schema: &mut Schema) -> ModelConfig {
        let mut section = root.section("model");
        let kind = section.choice(
            Key("task", "what is predicted"),
            &[("binary", 0), ("multiclass", 1), ("regression", 2)],
        );
        let classes = section.texts(Key("classes", "names of the classes (task = \"multiclass\")"));
        let task = match kind {
            0 => Task::Binary,
            1 => Task::MultiClass { classes: u32::try_from(classes.len()).unwrap_or(u32::MAX) },
            _ => Task::Regression,
        };
        let legal = if kind == 1 { 2..=CLASSES_MAX } else { 0..=0 };
        if !legal.contains(&classes.len()) {
            let message = "task \"multiclass\", and only it, needs two to 1024 of them";
            section.problem("classes", message);
        }
        if let Some(twice) = (1..classes.len()).find(|&i| classes[..i].contains(&classes[i])) {
            section.problem("classes", format!("{:?} is named twice", classes[twice]));
        }
        schema.label = match kind {
            0 => LabelMeaning::Binary,
            1 => LabelMeaning::Classes(classes.clone()),
            _ => LabelMeaning::Number,
        };
        let family = FamilyConfig::read(&mut section, task);
        section.finish();
        ModelConfig { task, classes, family }
    }
}

impl LearnConfig {
    /// Reads `[learn]`.
    pub fn read(root: &mut Section<'_>) -> LearnConfig {
        let mut section = root.section("learn");
        let doc = "rows of the stream scored by one version of the model; 1 = each label that has \
                   arrived counts for the next event";
        let step_rows = section.integer(Key("step_rows", doc), 1, 1..=1 << 20);
        section.finish();
        LearnConfig { step_rows: step_rows.unsigned_abs() }
    }
}

impl EvaluateConfig {
    /// Reads `[evaluate]`.
    pub fn read(root: &mut Section<'_>, schema: &Schema, task: Task) -> EvaluateConfig {
        let mut section = root.section("evaluate");
        let doc = "groups per day of grouped_precision_at_k";
        let k = section.integer(Key("k", doc), 100, 1..=1_000_000);
        let k = u32::try_from(k).unwrap_or(100);
        let doc = "metrics of the report; none given = the usual ones of the task";
        let names = section.texts(Key("metrics", doc));
        let mut metrics = Vec::new();
        for name in &names {
            match Metric::from_name(name, k) {
                Some(metric) if metrics.contains(&metric) => {
                    section.problem("metrics", format!("{name} is named twice"));
                }
                Some(metric) if metric.fits(&task) => metrics.push(metric),
                Some(_) => section.problem("metrics", format!("{name} does not fit the task")),
                None => {
                    let known: Vec<_> = Metric::ALL.iter().map(|m| m.name()).collect();
                    let known = known.join(", ");
                    section.problem("metrics", format!("{name:?} is not one of {known}"));
                }
            }
        }
        if names.is_empty() {
            metrics = usual_metrics(task);
        }
        let doc = "category field whose groups grouped_precision_at_k ranks";
        let group = section.text_maybe(Key("group", doc)).and_then(|name| {
            let column = schema.category(&name);
            if column.is_none() {
                section.problem("group", format!("{name:?} is not a category in [fields]"));
            }
            column
        });
        let grouped = metrics.iter().any(|m| matches!(m, Metric::GroupedPrecisionAtK { .. }));
        if grouped && group.is_none() && !section.has("group") {
            section.problem("group", "is needed by grouped_precision_at_k");
        }
        let doc = "first event time that counts: a date, or a time in RFC 3339";
        let from_ms = bound(&mut section, Key("from", doc), 0);
        let doc = "last date that counts, included whole; or the first time that does not count";
        let to_ms = bound(&mut section, Key("to", doc), 86_400_000);
        if from_ms.zip(to_ms).is_some_and(|(from_ms, to_ms)| from_ms >= to_ms) {
            section.problem("to", "must be later than evaluate.from, or nothing is measured");
        }
        let doc = "rows of the trailing window on the metrics page";
        let trailing_rows = section.count(Key("trailing_rows", doc), 10_000, 1..=10_000_000);
        section.finish();
        EvaluateConfig { metrics, group, from_ms, to_ms, trailing_rows }
    }
}

fn usual_metrics(task: Task) -> Vec<Metric> {
    match task {
        Task::Binary => vec![
            Metric::Auc,
            Metric::AveragePrecision,
            Metric::LogLoss,
            Metric::Brier,
            Metric::Accuracy,
            Metric::Kappa,
        ],
        Task::MultiClass { .. } => vec![Metric::Accuracy, Metric::Kappa, Metric::LogLoss],
        Task::Regression => vec![Metric::Mae, Metric::Rmse, Metric::R2],
    }
}

/// A bound in event time; a date alone stands for its first instant plus `date_adds_ms`.
fn bound(section: &mut Section<'_>, key: Key, date_adds_ms: i64) -> Option<i64> {
    let legal = "a date such as \"2018-07-25\", or a time such as \"2018-07-25T12:00:00Z\"";
    section.parsed(key, (None, "none"), legal, |value| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Datetime(time) => time.to_string(),
            _ => return None,
        };
        let is_date = text.len() == 10;
        let full = if is_date { format!("{text}T00:00:00Z") } else { text };
        let ms = time_ms(Scalar::Text(&full), TimeUnit::Rfc3339)?;
        Some(Some(if is_date { ms + date_adds_ms } else { ms }))
    })
}

impl MetricsConfig {
    /// Reads `[metrics]`.
    pub fn read(root: &mut Section<'_>) -> MetricsConfig {
        let mut section = root.section("metrics");
        let doc = "address of the Prometheus page, such as \"127.0.0.1:9464\"";
        let legal = "an address with a port";
        let listen = section.parsed(Key("listen", doc), (None, "none"), legal, |value| {
            value.as_str()?.parse().ok().map(Some)
        });
        section.finish();
        MetricsConfig { listen }
    }
}
