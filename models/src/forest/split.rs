//! Where a leaf should split, from its histogram of one column.
//!
//! The gain of a split is what it adds to the log likelihood of the labels seen, in nats:
//! `sum_sides sum_c n_sc ln(n_sc / n_s) - sum_c n_c ln(n_c / n)` for classes (`n` times Quinlan's
//! information gain of 1986), and for values `n / 2 ln(S / (S_l + S_r))`, with `S` the squares
//! around the mean: what a smaller variance wins a normal distribution (the variance reduction of
//! FIMT, Ikonomovska and others 2011, as nats). So one threshold serves all tasks and sizes.

use pelton_kernels::math;

use crate::Task;

/// What a bin counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// Weight of each of so many classes.
    Classes(usize),
    /// Weight, and sum and sum of squares of what labels exceed the leaf's offset by.
    Moments,
}

/// A split of a column: bins up to `bin` go left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    /// Nats won, by weight.
    pub gain: f64,
    /// Last bin on the left.
    pub bin: usize,
}

impl Cell {
    /// What the bins of a task count.
    pub fn of(task: Task) -> Cell {
        match task {
            Task::Binary => Cell::Classes(2),
            Task::MultiClass { classes } => Cell::Classes(classes as usize),
            Task::Regression => Cell::Moments,
        }
    }

    /// Numbers of a bin.
    pub fn width(self) -> usize {
        match self {
            Cell::Classes(classes) => classes,
            Cell::Moments => 3,
        }
    }

    /// Adds a label to a bin.
    #[inline]
    pub fn add(self, bin: &mut [f32], label: f32, weight: f32) {
        match self {
            Cell::Classes(_) => bin[label as usize] += weight,
            Cell::Moments => {
                bin[0] += weight;
                bin[1] += weight * label;
                bin[2] += weight * label * label;
            }
        }
    }

    /// Weight in a bin, or in a sum of bins.
    pub fn weight(self, bin: &[f64]) -> f64 {
        match self {
            Cell::Classes(_) => bin.iter().sum(),
            Cell::Moments => bin[0],
        }
    }

    /// What both sides leave unexplained: minus their log likelihood, or their squares around
    /// their means.
    fn rest(self, bin: &[f64]) -> f64 {
        match self {
            Cell::Classes(_) => {
                let total: f64 = bin.iter().sum();
                x_ln_x(total) - bin.iter().map(|count| x_ln_x(*count)).sum::<f64>()
            }
            Cell::Moments if bin[0] <= 0.0 => 0.0,
            Cell::Moments => (bin[2] - bin[1] * bin[1] / bin[0]).max(0.0),
        }
    }

    /// Nats won, from what is unexplained of `weight` in all and on both sides.
    fn gain(self, weight: f64, whole: f64, sides: f64) -> f64 {
        match self {
            Cell::Classes(_) => whole - sides,
            // A label's worth of spread stays, so that a side without any wins no end of nats.
            Cell::Moments => {
                let least = whole / weight + 1e-30;
                0.5 * weight * math::ln((whole + least) / (sides + least))
            }
        }
    }

    /// The sum of all bins.
    pub fn total(self, bins: &[f32]) -> Vec<f64> {
        let mut total = vec![0.0; self.width()];
        bins.chunks_exact(self.width()).for_each(|bin| accumulate(&mut total, bin));
        total
    }

    /// The best cut of a column that leaves at least `side_min` of weight on each side.
    ///
    /// # Shapes
    /// `bins: [bins, width]`.
    pub fn best(self, bins: &[f32], side_min: f64) -> Option<Cut> {
        let total = self.total(bins);
        let weight = self.weight(&total);
        let whole = self.rest(&total);
        let (mut left, mut right) = (vec![0.0; total.len()], total.clone());
        let mut best: Option<Cut> = None;
        let count = bins.len() / self.width();
        for (bin, own) in bins.chunks_exact(self.width()).enumerate().take(count.saturating_sub(1))
        {
            // What is empty makes no other cut than the one before it.
            if own.iter().all(|number| *number == 0.0) {
                continue;
            }
            accumulate(&mut left, own);
            right.iter_mut().zip(&total).zip(&left).for_each(|((right, all), left)| {
                *right = all - left;
            });
            if self.weight(&left) < side_min || self.weight(&right) < side_min {
                continue;
            }
            let gain = self.gain(weight, whole, self.rest(&left) + self.rest(&right));
            if best.is_none_or(|best| gain > best.gain) {
                best = Some(Cut { gain, bin });
            }
        }
        best
    }
}

fn accumulate(total: &mut [f64], bin: &[f32]) {
    total.iter_mut().zip(bin).for_each(|(total, number)| *total += f64::from(*number));
}

fn x_ln_x(x: f64) -> f64 {
    if x > 0.0 { x * math::ln(x) } else { 0.0 }
}
