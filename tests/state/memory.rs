//! What a thread has asked of the allocator: the largest piece at once, the only way to hold a
//! reader to "never asks for more than there can be", and how many pieces.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Watching;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    static PIECES: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

fn note(size: usize) {
    // A thread that is going away notes nothing.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
    let _ = PIECES.try_with(|pieces| pieces.set(pieces.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged; noting a size in a thread-local cell
// that needs no initialisation allocates nothing.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The largest piece, in bytes, that this thread asks for while `work` runs.
pub fn largest_of(work: impl FnOnce()) -> usize {
    LARGEST.set(0);
    work();
    LARGEST.get()
}

/// How many pieces this thread asks for while `work` runs.
pub fn pieces_of(work: impl FnOnce()) -> u64 {
    PIECES.set(0);
    work();
    PIECES.get()
}
