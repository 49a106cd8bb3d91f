//! Running standardisation of dense columns, by exact moments, independent of batch cuts.
//!
//! Feature stage, after the windows: brings columns of any unit to mean 0 and deviation 1 before
//! a model sees them. It knows no columns by name and decides nothing about missing values but
//! that they give 0.
//!
//! # Formula
//! Row p of the stream (p = 0, 1, ...) and column c, with x clamped to +-2^62:
//! `out = clamp((x - mean_c) * (1 / std_c), -clip, clip)` in f64, rounded to f32 once; 0 where x is
//! NaN or std_c is 0. `mean_c` and `std_c` (the population's) are those of the non-NaN values of
//! rows `0..=r`, or `0..r` with `include_current` off, where r is p rounded down by the refresh
//! schedule: every row while `p < refresh_dense_rows`, then every `refresh_every_rows`-th row.
//!
//! # Half-life
//! With `half_life_rows = h`, before every row whose p is a positive multiple of h the count, the
//! sum and the sum of squares are halved (count with 20 fraction bits; integers, rounded down), so
//! that a value h rows old weighs half. Rounding down leaves columns of equal values a deviation
//! of the order of 2^-20 of their size, instead of 0.
//!
//! # Determinism
//! Counts and sums are exact integers ([`crate::fixed`]) and everything else depends on p alone:
//! the same bits for any cuts. Sums hold while `rows * |mean| < 2^87`.
//!
//! # Cost
//! Adding is two 128-bit additions and a product per value, the formula vectorises; the square
//! root and division of a refresh are spread over `refresh_every_rows` rows (see the bench).

pub mod device;

use std::io::{self, Read, Write};

use crate::KernelError;
use crate::fixed::{self, U256};
use crate::state::{StateReader, StateWriter, invalid};

/// How columns are standardised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MomentsSpec {
    /// Columns.
    pub width: usize,
    /// Whether a row counts in its own mean and deviation.
    pub include_current: bool,
    /// Outputs are clamped to plus and minus this.
    pub clip: f32,
    /// Rows after which a value weighs half; 0 is never.
    pub half_life_rows: u64,
    /// First rows of the stream that each refresh mean and deviation.
    pub refresh_dense_rows: u64,
    /// From then on they are refreshed at multiples of this; at least 1.
    pub refresh_every_rows: u64,
}

impl MomentsSpec {
    /// The default schedule: every row of the first 1,024, then every 16th; clip 8, no fading.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            include_current: true,
            clip: 8.0,
            half_life_rows: 0,
            refresh_dense_rows: 1024,
            refresh_every_rows: 16,
        }
    }
}

/// The running moments of some columns and their standardisation.
#[derive(Debug, Clone)]
pub struct Moments {
    spec: MomentsSpec,
    /// Rows so far: the position of the next one.
    position: u64,
    columns: Vec<Column>,
    /// As of the last refresh.
    means: Vec<f64>,
    /// 1 / deviation, 0 where that is 0; as of the last refresh.
    inverses: Vec<f64>,
}

/// Exact sums of one column: a cache line.
#[derive(Debug, Clone, Copy, Default)]
struct Column {
    sum: i128,
    squares: U256,
    /// With [`COUNT_BITS`] fraction bits.
    count: u64,
}

/// Fraction bits of a count, so that halving it loses nothing that matters.
const COUNT_BITS: u32 = 20;
const COUNT_ONE: u64 = 1 << COUNT_BITS;

impl Moments {
    /// Moments of no rows.
    ///
    /// # Errors
    /// `Value` for a clip that is not above 0 or a refresh of every 0 rows.
    pub fn new(spec: MomentsSpec) -> Result<Self, KernelError> {
        let refuse = |argument, reason| KernelError::Value { kernel: "moments", argument, reason };
        if !(spec.clip > 0.0 && spec.clip.is_finite()) {
            return Err(refuse("clip", "must be above 0 and finite"));
        }
        if spec.refresh_every_rows == 0 {
            return Err(refuse("refresh_every_rows", "must be at least 1"));
        }
        let (columns, zeros) = (vec![Column::default(); spec.width], vec![0.0; spec.width]);
        Ok(Self { spec, position: 0, columns, means: zeros.clone(), inverses: zeros })
    }

    /// Standardises the next rows of the stream in place.
    ///
    /// # Shapes
    /// `matrix`: whole rows of `stride` elements, row-major; columns `offset..offset + width` of
    /// each are replaced, the others left alone.
    ///
    /// # Errors
    /// `Shape`, before anything is changed.
    pub fn standardize(
        &mut self,
        matrix: &mut [f32],
        stride: usize,
        offset: usize,
    ) -> Result<(), KernelError> {
        let (kernel, end) = ("moments", offset + self.spec.width);
        if stride < end.max(1) {
            let (argument, expected) = ("stride", end.max(1));
            return Err(KernelError::Shape { kernel, argument, expected, given: stride });
        }
        let (argument, given) = ("matrix", matrix.len());
        if given % stride != 0 {
            let expected = given.next_multiple_of(stride);
            return Err(KernelError::Shape { kernel, argument, expected, given });
        }
        for row in matrix.chunks_exact_mut(stride) {
            self.row(&mut row[offset..end]);
        }
        Ok(())
    }

