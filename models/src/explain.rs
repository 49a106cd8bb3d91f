//! Why a score: what each input of a row adds to it, and what is made of these numbers.
//!
//! [`Model::explain`](crate::Model::explain) writes a list of contributions for each row and
//! output: dense features, sparse features, notes, and last the *base*, what a row is worth before
//! anything is known of it. A list sums to the log odds of the score (of a class: up to a constant
//! that all classes share), or to the value: the "efficiency" of Shapley values (Lundberg, Lee
//! 2017, "A unified approach to interpreting model predictions"). How each family divides a score
//! is in `docs/explain.md`. Here are the parts that families share, [`top`] for the reasons of one
//! score, and [`Importance`] for what counts in many.
//!
//! What this does not do: say what would happen if an input were changed on purpose.

#[cfg(test)]
mod tests;

use pelton_kernels::KernelError;

use crate::FeatureShape;

/// How sums that nearly vanish are told: a quotient by less than this part of them says nothing.
const VANISHING: f32 = 1e-4;
/// Contributions that cancel each other may be together so much larger in log odds than what they
/// sum to: as from even odds to 150 to 1.
const CANCELLED_MAX: f32 = 5.0;

impl FeatureShape {
    /// Numbers that [`Model::explain`](crate::Model::explain) writes for a row and output: one for
    /// each dense feature, sparse feature and note, and the base.
    #[must_use]
    pub fn explained_width(&self, notes_width: usize) -> usize {
        self.dense_width + self.sparse_width + notes_width + 1
    }

    /// Where the contribution of a column of [`Features::columns`](crate::Features::columns) lies.
    #[inline]
    pub(crate) fn explained_column(&self, column: usize) -> usize {
        column + if column < self.dense_width { 0 } else { self.sparse_width }
    }
}

/// The inputs that add or take the most, largest first, the earlier one of equals first; at most
/// `k`, since those that add nothing are no reason.
///
/// # Shapes
/// `contributions: [inputs + 1]`, of one row and output; the last one, the base, is passed over.
pub fn top(contributions: &[f32], k: usize, out: &mut Vec<u32>) {
    out.clear();
    let inputs = &contributions[..contributions.len().saturating_sub(1)];
    for (input, own) in inputs.iter().enumerate() {
        let size = own.abs();
        let is_smaller = |last: &u32| size <= inputs[*last as usize].abs();
        let (is_full, counts) = (out.len() == k, size > 0.0);
        if !counts || is_full && out.last().is_none_or(is_smaller) {
            continue;
        }
        let place = out.partition_point(|other| inputs[*other as usize].abs() >= size);
        out.insert(place, input as u32);
        out.truncate(k);
    }
}

/// How much each input counts on average: the running mean of the sizes of its contributions.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// Means by input, the base last.
    means: Vec<f64>,
    lists: u64,
}

impl Importance {
    /// Of no rows.
    #[must_use]
    pub fn new(inputs: usize) -> Importance {
        Importance { means: vec![0.0; inputs + 1], lists: 0 }
    }

    /// Takes in explained rows; each of their outputs counts alike.
    ///
    /// # Shapes
    /// `contributions: [rows, outputs, inputs + 1]`.
    ///
    /// # Errors
    /// [`KernelError::Shape`] for what is not whole lists; nothing is taken in then.
    pub fn observe(&mut self, contributions: &[f32]) -> Result<(), KernelError> {
        let (width, given) = (self.means.len(), contributions.len());
        if !given.is_multiple_of(width) {
            let (kernel, argument) = ("importance", "contributions");
            let expected = given.next_multiple_of(width);
            return Err(KernelError::Shape { kernel, argument, expected, given });
        }
        for list in contributions.chunks_exact(width) {
            self.lists += 1;
            for (mean, own) in self.means.iter_mut().zip(list) {
                *mean += (f64::from(own.abs()) - *mean) / self.lists as f64;
            }
        }
        Ok(())
    }

    /// The mean size of each input's contributions, `[inputs]`: in log odds, or in units of the
    /// value.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.means[..self.means.len() - 1]
    }

    /// Lists of contributions taken in: a row has one for each output.
    #[must_use]
    pub fn lists(&self) -> u64 {
        self.lists
    }
}

/// Makes contributions to a probability ones to its logarithm or log odds: all are multiplied by
/// the slope of the line from the base to the whole, and the base becomes what is missing.
///
/// Where contributions cancel each other that slope may be steep without meaning: all together they
/// become at most [`CANCELLED_MAX`] larger than what they explain.
///
/// # Shapes
/// `parts: [inputs + 1]`, the base last; `ends` are what base and whole are mapped to, `slope` that
/// of the map at the whole.
pub(crate) fn map(parts: &mut [f32], [from, to]: [f32; 2], slope: f32) {
    let Some((base, inputs)) = parts.split_last_mut() else { return };
    let (mut sum, mut total) = (0.0, 0.0);
    for own in inputs.iter() {
        sum += own;
        total += own.abs();
    }
    let difference = to - from;
    // What vanishes by rounding or by cancelling leaves the slope of the map itself.
    let secant = if sum.abs() > VANISHING * total { difference / sum } else { slope };
    let limit = (difference.abs() + CANCELLED_MAX) / total.max(f32::MIN_POSITIVE);
    let factor = secant.min(limit);
    inputs.iter_mut().for_each(|own| *own *= factor);
    *base = to - factor * sum;
}

/// Contributions that sum to something near a whole: what is missing goes to the base.
///
/// # Shapes
/// `parts: [inputs + 1]`, the base last.
pub(crate) fn complete(parts: &mut [f32], whole: f32) {
    let sum: f32 = parts.iter().sum();
    if let Some(base) = parts.last_mut() {
        *base += whole - sum;
    }
}
