//! The test's error against its level, and champions that are overtaken.

use pelton_kernels::cases::Draw;
use pelton_kernels::math;
use proptest::prelude::*;

use super::*;
use crate::boost::{Boost, BoostConfig};
use crate::linear::{Linear, LinearConfig};
use crate::tests::{SHAPE, Stream, saved, small, walk};

const RULE: Rule = Rule { is_automatic: true, alpha: 0.01, labels_min: 100 };

/// A linear champion, and trees.
pub(crate) fn contest(task: Task, rule: Rule) -> Contest {
    let linear = Linear::new(LinearConfig::new(task), SHAPE).expect("possible");
    let trees = Boost::new(small(task), SHAPE).expect("possible");
    let models: Vec<(String, Box<dyn Model>)> =
        vec![("line".to_owned(), Box::new(linear)), ("trees".to_owned(), Box::new(trees))];
    Contest::new(task, SHAPE, rule, models).expect("possible")
}

/// The formula, in plain words.
fn log_value(differences: &[f64]) -> f64 {
    let (c, mut mean, mut sum, mut spread) = (8.0_f64, 0.0, 0.0, 0.0);
    for (row, given) in differences.iter().enumerate() {
        let d = given.clamp(-4.0, 4.0);
        spread += (d - mean) * (d - mean);
        sum += d;
        mean = sum / (row + 1) as f64;
    }
    let bets = (1..=14).map(|k| {
        let rate = 0.5_f64.powi(k) / c;
        let psi = (-(1.0 - c * rate).ln() - c * rate) / (c * c);
        (rate * sum - psi * spread).exp()
    });
    (bets.sum::<f64>() / 14.0).ln()
}

proptest! {
    #[test]
    fn evidence_is_what_the_formula_says(seed: u64, rows in 1_usize..300, shift in -2.0..2.0) {
        let mut draw = Draw::new(seed);
        let differences: Vec<f64> =
            (0..rows).map(|_| f64::from(draw.unit()) * 6.0 - 3.0 + shift).collect();
        let mut evidence = Evidence::default();
        differences.iter().for_each(|d| evidence.observe(*d));
        let expected = log_value(&differences);
        let found = evidence.log_value();
        let off = (found - expected).abs() / expected.abs().max(1.0);
        prop_assert!(off < 1e-9, "{found} {expected}");
    }
}

/// Of 2000 streams whose two models are as good, looked at after each of 500 labels, the value of
/// 1 / .05 is reached in one of twenty at the most.
#[test]
fn it_may_be_looked_at_at_any_time() {
    let (mut reached, mut draw) = (0, Draw::new(20));
    for _ in 0..2000 {
        let mut evidence = Evidence::default();
        let mut most = f64::MIN;
        for _ in 0..500 {
            // Skewed, of mean 0: mostly a little better, sometimes much worse; and the other way.
            let skewed = if draw.unit() < 0.1 { -1.8 } else { 0.2 };
            evidence.observe(if draw.unit() < 0.5 { skewed } else { -skewed });
            most = most.max(evidence.log_value());
        }
        reached += u32::from(most >= math::ln(20.0));
    }
    assert!(reached <= 100, "{reached} of 2000");
    // It is a test: what is better by half a deviation is found soon.
    let mut evidence = Evidence::default();
    let rows = (0..2000).take_while(|_| {
        evidence.observe(if draw.unit() < 0.75 { 1.0 } else { -1.0 });
        evidence.log_value() < math::ln(100.0)
    });
    let rows = rows.count();
    assert!((50..400).contains(&rows), "{rows}");
}

/// A curve that no line tells: the trees take over, and their scores leave from then on.
#[test]
fn a_challenger_that_is_better_takes_over() {
    let stream = Stream::new(30, 8000, |x, y, _| f32::from(u8::from(x * y > 0.0)));
    let mut model = contest(Task::Binary, RULE);
    walk(&mut model, &stream, 0, 8000);
    let standings = model.standings();
    assert_eq!(model.promotions(), 1, "{standings:?}");
    assert!(standings[1].is_champion && standings[1].loss < standings[0].loss, "{standings:?}");
    // The one that lost its place is a challenger now, without evidence.
    assert!(standings[0].evidence < 0.0, "{standings:?}");

    // Without the rule it waits for a word, and all the evidence is there.
    let mut waits = contest(Task::Binary, Rule { is_automatic: false, ..RULE });
    walk(&mut waits, &stream, 0, 8000);
    assert_eq!(waits.promotions(), 0);
    assert!(waits.standings()[1].evidence > waits.evidence_needed());
    let before = waits.version();
    assert!(!waits.promote("nobody") && waits.promote("trees"));
    assert!(waits.version() > before && waits.standings()[1].is_champion);
    let mut scores = [[0.0; 2]; 2];
    for (model, scores) in [&waits, &model].into_iter().zip(&mut scores) {
        let notes = crate::tests::notes_of(model, &stream, 0, 2);
        model.score(&stream.batch(&notes, 0, 2).0, scores).expect("the shapes fit");
    }
    assert_eq!(scores[0], scores[1]);
}

