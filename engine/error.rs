//! What can end a run: what failed, who must act, and what to do about it.
//!
//! Bad records, missing labels and non-finite numbers are not errors but counted data; see
//! [`Reason`](crate::ring::Reason).

use std::path::PathBuf;

use pelton_kernels::KernelError;
use pelton_kernels::coordinate::device::TableError;
use pelton_kernels::device::DeviceError;
use pelton_models::ModelError;
use pelton_models::evaluate::EvaluateError;

use crate::checkpoint::format::Damage;
use crate::config::Problems;

/// Who must act on an error; decides the exit code of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The user: configuration, arguments, the shape of the data.
    User,
    /// Something outside: a broker, a disk, a network.
    Outside,
    /// This program: a bug.
    Us,
}

impl Actor {
    /// The exit code of the program.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Actor::User => 2,
            Actor::Outside => 3,
            Actor::Us => 4,
        }
    }
}

/// What ended a run, or kept it from starting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration has problems; all of them are in the list.
    #[error("{path}: {problems}")]
    Config {
        /// The file.
        path: PathBuf,
        /// Every problem found.
        problems: Problems,
    },
    /// A command line that cannot be carried out.
    #[error("{what}; {remedy}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What to do.
        remedy: String,
    },
    /// A file could not be opened, read or written.
    #[error("cannot {action} {path}")]
    File {
        /// `open`, `read`, `write`, `create`, `rename`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A recorded stream is not of the format its name says, or lacks a column.
    #[error("{path} is not a stream this configuration can read: {reason}")]
    Recording {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The file of a trained model cannot be used.
    #[error("{path} is no model that fits this configuration: {reason}")]
    Imported {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The broker refused something, and asking again would not help.
    #[error("kafka at {brokers}: cannot {action}")]
    Kafka {
        /// The brokers asked.
        brokers: String,
        /// What was tried, with the topic.
        action: String,
        /// The cause.
        source: Box<rdkafka::error::KafkaError>,
    },
    /// The run ended with records that a sink did not take.
    #[error("{records} records could not be delivered to the sink of {sink}; {}", kept_in(.kept))]
    Undelivered {
        /// How many.
        records: u64,
        /// `scores` or `dead_letters`.
        sink: &'static str,
        /// Where they are kept.
        kept: Option<PathBuf>,
    },
    /// A port for the metrics page could not be opened.
    #[error("cannot serve metrics on {address}: {reason}; choose another [metrics] listen address")]
    Metrics {
        /// The address asked for.
        address: String,
        /// The cause.
        reason: String,
    },
    /// The device that was asked for cannot be used, or not any more.
    #[error("{}", said_of_device(.0))]
    Device(#[from] DeviceError),
    /// A kernel was called with arguments that do not fit.
    #[error("a kernel was called wrongly")]
    Kernel(#[from] KernelError),
    /// A model was called with arguments that do not fit, or its state cannot be read.
    #[error("the model failed")]
    Model(#[from] ModelError),
    /// The evaluation is not possible.
    #[error("[evaluate] asks for what cannot be measured")]
    Evaluate(#[from] EvaluateError),
    /// A part of the state could not be written or read.
    #[error("the state of `{section}` cannot be written or read")]
    State {
        /// The part.
        section: String,
        /// The cause.
        source: std::io::Error,
    },
    /// Another process has the checkpoints open.
    #[error(
        "another process has the checkpoints in {} open; stop it, or give this one a \
         [checkpoint] dir of its own", .place.display()
    )]
    InUse {
        /// Their folder.
        place: PathBuf,
    },
    /// Another engine has become the owner of the checkpoints.
    #[error(
        "another process has taken over the checkpoints in {place}; stop one of the two, or give \
         it a [checkpoint] dir of its own"
    )]
    Replaced {
        /// The URL they lie at.
        place: String,
    },
    /// A checkpoint is not what was written.
    #[error("{name} cannot be used")]
    Checkpoint {
        /// The file.
        name: String,
        /// What is wrong with it.
        source: Damage,
    },
    /// A checkpoint was written under other settings.
    #[error(
        "{name} was written under another [{section}]; restore those settings, or choose another \
         [checkpoint] dir to begin anew"
    )]
    Foreign {
        /// The file.
        name: String,
        /// The part of the settings that differs.
        section: String,
    },
    /// There are checkpoints, and none of them can be used.
    #[error(
        "none of the {count} checkpoints in {place} can be used; choose another [checkpoint] dir \
         to begin anew"
    )]
    NoCheckpoint {
        /// Where they lie.
        place: String,
        /// How many there are.
        count: usize,
        /// Why the newest was refused.
        source: Box<Error>,
    },
    /// A simulated history has broken a promise.
    #[error("seed {seed}: {what}; `pelton simulate --seed {seed} --steps {steps}` shows it again")]
    Simulated {
        /// The seed.
        seed: u64,
        /// Steps of the history.
        steps: u64,
        /// What was found.
        what: String,
    },
    /// A thread of the pipeline ended by a panic.
    #[error("the {stage} thread panicked")]
    Panicked {
        /// The stage.
        stage: &'static str,
    },
}

impl From<TableError> for Error {
    fn from(error: TableError) -> Error {
        match error {
            TableError::Kernel(error) => Error::Kernel(error),
            TableError::Device(error) => Error::Device(error),
        }
    }
}

impl Error {
    /// Who must act.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Error::Config { .. }
            | Error::Evaluate(_)
            | Error::Usage { .. }
            | Error::InUse { .. }
            | Error::Replaced { .. }
            | Error::Foreign { .. }
            | Error::Imported { .. }
            | Error::Recording { .. } => Actor::User,
            Error::NoCheckpoint { source, .. } => source.actor(),
            Error::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Actor::User
            }
            Error::File { .. }
            | Error::Kafka { .. }
            | Error::State { .. }
            | Error::Checkpoint { .. }
            | Error::Undelivered { .. }
            | Error::Metrics { .. } => Actor::Outside,
            Error::Device(_) => Actor::Outside,
            _ if self.is_device_lost() => Actor::Outside,
            Error::Kernel(_)
            | Error::Model(_)
            | Error::Simulated { .. }
            | Error::Panicked { .. } => Actor::Us,
        }
    }

    /// Whether a GPU went away, with what lay in its memory: the run can go on from its last
    /// checkpoint, on the CPU.
    #[must_use]
    pub fn is_device_lost(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if error.downcast_ref().is_some_and(DeviceError::is_lost) {
                return true;
            }
            // An I/O error that carries another gives the cause of that, and not itself.
            let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            cause = match inner {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        false
    }

    /// The error with its causes, on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// For `map_err`: a failed file operation with its path.
    pub fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { action, path, source }
    }
}

/// What becomes of records that were not delivered.
fn kept_in(kept: &Option<PathBuf>) -> String {
    match kept {
        Some(dir) => format!("they are kept in {} and go out at the next start", dir.display()),
        None => "they are lost unless a checkpoint brings them back; give [emit] spill_dir".into(),
    }
}

/// Settings help where a GPU cannot be had, not where one goes away that was.
fn said_of_device(error: &DeviceError) -> &'static str {
    if error.is_lost() {
        return "the device failed";
    }
    "the configuration's device cannot be used; give device = \"auto\" or \"cpu\" to go on without \
     a GPU"
}
