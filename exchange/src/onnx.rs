//! ONNX: what most tools of machine learning write, and what libraries for inference read.
//!
//! [`write()`] spells a graph by operator set 17 and the tree ensembles of ai.onnx.ml 3; [`read`]
//! lowers what pipelines and small networks are made of to the operations of a graph.
//!
//! The formats: the files onnx.proto, Operators.md and Operators-ml.md of the ONNX project
//! (version 1.20). What they leave open is done as onnxruntime 1.x does it.

pub(crate) mod names;
mod proto;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::read;
pub(crate) use write::little_endian;
pub use write::write;

const FORMAT: &str = "ONNX";
