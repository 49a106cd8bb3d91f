//! `[model]`, `[learn]`, `[evaluate]`, `[metrics]`: what is learned and how it is judged.

use toml::Value;

use pelton_models::Task;
use pelton_models::calibrate::Calibration;
use pelton_models::evaluate::Metric;

use crate::schema::{LabelMeaning, Scalar, Schema, TimeUnit, time_ms};

use super::read::{Key, Section};

/// What is learned.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Binary, multi-class or regression.
    pub task: Task,
    /// Names of the classes, for multi-class.
    pub classes: Vec<String>,
    /// The family.
    pub kind: Kind,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Its rate, if not its default.
    pub rate: Option<f64>,
    /// Whether each dense feature also counts by its size, whatever its sign.
    pub fold: bool,
    /// Strength of the L1 penalty.
    pub l1: f64,
    /// Strength of the L2 penalty.
    pub l2: f64,
    /// How many negatives a positive counts for; the probability is corrected for it.
    pub positive_weight: f64,
    /// How scores are calibrated by the labels that come, if they are.
    pub calibrate: Option<Calibration>,
}

/// Beyond so many, one linear model a class is the wrong tool.
const CLASSES_MAX: usize = 1024;

/// The member of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The members below, which choose among themselves.
    Auto,
    /// Linear, learning every label at once.
    Linear,
    /// Boosted trees, grown again and again over a sample.
    Boost,
    /// A factorization machine: the linear model with pairs of features on top.
    Fm,
    /// A field-aware one.
    Ffm,
    /// An adaptive random forest of trees that grow with the stream.
    Forest,
}

impl Kind {
    /// Its name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Auto => "auto",
            Kind::Linear => "linear",
            Kind::Fm => "fm",
            Kind::Ffm => "ffm",
            Kind::Boost => "boost",
            Kind::Forest => "forest",
        }
    }

    /// Whether numbers are standardised before a model of this kind sees them. Trees take them as
    /// they are; the mixture standardises them for those that need it.
    #[must_use]
    pub fn sees_standardized(self) -> bool {
        matches!(self, Kind::Linear | Kind::Fm | Kind::Ffm)
    }
}

/// How weights move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimizer {
    /// The default that needs no tuning.
    Auto,
    /// FTRL-Proximal.
    Ftrl,
    /// AdaGrad.
    AdaGrad,
    /// Constant rate, normalised per feature.
    Sgd,
}

const OPTIMIZERS: [(&str, Optimizer); 4] = [
    ("auto", Optimizer::Auto),
    ("ftrl", Optimizer::Ftrl),
    ("adagrad", Optimizer::AdaGrad),
    ("sgd", Optimizer::Sgd),
];

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

impl Kind {
    fn read(section: &mut Section<'_>) -> Kind {
        let doc = "auto = linear and boost side by side, mixed by how well each predicts; linear = \
                   a linear model that learns every label at once; fm = the linear model and \
                   interactions of pairs of features (a factorization machine); ffm = the same, \
                   field-aware: better and slower; boost = boosted trees, grown again and again \
                   over a bounded sample of the labelled events; forest = an adaptive random \
                   forest of trees that grow with every label";
        use Kind::{Auto, Boost, Ffm, Fm, Forest, Linear};
        let kinds = [Auto, Linear, Fm, Ffm, Boost, Forest].map(|kind| (kind.name(), kind));
        section.choice(Key("kind", doc), &kinds)
    }
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
        let kind_of_model = Kind::read(&mut section);
        let optimizer = section.choice(Key("optimizer", "how weights move"), &OPTIMIZERS);
        let doc = "rate of the optimizer; none = its default";
        let rate = section.float_maybe(Key("rate", doc), 1e-6..=100.0);
        let doc = "each dense feature also counts by its size, whatever its sign";
        let fold = section.flag(Key("fold", doc), true);
        let l1 = section.float(Key("l1", "strength of the L1 penalty"), 0.0, 0.0..=1e6);
        let l2 = section.float(Key("l2", "strength of the L2 penalty"), 0.0, 0.0..=1e6);
        let doc = "how many negatives a positive counts for; probabilities are corrected for it";
        let positive_weight = section.float(Key("positive_weight", doc), 1.0, 1e-3..=1e6);
        let is_changed = [
            ("optimizer", optimizer != Optimizer::Auto),
            ("rate", rate.is_some()),
            ("fold", !fold),
            ("l1", l1 != 0.0),
            ("l2", l2 != 0.0),
            ("positive_weight", positive_weight != 1.0),
        ];
        for (key, _) in is_changed.iter().filter(|(_, is)| *is && kind_of_model != Kind::Linear) {
            section.problem(key, "needs kind = \"linear\"");
        }
        if kind != 0 && positive_weight != 1.0 {
            section.problem("positive_weight", "needs task = \"binary\"");
        }
        let calibrate = calibration(&mut section, task);
        section.finish();
        let kind = kind_of_model;
        ModelConfig {
            task,
            classes,
            kind,
            optimizer,
            rate,
            fold,
            l1,
            l2,
            positive_weight,
            calibrate,
        }
    }
}

fn calibration(section: &mut Section<'_>, task: Task) -> Option<Calibration> {
    let doc = "whether scores are made to mean what they say, by the labels that come: platt = a \
               slope and an offset on the log odds; isotonic = the same, then rising steps";
    let calibrate = section.choice(
        Key("calibrate", doc),
        &[
            ("none", None),
            ("platt", Some(Calibration::Platt)),
            ("isotonic", Some(Calibration::Isotonic)),
        ],
    );
    if calibrate.is_some() && task != Task::Binary {
        section.problem("calibrate", "needs task = \"binary\"");
    }
    calibrate
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