/// Twins are never told apart.
#[test]
fn a_challenger_that_is_no_better_stays_one() {
    let stream = Stream::new(31, 6000, |x, y, _| f32::from(u8::from(x * y > 0.0)));
    let models = ["one", "two"].map(|name| {
        let trees: Box<dyn Model> = Box::new(Boost::new(small(Task::Binary), SHAPE).expect("fits"));
        (name.to_owned(), trees)
    });
    let mut model = Contest::new(Task::Binary, SHAPE, RULE, models.into()).expect("possible");
    walk(&mut model, &stream, 0, 6000);
    let standings = model.standings();
    assert_eq!((model.promotions(), standings[1].evidence), (0, 0.0), "{standings:?}");
}

/// The champion's scores are those it has alone; the challengers' are judged as they were when the
/// row was scored, however late its label is.
#[test]
fn the_shadow_changes_nothing() {
    let stream = Stream::new(32, 3000, |x, y, _| f32::from(u8::from(x + y > 0.0)));
    let mut alone = Linear::new(LinearConfig::new(Task::Binary), SHAPE).expect("possible");
    let mut model = contest(Task::Binary, Rule { is_automatic: false, ..RULE });
    let scores = walk(&mut model, &stream, 0, 3000);
    assert_eq!(scores, walk(&mut alone, &stream, 0, 3000));
    let loss = |scores: &[f32]| {
        let of = |(score, label): (&f32, &f32)| {
            -f64::from(if *label == 1.0 { *score } else { 1.0 - score }).max(1e-7).ln()
        };
        scores.iter().zip(&stream.labels).map(of).sum::<f64>() / 3000.0
    };
    assert!((model.standings()[0].loss - loss(&scores)).abs() < 1e-9);

    // All labels come after all scores: every score is that of an untrained model.
    let mut late = contest(Task::Binary, Rule { is_automatic: false, ..RULE });
    let notes = crate::tests::notes_of(&late, &stream, 0, 3000);
    for row in 0..3000 {
        let width = late.notes_width();
        let (features, labels) = stream.batch(&notes[row * width..][..width], row, row + 1);
        late.learn(&LabeledBatch { features, labels, weights: &[1.0] }).expect("the shapes fit");
    }
    for standing in late.standings() {
        assert!((standing.loss - std::f64::consts::LN_2).abs() < 1e-6, "{standing:?}");
    }
}

/// A number that is missing is no excuse: what was said of the row counts.
#[test]
fn rows_that_lack_a_number_judge_too() {
    let mut stream = Stream::new(34, 1200, |x, y, _| f32::from(u8::from(x * y > 0.0)));
    stream.dense.iter_mut().step_by(6).for_each(|value| *value = f32::NAN);
    let trees = |period_labels| -> Box<dyn Model> {
        let config = BoostConfig { period_labels, ..small(Task::Binary) };
        Box::new(Boost::new(config, SHAPE).expect("possible"))
    };
    let line = Linear::new(LinearConfig::new(Task::Binary), SHAPE).expect("possible");
    for first in [trees(400), Box::new(line)] {
        let models = vec![("first".to_owned(), first), ("second".to_owned(), trees(300))];
        let rule = Rule { is_automatic: false, ..RULE };
        let mut model = Contest::new(Task::Binary, SHAPE, rule, models).expect("possible");
        let scores = walk(&mut model, &stream, 0, 1200);
        let loss = |(score, label): (&f32, &f32)| {
            -f64::from(if *label == 1.0 { *score } else { 1.0 - score }).max(1e-7).ln()
        };
        let mean = scores.iter().zip(&stream.labels).map(loss).sum::<f64>() / 1200.0;
        let standing = &model.standings()[0];
        assert!((standing.loss - mean).abs() < 1e-9, "{standing:?} {mean}");
    }
}

/// Entrants of other names, or damaged ones, are refused, and nothing is changed.
#[test]
fn another_contest_is_refused() {
    let stream = Stream::new(33, 500, |x, _, _| f32::from(u8::from(x > 0.0)));
    let mut model = contest(Task::Binary, RULE);
    walk(&mut model, &stream, 0, 500);
    let before = saved(&model);
    for cut in [10, 100, before.len() / 2, before.len() - 1] {
        assert!(model.read_state(&mut &before[..cut]).is_err());
        assert!(saved(&model) == before, "{cut}");
    }
    let linear = || Box::new(Linear::new(LinearConfig::new(Task::Binary), SHAPE).expect("fits"));
    let models: Vec<(String, Box<dyn Model>)> =
        vec![("line".to_owned(), linear()), ("line 2".to_owned(), linear())];
    let mut other = Contest::new(Task::Binary, SHAPE, RULE, models).expect("possible");
    assert!(other.read_state(&mut &before[..]).is_err());
    assert!(Contest::new(Task::Binary, SHAPE, RULE, Vec::new()).is_err());
}
