//! `[[challengers]]` and `[contest]`: models that score and learn in the shadow, and when one takes
//! the champion's place.

use pelton_models::Task;
use pelton_models::contest::Rule;

use super::family::FamilyConfig;
use super::read::{Findings, Key, Section};

/// Champion and challengers.
#[derive(Clone, Debug, PartialEq)]
pub struct ContestConfig {
    /// Names and models of the challengers.
    pub challengers: Vec<(String, FamilyConfig)>,
    /// When one is promoted.
    pub rule: Rule,
    /// The list of challengers as TOML, to be read again: a checkpoint says which it has.
    pub source: String,
}

/// The name of `[model]` among the challengers.
pub const CHAMPION: &str = "model";
/// Each scores every event.
const CHALLENGERS_MAX: usize = 16;

impl ContestConfig {
    /// Reads `[[challengers]]` and `[contest]`.
    pub fn read(root: &mut Section<'_>, task: Task) -> ContestConfig {
        let source = root.value("challengers").map(ToString::to_string).unwrap_or_default();
        let mut challengers: Vec<(String, FamilyConfig)> = Vec::new();
        for mut section in root.listed_sections("challengers") {
            let name = section.text(Key("name", "what the challenger is called"));
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            let is_taken = name == CHAMPION || challengers.iter().any(|(own, _)| *own == name);
            if is_taken {
                section.problem("name", "is taken already; \"model\" is what [model] is called");
            } else if name.len() > 64 || !name.chars().all(is_plain) {
                section.problem("name", "must be up to 64 of letters, digits, and any of \"_-.\"");
            }
            let family = FamilyConfig::read(&mut section, task);
            section.finish();
            challengers.push((name, family));
        }
        let mut section = root.section("contest");
        if challengers.len() > CHALLENGERS_MAX {
            root.problem("challengers", "may be 16 at the most");
        }
        let doc = "whether a challenger takes the champion's place as soon as the evidence that it \
                   is better suffices; else only `pelton model promote` does it";
        let is_automatic = section.flag(Key("promote", doc), false);
        let doc = "probability, over the whole life, that a challenger is promoted that is no \
                   better";
        let alpha = section.float(Key("alpha", doc), 0.01, 1e-9..=0.5);
        let doc = "labels that a challenger is judged by at least before it is promoted";
        let labels_min = section.integer(Key("labels_min", doc), 1000, 1..=100_000);
        section.finish();
        let rule = Rule { is_automatic, alpha, labels_min: labels_min.unsigned_abs() };
        ContestConfig { challengers, rule, source }
    }

    /// The same with challengers as [`ContestConfig::source`] had them; none where that is no list
    /// of challengers.
    #[must_use]
    pub fn with_challengers(&self, source: &str, task: Task) -> Option<ContestConfig> {
        let text = match source {
            "" => String::new(),
            list => format!("challengers = {list}"),
        };
        let findings = Findings::default();
        let mut root = Section::new("", text.parse().ok()?, &findings);
        let ContestConfig { challengers, source, .. } = ContestConfig::read(&mut root, task);
        let is_good = findings.problems.borrow().is_empty();
        is_good.then_some(ContestConfig { challengers, source, rule: self.rule })
    }

    /// Whether there are challengers.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.challengers.is_empty()
    }
}
