//! The model of a checkpoint as a file that other tools run: ONNX, or its numbers as safetensors.
//!
//! What leaves is the model whose scores leave (the champion of a contest), with all that stands
//! between a row's features and its score: running standardisation, notes on the last labels,
//! calibration, as they are at the checkpoint. Features are computed by the engine; their names,
//! and how categories become indices, are in the file (docs/exchange.md). The file is written whole
//! or not at all.

use std::path::{Path, PathBuf};

use pelton_exchange::{onnx, safetensors};
use pelton_models::Task;
use pelton_models::graph::Graph;

use crate::checkpoint::registry::write;
use crate::checkpoint::{exchange, file_name, recover};
use crate::config::Config;
use crate::device::Device;
use crate::error::Error;
use crate::imported::sparse_about;
use crate::pipeline::Pipeline;

/// What was written.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The checkpoint it is of.
    pub sequence: u64,
    /// Digest of the model's state, as hexadecimal text.
    pub model_digest: String,
    /// Dense and sparse features of a row.
    pub widths: [usize; 2],
    /// Bytes of the file.
    pub bytes: usize,
    /// The file.
    pub path: PathBuf,
}

/// Which kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Onnx,
    Safetensors,
}

/// Writes the model of a checkpoint, as the ending of the file's name says: of one of the
/// configuration's own place, the newest by default, or of a file such as a registered version's.
///
/// # Errors
/// Those of reading the checkpoint; [`Error::Usage`] for another ending, a checkpoint that is not
/// there, or a model that is no graph; [`Error::File`] when the file cannot be written.
pub fn export(
    config: &Config,
    to: &Path,
    (sequence, from): (Option<u64>, Option<&Path>),
) -> Result<Exported, Error> {
    let format = match to.extension().and_then(|own| own.to_str()) {
        Some("onnx") => Format::Onnx,
        Some("safetensors") => Format::Safetensors,
        _ => {
            return Err(Error::Usage {
                what: format!("{} is of no format that is known", to.display()),
                remedy: "let its name end in .onnx or .safetensors".into(),
            });
        }
    };
    let (name, bytes) = match from {
        Some(path) => {
            let bytes = std::fs::read(path).map_err(Error::file("read", path))?;
            (path.display().to_string(), bytes)
        }
        None => {
            let (sequence, bytes) = exchange::bytes_of(config, sequence)?;
            (file_name(sequence), bytes)
        }
    };
    let (recovery, manifest) = recover::read_bytes(bytes, &name, (config, &Device::Cpu))?;
    let sequence = manifest.sequence;
    let pipeline = &recovery.pipeline;
    let graph = graph(pipeline)?;
    let mut about = about(config, pipeline)?;
    about.push(("checkpoint".into(), sequence.to_string()));
    about.push(("watermark_ms".into(), manifest.watermark_ms.to_string()));
    let written = match format {
        Format::Onnx => onnx::write(&graph, &about),
        Format::Safetensors => safetensors::write(&graph, &about),
    };
    let written = written.map_err(|error| Error::Usage {
        what: error.to_string(),
        remedy: "export a model without it".into(),
    })?;
    write(to, &written)?;
    let plan = pipeline.features().plan();
    Ok(Exported {
        sequence,
        model_digest: pipeline.learner().model_digest()?,
        widths: [plan.width(), plan.sparse.len()],
        bytes: written.len(),
        path: to.to_owned(),
    })
}

/// What the pipeline's model does with features.
///
/// # Errors
/// [`Error::Model`] for a model that cannot be drawn.
pub fn graph(pipeline: &Pipeline) -> Result<Graph, Error> {
    let (features, learner) = (pipeline.features(), pipeline.learner());
    Ok(Graph::of_scaled(learner.model(), features.shape(), features.moments())?)
}

/// What a person, or a program that feeds the model, has to know of it.
fn about(config: &Config, pipeline: &Pipeline) -> Result<Vec<(String, String)>, Error> {
    let (learner, plan) = (pipeline.learner(), pipeline.features().plan());
    let task = match config.model.task {
        Task::Binary => "binary".to_owned(),
        Task::MultiClass { classes } => format!("{classes} classes"),
        Task::Regression => "regression".to_owned(),
    };
    let pairs = [
        ("program", concat!("pelton ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("task", task),
        ("kind", learner.model_name().to_owned()),
        ("labels", learner.counts().learned.to_string()),
        ("model_digest", learner.model_digest()?),
        ("columns.dense", serde_json::to_string(&plan.dense_names).expect("texts are JSON")),
    ];
    Ok(pairs
        .into_iter()
        .chain(sparse_about(plan))
        .map(|(key, value)| (key.to_owned(), value))
        .collect())
}
