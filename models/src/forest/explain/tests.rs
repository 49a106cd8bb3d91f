//! Against a slow walk in doubles: what the path says, cut off behind each of its nodes.

use super::*;
use crate::forest::tests::small;
use crate::tests::{SHAPE, Stream, notes_of, walk};

/// What a tree says by a memory when a row goes no further than so many splits, and the column
/// looked at last.
fn says(model: &Forest, tree: &Tree, values: &[f32], (memory, splits): (usize, usize)) -> [f64; 2] {
    let mut node = 0;
    let mut said = f64::from(tree.means[memory]);
    let mut column = 0;
    for _ in 0..splits {
        let own = &tree.nodes[node];
        if own.left == 0 {
            return [said, -1.0];
        }
        column = own.column;
        let is_right = values[column as usize] > own.threshold;
        node = own.left as usize + usize::from(is_right);
        let lasts = model.config.memories[memory];
        let rows = f64::from(tree.nodes[node].rows.min(lasts));
        let mean = f64::from(tree.means[node * MEMORIES + memory]);
        said += (mean - said) * rows / (rows + f64::from(model.config.shrinkage));
    }
    [said, f64::from(column)]
}

#[test]
fn splits_get_what_they_change() {
    let stream = Stream::new(41, 3000, |x, y, category| {
        f32::from(u8::from(x * y > 0.0)) + f32::from(u8::from(category < 9))
    });
    let mut model = Forest::new(small(Task::Regression), SHAPE).expect("possible");
    walk(&mut model, &stream, 0, 2900);
    assert!(model.nodes().iter().all(|nodes| *nodes > 3));
    let width = SHAPE.explained_width(model.notes_width());
    let mut out = vec![0.0; width];
    for row in 2900..3000 {
        let notes = notes_of(&model, &stream, row, row + 1);
        let (features, _) = stream.batch(&notes, row, row + 1);
        model.explain(&features, &mut out).expect("the shapes fit");
        let mut values = Vec::new();
        features.columns(0, &mut values);
        let mut expected = vec![0.0_f64; width];
        for (member, share) in model.members.iter().zip(&model.shares) {
            for memory in 0..MEMORIES {
                let weight = f64::from(*share) * f64::from(model.vote.weights[memory]);
                let [mut before, _] = says(&model, &member.tree, &values, (memory, 0));
                expected[width - 1] += weight * before;
                for splits in 1..70 {
                    let [said, column] = says(&model, &member.tree, &values, (memory, splits));
                    if column < 0.0 {
                        break;
                    }
                    let to = column as usize + usize::from(column >= 2.0);
                    expected[to] += weight * (said - before);
                    before = said;
                }
            }
        }
        for (own, expected) in out.iter().zip(&expected) {
            assert!((f64::from(*own) - expected).abs() < 1e-4, "{out:?} {expected:?}");
        }
    }
}
