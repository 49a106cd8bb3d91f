//! Panels of the measures over event time: over all rows so far, and over the trailing ones.

use pelton_models::evaluate::{History, Metric, Note};

use super::Shown;
use super::panel::{Body, Guide, Panel, Plot, Series};
use super::scale::{Scale, day_and_time};

/// A plot over event time for each measure.
pub(super) fn course(shown: &Shown<'_>) -> Vec<Panel> {
    let courses: Vec<Vec<Note>> = shown.models.iter().map(|model| model.history.notes()).collect();
    let Some(first) =
        shown.models.first().filter(|_| courses.iter().any(|notes| !notes.is_empty()))
    else {
        return Vec::new();
    };
    let times = || courses.iter().flatten().map(|note| note.time_ms);
    let across =
        Scale::Time { from_ms: times().min().unwrap_or(0), to_ms: times().max().unwrap_or(0) };
    let alerts = shown.alerts.iter().map(|(at, what)| Guide::At(*at as f64, what.clone()));
    let alerts: Vec<Guide> = alerts.collect();
    let measures = first.history.measures().iter().enumerate();
    let panel = |(index, metric): (usize, &Metric)| {
        let mut series = Vec::new();
        for (colour, (model, notes)) in shown.models.iter().zip(&courses).enumerate() {
            let point = |note: &Note, value: f64| (note.time_ms as f64, value);
            let whole = notes.iter().map(|note| point(note, note.whole[index])).collect();
            let trailing = notes.iter().map(|note| point(note, note.trailing[index])).collect();
            series.push(Series::line(format!("{}, all rows so far", model.name), colour, whole));
            let name = format!("{}, the last {} rows", model.name, model.history.trailing_rows());
            series.push(Series::dashed(name, colour, trailing));
        }
        let values = series.iter().flat_map(|series| &series.points).map(|point| point.1);
        let up = Scale::around(values);
        let mut guides = alerts.clone();
        let (name, mut says) = words(*metric);
        if let Some((height, what)) = baseline(first.history, *metric) {
            says = format!("{says} {what}, dotted where it is in view, would give {height:.5}.");
            guides.push(Guide::Level(height, what.to_lowercase()));
        }
        let plot = Plot {
            across: ("event time (UTC)".to_owned(), across.clone()),
            up: (name.to_lowercase(), up),
            series,
            guides,
        };
        let rows = sampled(&courses[0], index);
        let columns = ["event time (UTC)", "rows", "all rows so far", "trailing"];
        Panel::new(name, says, Body::Plot(plot)).with_table(&columns, rows)
    };
    measures.map(panel).collect()
}

/// At most a dozen notes as figures.
fn sampled(notes: &[Note], measure: usize) -> Vec<Vec<String>> {
    let step = notes.len().div_ceil(12).max(1);
    let is_taken = |at: usize| (notes.len() - 1 - at).is_multiple_of(step);
    let taken = notes.iter().enumerate().filter(|(at, _)| is_taken(*at));
    let row = |(_, note): (usize, &Note)| {
        let time = day_and_time(note.time_ms, "%Y-%m-%d %H:%M").unwrap_or_default();
        let value = |value: f64| format!("{value:.5}");
        vec![time, note.rows.to_string(), value(note.whole[measure]), value(note.trailing[measure])]
    };
    taken.map(row).collect()
}

/// A measure's name and how to read it.
fn words(metric: Metric) -> (&'static str, String) {
    let (name, says) = match metric {
        Metric::LogLoss => {
            ("Log loss", "Each score was judged before its label was learned. Less is better.")
        }
        Metric::Auc => (
            "Area under the ROC curve",
            "How often a positive is scored above a negative; one half is chance. Drawn from bins \
             of scores; the measure above is exact.",
        ),
        Metric::Accuracy => ("Accuracy", "Share of rows whose likeliest class was the true one."),
        Metric::Mae => ("Mean absolute error", "In units of the target. Less is better."),
        _ => (
            "Root mean squared error",
            "In units of the target; large errors count more. Less is better.",
        ),
    };
    (name, says.to_owned())
}

/// What the shares of the labels alone would give.
fn baseline(history: &History, metric: Metric) -> Option<(f64, &'static str)> {
    let classes = history.confusion().len().isqrt();
    let rows: i64 = history.confusion().iter().sum();
    let counts = history.confusion().chunks_exact(classes.max(1));
    let shares: Vec<f64> = counts.map(|row| row.iter().sum::<i64>() as f64 / rows as f64).collect();
    let surprise = |share: &f64| match *share > 0.0 {
        true => -share * pelton_kernels::math::ln(*share),
        false => 0.0,
    };
    let most = shares.iter().copied().fold(0.0, f64::max);
    match metric {
        _ if rows == 0 => None,
        Metric::LogLoss => Some((shares.iter().map(surprise).sum(), "The label shares alone")),
        Metric::Accuracy => Some((most, "Always the commonest class")),
        _ => None,
    }
}
