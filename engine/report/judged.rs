//! Panels of judged scores: calibration, scores by label, and who was taken for what; beside them
//! the course of the measures (`course`) and thresholds with what they cost (`thresholds`).
//!
//! Every figure is the history's, none is estimated: curves are exact while every score is kept
//! (the page says when not), measures over time are those of [`History::notes`]. Of several models
//! the first is drawn in full, and all where lines can be compared.

use pelton_models::evaluate::{
    Costs, Curves, HISTOGRAM_FROM, History, Metric, ReliabilityBin, expected_error,
};

use super::course::course;
use super::page::Section;
use super::panel::{Body, Guide, Panel, Plot, Series, Style};
use super::scale::Scale;
use super::thresholds::{cost, precision_recall, roc};
use super::{Shown, ShownModel};

/// Classes of a matrix at most; the rarer ones are one.
const CLASSES_MAX: usize = 12;
/// A class rarer than this is drawn over log odds: beside 0 or 1 nothing can be told apart.
const RARE: f64 = 0.1;

/// All sections that the histories give.
pub(super) fn sections(shown: &Shown<'_>) -> Vec<Section> {
    let section =
        |id, title: &str, panels: Vec<Panel>| Section { id, title: title.to_owned(), panels };
    let mut sections = vec![section("course", "Over time", course(shown))];
    let drawn: Vec<Drawn<'_>> = shown.models.iter().filter_map(Drawn::of).collect();
    let Some(first) = drawn.first() else { return sections };
    let is_binary = first.model.history.measures().contains(&Metric::Auc);
    let calibration = vec![reliability(&drawn, is_binary), scores(first, shown, is_binary)];
    sections.push(section("calibration", "Calibration and scores", calibration));
    let mut panels = Vec::new();
    if is_binary && first.curves.positives > 0 && first.curves.negatives > 0 {
        panels = vec![precision_recall(&drawn), roc(&drawn), cost(first)];
    }
    panels.push(confusion(first.model.history, shown, is_binary));
    let title = if is_binary { "Thresholds" } else { "Predicted and true" };
    sections.push(section("thresholds", title, panels));
    sections.retain(|section| !section.panels.is_empty());
    sections
}

/// A model with its curves.
pub(super) struct Drawn<'a> {
    pub(super) model: &'a ShownModel<'a>,
    pub(super) curves: Curves,
    /// What each kind of mistake costs, by name; the curves know the cheapest threshold of each.
    pub(super) costs: Vec<(&'static str, Costs)>,
}

impl<'a> Drawn<'a> {
    fn of(model: &'a ShownModel<'a>) -> Option<Drawn<'a>> {
        let [negatives, positives] = model.history.totals();
        let rarity = negatives as f64 / positives.max(1) as f64;
        let cost = |false_negative| Costs { false_positive: 1.0, false_negative };
        let costs = vec![("1 : 1", cost(1.0)), ("1 : 10", cost(10.0)), ("base rate", cost(rarity))];
        let asked: Vec<Costs> = costs.iter().map(|cost| cost.1).collect();
        Some(Drawn { model, curves: model.history.curves(&asked)?, costs })
    }

    /// The share of the rarer class.
    fn rarest(&self) -> f64 {
        let (n, p) = (self.curves.negatives, self.curves.positives);
        n.min(p) as f64 / (n + p).max(1) as f64
    }

    pub(super) fn base_rate(&self) -> f64 {
        let (n, p) = (self.curves.negatives, self.curves.positives);
        p as f64 / (n + p).max(1) as f64
    }

    /// The name with a measure of the report, if that has it.
    pub(super) fn named(&self, metric: &str) -> String {
        let found = self.model.measures.iter().find(|measure| measure.0 == metric);
        match found {
            Some((name, value)) if value.is_finite() => {
                format!("{}, {} {value:.4}", self.model.name, name.replace('_', " "))
            }
            _ => self.model.name.clone(),
        }
    }
}

/// Says where scores are no longer kept one by one.
pub(super) fn exactness(history: &History) -> &'static str {
    match history.is_exact() {
        true => "",
        false => " Drawn from a histogram of the scores, 0.05 % wide.",
    }
}

/// The 95 % interval of a share (Wilson 1927).
fn interval(bin: &ReliabilityBin) -> (f64, f64) {
    let (rows, share, z) = (bin.rows as f64, bin.observed, 1.96_f64);
    let middle = share + z * z / (2.0 * rows);
    let reach = z * (share * (1.0 - share) / rows + z * z / (4.0 * rows * rows)).sqrt();
    let whole = 1.0 + z * z / rows;
    (((middle - reach) / whole).max(0.0), ((middle + reach) / whole).min(1.0))
}

