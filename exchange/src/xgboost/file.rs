//! The keys of a file that matter here. Counts are texts in it; numbers of trees are kept as text
//! until they are read as 32-bit floats, by one rounding as XGBoost reads them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

use super::malformed;
use crate::ExchangeError;

/// A file.
#[derive(Deserialize)]
pub(super) struct Model<'a> {
    #[serde(borrow)]
    pub(super) learner: Learner<'a>,
    /// Numbers of the release.
    #[serde(default)]
    pub(super) version: Vec<u32>,
}

/// A model.
#[derive(Deserialize)]
pub(super) struct Learner<'a> {
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) feature_names: Vec<String>,
    #[serde(borrow)]
    pub(super) gradient_booster: Booster<'a>,
    #[serde(borrow)]
    pub(super) learner_model_param: Parameters<'a>,
    pub(super) objective: Objective,
}

/// What is boosted; the name tells what else is there.
#[derive(Deserialize)]
pub(super) struct Booster<'a> {
    pub(super) name: String,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) gbtree: Option<Inner<'a>>,
    pub(super) weight_drop: Option<Vec<Float>>,
}

/// The trees that drop out.
#[derive(Deserialize)]
pub(super) struct Inner<'a> {
    #[serde(borrow)]
    pub(super) model: &'a RawValue,
}

/// Sizes, and where sums begin.
#[derive(Deserialize)]
pub(super) struct Parameters<'a> {
    #[serde(borrow)]
    pub(super) base_score: &'a RawValue,
    pub(super) num_class: String,
    pub(super) num_feature: String,
    pub(super) num_target: Option<String>,
}

/// What was trained for.
#[derive(Deserialize)]
pub(super) struct Objective {
    pub(super) name: String,
}

/// Trees.
#[derive(Deserialize)]
pub(super) struct Forest {
    pub(super) gbtree_model_param: ForestParameters,
    /// Since 2.0: the first tree of each round, and their number.
    pub(super) iteration_indptr: Option<Vec<usize>>,
    /// The class of each.
    pub(super) tree_info: Vec<usize>,
    pub(super) trees: Vec<Tree>,
}

/// How many trees.
#[derive(Deserialize)]
pub(super) struct ForestParameters {
    pub(super) num_parallel_tree: Option<String>,
    pub(super) num_trees: String,
}

/// A tree: one number a node, but for categories.
#[derive(Deserialize)]
pub(super) struct Tree {
    pub(super) left_children: Vec<i64>,
    pub(super) right_children: Vec<i64>,
    pub(super) split_indices: Vec<u64>,
    /// Thresholds; of leaves what they add.
    pub(super) split_conditions: Vec<Float>,
    pub(super) default_left: Vec<Truth>,
    /// 1 for categories; none in old files.
    #[serde(default)]
    pub(super) split_type: Vec<u8>,
    /// Those of all nodes,
    #[serde(default)]
    pub(super) categories: Vec<i64>,
    /// of these nodes,
    #[serde(default)]
    pub(super) categories_nodes: Vec<usize>,
    /// from here on,
    #[serde(default)]
    pub(super) categories_segments: Vec<usize>,
    /// so many.
    #[serde(default)]
    pub(super) categories_sizes: Vec<usize>,
    pub(super) tree_param: TreeParameters,
}

/// Sizes of a tree.
#[derive(Deserialize)]
pub(super) struct TreeParameters {
    pub(super) num_nodes: String,
    /// Numbers of a leaf: 0 or 1 where they are no list.
    pub(super) size_leaf_vector: Option<String>,
}

/// A linear model.
#[derive(Deserialize)]
pub(super) struct Linear {
    pub(super) weights: Vec<Float>,
}

/// A 32-bit float: finite, or one of [`NOT_FINITE`].
#[derive(Clone, Copy)]
pub(super) struct Float(pub(super) f32);

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Float, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let word = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        if let Some(word) = word.filter(|word| NOT_FINITE.contains(word)) {
            return word.parse().map(Float).map_err(D::Error::custom);
        }
        let number = text.parse().ok().filter(|own: &f32| own.is_finite());
        number.map(Float).ok_or_else(|| D::Error::custom(format!("`{}` is no number", short(text))))
    }
}

/// Words that XGBoost writes where JSON has none: NaN is the threshold of splits by categories.
const NOT_FINITE: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// JSON as it should be: [`NOT_FINITE`] as texts. The bytes themselves where there are none.
pub(super) fn mended(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (mut mended, mut kept) = (Vec::new(), 0);
    let (mut at, mut is_in_text) = (0, false);
    while let Some(byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let is_word = |word: &&&str| rest.starts_with(word.as_bytes());
        at += match byte {
            b'\\' if is_in_text => 2,
            b'"' => {
                is_in_text = !is_in_text;
                1
            }
            b'-' | b'I' | b'N' if !is_in_text => match NOT_FINITE.iter().find(is_word) {
                Some(word) => {
                    mended.extend_from_slice(&bytes[kept..at]);
                    mended.extend_from_slice(format!("\"{word}\"").as_bytes());
                    kept = at + word.len();
                    word.len()
                }
                None => 1,
            },
            _ => 1,
        };
    }
    if kept == 0 {
        return Cow::Borrowed(bytes);
    }
    mended.extend_from_slice(&bytes[kept..]);
    Cow::Owned(mended)
}

/// `true`, or 1 as newer releases write it.
#[derive(Clone, Copy)]
pub(super) struct Truth(pub(super) bool);

impl<'de> Deserialize<'de> for Truth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Truth, D::Error> {
        match <&RawValue>::deserialize(deserializer)?.get() {
            "true" | "1" => Ok(Truth(true)),
            "false" | "0" => Ok(Truth(false)),
            other => Err(D::Error::custom(format!("`{}` is neither true nor false", short(other)))),
        }
    }
}

/// A part that was left unread until it was known what it is.
pub(super) fn parsed<'a, T: Deserialize<'a>>(
    name: &str,
    part: &'a RawValue,
) -> Result<T, ExchangeError> {
    serde_json::from_str(part.get()).map_err(|error| malformed(format!("in `{name}`: {error}")))
}

/// A count, written as text.
pub(super) fn count(name: &str, text: &str) -> Result<usize, ExchangeError> {
    let reason = || malformed(format!("`{name}` is `{}`, no count", short(text)));
    text.parse::<u32>().map(|own| own as usize).map_err(|_| reason())
}

/// The beginning of a text that may be long.
pub(super) fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
