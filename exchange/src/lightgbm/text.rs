//! The text of a model: lines `key=value`, first of the model, then of each tree behind a line
//! `Tree=0`, until `end of trees`. What is behind (importances, parameters of the training) does
//! not matter.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::split::{Missing, Split, Test};
use super::{FORMAT, FileTree, Said, malformed};
use crate::ExchangeError;

/// Lines of one part, by their keys.
struct Part<'a> {
    name: String,
    values: BTreeMap<&'a str, &'a str>,
}

impl<'a> Part<'a> {
    fn new(name: String) -> Part<'a> {
        Part { name, values: BTreeMap::new() }
    }

    fn take(&mut self, line: &'a str) -> Result<(), ExchangeError> {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        match self.values.insert(key, value.trim()) {
            Some(_) => Err(malformed(format!("{}: `{}` is there twice", self.name, start(key)))),
            None => Ok(()),
        }
    }

    fn get(&self, key: &str) -> Result<&'a str, ExchangeError> {
        let reason = || malformed(format!("{} has no `{key}`", self.name));
        self.values.get(key).copied().ok_or_else(reason)
    }

    fn one<T: FromStr>(&self, key: &str) -> Result<T, ExchangeError> {
        self.parse(key, self.get(key)?)
    }

    /// A list of so many numbers.
    fn list<T: FromStr>(&self, key: &str, length: usize) -> Result<Vec<T>, ExchangeError> {
        let words = self.get(key)?.split_ascii_whitespace();
        let list: Vec<T> = words.map(|word| self.parse(key, word)).collect::<Result<_, _>>()?;
        if list.len() != length {
            let (name, given) = (&self.name, list.len());
            return Err(malformed(format!("{name}: `{key}` is {given} numbers, not {length}")));
        }
        Ok(list)
    }

    fn parse<T: FromStr>(&self, key: &str, word: &str) -> Result<T, ExchangeError> {
        let reason = || format!("{}: `{key}` is `{}`, no such number", self.name, start(word));
        word.parse().map_err(|_| malformed(reason()))
    }
}

/// Reads the text.
pub(super) fn read(text: &str) -> Result<Said, ExchangeError> {
    let mut lines = text.lines().map(str::trim_end);
    if lines.next() != Some("tree") {
        return Err(malformed("its first line is not `tree`"));
    }
    let mut model = Part::new("the model".into());
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut is_whole = false;
    for line in lines.filter(|line| !line.is_empty()) {
        if line == "end of trees" {
            is_whole = true;
            break;
        }
        match line.strip_prefix("Tree=") {
            Some(number) if number != parts.len().to_string() => {
                let number = start(number);
                return Err(malformed(format!("tree {number} comes after {} trees", parts.len())));
            }
            Some(number) => parts.push(Part::new(format!("tree {number}"))),
            None => parts.last_mut().unwrap_or(&mut model).take(line)?,
        }
    }
    if !is_whole {
        return Err(malformed("it breaks off before `end of trees`"));
    }
    let version = model.get("version")?;
    if !matches!(version, "v3" | "v4") {
        let version = start(version);
        let what = format!("version {version}; load and save it with LightGBM 3 or 4");
        return Err(ExchangeError::unsupported(FORMAT, what));
    }
    // What is measured here are bytes of each tree; only how many there are is looked at.
    let sizes = model.values.get("tree_sizes").map(|own| own.split_ascii_whitespace().count());
    if let Some(sizes) = sizes.filter(|sizes| *sizes != parts.len()) {
        return Err(malformed(format!("it has {} trees, but sizes of {sizes}", parts.len())));
    }
    let last: u32 = model.one("max_feature_idx")?;
    let names = model.get("feature_names")?.split_ascii_whitespace();
    Ok(Said {
        columns: last as usize + 1,
        names: names.map(str::to_owned).collect(),
        outputs: model.one("num_tree_per_iteration")?,
        objective: model.values.get("objective").map(|own| (*own).to_owned()),
        is_average: model.values.contains_key("average_output"),
        trees: parts.iter().map(tree).collect::<Result<_, _>>()?,
    })
}

fn tree(part: &Part<'_>) -> Result<FileTree, ExchangeError> {
    if part.values.get("is_linear").is_some_and(|own| *own != "0") {
        let what = "linear trees; train without `linear_tree`";
        return Err(ExchangeError::unsupported(FORMAT, what));
    }
    let count: usize = part.one("num_leaves")?;
    let splits = count.checked_sub(1).ok_or_else(|| malformed(part.name.clone() + " is empty"))?;
    let leaves = part.list("leaf_value", count)?;
    if splits == 0 {
        return Ok(FileTree { splits: Vec::new(), leaves });
    }
    let columns: Vec<usize> = part.list("split_feature", splits)?;
    let thresholds: Vec<f64> = part.list("threshold", splits)?;
    let types: Vec<u8> = part.list("decision_type", splits)?;
    let lefts: Vec<i64> = part.list("left_child", splits)?;
    let rights: Vec<i64> = part.list("right_child", splits)?;
    let categories = Categories::of(part)?;
    let mut taken = 0;
    let mut split = |place: usize| {
        let (threshold, kind) = (thresholds[place], types[place]);
        let wrong = |what: &str| malformed(format!("{}: {what} of split {place}", part.name));
        // A split of NaN from all that is not has the threshold `inf`.
        if threshold.is_nan() || kind > 15 {
            return Err(wrong("threshold or decision type"));
        }
        let missing = match kind >> 2 & 3 {
            0 => Missing::None,
            1 => Missing::Zero,
            2 => Missing::Nan,
            _ => return Err(wrong("kind of missing values")),
        };
        let test = if kind & 1 == 1 {
            let words = categories.at(threshold).ok_or_else(|| wrong("categories"))?;
            // Each split has words of its own; a few lines could ask for very much otherwise.
            taken += words.len();
            if taken > categories.words.len() {
                return Err(wrong("categories that another has, too,"));
            }
            Test::OneOf(words.to_vec())
        } else {
            Test::UpTo(threshold)
        };
        let (left, right) = (lefts[place], rights[place]);
        let is_default_left = kind & 2 == 2;
        Ok(Split { column: columns[place], test, missing, is_default_left, left, right })
    };
    Ok(FileTree { splits: (0..splits).map(&mut split).collect::<Result<_, _>>()?, leaves })
}

/// Bits of the categories of all splits of a tree, 32 a word; the threshold of a split is the
/// place of its first and last word among the boundaries.
struct Categories {
    boundaries: Vec<usize>,
    words: Vec<u32>,
}

impl Categories {
    fn of(part: &Part<'_>) -> Result<Categories, ExchangeError> {
        let count: usize = part.one("num_cat")?;
        if count == 0 {
            return Ok(Categories { boundaries: Vec::new(), words: Vec::new() });
        }
        let boundaries: Vec<usize> = part.list("cat_boundaries", count.saturating_add(1))?;
        let length = boundaries.last().copied().unwrap_or(0);
        if !boundaries.is_sorted() {
            return Err(malformed(format!("{}: `cat_boundaries` go back", part.name)));
        }
        Ok(Categories { boundaries, words: part.list("cat_threshold", length)? })
    }

    fn at(&self, threshold: f64) -> Option<&[u32]> {
        let place = threshold as usize;
        if threshold < 0.0 || threshold != place as f64 {
            return None;
        }
        let (begin, end) = (*self.boundaries.get(place)?, *self.boundaries.get(place + 1)?);
        self.words.get(begin..end)
    }
}

/// The beginning of a text that may be long.
fn start(text: &str) -> String {
    text.chars().take(40).collect()
}
