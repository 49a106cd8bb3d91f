//! What a GPU refuses, and how it goes away.

/// A GPU that cannot be used, or can no longer be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// No driver, or a driver without a GPU.
    #[error("no GPU: {reason}")]
    Absent {
        /// What is missing.
        reason: String,
    },
    /// There are GPUs, but not this one.
    #[error("there is no GPU {number}: {count} found, counted from 0")]
    Number {
        /// The one asked for.
        number: u32,
        /// How many there are.
        count: u32,
    },
    /// Its memory does not suffice; nothing was changed.
    #[error("{bytes} bytes do not fit into the memory of the GPU")]
    Memory {
        /// Bytes asked for.
        bytes: u64,
    },
    /// A call failed and the context with it: all that lay in the memory of the GPU is lost.
    #[error("the GPU is lost: {call} returned {name} ({code})")]
    Lost {
        /// The call of the driver.
        call: &'static str,
        /// Its result by number.
        code: u32,
        /// Its result by name.
        name: String,
    },
    /// A kernel that the program does not contain: a bug.
    #[error("there is no kernel {kernel}")]
    Kernel {
        /// Its name.
        kernel: &'static str,
    },
}

impl DeviceError {
    /// Whether the GPU cannot be used any more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, DeviceError::Lost { .. })
    }
}
