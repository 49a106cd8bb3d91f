//! Evidence that one model's losses are lower than another's: a bet that may be looked at any time.
//!
//! An e-process of Choe and Ramdas 2023, "Comparing sequential forecasters": with differences `d`
//! of losses within `[-B, B]`, `c = 2 B`, their running mean `m` before each, and a rate `l` in
//! `(0, 1 / c)`,
//!
//! `exp(l sum d - psi(l) sum (d - m)^2)`, `psi(l) = (-ln(1 - c l) - c l) / c^2`
//!
//! stays below `1 / alpha` for all time with probability `1 - alpha` as long as the conditional
//! means of `d` so far add up to nothing or less (Howard et al. 2021, theorem 4; Ville 1939).
//! Nothing is assumed about how losses depend on one another. No rate suits every stream, so that
//! the value here is the mean over [`RATES`] of them, which is as valid.

use std::io;

use pelton_kernels::math::{exp, ln};
use pelton_kernels::state::{StateReader, StateWriter, invalid};

/// Differences count as no larger.
pub(super) const DIFFERENCE_MAX: f64 = 4.0;
/// How many rates are bet at, each half of the one before.
const RATES: usize = 14;
/// The largest rate, in parts of `1 / c`.
const FIRST: f64 = 0.5;
const RANGE: f64 = 2.0 * DIFFERENCE_MAX;
/// Each rate, and its `psi`.
const BETS: [[f64; 2]; RATES] = bets();

const fn bets() -> [[f64; 2]; RATES] {
    let mut bets = [[0.0; 2]; RATES];
    let (mut at, mut part) = (0, FIRST);
    while at < RATES {
        // -ln(1 - p) - p = p^2 / 2 + p^3 / 3 + ...; nothing is left of it behind 60 terms.
        let (mut sum, mut power, mut k) = (0.0, part, 2.0);
        while k < 60.0 {
            power *= part;
            sum += power / k;
            k += 1.0;
        }
        bets[at] = [part / RANGE, sum / (RANGE * RANGE)];
        part *= 0.5;
        at += 1;
    }
    bets
}

/// What differences so far say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Evidence {
    rows: f64,
    /// Sum of the differences.
    sum: f64,
    /// Sum of the squares of what each was off the mean before it.
    spread: f64,
}

impl Evidence {
    /// Takes in how much more the one has lost than the other.
    pub fn observe(&mut self, difference: f64) {
        let difference = difference.clamp(-DIFFERENCE_MAX, DIFFERENCE_MAX);
        let mean = if self.rows > 0.0 { self.sum / self.rows } else { 0.0 };
        self.spread += (difference - mean) * (difference - mean);
        self.sum += difference;
        self.rows += 1.0;
    }

    /// Logarithm of the value: what a bet of 1 on the other has become.
    pub fn log_value(&self) -> f64 {
        let values = BETS.map(|[rate, cost]| rate * self.sum - cost * self.spread);
        let most = values.iter().fold(f64::MIN, |most, value| value.max(most));
        let total: f64 = values.iter().map(|value| exp((value - most).max(-700.0))).sum();
        most + ln(total / RATES as f64)
    }

    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.slice(&[self.rows, self.sum, self.spread])
    }

    pub fn read(state: &mut StateReader<'_>) -> io::Result<Evidence> {
        let [rows, sum, spread]: [f64; 3] = state.get()?;
        let is_good = (0.0..1e15).contains(&rows)
            && sum.abs() <= DIFFERENCE_MAX * rows
            && (0.0..=RANGE * RANGE * rows).contains(&spread);
        is_good.then_some(Evidence { rows, sum, spread }).ok_or_else(|| invalid("evidence is none"))
    }
}