    /// Standardises a row by the moments as they are, which it does not change.
    ///
    /// # Shapes
    /// `values: [width]`.
    #[inline]
    pub fn apply(&self, values: &mut [f32]) {
        let clip = f64::from(self.spec.clip);
        let rates = self.means.iter().zip(&self.inverses);
        for (value, (mean, inverse)) in values.iter_mut().zip(rates) {
            // The clamp to the fixed point's range also brings infinities in; NaN stays.
            let x = f64::from(value.clamp(-fixed::VALUE_MAX, fixed::VALUE_MAX));
            let scaled = ((x - mean) * inverse).clamp(-clip, clip) as f32;
            *value = if scaled.is_nan() { 0.0 } else { scaled + 0.0 };
        }
    }

    /// Takes in the next row of the stream, which [`Moments::apply`] standardises from then on.
    ///
    /// # Shapes
    /// `values: [width]`.
    pub fn observe(&mut self, values: &[f32]) {
        self.fade();
        self.add(values);
        if self.is_due() {
            self.refresh();
        }
        self.position += 1;
    }

    /// What it was made with.
    pub fn spec(&self) -> &MomentsSpec {
        &self.spec
    }

    /// Rows seen so far.
    pub fn rows(&self) -> u64 {
        self.position
    }

    /// Mean and deviation of a column as of the last refresh.
    pub fn column(&self, index: usize) -> (f64, f64) {
        let inverse = self.inverses[index];
        (self.means[index], if inverse == 0.0 { 0.0 } else { 1.0 / inverse })
    }

    /// Means, and 1 / deviation or 0 where that is 0, of all columns as of the last refresh.
    pub fn rates(&self) -> (&[f64], &[f64]) {
        (&self.means, &self.inverses)
    }

    /// Writes the state, the position; count, S1, S2 by column; the means; the inverses.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_state(&self, writer: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(writer);
        state.put(self.position)?;
        for column in &self.columns {
            state.put(column.count)?;
            state.put(column.sum)?;
            state.put([column.squares.low, column.squares.high])?;
        }
        state.slice(&self.means)?;
        state.slice(&self.inverses)
    }

    /// Moments of `spec` with a state that [`Moments::write_state`] wrote for an equal one.
    ///
    /// # Errors
    /// Those of the reader; `InvalidInput` for a specification that [`Moments::new`] refuses;
    /// `InvalidData` for a mean or deviation that is not finite.
    pub fn read_state(spec: MomentsSpec, reader: &mut dyn Read) -> io::Result<Self> {
        let refused = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let mut moments = Self::new(spec).map_err(refused)?;
        let state = &mut StateReader::new(reader);
        moments.position = state.get()?;
        for column in &mut moments.columns {
            (column.count, column.sum) = (state.get()?, state.get()?);
            let [low, high] = state.get()?;
            column.squares = U256 { low, high };
        }
        state.fill(&mut moments.means)?;
        state.fill(&mut moments.inverses)?;
        match moments.means.iter().chain(&moments.inverses).all(|rate| rate.is_finite()) {
            true => Ok(moments),
            false => Err(invalid("a mean or deviation is not finite")),
        }
    }

    #[inline]
    fn row(&mut self, values: &mut [f32]) {
        self.fade();
        if self.spec.include_current {
            self.add(values);
        }
        if self.is_due() {
            self.refresh();
        }
        if !self.spec.include_current {
            self.add(values);
        }
        self.apply(values);
        self.position += 1;
    }

    #[inline]
    fn fade(&mut self) {
        let half_life = self.spec.half_life_rows;
        if half_life > 0 && self.position > 0 && self.position.is_multiple_of(half_life) {
            self.columns.iter_mut().for_each(Column::halve);
        }
    }

    #[inline]
    fn is_due(&self) -> bool {
        self.position < self.spec.refresh_dense_rows
            || self.position.is_multiple_of(self.spec.refresh_every_rows)
    }

    #[inline]
    fn add(&mut self, values: &[f32]) {
        for (column, &value) in self.columns.iter_mut().zip(values) {
            column.add(value);
        }
    }

    fn refresh(&mut self) {
        let rates = self.means.iter_mut().zip(&mut self.inverses);
        for (column, (mean, inverse)) in self.columns.iter().zip(rates) {
            (*mean, *inverse) = column.rates();
        }
    }
}

impl Column {
    #[inline]
    fn add(&mut self, value: f32) {
        self.count += if value.is_nan() { 0 } else { COUNT_ONE };
        // False for NaN too, which then adds 0.
        let is_large = value.abs() >= 4_194_304.0;
        if is_large {
            let quantized = fixed::quantize(fixed::admit(value).0);
            self.sum = self.sum.wrapping_add(quantized);
            self.squares = self.squares.plus(U256::square(quantized));
            return;
        }
        let quantized = fixed::quantize_small(value);
        let magnitude = u128::from(quantized.unsigned_abs());
        self.sum = self.sum.wrapping_add(i128::from(quantized));
        self.squares = self.squares.plus(U256 { low: magnitude * magnitude, high: 0 });
    }

    fn halve(&mut self) {
        self.count >>= 1;
        self.sum >>= 1;
        self.squares = self.squares.half();
    }

    /// Mean and 1 / deviation.
    #[inline]
    fn rates(&self) -> (f64, f64) {
        if self.count == 0 {
            return (0.0, 0.0);
        }
        let count = self.count as f64;
        let mean = fixed::unscale(self.sum) / count * COUNT_ONE as f64;
        // sqrt(n S2 - S1^2) / n with 2^20 n for n: the root of the scaled spread is 2^10 times it.
        let spread = fixed::spread(self.count, COUNT_BITS, self.sum, self.squares);
        if spread == 0.0 {
            return (mean, 0.0);
        }
        let scale = (1_u64 << (fixed::FRACTION_BITS - COUNT_BITS / 2)) as f64;
        (mean, count / spread.sqrt() * scale)
    }
}

#[cfg(test)]
mod tests;
