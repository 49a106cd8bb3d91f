//! A model trained elsewhere, as a drawing whose inputs are features of this stream.
//!
//! Columns of the file are found among the features by name: those that the file tells, or those
//! that `file_columns` lists. What is missing is an error that names it and what there is.

use std::path::Path;
use std::sync::Arc;

use pelton_exchange::{ExchangeError, Imported, Predicts, lightgbm, onnx, xgboost};
use pelton_models::Task;
use pelton_models::frozen::{Drawing, Feed};
use pelton_models::graph::Kind;

use crate::config::Config;
use crate::config::imported::{FileConfig, Gives};
use crate::error::Error;
use crate::features::plan::Plan;

/// Names listed in an error.
const LISTED_MAX: usize = 20;

/// The model in a file.
///
/// # Errors
/// [`Error::File`] when it cannot be read, [`Error::Imported`] when it is no model that fits.
pub fn load(config: &Config, file: &FileConfig) -> Result<Arc<Drawing>, Error> {
    let path = &file.path;
    let bytes = std::fs::read(path).map_err(Error::file("read", path))?;
    let refused = |reason: String| Error::Imported { path: path.clone(), reason };
    let imported = read(path, &bytes, file).map_err(|error| refused(error.to_string()))?;
    let plan = Plan::new(config);
    let is_log_odds = gives_log_odds(config.model.task, file.gives, imported.predicts);
    let is_log_odds = is_log_odds.map_err(refused)?;
    let feeds = feeds(&plan, &imported, file).map_err(refused)?;
    let digest = *blake3::hash(&bytes).as_bytes().first_chunk::<16>().expect("32 bytes have 16");
    let digest = u128::from_le_bytes(digest);
    Ok(Arc::new(Drawing { graph: imported.graph, feeds, is_log_odds, digest }))
}

/// Reads a file by what its name says, or by what it begins with.
fn read(path: &Path, bytes: &[u8], file: &FileConfig) -> Result<Imported, ExchangeError> {
    let extension = path.extension().and_then(|own| own.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "onnx" => onnx::read(bytes, file.output.as_deref()),
        "txt" => lightgbm::read(bytes),
        _ if bytes.starts_with(b"tree\n") || is_dump(bytes) => lightgbm::read(bytes),
        _ => xgboost::read(bytes),
    }
}

/// Whether it is what LightGBM's `dump_model` gives: trees, and no learner around them.
fn is_dump(bytes: &[u8]) -> bool {
    let has = |text: &str, key| text.contains(key);
    let is = |text: &str| has(text, "\"tree_info\"") && !has(text, "\"learner\"");
    std::str::from_utf8(bytes).is_ok_and(is)
}

/// Whether what comes out has to go through a link.
fn gives_log_odds(task: Task, gives: Gives, predicts: Predicts) -> Result<bool, String> {
    let is_class = task != Task::Regression;
    match (gives, predicts) {
        (Gives::LogOdds, _) => Ok(is_class),
        (Gives::Predictions, _) => Ok(false),
        (Gives::Auto, Predicts::Value) if is_class => Err(
            "it predicts values, and the task is one of classes; say file_gives = \"log_odds\" \
             where these are log odds, \"predictions\" where they are probabilities"
                .to_owned(),
        ),
        (Gives::Auto, Predicts::Probability | Predicts::Probabilities) if !is_class => {
            Err("it predicts probabilities, and the task is regression".to_owned())
        }
        (Gives::Auto, _) => Ok(false),
    }
}

/// What each input of the graph is fed.
fn feeds(plan: &Plan, imported: &Imported, file: &FileConfig) -> Result<Vec<Feed>, String> {
    let inputs: Vec<(&str, Kind, usize)> =
        imported.graph.inputs().map(|(_, name, kind, columns)| (name, kind, columns)).collect();
    let mut listed = file.columns.iter();
    let mut feeds = Vec::with_capacity(inputs.len());
    for ((name, kind, columns), own) in inputs.into_iter().zip(&imported.columns) {
        let is_sparse = kind == Kind::I64 && name == "sparse" && columns == plan.sparse.len();
        if is_sparse && columns > 0 {
            check_categories(plan, imported)?;
            feeds.push(Feed::Sparse);
            continue;
        }
        let names: Vec<&String> = match (file.columns.is_empty(), own) {
            (false, _) => listed.by_ref().take(columns).collect(),
            (true, Some(own)) => own.iter().collect(),
            (true, None) => {
                return Err(format!(
                    "its {columns} columns have no names; list the features that they are in \
                     file_columns: {}",
                    shown(&plan.dense_names)
                ));
            }
        };
        if names.len() != columns {
            let given = file.columns.len();
            return Err(format!(
                "input {name:?} has {columns} columns, and file_columns lists {given} in all"
            ));
        }
        let place = |name: &&String| plan.dense_names.iter().position(|own| own == *name);
        let missing: Vec<String> =
            names.iter().filter(|name| place(name).is_none()).map(|name| (*name).clone()).collect();
        if !missing.is_empty() {
            return Err(format!(
                "there are no features {}; there are {}. Give the stream such features, or list \
                 what the columns are in file_columns",
                shown(&missing),
                shown(&plan.dense_names)
            ));
        }
        let places = names.iter().filter_map(place).map(|place| place as u32).collect();
        feeds.push(Feed::Dense(places));
    }
    match listed.next() {
        Some(name) => Err(format!("file_columns lists more than its inputs take, {name:?} on")),
        None => Ok(feeds),
    }
}

/// Whether the file's indices of categories are this stream's: the same columns, hashed alike.
/// Other ones would be scored in silence, by the weights of other categories.
fn check_categories(plan: &Plan, imported: &Imported) -> Result<(), String> {
    let told = |key: &str| {
        let found = imported.about.iter().find(|(own, _)| own == key);
        found.map_or("nothing", |(_, value)| value.as_str())
    };
    for (key, ours) in sparse_about(plan) {
        if told(key) != ours {
            return Err(format!(
                "its categories are not those of this stream: {key} is {} there and {ours} here",
                told(key)
            ));
        }
    }
    Ok(())
}

/// What decides the index of a category, as an exported file says it.
pub(crate) fn sparse_about(plan: &Plan) -> [(&'static str, String); 3] {
    let salts: Vec<u64> = plan.sparse.iter().map(|column| column.salt).collect();
    [
        ("columns.sparse", serde_json::to_string(&plan.sparse_names).expect("texts are JSON")),
        ("sparse_bits", plan.hash_bits.to_string()),
        ("sparse_salts", serde_json::to_string(&salts).expect("numbers are JSON")),
    ]
}

fn shown(names: &[String]) -> String {
    let first: Vec<String> =
        names.iter().take(LISTED_MAX).map(|name| format!("{name:?}")).collect();
    let rest = names.len().saturating_sub(LISTED_MAX);
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{rest}", first.join(", "))
}
