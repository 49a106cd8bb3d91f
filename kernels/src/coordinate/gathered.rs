//! What a step of many rows asks of a coordinate, as sums that no device adds up differently.
//!
//! A *touch* is a coordinate of a row with a value other than zero; one named twice in a row is
//! touched twice. Two kinds of sums: products with numbers are doubles over a fixed tree
//! ([`tree_sum`], [`TreeSums`]); those of touches by exactly 1 are integers ([`Quantum`]), which
//! may be added up in any order, so by atomic additions too. What this does not do: decide what
//! the sums do to a cell, which is [`super::CoordinateRule::step`].

use super::LANES;

/// Rows of one tile of a [`tree_sum`].
pub const TILE: usize = 256;

/// The sums over the touches of one coordinate and class in a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gathered {
    /// Of gradient times value.
    pub sum: f32,
    /// Of the squares of gradient times value.
    pub squares: f32,
    /// Of the squares of the values.
    pub values_squared: f32,
    /// How many there are.
    pub touches: f32,
    /// The largest size of a value.
    pub largest: f32,
    /// Of the sizes of the values, each times the stiffness of its row: see `growth`.
    pub curvature: f32,
    /// 1 where L1 and L2 apply, 0 for the bias.
    pub penalty: f32,
}

/// The sum of one term a row, where term `i` belongs to row `i`.
///
/// Rows come in tiles of [`TILE`]. In a tile row `i` goes to lane `i mod 8`; a lane adds up its
/// terms in row order, beginning with 0; the lanes are folded as in [`super::fold_lanes`],
/// `((0+4)+(2+6)) + ((1+5)+(3+7))`. The sums of the tiles are added up in order, beginning with 0.
/// So a term of zero is the same as none: a row that is not learned counts as zero.
pub fn tree_sum(terms: impl IntoIterator<Item = f64>) -> f64 {
    let mut sums = TreeSums::default();
    sums.begin(1);
    for (row, term) in terms.into_iter().enumerate() {
        sums.row(row)[0] += term;
    }
    sums.finish()[0]
}

/// Many [`tree_sum`]s side by side.
#[derive(Debug, Default)]
pub struct TreeSums {
    width: usize,
    tile: usize,
    /// `[LANES, width]`.
    lanes: Vec<f64>,
    totals: Vec<f64>,
}

impl TreeSums {
    /// Begins `width` sums.
    pub fn begin(&mut self, width: usize) {
        (self.width, self.tile) = (width, 0);
        self.lanes.clear();
        self.lanes.resize(LANES * width, 0.0);
        self.totals.clear();
        self.totals.resize(width, 0.0);
    }

    /// Where the terms of a row are to be added, `[width]`; rows come in order, some may be left
    /// out.
    #[inline]
    pub fn row(&mut self, row: usize) -> &mut [f64] {
        if row / TILE != self.tile {
            self.fold();
            self.tile = row / TILE;
        }
        let lane = row % LANES;
        &mut self.lanes[lane * self.width..(lane + 1) * self.width]
    }

    /// The sums, `[width]`.
    pub fn finish(&mut self) -> &[f64] {
        self.fold();
        &self.totals
    }

    fn fold(&mut self) {
        for (column, total) in self.totals.iter_mut().enumerate() {
            let lane = |lane: usize| self.lanes[lane * self.width + column];
            let even = (lane(0) + lane(4)) + (lane(2) + lane(6));
            let odd = (lane(1) + lane(5)) + (lane(3) + lane(7));
            *total += even + odd;
        }
        self.lanes.fill(0.0);
    }
}

/// How finely gradients are counted, so that their sums are exact integers of 64 bits.
///
/// With every gradient below `2^e` in size and at most `2^c` of them, one is counted in units of
/// `2^-(62 - c - e)` and its square in units of `2^-(62 - c - 2 e)`, each rounded to nearest, ties
/// to even: no sum of either exceeds `2^62`.
#[derive(Debug, Clone, Copy)]
pub struct Quantum {
    unit: i32,
    square_unit: i32,
}

impl Quantum {
    /// For at most `terms` gradients, none larger than `largest` (finite, not negative).
    #[must_use]
    pub fn new(largest: f32, terms: usize) -> Quantum {
        // `largest < 2^exponent`; a float is never below the smallest normal double.
        let exponent = ((f64::from(largest).to_bits() >> 52) & 0x7ff) as i32 - 1022;
        let exponent = if largest > 0.0 { exponent } else { 0 };
        let count = usize::BITS - terms.max(1).saturating_sub(1).leading_zeros();
        let room = 62 - count as i32;
        Quantum { unit: exponent - room, square_unit: 2 * exponent - room }
    }

    /// A gradient and its square, counted.
    #[inline]
    #[must_use]
    pub fn counts(self, gradient: f32) -> [i64; 2] {
        let gradient = f64::from(gradient);
        let square = gradient * gradient;
        [
            (gradient * power(-self.unit)).round_ties_even() as i64,
            (square * power(-self.square_unit)).round_ties_even() as i64,
        ]
    }

    /// The sums of both from sums of counts.
    #[inline]
    #[must_use]
    pub fn sums(self, counts: [i64; 2]) -> [f32; 2] {
        let [sum, squares] = counts.map(|count| count as f64);
        [(sum * power(self.unit)) as f32, (squares * power(self.square_unit)) as f32]
    }
}

/// `2^exponent`, for exponents of normal doubles.
#[inline]
fn power(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}
