//! Models of LightGBM against its own predictions; splits against their definition; what is no
//! model of it.

use pelton_models::graph::Tensor;
use proptest::prelude::*;

use super::split::{Missing, Split, Test, floor};
use super::{FORMAT, read};
use crate::ensemble::{Branch, Ensemble, Link};
use crate::fixtures::{all, compare, cut, damage, one, scores};
use crate::{ExchangeError, Imported, Predicts};

#[test]
fn scores_are_those_of_lightgbm() {
    compare("lightgbm", read);
}

#[test]
fn a_part_of_a_file_is_refused() {
    cut("lightgbm", read, |part| {
        String::from_utf8_lossy(part).contains("end of trees") || part.ends_with(b"}")
    });
}

#[test]
fn damaged_files_are_refused_or_run() {
    damage("lightgbm", read);
}

#[test]
fn text_and_dump_are_the_same_model() {
    let mut pairs = 0;
    for dump in all("lightgbm").iter().filter(|own| own.name.ends_with(".json")) {
        let text = one("lightgbm", &dump.name.replace(".json", ".txt"));
        let [own, other] = [dump, &text].map(|own| read(&own.bytes).expect("a model"));
        let rows = dump.rows();
        assert_eq!(scores(&own.graph, rows.clone()), scores(&other.graph, rows), "{}", dump.name);
        assert_eq!((own.predicts, own.columns), (other.predicts, other.columns));
        pairs += 1;
    }
    assert!(pairs > 3);
}

#[test]
fn names_and_outputs_are_told() {
    let tells = |name: &str| {
        let imported = read(&one("lightgbm", name).bytes).expect("a model");
        (imported.predicts, imported.columns)
    };
    let names = ["price", "is_new", "größe", "age", "place"].map(String::from).to_vec();
    assert_eq!(tells("sigmoid.txt"), (Predicts::Probability, vec![Some(names)]));
    assert_eq!(tells("each_class.txt"), (Predicts::Probabilities, vec![None]));
    assert_eq!(tells("poisson.txt"), (Predicts::Value, vec![None]));
}

/// Whether LightGBM's `NumericalDecision` sends a value left.
fn goes_left(value: f32, threshold: f64, missing: Missing, is_default_left: bool) -> bool {
    let mut value = f64::from(value);
    if value.is_nan() && missing != Missing::Nan {
        value = 0.0;
    }
    let is_zero = value.abs() <= f64::from(1e-35_f32);
    if missing == Missing::Zero && is_zero || missing == Missing::Nan && value.is_nan() {
        return is_default_left;
    }
    value <= threshold
}

fn near(value: f32) -> impl Strategy<Value = f64> {
    let value = f64::from(value);
    prop_oneof![Just(value), Just(value.next_up()), Just(value.next_down())]
}

fn threshold() -> impl Strategy<Value = f64> {
    let zero = 1e-35_f32;
    let edges = [0.0, zero, -zero, zero.next_up(), -zero.next_up(), zero.next_down(), 1.5, -3.0];
    let edges = proptest::sample::select(edges.to_vec()).prop_flat_map(near);
    prop_oneof![3 => edges, 1 => -4.0..4.0_f64, 1 => Just(1e300), 1 => Just(-1e300)]
}

proptest! {
    #[test]
    fn a_split_sends_each_value_where_lightgbm_does(
        threshold in threshold(),
        missing in proptest::sample::select(vec![Missing::None, Missing::Zero, Missing::Nan]),
        is_default_left: bool,
        values in proptest::collection::vec(-4.0..4.0_f32, 4),
    ) {
        let test = Test::UpTo(threshold);
        let split = Split { column: 0, test, missing, is_default_left, left: -1, right: -2 };
        let mut ensemble = Ensemble::new(FORMAT, 1, vec![0.0]).expect("one column");
        let planted = ensemble.plant(0, 3, |number| match number {
            0 => split.branch(1),
            leaf => Ok(Branch::Leaf(leaf as f64)),
        });
        planted.expect("a tree");
        let graph = ensemble.imported(Vec::new(), Link::Identity, Predicts::Value).expect("one");
        let zero = 1e-35_f32;
        let near = floor(threshold);
        let mut all = values;
        for own in [0.0, -0.0, zero, -zero, near, -near, 1e-40, f32::NAN] {
            all.extend([own, own.next_up(), own.next_down()]);
        }
        all.extend([f32::INFINITY, f32::NEG_INFINITY]);
        let found = scores(&graph.graph, Tensor::matrix(all.clone(), 1));
        for (value, found) in all.iter().zip(found) {
            let is_left = goes_left(*value, threshold, missing, is_default_left);
            prop_assert_eq!(found, if is_left { 1.0 } else { 2.0 }, "{}", value);
        }
    }

    #[test]
    fn the_floor_of_a_threshold_is_the_largest_float_not_above(bits: u64) {
        let threshold = f64::from_bits(bits);
        prop_assume!(threshold.is_finite());
        let floor = floor(threshold);
        prop_assert!(f64::from(floor) <= threshold);
        prop_assert!(f64::from(floor.next_up()) > threshold);
    }
}

