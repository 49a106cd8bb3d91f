//! Where numbers are worked on: the CPU, or a GPU with its memory, streams and kernels.
//!
//! A [`Device`] is chosen once, at start. [`Device::open`] is the only place where a GPU that is
//! not there becomes the CPU; what goes wrong later is a [`DeviceError`], and it is the caller who
//! goes back to what it has saved. There is no fallback by kernel.
//!
//! A [`Gpu`] is reached through a [`Stream`]: memory ([`Buffer`] there, [`Pinned`] here), copies
//! and launches in order. One module, `device/cuda.rs`, names the driver, which is loaded when it
//! is asked for: the program links no library of a GPU and runs where none is installed.
//!
//! Invariant: after a call has failed, every later call on that GPU fails in the same way, so that
//! nothing is computed from what a failed one left behind. What this does not do: choose between
//! several GPUs by load, or share one model among them.

mod block;
mod buffer;
mod cuda;
#[cfg(feature = "double")]
pub mod double;
mod driver;
mod energy;
mod error;
mod image;
mod launch;
#[cfg(all(test, feature = "double"))]
mod order_tests;
mod pinned;
#[cfg(all(test, feature = "double"))]
mod probes;
mod stream;

use std::sync::{Arc, OnceLock};

pub use block::{Block, BlockPlan, Part};
pub use buffer::{Buffer, Plain};
pub use driver::{Description, Pinning};
pub use energy::EnergyMeter;
pub use error::DeviceError;
pub use launch::{Argument, Launch};
pub use pinned::Pinned;
pub use stream::{Event, Graph, Stream};

use driver::Driver;

/// Which device is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU where there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number; an error where it is missing.
    Cuda(u32),
}

/// What works on numbers.
#[derive(Clone, Debug)]
pub enum Device {
    /// The threads of this process.
    Cpu,
    /// A GPU.
    Gpu(Arc<Gpu>),
}

/// A GPU that is in use.
pub struct Gpu {
    driver: Box<dyn Driver>,
    description: Description,
    lost: OnceLock<DeviceError>,
}

impl DeviceChoice {
    /// Reads `auto`, `cpu`, `cuda` or `cuda:N`.
    #[must_use]
    pub fn parse(text: &str) -> Option<DeviceChoice> {
        match text {
            "auto" => Some(DeviceChoice::Auto),
            "cpu" => Some(DeviceChoice::Cpu),
            "cuda" => Some(DeviceChoice::Cuda(0)),
            _ => text.strip_prefix("cuda:")?.parse().ok().map(DeviceChoice::Cuda),
        }
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl Device {
    /// Opens what is asked for. For [`DeviceChoice::Auto`] a GPU that cannot be used gives the CPU,
    /// with the reason.
    ///
    /// # Errors
    /// [`DeviceError`] when a certain GPU is asked for and cannot be used.
    pub fn open(choice: DeviceChoice) -> Result<(Device, Option<DeviceError>), DeviceError> {
        match choice {
            DeviceChoice::Cpu => Ok((Device::Cpu, None)),
            DeviceChoice::Cuda(number) => Ok((Device::Gpu(Gpu::open(number)?), None)),
            DeviceChoice::Auto => Ok(match Gpu::open(0) {
                Ok(gpu) => (Device::Gpu(gpu), None),
                Err(reason) => (Device::Cpu, Some(reason)),
            }),
        }
    }

    /// `cpu` or `cuda`: the kind, for labels.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Device::Cpu => "cpu",
            Device::Gpu(_) => "cuda",
        }
    }

    /// The GPU, if it is one.
    #[must_use]
    pub fn gpu(&self) -> Option<&Arc<Gpu>> {
        match self {
            Device::Cpu => None,
            Device::Gpu(gpu) => Some(gpu),
        }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Gpu(gpu) => write!(f, "cuda:{}", gpu.description.number),
        }
    }
}

impl Gpu {
    /// Opens the GPU of this number.
    ///
    /// # Errors
    /// [`DeviceError::Absent`] without a driver or GPU, [`DeviceError::Number`] where there are
    /// fewer, [`DeviceError::Lost`] when it cannot be set up.
    pub fn open(number: u32) -> Result<Arc<Gpu>, DeviceError> {
        #[cfg(feature = "double")]
        if let Some(double) = double::asked_for() {
            return double.map(Gpu::over);
        }
        cuda::open(number).map(|driver| Gpu::over(Box::new(driver)))
    }

    fn over(driver: Box<dyn Driver>) -> Arc<Gpu> {
        let description = driver.describe();
        Arc::new(Gpu { driver, description, lost: OnceLock::new() })
    }

    /// What it is.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Bytes of device memory that are free, and all of them.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn memory(self: &Arc<Self>) -> Result<(u64, u64), DeviceError> {
        self.call(|driver| driver.memory())
    }

    /// A call of the driver; the first that fails for good is what all later ones report.
    fn call<T>(
        &self,
        call: impl FnOnce(&dyn Driver) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        if let Some(lost) = self.lost.get() {
            return Err(lost.clone());
        }
        call(&*self.driver).inspect_err(|error| {
            if error.is_lost() {
                // Another thread may have been first, which is as well.
                let _ = self.lost.set(error.clone());
            }
        })
    }

    /// A call that gives something back, of which nobody can be told that it failed.
    fn release(&self, call: impl FnOnce(&dyn Driver) -> Result<(), DeviceError>) {
        // A lost GPU has taken its memory along.
        let _ = self.call(call);
    }
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpu").field("description", &self.description).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_and_shown() {
        for text in ["auto", "cpu", "cuda:0", "cuda:7"] {
            assert_eq!(DeviceChoice::parse(text).map(|c| c.to_string()).as_deref(), Some(text));
        }
        assert_eq!(DeviceChoice::parse("cuda"), Some(DeviceChoice::Cuda(0)));
        for text in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            assert_eq!(DeviceChoice::parse(text), None, "{text}");
        }
    }

    #[test]
    fn auto_is_the_cpu_with_a_reason_where_no_gpu_is() {
        let (device, reason) = Device::open(DeviceChoice::Auto).expect("auto always opens");
        match device {
            Device::Cpu => assert!(reason.is_some_and(|reason| !reason.to_string().is_empty())),
            Device::Gpu(_) => assert!(reason.is_none()),
        }
        let (device, reason) = Device::open(DeviceChoice::Cpu).expect("the CPU is there");
        assert!(device.gpu().is_none() && reason.is_none());
    }
}
