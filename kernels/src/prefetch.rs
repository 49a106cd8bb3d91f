//! Telling the processor which row of a table comes soon, so that it waits less when it comes.
//!
//! A hint only: no result depends on it.

/// Asks for the cache line of `table[index]`; an index past the end asks for nothing.
#[inline(always)]
pub fn prefetch<T>(table: &[T], index: usize) {
    let Some(row) = table.get(index) else { return };
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86_64, the address is of a live element, and a prefetch reads and
    // writes nothing the program can see.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(row).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}
