//! What a GPU has drawn, as NVIDIA's management library (NVML) counts it.
//!
//! The library comes with the driver and is opened when somebody asks; where it is missing, or the
//! GPU does not count (before Volta, in a slice of one), nobody gets a meter. Nothing but benches
//! depends on it.

use std::ffi::{CString, c_char, c_int, c_void};

use libloading::Library;

use super::Gpu;

/// `nvmlReturn_t` of what went well.
const SUCCESS: c_int = 0;

type Ask = unsafe extern "C" fn() -> c_int;
type Find = unsafe extern "C" fn(*const c_char, *mut *mut c_void) -> c_int;
type Count = unsafe extern "C" fn(*mut c_void, *mut u64) -> c_int;

/// Counts the energy of one GPU.
pub struct EnergyMeter {
    library: Library,
    device: *mut c_void,
    count: Count,
}

impl EnergyMeter {
    /// The meter of a GPU, where there is one.
    #[must_use]
    pub fn of(gpu: &Gpu) -> Option<EnergyMeter> {
        let bus = CString::new(gpu.description().bus.as_deref()?).ok()?;
        // SAFETY: the library of the driver, whose functions are as its documentation declares
        // them ("NVML API Reference": nvmlInit_v2, nvmlDeviceGetHandleByPciBusId_v2,
        // nvmlDeviceGetTotalEnergyConsumption); they are not used once it is closed.
        unsafe {
            let library = Library::new("libnvidia-ml.so.1").ok()?;
            let begin = *library.get::<Ask>(b"nvmlInit_v2\0").ok()?;
            let find = *library.get::<Find>(b"nvmlDeviceGetHandleByPciBusId_v2\0").ok()?;
            let count = *library.get::<Count>(b"nvmlDeviceGetTotalEnergyConsumption\0").ok()?;
            if begin() != SUCCESS {
                return None;
            }
            let mut meter = EnergyMeter { library, device: std::ptr::null_mut(), count };
            let is_found = find(bus.as_ptr(), &raw mut meter.device) == SUCCESS;
            (is_found && meter.joules().is_some()).then_some(meter)
        }
    }

    /// Joules since the driver was loaded.
    #[must_use]
    pub fn joules(&self) -> Option<f64> {
        let mut millijoules = 0;
        // SAFETY: the device was found by the library, which is open.
        let asked = unsafe { (self.count)(self.device, &raw mut millijoules) };
        (asked == SUCCESS).then_some(millijoules as f64 / 1000.0)
    }
}

impl Drop for EnergyMeter {
    fn drop(&mut self) {
        // SAFETY: it was begun once for this meter; an error means there is nothing to end.
        unsafe {
            if let Ok(end) = self.library.get::<Ask>(b"nvmlShutdown\0") {
                end();
            }
        }
    }
}

impl std::fmt::Debug for EnergyMeter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnergyMeter").field("joules", &self.joules()).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "double"))]
mod tests {
    use super::EnergyMeter;
    use crate::device::double::{Double, tested};

    #[test]
    fn a_gpu_that_counts_has_a_meter_that_goes_up() {
        assert!(EnergyMeter::of(&Double::open(0)).is_none(), "nothing is drawn by a double");
        let gpu = tested().remove(0);
        let Some(meter) = EnergyMeter::of(&gpu) else {
            // The library beside the driver of the tests counts.
            assert!(std::env::var_os("PELTON_TEST_DRIVER").is_none(), "a meter of the driver");
            return;
        };
        let [first, second] = [(); 2].map(|()| meter.joules().expect("it did count"));
        assert!(first > 0.0 && second >= first, "{first} {second}");
    }
}
