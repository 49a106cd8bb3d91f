//! Why a file cannot be read or written.

/// What is wrong with a file, or with a model that is to become one.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// It is damaged, or not of this format.
    #[error("this is no {format} model: {reason}")]
    Malformed {
        /// The format.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// It is sound, but holds what is not done here.
    #[error("this {format} model needs what is not supported: {what}")]
    Unsupported {
        /// The format.
        format: &'static str,
        /// What, and where possible what to do instead.
        what: String,
    },
}

impl ExchangeError {
    /// [`ExchangeError::Malformed`].
    pub(crate) fn malformed(format: &'static str, reason: impl Into<String>) -> ExchangeError {
        ExchangeError::Malformed { format, reason: reason.into() }
    }

    /// [`ExchangeError::Unsupported`].
    pub(crate) fn unsupported(format: &'static str, what: impl Into<String>) -> ExchangeError {
        ExchangeError::Unsupported { format, what: what.into() }
    }
}
