//! What is launched: a kernel, the shape it runs in, and its arguments.

use std::ffi::c_void;
use std::marker::PhantomData;

use super::buffer::Plain;

/// A kernel and the shape it runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Its name.
    pub kernel: &'static str,
    /// Blocks.
    pub blocks: u32,
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of dynamic shared memory of a block.
    pub shared_bytes: u32,
}

impl Launch {
    /// At least one block of `threads` threads for as many `items`, one each.
    #[must_use]
    pub fn over(kernel: &'static str, items: usize, threads: u32) -> Launch {
        let blocks = u32::try_from(items.div_ceil(threads as usize)).unwrap_or(u32::MAX);
        Launch { kernel, blocks: blocks.max(1), threads, shared_bytes: 0 }
    }

    /// One block.
    #[must_use]
    pub fn block(kernel: &'static str, threads: u32) -> Launch {
        Launch { kernel, blocks: 1, threads, shared_bytes: 0 }
    }
}

/// An argument of a kernel: a number, an address ([`super::Buffer::address`]) or a structure of
/// them.
#[derive(Clone, Copy, Debug)]
pub struct Argument<'a>(*mut c_void, usize, PhantomData<&'a ()>);

impl<'a> Argument<'a> {
    /// The argument with this value.
    pub fn of<T: Plain>(value: &'a T) -> Argument<'a> {
        Argument((&raw const *value).cast_mut().cast(), size_of::<T>(), PhantomData)
    }

    /// Where it is, and its bytes.
    pub(super) fn place(&self) -> (*mut c_void, usize) {
        (self.0, self.1)
    }
}
