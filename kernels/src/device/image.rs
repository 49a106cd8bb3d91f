//! The compiled kernels, in the program: what `scripts/kernels` makes of `kernels/src/**/*.cu`.
//!
//! Each source gives portable code (PTX for compute capability 8.0, compiled by the driver for what
//! is newer) and machine code for 9.0.

/// The kernels of one source.
pub(super) struct Image {
    /// Its name.
    pub name: &'static str,
    /// Portable code, a text.
    pub ptx: &'static str,
    /// Machine code for compute capability 9.0.
    pub sm_90: &'static [u8],
}

/// Every source.
pub(super) const IMAGES: &[Image] = &[];
