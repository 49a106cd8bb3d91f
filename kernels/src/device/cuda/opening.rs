//! From the number of a GPU to its context with all kernels loaded.
//!
//! The driver's library is opened when the first GPU is asked for. A missing or broken one, a GPU
//! that is not there or too old: each is a reason to be told, and no panic.

use std::collections::HashMap;
use std::ffi::CString;
use std::panic::catch_unwind;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};

use super::super::image::{IMAGES, Image};
use super::super::{Description, DeviceError};
use super::{Cuda, Function, lost, name_of};

/// Opens a GPU.
pub(in super::super) fn open(number: u32) -> Result<Cuda, DeviceError> {
    // The loader panics when the library lacks a function, as a damaged one does.
    catch_unwind(|| open_or_panic(number)).unwrap_or_else(|_| {
        Err(absent("the library of the NVIDIA driver (libcuda) is damaged or too old"))
    })
}

fn absent(reason: impl Into<String>) -> DeviceError {
    DeviceError::Absent { reason: reason.into() }
}

fn open_or_panic(number: u32) -> Result<Cuda, DeviceError> {
    // SAFETY: it opens the library and closes it again.
    if !unsafe { sys::is_culib_present() } {
        return Err(absent("the library of the NVIDIA driver (libcuda) is not installed"));
    }
    let asked = |call, result: Result<i32, DriverError>| {
        result.map_err(|error| absent(format!("{call} returned {}", name_of(error))))
    };
    asked("cuInit", result::init().map(|()| 0))?;
    let count = asked("cuDeviceGetCount", result::device::get_count())?;
    let count = u32::try_from(count).unwrap_or(0);
    if count == 0 {
        return Err(absent("the NVIDIA driver finds none"));
    }
    if number >= count {
        return Err(DeviceError::Number { number, count });
    }
    let ordinal = i32::try_from(number).expect("below the count");
    let device = lost("cuDeviceGet", result::device::get(ordinal))?;
    // SAFETY: the device exists. A busy or exclusive GPU is refused here.
    let context = unsafe { result::primary_ctx::retain(device) };
    let context = context
        .map_err(|error| absent(format!("GPU {number} cannot be used: {}", name_of(error))))?;
    let mut cuda = Cuda {
        device,
        context,
        description: describe(device, number)?,
        modules: Vec::new(),
        functions: HashMap::new(),
    };
    cuda.bind()?;
    let shared_bytes_max =
        attribute(device, Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
    for image in IMAGES {
        let module = load(image, cuda.description.capability)?;
        cuda.modules.push(module);
        // A driver that loads lazily does so now: not in the first batch, nor while it captures.
        for kernel in image.kernels() {
            cuda.functions.insert(kernel, function(module, kernel, shared_bytes_max)?);
        }
    }
    Ok(cuda)
}

/// A kernel, which may have all the shared memory that a block can get.
fn function(
    module: sys::CUmodule,
    kernel: &'static str,
    shared_bytes_max: i32,
) -> Result<Function, DeviceError> {
    let name = CString::new(kernel).expect("names have no zero bytes");
    // SAFETY: the module is loaded in the context that is current.
    let function = unsafe { result::module::get_function(module, name) };
    let function = function.map_err(|_| DeviceError::Kernel { kernel })?;
    let wanted = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    let own = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES;
    // SAFETY: the function was found above.
    let used = unsafe { result::function::get_function_attribute(function, own) };
    let left = shared_bytes_max - lost("cuFuncGetAttribute", used)?;
    // SAFETY: as above.
    let set = unsafe { result::function::set_function_attribute(function, wanted, left) };
    lost("cuFuncSetAttribute", set)?;
    Ok(Function(function))
}

fn attribute(device: sys::CUdevice, attribute: Attribute) -> Result<i32, DeviceError> {
    // SAFETY: the device exists.
    lost("cuDeviceGetAttribute", unsafe { result::device::get_attribute(device, attribute) })
}

fn describe(device: sys::CUdevice, number: u32) -> Result<Description, DeviceError> {
    let count = |name| attribute(device, name).map(i32::unsigned_abs);
    // SAFETY: the device exists.
    let memory = lost("cuDeviceTotalMem", unsafe { result::device::total_mem(device) })?;
    let place = [
        Attribute::CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID,
        Attribute::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID,
        Attribute::CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID,
    ];
    let [domain, bus, slot] = place.map(count);
    Ok(Description {
        bus: Some(format!("{:08x}:{:02x}:{:02x}.0", domain?, bus?, slot?)),
        number,
        name: lost("cuDeviceGetName", result::device::get_name(device))?,
        memory_bytes: memory as u64,
        multiprocessors: count(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        capability: (
            count(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            count(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
    })
}

fn load(image: &Image, capability: (u32, u32)) -> Result<sys::CUmodule, DeviceError> {
    let refused = |error| {
        absent(format!(
            "the kernels ({}) cannot be loaded: {}; a driver of version 580 or later and compute \
             capability 8.0 or later are needed",
            image.name,
            name_of(error)
        ))
    };
    if capability == (9, 0) {
        // SAFETY: the bytes are a whole image for this capability, and are kept by the program.
        return unsafe { result::module::load_data(image.sm_90.as_ptr().cast()) }.map_err(refused);
    }
    let text = CString::new(image.ptx).expect("a compiled text has no zero bytes");
    // SAFETY: a text that ends with a zero byte.
    unsafe { result::module::load_data(text.as_ptr().cast()) }.map_err(refused)
}
