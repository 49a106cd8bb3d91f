//! Checkpoints in an object store: a real S3 server on this machine, over HTTP, whole runs on it.

mod job;
mod server;
mod store;
