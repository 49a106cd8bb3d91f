//! Members of rows that have next to nothing: no column, one number, one category.

use super::*;

/// Explains, scores and learns some of the rows, of which a shape shows no more than it has; the
/// scores.
fn learn(model: &mut dyn Model, shape: FeatureShape, stream: &Stream, from: usize) -> Vec<f32> {
    let (to, rows) = (from + 100, 100);
    let of = |width: usize| width * from..width * to;
    let (dense, sparse) = (of(shape.dense_width), of(shape.sparse_width));
    let (dense, sparse) = (&stream.dense[dense], &stream.sparse[sparse]);
    let mut notes = vec![0.0; rows * model.notes_width()];
    let features = Features { rows, dense, sparse, notes: &[] };
    model.note(&features, &mut notes).expect("the shapes fit");
    let features = Features { notes: &notes, ..features };
    let width = shape.explained_width(model.notes_width());
    let mut parts = vec![0.0; rows * model.outputs() * width];
    model.explain(&features, &mut parts).expect("explained");
    assert!(parts.iter().all(|part| part.is_finite()));
    let mut scores = vec![0.0; rows * model.outputs()];
    let batch = LabeledBatch { features, labels: &stream.labels[from..to], weights: &[1.0; 100] };
    model.score_and_learn_each(&batch, &mut scores).expect("the shapes fit");
    scores
}

/// They are learned, explained, saved, read and gone back from as all rows are.
#[test]
fn rows_of_little_are_rows() {
    let stream = Stream::new(19, 500, |x, y, _| f32::from(u8::from(x > y)));
    let shapes = [(0, 0, 0), (1, 0, 0), (0, 1, 6)].map(|(dense, sparse, sparse_bits)| {
        FeatureShape { dense_width: dense, sparse_width: sparse, sparse_bits }
    });
    let each = shapes.into_iter().flat_map(|shape| TASKS.map(|task| (task, shape)));
    for ((task, shape), which) in each.flat_map(|own| (0..OF_ANY).map(move |which| (own, which))) {
        let told = format!("{which} {task:?} {shape:?}");
        let mut whole = member_of(which, task, shape);
        learn(&mut *whole, shape, &stream, 0);
        learn(&mut *whole, shape, &stream, 100);
        let before = saved(&*whole);
        whole.keep().expect("kept");
        let first = learn(&mut *whole, shape, &stream, 200);
        whole.keep().expect("kept");
        learn(&mut *whole, shape, &stream, 300);
        let mut kept = Vec::new();
        whole.write_kept(&mut kept).expect("a vector takes all bytes");
        let mut resumed = member_of(which, task, shape);
        resumed.read_state(&mut &saved(&*whole)[..]).expect("own bytes");
        resumed.read_kept(&mut &kept[..]).expect("own bytes");
        for model in [&mut whole, &mut resumed] {
            model.go_back().expect("kept before");
            assert!(saved(&**model) == before, "{told}");
            assert_eq!(learn(&mut **model, shape, &stream, 200), first, "{told}");
        }
    }
}
