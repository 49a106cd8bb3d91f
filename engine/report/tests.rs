//! Pages of made-up streams: well-formed, whole, self-contained, the same every time, and true.

use std::collections::BTreeMap;

use pelton_kernels::hash::mix64;
use pelton_models::Task;
use pelton_models::evaluate::{EvaluateSpec, Evaluator, Metric, expected_error};

use super::*;

fn drawn(seed: u64) -> f32 {
    (mix64(seed) >> 40) as f32 / (1_u32 << 24) as f32
}

/// An evaluator of so many rows, a day apart each hundred.
fn judged(task: Task, metrics: &[Metric], rows: u64) -> Evaluator {
    let mut judge = Evaluator::new(EvaluateSpec::new(task, metrics.to_vec())).unwrap();
    judge.keep_history();
    for row in 0..rows {
        let (x, y) = (drawn(2 * row + 1), drawn(2 * row + 2));
        let (scores, label) = match task {
            Task::Binary => (vec![x * x], f32::from(u8::from(y < x * x))),
            Task::MultiClass { classes } => {
                let label = (y * classes as f32) as usize;
                let mut scores = vec![0.2; classes as usize];
                scores[(label + usize::from(x < 0.3)) % classes as usize] = 0.4 + 0.5 * x;
                (scores, label as f32)
            }
            Task::Regression => (vec![10.0 * x], 10.0 * x + y),
        };
        judge.observe(row as i64 * 864_000, 0, &scores, label);
    }
    judge
}

const BINARY: [Metric; 5] =
    [Metric::Auc, Metric::AveragePrecision, Metric::LogLoss, Metric::Accuracy, Metric::Ece];

fn shown(judge: &Evaluator) -> Shown<'_> {
    let model = |history| ShownModel {
        name: "one <&> \"two\"".to_owned(),
        measures: judge.report(),
        history,
    };
    Shown {
        title: "A & B".to_owned(),
        facts: vec![("Device".to_owned(), "cpu\u{1}".to_owned())],
        models: judge.history().map(model).into_iter().collect(),
        classes: (0..20).map(|class| format!("<{class}>")).collect(),
        ..Shown::default()
    }
}

/// What a page's elements are: how often each, and all attributes; fails where they do not nest.
fn parsed(page: &str) -> (BTreeMap<String, usize>, Vec<String>) {
    let body = page.strip_prefix("<!DOCTYPE html>\n").expect("HTML");
    let (mut open, mut counts, mut attributes) = (Vec::new(), BTreeMap::new(), Vec::new());
    let mut rest = body;
    while let Some(at) = rest.find('<') {
        let is_text = |text: &str| !text.contains('>') || open.last() == Some(&"style");
        assert!(is_text(&rest[..at]), "{:?}", &rest[..at]);
        let end = at + rest[at..].find('>').expect("an end");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let (tag, is_whole) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, list) = tag.split_once(' ').unwrap_or((tag, ""));
        assert_eq!(list.matches('"').count() % 2, 0, "{tag}");
        attributes.extend(list.split('"').skip(1).step_by(2).map(str::to_owned));
        *counts.entry(name.to_owned()).or_default() += 1;
        if !is_whole {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    for entity in body.split('&').skip(1) {
        let name = entity.split(';').next().expect("a part");
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "&{name}");
    }
    (counts, attributes)
}

#[test]
fn a_page_is_whole_well_formed_and_alone() {
    let judge = judged(Task::Binary, &BINARY, 30_000);
    let text = page(&shown(&judge));
    let (counts, attributes) = parsed(&text);
    for id in ["measures", "course", "calibration", "thresholds"] {
        assert!(text.contains(&format!("<section id=\"{id}\">")), "{id}");
    }
    // Three over time, reliability, scores, precision and recall, ROC, cost, confusion.
    assert_eq!(counts["figure"], 9);
    for outside in ["http", "//", "url(", "@import", "<script", "<link", "<img", "src="] {
        assert!(!text.contains(outside), "{outside}");
    }
    let numbers = attributes.iter().any(|value| value.contains("NaN") || value.contains("inf"));
    assert!(!numbers);
    assert!(text.len() < 200_000, "{}", text.len());
}

#[test]
fn the_same_stream_gives_the_same_bytes() {
    let [a, b] = [0, 1].map(|_| judged(Task::Binary, &BINARY, 5000));
    assert!(page(&shown(&a)) == page(&shown(&b)));
    let other = judged(Task::Binary, &BINARY, 5001);
    assert!(page(&shown(&a)) != page(&shown(&other)));
}

