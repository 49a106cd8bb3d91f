//! Elementary functions whose bits do not depend on the platform.
//!
//! Everything that reaches a feature, a score or a weight and is more than an addition, a
//! multiplication, a division or a square root comes from here: a C library's `exp` differs between
//! versions and devices, these do not. Invariant: only IEEE 754 operations, rounded to nearest, in
//! the order written, never contracted into fused ones; a second implementation with the same
//! operations in the same order gives the same bits. Special values follow the C standard (Annex F)
//! except where a function says otherwise.
//!
//! All functions are free of data-dependent branches (selections only), so a loop over a slice
//! vectorises. Bounds are stated in units in the last place (ulp) of the true result and held by
//! the sweeps in the tests. What this does not do: Payne-Hanek reduction (see [`sin_cos`]).
//!
//! | function | argument | bound |
//! | --- | --- | --- |
//! | [`exp`] / [`exp_f32`] | all | 1 ulp / 2 ulp |
//! | [`ln`] / [`ln_f32`] | all | 1 ulp / 1 ulp |
//! | [`ln_1p`] / [`ln_1p_f32`] | all | 1 ulp / 2 ulp |
//! | [`sigmoid`] / [`sigmoid_f32`] | all | 3 ulp / 4 ulp |
//! | [`softplus`] / [`softplus_f32`] | all | 3 ulp / 4 ulp |
//! | [`logit`] / [`logit_f32`] | 0..1 | absolute 2^-52 + 2 ulp / 2^-23 + 2 ulp |
//! | [`sin_cos`] | up to 2^20 in size | absolute 2^-52 |
//! | [`sin_cos_turns`] | up to 2^48 in size | absolute 2^-52 |
//!
//! Formulas: FreeBSD msun (`e_exp.c`, `e_log.c`, `s_log1p.c`, `k_sin.c`, `k_cos.c`, and their float
//! forms) and, for `exp_f32`, Cephes `expf`.

mod circle;
mod exponential;
mod logarithm;
#[cfg(test)]
mod tests;

pub use circle::{sin_cos, sin_cos_turns};
pub use exponential::{exp, exp_f32};
pub use logarithm::{ln, ln_1p, ln_1p_f32, ln_f32};

/// The logistic function `1 / (1 + exp(-x))`, never outside `0..=1`; NaN stays NaN.
///
/// Both halves use `exp(-|x|) <= 1`, so nothing overflows and small results keep their precision.
#[inline]
pub fn sigmoid(x: f64) -> f64 {
    let e = exp(-x.abs());
    let numerator = if x < 0.0 { e } else { 1.0 };
    numerator / (1.0 + e)
}

/// [`sigmoid`] in single precision.
#[inline]
pub fn sigmoid_f32(x: f32) -> f32 {
    let e = exp_f32(-x.abs());
    let numerator = if x < 0.0 { e } else { 1.0 };
    numerator / (1.0 + e)
}

/// `ln(1 + exp(x))`, the logistic loss of the margin `-x`; linear for large `x`, no overflow.
#[inline]
pub fn softplus(x: f64) -> f64 {
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + ln_1p(exp(-x.abs()))
}

/// [`softplus`] in single precision.
#[inline]
pub fn softplus_f32(x: f32) -> f32 {
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + ln_1p_f32(exp_f32(-x.abs()))
}

/// The log odds `ln(p / (1 - p))`: `-inf` at 0, `inf` at 1, NaN outside.
#[inline]
pub fn logit(p: f64) -> f64 {
    ln(p / (1.0 - p))
}

/// [`logit`] in single precision.
#[inline]
pub fn logit_f32(p: f32) -> f32 {
    ln_f32(p / (1.0 - p))
}

/// Shares from scores, `exp(s) / sum exp(s)`, in place, in their order.
pub fn softmax_f32(scores: &mut [f32]) {
    let largest = scores.iter().fold(f32::MIN, |largest, score| largest.max(*score));
    let mut total = 0.0;
    for score in scores.iter_mut() {
        *score = exp_f32(*score - largest);
        total += *score;
    }
    for score in scores.iter_mut() {
        *score /= total;
    }
}

/// The logistic loss of a score in log odds against a label of 0 or 1, in nats.
#[inline]
pub fn log_loss(log_odds: f64, is_positive: bool) -> f64 {
    softplus(if is_positive { -log_odds } else { log_odds })
}
