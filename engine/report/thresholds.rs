//! Panels of what happens at each threshold: precision and recall, the ROC curve, and cost.

use pelton_models::evaluate::{Costs, Threshold};

use super::judged::{Drawn, exactness};
use super::panel::{Body, Guide, Panel, Plot, Series};
use super::scale::Scale;

/// Costs above this multiple of the best that can be had without scores are cut off.
const COST_MAX: f64 = 1.6;

fn shares(across: &str, up: &str, series: Vec<Series>, guide: Guide) -> Body {
    Body::Plot(Plot {
        across: (across.to_owned(), Scale::SHARES),
        up: (up.to_owned(), Scale::SHARES),
        series,
        guides: vec![guide],
    })
}

pub(super) fn precision_recall(drawn: &[Drawn<'_>]) -> Panel {
    let series = drawn.iter().enumerate().map(|(colour, of)| {
        let called = |at: &&Threshold| at.true_positives + at.false_positives > 0;
        let point = |at: &Threshold| {
            let hits = at.true_positives as f64;
            (hits / of.curves.positives as f64, hits / (hits + at.false_positives as f64))
        };
        let points = of.curves.thresholds.iter().filter(called).map(point).collect();
        Series::line(of.named("average_precision"), colour, points)
    });
    let guide = Guide::Level(drawn[0].base_rate(), "base rate".to_owned());
    let says = "Of the rows called positive, the share that is, against the share of all \
                positives that is found.";
    let says = format!("{says}{}", exactness(drawn[0].model.history));
    Panel::new("Precision and recall", says, shares("recall", "precision", series.collect(), guide))
}

pub(super) fn roc(drawn: &[Drawn<'_>]) -> Panel {
    let series = drawn.iter().enumerate().map(|(colour, of)| {
        let (n, p) = (of.curves.negatives as f64, of.curves.positives as f64);
        let point = |at: &Threshold| (at.false_positives as f64 / n, at.true_positives as f64 / p);
        let points = of.curves.thresholds.iter().map(point).collect();
        Series::line(of.named("auc"), colour, points)
    });
    let says = "The share of all positives that is found against the share of negatives that is \
                called positive. The dotted line is chance.";
    let says = format!("{says}{}", exactness(drawn[0].model.history));
    let (across, up) = ("false positive rate", "true positive rate");
    Panel::new("ROC curve", says, shares(across, up, series.collect(), Guide::Diagonal))
}

/// The cost of each threshold, as a multiple of the best that can be had without scores.
pub(super) fn cost(of: &Drawn<'_>) -> Panel {
    let (n, p) = (of.curves.negatives, of.curves.positives);
    let without = |cost: &Costs| {
        let all = cost.false_positive * n as f64;
        all.min(cost.false_negative * p as f64)
    };
    let line = |(colour, (name, cost)): (usize, &(&str, Costs))| {
        let price = |at: &Threshold| cost.of(at, p) / without(cost);
        let seen = |price: f64| if price <= COST_MAX { price } else { f64::NAN };
        let point = |at: &Threshold| (f64::from(at.score).min(1.0), seen(price(at)));
        let points = of.curves.thresholds.iter().map(point).collect();
        Series::line(
            format!("{name}: best {:.4}", price(&of.curves.cheapest[colour])),
            colour,
            points,
        )
    };
    let row = |(best, (name, cost)): (&Threshold, &(&str, Costs))| {
        let called = best.true_positives + best.false_positives;
        let share = |part: u64, of: u64| format!("{:.4}", part as f64 / of.max(1) as f64);
        let by_rule = cost.false_positive / (cost.false_positive + cost.false_negative);
        let threshold = match best.score.is_finite() {
            true => format!("{:.6}", best.score),
            false => "above all".to_owned(),
        };
        vec![
            (*name).to_owned(),
            format!("{:.2}", cost.false_negative),
            threshold,
            format!("{by_rule:.6}"),
            share(called, n + p),
            share(best.true_positives, p),
            share(best.true_positives, called),
        ]
    };
    let rows = of.curves.cheapest.iter().zip(&of.costs).map(row).collect();
    let scores = of.curves.thresholds.iter().map(|at| f64::from(at.score));
    let inner = scores.filter(|score| *score > 0.0 && *score < 1.0);
    let (low, high) =
        inner.fold((0.5, 0.5), |(low, high): (f64, f64), s| (low.min(s), high.max(s)));
    let plot = Plot {
        across: (
            "threshold".to_owned(),
            Scale::LogOdds { from: low.max(1e-5), to: high.min(0.9999) },
        ),
        up: ("relative cost".to_owned(), Scale::Linear { from: 0.0, to: COST_MAX }),
        series: of.costs.iter().enumerate().map(line).collect(),
        guides: vec![Guide::Level(1.0, "no scores needed".to_owned())],
    };
    let says = "What mistakes cost if all from this score on are called positive, where a false \
                positive costs 1 and a missed one 1, 10, or the negatives per positive (base \
                rate); as a multiple of the cheaper of calling all or none. Were scores what they \
                say, the costs alone would give the best threshold.";
    let columns =
        ["costs", "of a miss", "best threshold", "by costs alone", "called", "found", "precision"];
    Panel::new(format!("Cost by threshold: {}", of.model.name), says, Body::Plot(plot))
        .with_table(&columns, rows)
}
