//! A model that was drawn and comes back scores as it did; what does not fit is refused.

use super::*;
use crate::linear::{Linear, LinearConfig};
use crate::tests::{SHAPE, Stream, walk};

/// The graph of a linear model that has learned a little, fed as it was.
pub(crate) fn drawing(task: Task) -> (Linear, Drawing) {
    let mut linear = Linear::new(LinearConfig::new(task), SHAPE).expect("possible");
    let classes = task.outputs().max(2) as f32;
    let stream = Stream::new(5, 600, |x, y, _| ((x + 0.3 * y + 1.3) / 2.6 * classes).floor());
    walk(&mut linear, &stream, 0, 600);
    let graph = Graph::of(&linear, SHAPE).expect("it is drawn");
    let feeds = vec![Feed::Dense(vec![0, 1]), Feed::Sparse];
    (linear, Drawing { graph, feeds, is_log_odds: false, digest: 7 })
}

#[test]
fn what_was_drawn_scores_as_before() {
    for task in [Task::Binary, Task::MultiClass { classes: 3 }, Task::Regression] {
        let (linear, drawing) = drawing(task);
        let frozen = Frozen::new(task, SHAPE, Arc::new(drawing)).expect("it fits");
        let stream = Stream::new(6, 700, |_, _, _| 0.0);
        let (features, _) = stream.batch(&[], 0, 700);
        let mut scores = [(); 2].map(|()| vec![0.0; 700 * task.outputs()]);
        linear.score(&features, &mut scores[0]).expect("it fits");
        frozen.score(&features, &mut scores[1]).expect("it fits");
        for (one, other) in scores[0].iter().zip(&scores[1]) {
            assert!((one - other).abs() < 1e-5, "{task:?} {one} {other}");
        }
        // And drawn once more, as what it is now.
        let again = Graph::of(&frozen, SHAPE).expect("it is drawn");
        let index = |own: &u32| if *own == ABSENT { -1 } else { i64::from(*own) };
        let sparse = Data::I64(stream.sparse.iter().map(index).collect());
        let inputs = [
            Tensor::matrix(stream.dense.clone(), 2),
            Tensor::new(vec![700, 1], sparse).expect("700"),
        ];
        let out = again.run(&inputs).expect("it fits").remove(0);
        for (one, other) in out.as_f32().expect("floats").iter().zip(&scores[1]) {
            assert!((one - other).abs() < 1e-6, "{task:?} {one} {other}");
        }
    }
}

/// Labels move the means that explanations begin at, and nothing else.
#[test]
fn labels_change_no_score() {
    let (_, drawing) = drawing(Task::Binary);
    let mut frozen = Frozen::new(Task::Binary, SHAPE, Arc::new(drawing)).expect("it fits");
    let stream = Stream::new(8, 300, |x, _, _| f32::from(u8::from(x > 0.0)));
    let (features, _) = stream.batch(&[], 0, 300);
    let [mut before, mut after] = [vec![0.0; 300], vec![0.0; 300]];
    frozen.score(&features, &mut before).expect("it fits");
    walk(&mut frozen, &stream, 0, 300);
    frozen.score(&features, &mut after).expect("it fits");
    assert_eq!(before, after);
    assert_eq!(frozen.version(), 300);
    let mean = stream.dense.chunks_exact(2).map(|row| f64::from(row[0])).sum::<f64>() / 300.0;
    assert!((frozen.state.means[0] - mean).abs() < 1e-9);
    // A row that lacks a number is one that counts: its model knows what to do with it.
    let features = Features { rows: 1, dense: &[f32::NAN, 3.0], sparse: &[ABSENT], notes: &[] };
    let batch = LabeledBatch { features, labels: &[1.0], weights: &[1.0] };
    let (before, learned) = (frozen.state.means[0], frozen.learn(&batch).expect("it fits"));
    assert_eq!((learned.learned, frozen.state.means[0]), (1, before));
    assert!(frozen.state.means[1] > 0.0);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (_, good) = drawing(Task::Binary);
    let told = |task, change: &dyn Fn(&mut Drawing)| {
        let mut drawing = good.clone();
        change(&mut drawing);
        Frozen::new(task, SHAPE, Arc::new(drawing)).err().expect("it does not fit").to_string()
    };
    let binary = Task::Binary;
    assert!(told(binary, &|own| own.feeds.truncate(1)).contains("not as many"));
    assert!(told(binary, &|own| own.feeds[0] = Feed::Dense(vec![0, 2])).contains("do not fit"));
    let three = Task::MultiClass { classes: 3 };
    assert!(told(three, &|_| ()).contains("cannot be worked out"));
}

/// What is no probability becomes one, whatever the graph says.
#[test]
fn any_number_becomes_a_score() {
    let mut graph = Graph::new();
    let dense = graph.input("x", Kind::F32, 1);
    graph.output("out", dense);
    let drawing =
        Drawing { graph, feeds: vec![Feed::Dense(vec![1])], is_log_odds: false, digest: 1 };
    let log_odds = Drawing { is_log_odds: true, ..drawing.clone() };
    let dense = [9.0, 0.25, 9.0, -3.0, 9.0, 7.0, 9.0, f32::NAN];
    let features = Features { rows: 4, dense: &dense, sparse: &[ABSENT; 4], notes: &[] };
    let mut out = [0.0; 4];
    let frozen = Frozen::new(Task::Binary, SHAPE, Arc::new(drawing)).expect("it fits");
    frozen.score(&features, &mut out).expect("it fits");
    assert_eq!(out, [0.25, 0.0, 1.0, 0.5]);
    let frozen = Frozen::new(Task::Binary, SHAPE, Arc::new(log_odds)).expect("it fits");
    frozen.score(&features, &mut out).expect("it fits");
    assert!((out[1] - 0.047_425_87).abs() < 1e-6 && out[3] == 0.5, "{out:?}");
}
