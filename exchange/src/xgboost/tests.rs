//! Models of XGBoost against its own predictions; what is no model of it.

use serde_json::{Value, json};

use super::read;
use crate::fixtures::{compare, cut, damage, one, scores};
use crate::{ExchangeError, Predicts};

#[test]
fn scores_are_those_of_xgboost() {
    compare("xgboost", read);
}

#[test]
fn a_part_of_a_file_is_refused() {
    cut("xgboost", read, |_| false);
}

#[test]
fn damaged_files_are_refused_or_run() {
    damage("xgboost", read);
}

#[test]
fn names_and_outputs_are_told() {
    let tells = |name: &str| {
        let imported = read(&one("xgboost", name).bytes).expect("a model");
        (imported.predicts, imported.columns)
    };
    let names = ["price", "is new", "größe", "age"].map(String::from).to_vec();
    assert_eq!(tells("regression.json"), (Predicts::Value, vec![Some(names)]));
    assert_eq!(tells("binary.json"), (Predicts::Probability, vec![None]));
    // Names that only count are none.
    assert_eq!(tells("early.json"), (Predicts::Probabilities, vec![None]));
}

/// A fixture with a part in another way.
fn changed(name: &str, change: impl Fn(&mut Value)) -> Result<crate::Imported, ExchangeError> {
    let mut model = serde_json::from_slice(&one("xgboost", name).bytes).expect("JSON");
    change(&mut model);
    read(model.to_string().as_bytes())
}

fn reason(result: Result<crate::Imported, ExchangeError>) -> String {
    result.expect_err("a refusal").to_string()
}

#[test]
fn base_scores_are_read_in_all_spellings() {
    let rows = one("xgboost", "binary.json").rows();
    let with = |spelled: Value| {
        let put = |model: &mut Value| {
            model["learner"]["learner_model_param"]["base_score"] = spelled.clone();
        };
        changed("binary.json", put).map(|own| scores(&own.graph, rows.clone()))
    };
    let expected = with(json!("2.5E-1")).expect("a model");
    for spelled in [json!("[2.5E-1]"), json!("0.25"), json!(0.25), json!([0.25])] {
        assert_eq!(with(spelled).expect("a model"), expected);
    }
    for wrong in [json!("0"), json!("1E0"), json!("[0.5"), json!("[0.5,0.5]"), json!("half")] {
        let error = with(wrong).expect_err("no base score").to_string();
        assert!(error.contains("base_score"), "{error}");
    }
}

#[test]
fn what_is_not_done_is_told() {
    let name = |model: &mut Value| model["learner"]["objective"]["name"] = json!("survival:aft");
    let error = reason(changed("binary.json", name));
    assert!(error.contains("survival:aft") && error.contains("train with"), "{error}");
    let leaf = |model: &mut Value| {
        let trees = &mut model["learner"]["gradient_booster"]["model"]["trees"];
        trees[1]["tree_param"]["size_leaf_vector"] = json!("3");
    };
    let error = reason(changed("binary.json", leaf));
    assert!(error.contains("one_output_per_tree"), "{error}");
    for (bytes, told) in [
        (&b"{L\0\0\0\0\0\0\0\x07learner{"[..], "UBJSON"),
        (b"\x80\x04\x95", "pickle"),
        (b"binf\0\0", "before JSON"),
    ] {
        let error = reason(read(bytes));
        assert!(error.contains(told) && error.contains("model.json"), "{error}");
    }
}

#[test]
fn trees_that_are_none_are_refused() {
    let tree = |key: &'static str, value: Value, told: &str| {
        let put = |model: &mut Value| {
            model["learner"]["gradient_booster"]["model"]["trees"][1][key] = value.clone();
        };
        let error = reason(changed("nothing.json", put));
        assert!(error.contains(told), "{error}");
    };
    tree("left_children", json!([]), "`num_nodes` is of 1 nodes, not 0");
    tree("left_children", json!([0]), "node 0 has a child -1");
    tree("right_children", json!(null), "null, expected a sequence");
    tree("split_conditions", json!(["NaN"]), "no finite number");
    tree("split_conditions", json!(["nan"]), "is no number");
    tree("split_conditions", json!(["x"]), "is no number");
    tree("default_left", json!([7]), "neither true nor false");
    let missing = |model: &mut Value| {
        let tree = &mut model["learner"]["gradient_booster"]["model"]["trees"][0];
        tree.as_object_mut().expect("a tree").remove("left_children");
    };
    assert!(reason(changed("binary.json", missing)).contains("missing field `left_children`"));
    let threshold = |model: &mut Value| {
        let trees = &mut model["learner"]["gradient_booster"]["model"]["trees"];
        trees[0]["split_conditions"][0] = json!("NaN");
    };
    assert!(reason(changed("binary.json", threshold)).contains("node 0 has no threshold"));
    let twice = |model: &mut Value| {
        let trees = &mut model["learner"]["gradient_booster"]["model"]["trees"];
        trees[0]["left_children"][0] = json!(0);
    };
    assert!(reason(changed("binary.json", twice)).contains("two ways lead to node 0"));
    let beyond = |model: &mut Value| {
        let trees = &mut model["learner"]["gradient_booster"]["model"]["trees"];
        trees[0]["right_children"][0] = json!(1000);
    };
    assert!(reason(changed("binary.json", beyond)).contains("there is no node 1000"));
    let column = |model: &mut Value| {
        model["learner"]["learner_model_param"]["num_feature"] = json!("1");
    };
    assert!(reason(changed("binary.json", column)).contains("looks at column"));
}

