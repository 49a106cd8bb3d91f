//! Against a slow walk: each leaf's ancestors by its number, in doubles.

use super::super::tree::leaf_of;
use super::*;
use crate::tests::{SHAPE, Stream, notes_of, small, walk};
use crate::{FeatureShape, Task};

#[test]
fn splits_get_what_they_change() {
    let stream = Stream::new(31, 3000, |x, y, category| {
        if x * y > 0.0 || category < 9 { 2.0 } else { f32::from(u8::from(x > 0.5)) }
    });
    for task in [Task::MultiClass { classes: 3 }, Task::Regression] {
        let mut model = Boost::new(small(task), SHAPE).expect("possible");
        walk(&mut model, &stream, 0, 2900);
        let FeatureShape { dense_width, sparse_width, .. } = SHAPE;
        let (outputs, notes_width) = (model.outputs(), model.notes_width());
        let width = SHAPE.explained_width(notes_width);
        let mut out = vec![0.0; outputs * width];
        for row in 2900..3000 {
            let notes = notes_of(&model, &stream, row, row + 1);
            let (features, _) = stream.batch(&notes, row, row + 1);
            model.explain(&features, &mut out).expect("the shapes fit");
            let mut expected = vec![0.0_f64; outputs * width];
            let (mut values, mut codes) = (Vec::new(), vec![0; dense_width + notes_width]);
            features.columns(0, &mut values);
            for whole in &model.serving {
                whole.bins.encode(&values, &mut codes);
                let (size, share) = (1 << whole.depth, 1.0 / model.serving.len() as f64);
                let [mean, deviation] = whole.scale.map(|own| f64::from(own) * share);
                for (output, expected) in expected.chunks_exact_mut(width).enumerate() {
                    expected[width - 1] += mean + deviation * f64::from(whole.base[output]);
                }
                for tree in 0..whole.trees() {
                    let own = tree * size..(tree + 1) * size;
                    let splits = &whole.splits[own.clone()];
                    let values = [&whole.inner[own.clone()], &whole.leaves[own]].concat();
                    let leaf = leaf_of(splits, whole.depth, &codes) + size;
                    let expected = &mut expected[tree % outputs * width..][..width];
                    expected[width - 1] += deviation * f64::from(values[1]);
                    for up in 1..=whole.depth {
                        let column = splits[leaf >> up].column();
                        let to = if column < dense_width { column } else { column + sparse_width };
                        let change = f64::from(values[leaf >> (up - 1)]);
                        expected[to] += deviation * (change - f64::from(values[leaf >> up]));
                    }
                }
            }
            for (own, expected) in out.iter().zip(&expected) {
                assert!((f64::from(*own) - expected).abs() < 1e-4, "{out:?} {expected:?}");
            }
        }
    }
}