#[test]
fn its_values_are_those_of_the_report() {
    let judge = judged(Task::Binary, &BINARY, 30_000);
    let text = page(&shown(&judge));
    for (name, value) in judge.report() {
        assert!(
            text.contains(&format!("<th scope=\"row\">{name}</th><td><data value=\"{value}\">"))
        );
    }
    let report: BTreeMap<_, _> = judge.report().into_iter().collect();
    assert!(text.contains(&format!("ECE {:.5}", report["ece"])));
    assert_eq!(expected_error(&judge.reliability()), report["ece"]);
    // The last row of the figures over time is the report's value.
    assert!(text.contains(&format!("<td>30000</td><td>{:.5}</td>", report["log_loss"])));
    let [negatives, positives] = judge.history().unwrap().totals();
    assert!(text.contains(&format!("label &lt;0&gt; ({negatives} rows)")));
    assert!(text.contains(&format!("label &lt;1&gt; ({positives} rows)")));
}

#[test]
fn classes_and_values_have_pages_too() {
    let classes = judged(
        Task::MultiClass { classes: 20 },
        &[Metric::Accuracy, Metric::LogLoss, Metric::Ece],
        4000,
    );
    let text = page(&shown(&classes));
    // Two over time, reliability, scores, confusion.
    assert_eq!(parsed(&text).0["figure"], 5);
    assert!(text.contains("predicted right") && text.contains("all others"));
    let rows: usize = text.matches("<small>").count();
    assert_eq!(rows, 12 * 12);
    let values = judged(Task::Regression, &[Metric::Mae, Metric::Rmse], 4000);
    let text = page(&shown(&values));
    assert_eq!(parsed(&text).0["figure"], 2);
    assert!(text.contains("Mean absolute error") && !text.contains("id=\"calibration\""));
}

#[test]
fn streams_that_say_little_have_pages() {
    for rows in [0, 1, 127] {
        for task in [Task::Binary, Task::MultiClass { classes: 2 }, Task::Regression] {
            parsed(&page(&shown(&judged(task, &[], rows))));
        }
    }
    let mut one = Evaluator::new(EvaluateSpec::new(Task::Binary, vec![Metric::Auc])).unwrap();
    one.keep_history();
    (0..500).for_each(|row| one.observe(row, 0, &[0.0], 0.0));
    let text = page(&shown(&one));
    assert!(parsed(&text).1.iter().all(|value| !value.contains("NaN")));
    assert!(text.contains("not defined") && !text.contains(">ROC curve</h3>"));
}

#[test]
fn mixtures_alerts_and_importances_have_their_place() {
    let judge = judged(Task::Binary, &BINARY, 1000);
    let weights = |name: &str, colour, weight: f64| {
        Series::line(name, colour, vec![(0.0, weight), (8.64e8, 1.0 - weight)])
    };
    let importances = vec![("small".to_owned(), 0.5), ("large".to_owned(), 2.0)];
    let panel = Panel::importances(importances, "By gain.");
    let title = "Features".to_owned();
    let shown = Shown {
        weights: vec![weights("linear", 0, 0.75), weights("boost", 1, 0.25)],
        alerts: vec![(5_000_000, "drift of <AMOUNT>".to_owned())],
        more: vec![Section { id: "features", title, panels: vec![panel] }],
        ..shown(&judge)
    };
    let text = page(&shown);
    parsed(&text);
    for id in ["mixture", "features"] {
        assert!(text.contains(&format!("<section id=\"{id}\">")), "{id}");
    }
    assert_eq!(text.matches("<title>drift of &lt;AMOUNT&gt;</title>").count(), 3);
    let [large, small] = ["large", "small"]
        .map(|name| text.find(&format!("<th scope=\"row\">{name}")).expect("a bar"));
    assert!(large < small && text.contains("width:100.0%") && text.contains("width:25.0%"));
}

#[test]
fn several_models_are_drawn_beside_one_another() {
    let (a, b) = (judged(Task::Binary, &BINARY, 3000), judged(Task::Binary, &[Metric::Auc], 2000));
    let mut both = shown(&a);
    let (measures, history) = (b.report(), b.history().unwrap());
    both.models.push(ShownModel { name: "boost".to_owned(), measures, history });
    let text = page(&both);
    parsed(&text);
    assert_eq!(text.matches("boost, all rows so far").count(), 3);
    assert_eq!(text.matches("<td>not defined</td>").count(), BINARY.len() - 1);
}
