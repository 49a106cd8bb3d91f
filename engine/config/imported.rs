//! A model trained elsewhere, of `[model]` or of a challenger: which file, and what goes in.

use std::path::PathBuf;

use super::family::Kind;
use super::read::{Key, Section};

/// The file of a trained model.
#[derive(Clone, Debug, PartialEq)]
pub struct FileConfig {
    /// Where it is.
    pub path: PathBuf,
    /// The features that its columns are, in their order; by the names in the file where empty.
    pub columns: Vec<String>,
    /// The output of an ONNX model that counts, if it is not the obvious one.
    pub output: Option<String>,
    /// What comes out.
    pub gives: Gives,
}

/// What comes out of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// What the file says; predictions where it does not.
    Auto,
    /// Probabilities, or values.
    Predictions,
    /// Log odds, or what a softmax makes probabilities of.
    LogOdds,
}

impl FileConfig {
    /// Reads the keys `file`, `file_columns`, `file_output` and `file_gives`.
    pub fn read(section: &mut Section<'_>, kind: Kind) -> Option<FileConfig> {
        let doc = "a trained model to start from: ONNX (.onnx), XGBoost (.json) or LightGBM \
                   (.txt); the model itself with kind = \"imported\", one more member of the \
                   mixture with kind = \"auto\"; it does not learn";
        let path = section.text_maybe(Key("file", doc));
        let doc = "features that the file's columns are, in their order; [] = by the names in the \
                   file";
        let columns = section.texts(Key("file_columns", doc));
        let doc = "the output of an ONNX model that counts; none = its only one, or the \
                   probabilities";
        let output = section.text_maybe(Key("file_output", doc));
        let doc = "what comes out of the file's model: auto = what the file says";
        let all = [
            ("auto", Gives::Auto),
            ("predictions", Gives::Predictions),
            ("log_odds", Gives::LogOdds),
        ];
        let gives = section.choice(Key("file_gives", doc), &all);
        let others = [
            ("file_columns", !columns.is_empty()),
            ("file_output", output.is_some()),
            ("file_gives", gives != Gives::Auto),
        ];
        for (key, _) in others.iter().filter(|(_, is)| *is && path.is_none()) {
            section.problem(key, "needs a file");
        }
        match (kind, &path) {
            (Kind::Imported, None) => {
                section.problem("file", "is missing; kind = \"imported\" needs a trained model");
            }
            (Kind::Imported | Kind::Auto, _) | (_, None) => {}
            (_, Some(_)) => section.problem("file", "needs kind = \"imported\" or \"auto\""),
        }
        path.map(|path| FileConfig { path: path.into(), columns, output, gives })
    }
}