#[test]
fn words_that_are_no_json_are_mended_outside_of_texts() {
    let mended = |text: &str| {
        let mended = super::file::mended(text.as_bytes()).into_owned();
        String::from_utf8(mended).expect("text")
    };
    for same in ["", "[1,-2]", "{\"NaN\":\"a\\\"NaN\\\\\",\"b\":3}", "\"NaN", "\\"] {
        assert_eq!(mended(same), same);
    }
    let (given, expected) =
        ("[NaN,-Infinity,1,Infinity]", "[\"NaN\",\"-Infinity\",1,\"Infinity\"]");
    assert_eq!(mended(given), expected);
}

#[test]
fn what_is_small_and_asks_for_much_is_refused() {
    assert!(read(&[b'['; 1_000_000]).is_err());
    let deep = [&b"{\"learner\":"[..], &b"{\"a\":[".repeat(300_000)].concat();
    assert!(read(&deep).is_err());
    let put = |key: &'static str, value: Value, told: &str| {
        let put = |model: &mut Value| {
            let trees = &mut model["learner"]["gradient_booster"]["model"]["trees"];
            let mut trees = trees.as_array_mut().expect("trees").iter_mut();
            let tree = trees.find(|own| own["categories"] != json!([])).expect("categories");
            tree[key][0] = value.clone();
        };
        let error = reason(changed("categories.json", put));
        assert!(error.contains(told), "{error}");
    };
    put("categories", json!(4_000_000_000_u64), "category 4000000000");
    put("categories", json!(-1), "category -1");
    put("categories_sizes", json!(1000), "not so many categories");
    put("categories_segments", json!(1000), "lacks its categories");
    put("categories_nodes", json!(1000), "has no categories");
}

#[test]
fn a_huge_count_is_refused() {
    for (key, value) in [("num_feature", "4000000000"), ("num_class", "4000000000")] {
        let put = |model: &mut Value| {
            model["learner"]["learner_model_param"][key] = json!(value);
        };
        assert!(reason(changed("classes.json", put)).contains("4000000000"));
    }
}

#[test]
fn categories_go_right_and_all_else_left() {
    let model = |default_left: u8| {
        let put = |model: &mut Value| {
            model["learner"]["learner_model_param"]["base_score"] = json!("0");
            model["learner"]["gradient_booster"]["model"]["trees"] = json!([{
                "left_children": [1, -1, -1], "right_children": [2, -1, -1],
                "split_indices": [4, 0, 0], "split_conditions": [0.0, -1.0, 1.0],
                "default_left": [default_left, 0, 0], "split_type": [1, 0, 0],
                "categories": [0, 3, 40], "categories_nodes": [0], "categories_segments": [0],
                "categories_sizes": [3], "tree_param": {"num_nodes": "3"}
            }]);
            let model = &mut model["learner"]["gradient_booster"]["model"];
            model["gbtree_model_param"]["num_trees"] = json!("1");
            model["tree_info"] = json!([0]);
        };
        changed("one_hot.json", put).expect("a model").graph
    };
    let values = [0.0, 0.5, 3.0, 3.9, 40.0, -0.0, 1.0, -0.5, -1.0, 39.0, 41.0, 64.0, 1e9, f32::NAN];
    let rows: Vec<f32> = values.iter().flat_map(|value| [0.0, 0.0, 0.0, 0.0, *value]).collect();
    for default_left in [0, 1] {
        let rows = pelton_models::graph::Tensor::matrix(rows.clone(), 5);
        let found = scores(&model(default_left), rows);
        // What XGBoost 3.2 predicts for such a tree.
        let missing = if default_left == 1 { -1.0 } else { 1.0 };
        let right = [1.0; 6].into_iter().chain([-1.0; 7]).chain([missing]);
        assert_eq!(found, right.collect::<Vec<f32>>());
    }
}
