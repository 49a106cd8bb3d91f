//! Embeddings of sparse indices, and the steps that move them.
//!
//! One flat array, row by row of the table: the vector of an index, then (with a linear part) its
//! linear weights. They move as each example is learned, by AdaGrad with one sum of squares for the
//! vector and one for the weights of a row (Naumov et al. 2019): an index that is rare keeps long
//! steps. Vectors begin with small numbers that the index alone decides, linear weights at zero.

use std::io;

use pelton_kernels::hash::mix64;
use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::config::NeuralConfig;
use crate::FeatureShape;
use crate::index_table::Table;

/// No number of an embedding is larger.
const LIMIT: f32 = 8.0;
/// Half of the range that vectors begin in.
const BEGIN: f32 = 0.1;
/// The longest step of a vector, the first one, and of a linear weight.
const RATES: [f32; 2] = [0.1, 0.1];
/// Added to the sums of squares.
const SQUARE_MIN: f32 = 1e-8;

/// No row of the table.
pub(super) const NONE: u32 = u32::MAX;

/// Embeddings and where they are.
#[derive(Clone, Debug)]
pub(super) struct Embeddings {
    factors: usize,
    /// Numbers of a row.
    width: usize,
    rows_max: usize,
    sparse_bits: u32,
    table: Table,
    numbers: Vec<f32>,
    /// Sums of squared derivatives, of vector and linear weights by row.
    squares: Vec<[f32; 2]>,
}

impl Embeddings {
    pub fn new(config: &NeuralConfig, shape: FeatureShape) -> Embeddings {
        let rows_max = config.rows_max(shape);
        Embeddings {
            factors: config.embedding,
            width: config.row_numbers(),
            rows_max,
            sparse_bits: shape.sparse_bits,
            table: Table::new(rows_max),
            numbers: Vec::new(),
            squares: Vec::new(),
        }
    }

    /// Sparse indices with an embedding, and those given away so far.
    pub fn counts(&self) -> (usize, u64) {
        (self.table.len(), self.table.expired())
    }

    /// The row of an index, or [`NONE`].
    #[inline]
    pub fn find(&self, index: u32) -> u32 {
        if index == crate::ABSENT {
            return NONE;
        }
        self.table.find(index).map_or(NONE, |row| row as u32)
    }

    /// The vector of a row, then its linear weights.
    #[inline]
    pub fn row(&self, row: u32) -> (&[f32], &[f32]) {
        self.numbers[row as usize * self.width..][..self.width].split_at(self.factors)
    }

    /// Numbers and sums of squares of so many rows, to be read from or written to a device.
    pub fn numbers_mut(&mut self, rows: usize) -> (&mut [f32], &mut [[f32; 2]]) {
        self.numbers.resize(rows * self.width, 0.0);
        self.squares.resize(rows, [0.0; 2]);
        (&mut self.numbers, &mut self.squares)
    }

    /// Keeps the table alone: the numbers lie on a device.
    pub fn give_up_numbers(&mut self) {
        (self.numbers, self.squares) = (Vec::new(), Vec::new());
    }

    /// The indices that have a row, in the order of the rows.
    pub fn indices(&self) -> impl Iterator<Item = u32> {
        (0..self.table.len()).map(|row| self.table.key(row))
    }

    /// Makes sure that an index has a row; `now` is the learned row that needs it. The row, where
    /// it is to be begun.
    #[inline]
    pub fn seat(&mut self, index: u32, now: u64) -> Option<u32> {
        if index == crate::ABSENT {
            return None;
        }
        let place = self.table.admit(index, now);
        place.is_new.then_some(place.row as u32)
    }

    /// [`Embeddings::seat`], and begins the row.
    #[inline]
    pub fn admit(&mut self, index: u32, now: u64) {
        if let Some(row) = self.seat(index, now) {
            self.begin(index, row as usize);
        }
    }

    fn begin(&mut self, index: u32, row: usize) {
        let (from, to) = (row * self.width, (row + 1) * self.width);
        if self.numbers.len() < to {
            self.numbers.resize(to, 0.0);
            self.squares.resize(row + 1, [0.0; 2]);
        }
        self.squares[row] = [0.0; 2];
        let row = &mut self.numbers[from..to];
        row.fill(0.0);
        begin(u64::from(index), BEGIN, &mut row[..self.factors]);
    }

    /// Moves a row against its derivatives.
    ///
    /// # Shapes
    /// `vector: [factors]`, `linear: [outputs]` or nothing.
    pub fn step(&mut self, row: u32, vector: &[f32], linear: &[f32]) {
        let place = row as usize;
        let (own, weights) =
            self.numbers[place * self.width..][..self.width].split_at_mut(self.factors);
        let parts = [(own, vector), (weights, linear)];
        for ((numbers, pulls), (square, rate)) in
            parts.into_iter().zip(self.squares[place].iter_mut().zip(RATES))
        {
            let sum = pulls.iter().fold(0.0, |sum, pull| sum + pull * pull);
            let next = *square + sum / pulls.len().max(1) as f32;
            if !next.is_finite() {
                continue;
            }
            *square = next;
            let step = rate / (next + SQUARE_MIN).sqrt();
            for (number, pull) in numbers.iter_mut().zip(pulls) {
                *number = (*number - step * pull).clamp(-LIMIT, LIMIT);
            }
        }
    }

    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        self.table.write(state)?;
        state.slice(&self.numbers)?;
        state.slice(&self.squares)
    }

    /// Reads what was written.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let mut table = Table::new(self.rows_max);
        table.read(state)?;
        let rows = table.len();
        if (0..rows).any(|row| u64::from(table.key(row)) >= 1 << self.sparse_bits) {
            return Err(invalid("an embedding is of no index"));
        }
        let numbers: Vec<f32> = state.numbers(rows * self.width)?;
        let squares: Vec<[f32; 2]> = state.numbers(rows)?;
        let is_square = |square: &f32| (0.0..=f32::MAX).contains(square);
        if !numbers.iter().all(|number| number.abs() <= LIMIT)
            || !squares.as_flattened().iter().all(is_square)
        {
            return Err(invalid("an embedding is outside its range"));
        }
        (self.table, self.numbers, self.squares) = (table, numbers, squares);
        Ok(())
    }
}

/// Small numbers, even between plus and minus `most`, that a seed decides.
pub(super) fn begin(seed: u64, most: f32, numbers: &mut [f32]) {
    let scale = most / (1 << 23) as f32;
    for (place, number) in numbers.iter_mut().enumerate() {
        let bits = mix64(mix64(seed.wrapping_add(1)).wrapping_add(place as u64));
        *number = ((bits >> 40) as f32 - (1 << 23) as f32) * scale;
    }
}