fn reliability(drawn: &[Drawn<'_>], is_binary: bool) -> Panel {
    let series = drawn.iter().enumerate().map(|(colour, of)| {
        let bins = &of.curves.reliability;
        let name = format!("{}, ECE {:.5}", of.model.name, expected_error(bins));
        let points = bins.iter().map(|bin| (bin.mean_score, bin.observed)).collect();
        Series { name, colour, style: Style::Dots(bins.iter().map(interval).collect()), points }
    });
    let bins = || drawn.iter().flat_map(|of| &of.curves.reliability);
    let scale = match drawn.iter().any(|of| of.rarest() < RARE) {
        false => Scale::SHARES,
        true => {
            let values = || bins().flat_map(|bin| [bin.mean_score, bin.observed]);
            let low = values().filter(|value| *value > 0.0).fold(0.5, f64::min);
            let high = values().filter(|value| *value < 1.0).fold(0.5, f64::max);
            Scale::LogOdds { from: (low / 3.0).max(1e-6), to: 1.0 - (1.0 - high) / 3.0 }
        }
    };
    let (what, came) = match is_binary {
        true => ("mean score", "share of positives"),
        false => ("mean confidence", "share of right predictions"),
    };
    let plot = Plot {
        across: (what.to_owned(), scale.clone()),
        up: (came.to_owned(), scale),
        series: series.collect(),
        guides: vec![Guide::Diagonal],
    };
    let says = "Fifteen bins of equally many rows, with the range in which the true share lies by \
                95 %. On the dotted line a score means what it says; ECE is the mean distance from \
                it.";
    let says = format!("{says}{}", exactness(drawn[0].model.history));
    let row = |bin: &ReliabilityBin| {
        let (low, high) = interval(bin);
        let share = |value: f64| format!("{value:.6}");
        vec![
            bin.rows.to_string(),
            share(bin.mean_score),
            share(bin.observed),
            share(low),
            share(high),
        ]
    };
    let rows = drawn[0].curves.reliability.iter().map(row).collect();
    Panel::new("Reliability", says, Body::Plot(plot))
        .with_table(&["rows", what, came, "low", "high"], rows)
}

/// The scores of each label, over log odds.
fn scores(of: &Drawn<'_>, shown: &Shown<'_>, is_binary: bool) -> Panel {
    let name = |at: usize| match is_binary {
        true => format!("label {}", shown.classes.get(at).map_or("?", String::as_str)),
        false => ["predicted wrong", "predicted right"][at].to_owned(),
    };
    let total = |label: usize| [of.curves.negatives, of.curves.positives][label];
    let odds = |bin: usize| pelton_kernels::math::sigmoid(HISTOGRAM_FROM + 0.5 * bin as f64);
    let series = |label: usize| {
        let share = |count: u64| count as f64 / total(label).max(1) as f64;
        let bins = of.curves.histogram.iter().enumerate();
        let mut points: Vec<(f64, f64)> =
            bins.map(|(bin, counts)| (odds(bin), share(counts[label]))).collect();
        points.push((odds(points.len()), 0.0));
        let name = format!("{} ({} rows)", name(label), total(label));
        Series { name, colour: label, style: Style::Steps, points }
    };
    let series: Vec<Series> = [0, 1].map(series).into();
    let most = series.iter().flat_map(|series| &series.points).map(|point| point.1);
    let up = Scale::Linear { from: 0.0, to: 1.05 * most.fold(0.01, f64::max) };
    let across = Scale::LogOdds { from: odds(0), to: odds(of.curves.histogram.len()) };
    let what = if is_binary { "score" } else { "confidence" };
    let plot = Plot {
        across: (format!("{what} (log odds)"), across),
        up: ("share of the label's rows".to_owned(), up),
        series,
        guides: Vec::new(),
    };
    let says = "Each label's rows by their score, half a unit of log odds a bar; each adds up to \
                one. The less they overlap, the better they can be told apart.";
    Panel::new(format!("Scores: {}", of.model.name), says, Body::Plot(plot))
}

/// Rows by label and prediction; of many classes the commonest, and the rest as one.
fn confusion(history: &History, shown: &Shown<'_>, is_binary: bool) -> Panel {
    let counts = history.confusion();
    let classes = counts.len().isqrt();
    let labelled = |class: usize| counts[class * classes..][..classes].iter().sum::<i64>();
    let mut order: Vec<usize> = (0..classes).collect();
    if classes > CLASSES_MAX {
        order.sort_by_key(|&class| (-labelled(class), class));
    }
    let own = if classes > CLASSES_MAX { CLASSES_MAX - 1 } else { classes };
    let name = |class: &usize| shown.classes.get(*class).map_or("?", String::as_str).to_owned();
    let mut names: Vec<String> = order[..own].iter().map(name).collect();
    if own < classes {
        names.push("all others".to_owned());
    }
    let width = names.len();
    let mut cells = vec![0_u64; width * width];
    for (down, &label) in order.iter().enumerate() {
        for (across, &predicted) in order.iter().enumerate() {
            let count = counts[label * classes + predicted].unsigned_abs();
            cells[down.min(width - 1) * width + across.min(width - 1)] += count;
        }
    }
    let says = match is_binary {
        true => "Rows by label and by prediction at a threshold of one half.",
        false => "Rows by true class and by the likeliest one.",
    };
    Panel::new("Confusion matrix", says, Body::Matrix { names, counts: cells })
}
