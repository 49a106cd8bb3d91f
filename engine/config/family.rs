//! The member of the family that learns, and its settings: of `[model]` and of each challenger.

use std::path::PathBuf;

use pelton_models::Task;
use pelton_models::calibrate::Calibration;

use super::imported::FileConfig;
use super::read::{Key, Section};

/// A model and its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyConfig {
    /// The member.
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
    /// Whether the members of the mixture see how strange a row is.
    pub strangeness: bool,
    /// Share of the negatives that is learned; the probability is corrected for it.
    pub negatives: f64,
    /// Recent positives that a network learns again.
    pub replay_rows: usize,
    /// How scores are calibrated by the labels that come, if they are.
    pub calibrate: Option<Calibration>,
    /// A model trained elsewhere, if there is one.
    pub file: Option<FileConfig>,
}

impl FamilyConfig {
    /// The same, wherever its file lies: a state knows what is in the file by its digest.
    #[must_use]
    pub fn anywhere(&self) -> FamilyConfig {
        let path = PathBuf::new();
        let file = self.file.as_ref().map(|file| FileConfig { path, ..file.clone() });
        FamilyConfig { file, ..self.clone() }
    }
}

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
    /// How strange a row is, whatever its label.
    Anomaly,
    /// A network of two hidden layers.
    Mlp,
    /// The same over embeddings and their products, with a linear part.
    Deep,
    /// One trained elsewhere, which does not learn.
    Imported,
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
            Kind::Anomaly => "anomaly",
            Kind::Mlp => "mlp",
            Kind::Deep => "deep",
            Kind::Imported => "imported",
        }
    }

    /// Whether numbers are standardised before a model of this kind sees them. Trees take them as
    /// they are; the mixture standardises them for those that need it.
    #[must_use]
    pub fn sees_standardized(self) -> bool {
        matches!(self, Kind::Linear | Kind::Fm | Kind::Ffm | Kind::Mlp | Kind::Deep)
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

impl Kind {
    fn read(section: &mut Section<'_>) -> Kind {
        let doc = "auto = ffm and boost side by side, mixed by how well each predicts; linear = \
                   a linear model that learns every label at once; fm = the linear model and \
                   interactions of pairs of features (a factorization machine); ffm = the same, \
                   field-aware: better and slower; boost = boosted trees, grown again and again \
                   over a bounded sample of the labelled events; forest = an adaptive random \
                   forest of trees that grow with every label; anomaly = how strange a row is \
                   among the last ones, from 0 to 1, whatever its label (task = \"binary\"); \
                   mlp = a network of two hidden layers over numbers and embeddings of categories; \
                   deep = the same over products of pairs as well, with a linear part beside it; \
                   imported = one trained elsewhere, in `file`, which does not learn";
        use Kind::{Anomaly, Auto, Boost, Deep, Ffm, Fm, Forest, Imported, Linear, Mlp};
        let kinds = [Auto, Linear, Fm, Ffm, Boost, Forest, Anomaly, Mlp, Deep, Imported]
            .map(|kind| (kind.name(), kind));
        section.choice(Key("kind", doc), &kinds)
    }
}

impl FamilyConfig {
    /// Reads the keys that a model has.
    pub fn read(section: &mut Section<'_>, task: Task) -> FamilyConfig {
        let kind = Kind::read(section);
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
        for (key, _) in is_changed.iter().filter(|(_, is)| *is && kind != Kind::Linear) {
            section.problem(key, "needs kind = \"linear\"");
        }
        if task != Task::Binary && positive_weight != 1.0 {
            section.problem("positive_weight", "needs task = \"binary\"");
        }
        if task != Task::Binary && kind == Kind::Anomaly {
            section.problem("kind", "\"anomaly\" needs task = \"binary\"");
        }
        let doc = "whether the members of the mixture also see how strange a row is among the last \
                   ones; pays where what is rare is what is looked for";
        let strangeness = section.flag(Key("strangeness", doc), false);
        if strangeness && kind != Kind::Auto {
            section.problem("strangeness", "needs kind = \"auto\"");
        }
        let doc = "share of the negatives that is learned, with all positives; probabilities are \
                   corrected for it exactly";
        let negatives = section.float(Key("negatives", doc), 1.0, 1e-6..=1.0);
        let is_blind = matches!(kind, Kind::Anomaly | Kind::Imported);
        if negatives != 1.0 && (task != Task::Binary || is_blind) {
            let message = "needs task = \"binary\" and a model that learns labels";
            section.problem("negatives", message);
        }
        let doc = "recent positives that a network learns again where they are rare; probabilities \
                   are corrected for it";
        let replay_rows = section.count(Key("replay_rows", doc), 0, 0..=1 << 20);
        let is_network = matches!(kind, Kind::Mlp | Kind::Deep);
        if replay_rows > 0 && (task != Task::Binary || !is_network) {
            let message = "needs task = \"binary\" and kind = \"mlp\" or \"deep\"";
            section.problem("replay_rows", message);
        }
        let calibrate = calibration(section, task);
        let file = FileConfig::read(section, kind);
        FamilyConfig {
            kind,
            optimizer,
            rate,
            fold,
            l1,
            l2,
            positive_weight,
            strangeness,
            negatives,
            replay_rows,
            calibrate,
            file,
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