fn changed(from: &str, to: &str) -> Result<Imported, ExchangeError> {
    let text = String::from_utf8(one("lightgbm", "binary.txt").bytes).expect("text");
    assert!(text.contains(from), "{from}");
    read(text.replacen(from, to, 1).as_bytes())
}

#[test]
fn what_is_wrong_is_told() {
    for (from, to, told) in [
        ("tree\n", "bush\n", "first line"),
        ("version=v4", "version=v2", "version v2"),
        ("objective=binary sigmoid:1", "objective=binary sigmoid:0", "sigmoid"),
        ("objective=binary", "objective=cubic", "`cubic`"),
        ("objective=binary", "objective=multiclass num_class:3", "1 outputs with"),
        ("max_feature_idx=4", "max_feature_idx=4294967295", "4294967296 columns"),
        ("max_feature_idx=4", "max_feature_idx=1", "looks at column"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=2", "2 outputs"),
        ("Tree=0", "Tree=1", "tree 1 comes after 0 trees"),
        ("num_leaves=8", "num_leaves=7", "`leaf_value` is 8 numbers, not 7"),
        ("num_leaves=8", "num_leaves=99999999999", "not 99999999999"),
        ("num_leaves=8", "num_leaves=0", "tree 0 is empty"),
        ("left_child=1", "left_child=0", "two ways lead to node 0"),
        ("left_child=1", "left_child=100", "no child 100"),
        ("left_child=1", "left_child=-100", "there is no node"),
        ("threshold=", "threshold=x", "no such number"),
        ("is_linear=0", "is_linear=1", "linear trees"),
        ("num_cat=2", "num_cat=9999999999", "cat_boundaries"),
        ("end of trees", "", "breaks off"),
        ("feature_names=Column_0 ", "feature_names=", "4 names for 5 columns"),
    ] {
        let error = changed(from, to).expect_err(to).to_string();
        assert!(error.contains(told), "{to}: {error}");
    }
    let error = read(b"\x80\x04\x95\0").expect_err("a pickle").to_string();
    assert!(error.contains("pickle") && error.contains("model.txt"), "{error}");
}

#[test]
fn what_is_small_and_asks_for_much_is_refused() {
    let dump = String::from_utf8(one("lightgbm", "binary.json").bytes).expect("text");
    let (before, after) = dump.split_once("\"tree_structure\":").expect("a tree");
    let deep = format!("{before}\"tree_structure\":{}", "{\"left_child\":".repeat(300_000));
    assert!(read(deep.as_bytes()).is_err());
    let list = after.find("||").map(|at| after[..at].rfind('"').expect("a text") + 1);
    let (same, list) = after.split_at(list.expect("a split by categories"));
    let large = format!("{before}\"tree_structure\":{same}4000000000||{list}");
    let error = read(large.as_bytes()).expect_err("too large").to_string();
    assert!(error.contains("category 4000000000"), "{error}");
    let error = read(large.replace("4000000000||", "-1||").as_bytes()).expect_err("negative");
    assert!(error.to_string().contains("category -1"), "{error}");
    // Two splits with the same categories.
    let text = |places: &str| {
        let tree = "num_leaves=3\nnum_cat=2\nsplit_feature=0 0\ndecision_type=1 1\n\
                    left_child=1 -2\nright_child=-1 -3\nleaf_value=1 2 3\n\
                    cat_boundaries=0 1 2\ncat_threshold=5 9";
        let model = "tree\nversion=v4\nnum_tree_per_iteration=1\nmax_feature_idx=0";
        format!("{model}\nfeature_names=a\n\nTree=0\n{tree}\nthreshold={places}\nend of trees\n")
    };
    assert!(read(text("0 1").as_bytes()).is_ok());
    assert!(read(text("0 0").as_bytes()).is_ok(), "no more words than there are");
    for places in ["0 2", "0 0.5", "0 -1", "0 inf"] {
        let error = read(text(places).as_bytes()).expect_err(places).to_string();
        assert!(error.contains("categories of split 1"), "{error}");
    }
    let more = text("0 0").replace("cat_boundaries=0 1 2", "cat_boundaries=0 2 2");
    let error = read(more.as_bytes()).expect_err("overlap").to_string();
    assert!(error.contains("that another has"), "{error}");
}

#[test]
fn an_objective_of_ones_own_gives_sums() {
    let imported = changed("objective=binary sigmoid:1\n", "").expect("a model");
    assert_eq!(imported.predicts, Predicts::Unknown);
    let sums = scores(&imported.graph, one("lightgbm", "binary.txt").rows());
    let binary = read(&one("lightgbm", "binary.txt").bytes).expect("a model");
    let shares = scores(&binary.graph, one("lightgbm", "binary.txt").rows());
    for (sum, share) in sums.iter().zip(shares) {
        assert!((1.0 / (1.0 + (-sum).exp()) - share).abs() < 1e-6);
    }
}

#[test]
fn leaves_of_nothing_are_refused() {
    let mut ensemble = Ensemble::new(FORMAT, 1, vec![0.0]).expect("one column");
    let planted = ensemble.plant(0, 1, |_| Ok(Branch::Leaf(f64::NAN)));
    assert!(planted.is_err());
}
