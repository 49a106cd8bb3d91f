//! The page of a replay: what numbers people look at, in one self-contained HTML file.
//!
//! Behind the walk of a micro-batch, once the stream has ended. [`page()`] turns what is [`Shown`]
//! (facts of the run, the judged [`History`] of each model and, from whoever has them, weights of
//! a mixture, alerts and importances) into panels (`engine/report/judged.rs`), and those into a
//! page (`engine/report/page.rs`) with plots of our own (`engine/report/svg.rs`). Invariants: a
//! function of what is shown, so that one stream gives one page, byte for byte; no clock and no
//! path is on it; a bounded number of points is drawn, however long the stream. What this does not
//! do: judge, or keep a score; the evaluator does.

mod course;
mod judged;
mod page;
mod panel;
mod scale;
mod svg;
#[cfg(test)]
mod tests;
mod thresholds;

use pelton_models::evaluate::History;

pub use page::{Measures, Page, Section};
pub use panel::{Body, Guide, Panel, Plot, Series, Style, Table};
pub use scale::{Scale, Tick};

/// Everything that a page is made of.
#[derive(Clone, Debug, Default)]
pub struct Shown<'a> {
    /// What was run.
    pub title: String,
    /// Facts of the run: names and values.
    pub facts: Vec<(String, String)>,
    /// The models, the one that gives the scores first.
    pub models: Vec<ShownModel<'a>>,
    /// Names of the classes, where there are classes.
    pub classes: Vec<String>,
    /// Weights of a mixture's members over event time, if there are any.
    pub weights: Vec<Series>,
    /// What was noticed: event time in milliseconds since the epoch, and what it was. Drawn into
    /// every plot over time.
    pub alerts: Vec<(i64, String)>,
    /// Further sections, such as one with [`Panel::importances`].
    pub more: Vec<Section>,
}

/// A model that was judged.
#[derive(Clone, Debug)]
pub struct ShownModel<'a> {
    /// Its name.
    pub name: String,
    /// Its final measures, as the report has them.
    pub measures: Vec<(&'static str, f64)>,
    /// The course of its measures, and its scores.
    pub history: &'a History,
}

/// A time as it stands on the page, UTC; none for one that no calendar has.
#[must_use]
pub fn time(at_ms: i64) -> Option<String> {
    scale::day_and_time(at_ms, "%Y-%m-%d %H:%M")
}

/// The page of a replay.
#[must_use]
pub fn page(shown: &Shown<'_>) -> String {
    let mut sections = judged::sections(shown);
    if !shown.weights.is_empty() {
        let panels = vec![Panel::weights(shown.weights.clone())];
        sections.push(Section { id: "mixture", title: "Mixture".to_owned(), panels });
    }
    sections.extend(shown.more.iter().cloned());
    let page = Page {
        title: shown.title.clone(),
        facts: shown.facts.clone(),
        measures: measures(&shown.models),
        sections,
    };
    page.html()
}

/// The measures of all models by name, in the order of the first that has each.
fn measures(models: &[ShownModel<'_>]) -> Measures {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in models.iter().flat_map(|model| &model.measures) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let value = |model: &ShownModel<'_>, name: &str| {
        let found = model.measures.iter().find(|measure| measure.0 == name);
        found.map_or(f64::NAN, |measure| measure.1)
    };
    let row =
        |name: &str| (name.to_owned(), models.iter().map(|model| value(model, name)).collect());
    Measures {
        models: models.iter().map(|model| model.name.clone()).collect(),
        rows: names.into_iter().map(row).collect(),
    }
}
