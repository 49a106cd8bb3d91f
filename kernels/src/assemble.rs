//! Features of rows from their columns: numbers, parts of the calendar and aggregates as one dense
//! row, hashed categories, crosses and buckets as one sparse row.
//!
//! Feature stage, between the windows, whose aggregates come in here, and the standardisation
//! ([`crate::moments`]), whose columns come out. It knows no names, repairs no values and keeps no
//! state: every row is a function of its own columns.
//!
//! # Formula
//! Dense: `clamp(x)`, or `sign(x) ln(1 + |x|)` of it; a part of the local clock; a column of
//! `given` as it is. Sparse: [`hash::bucket`] of a category's code, of [`hash::cross`] of several,
//! of 1 + the number of boundaries at or below a number, of 1 + the hour or weekday.
//!
//! # Shapes
//! Columns lie one after another, `[columns, stride]` with the rows filled from the start; features
//! are row-major, `[rows, dense]` and `[rows, sparse]`.
//!
//! # Determinism
//! The same bits everywhere (a NaN is a NaN, whatever its payload).

pub mod device;

use crate::KernelError;
use crate::calendar::{Calendar, Part};
use crate::hash;
use crate::math;

/// How a number becomes a dense feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Identity,
    /// `sign(x) ln(1 + |x|)`.
    Log,
}

/// Where a dense feature comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dense {
    /// A number.
    Number {
        /// Its column.
        column: usize,
        /// Its form.
        form: Form,
        /// Bounds put on it first; they are numbers, the lower one first.
        clip: Option<(f32, f32)>,
    },
    /// A part of the calendar.
    Calendar(Part),
    /// A column of [`Columns::given`].
    Given(usize),
}

/// Where a sparse feature comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Sparse {
    /// A category.
    Category(usize),
    /// Several categories; a missing one is a category of its own.
    Cross(Vec<usize>),
    /// The bucket of a number.
    Buckets {
        /// Its column.
        column: usize,
        /// Boundaries, increasing; a value on one lies above it.
        boundaries: Vec<f32>,
    },
    /// A part of the calendar.
    Calendar(Part),
}

/// A sparse feature and the salt of its hash.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseColumn {
    /// Where it comes from.
    pub source: Sparse,
    /// Made from the name, so that other features do not move it.
    pub salt: u64,
}

/// Which features rows have.
#[derive(Clone, Debug, PartialEq)]
pub struct AssembleSpec {
    /// Dense features.
    pub dense: Vec<Dense>,
    /// Sparse features.
    pub sparse: Vec<SparseColumn>,
    /// Sparse features are hashed into 2^bits.
    pub hash_bits: u32,
    /// Local time.
    pub calendar: Calendar,
    /// First and last hour of the night; it may lie around midnight.
    pub night: (u8, u8),
}

/// The columns of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// Rows filled.
    pub rows: usize,
    /// From one column to the next.
    pub stride: usize,
    /// `[rows]` or longer, milliseconds since the epoch.
    pub times_ms: &'a [i64],
    /// `[numbers, stride]`; NaN is missing.
    pub numbers: &'a [f32],
    /// `[categories, stride]`; 0 is missing.
    pub categories: &'a [u64],
    /// `[rows, given]`: dense features that are known already, row-major.
    pub given: &'a [f32],
}

impl<'a> Columns<'a> {
    fn number(&self, column: usize) -> &'a [f32] {
        &self.numbers[column * self.stride..][..self.rows]
    }

    fn category(&self, column: usize) -> &'a [u64] {
        &self.categories[column * self.stride..][..self.rows]
    }
}

impl AssembleSpec {
    /// Columns of [`Columns::given`].
    #[must_use]
    pub fn given_width(&self) -> usize {
        let given = self.dense.iter().map(|dense| match dense {
            Dense::Given(column) => column + 1,
            Dense::Number { .. } | Dense::Calendar(_) => 0,
        });
        given.max().unwrap_or(0)
    }

    /// Makes the features of the rows.
    ///
    /// # Shapes
    /// `dense: [rows, dense]`, `sparse: [rows, sparse]`.
    ///
    /// # Errors
    /// [`KernelError::Shape`], before anything is written.
    pub fn run(
        &self,
        columns: &Columns<'_>,
        (dense, sparse): (&mut [f32], &mut [u32]),
    ) -> Result<(), KernelError> {
        self.check(columns, [dense.len(), sparse.len()])?;
        // Nothing to step over in rows of no features or batches of no rows.
        if columns.rows == 0 {
            return Ok(());
        }
        let width = self.dense.len();
        for (offset, source) in self.dense.iter().enumerate() {
            self.fill_dense(source, columns, dense[offset..].iter_mut().step_by(width));
        }
        let width = self.sparse.len();
        for (offset, column) in self.sparse.iter().enumerate() {
            self.fill_sparse(column, columns, sparse[offset..].iter_mut().step_by(width));
        }
        Ok(())
    }

    fn fill_dense<'o>(
        &self,
        source: &Dense,
        columns: &Columns<'_>,
        out: impl Iterator<Item = &'o mut f32>,
    ) {
        match *source {
            Dense::Number { column, form, clip } => {
                for (out, &x) in out.zip(columns.number(column)) {
                    let x = clip.map_or(x, |(low, high)| x.clamp(low, high));
                    *out = match form {
                        Form::Identity => x,
                        Form::Log => math::ln_1p_f32(x.abs()).copysign(x),
                    };
                }
            }
            Dense::Calendar(part) => {
                for (out, &time_ms) in out.zip(&columns.times_ms[..columns.rows]) {
                    *out = part.value(&self.calendar.local(time_ms), self.night);
                }
            }
            Dense::Given(column) => {
                let width = columns.given.len() / columns.rows;
                let given = columns.given[column..].iter().step_by(width);
                out.zip(given).for_each(|(out, given)| *out = *given);
            }
        }
    }

    fn fill_sparse<'o>(
        &self,
        column: &SparseColumn,
        columns: &Columns<'_>,
        out: impl Iterator<Item = &'o mut u32>,
    ) {
        let (salt, bits) = (column.salt, self.hash_bits);
        match &column.source {
            Sparse::Category(column) => {
                for (out, &code) in out.zip(columns.category(*column)) {
                    *out = hash::bucket(code, salt, bits);
                }
            }
            Sparse::Cross(crossed) => {
                for (row, out) in out.enumerate() {
                    let codes = crossed.iter().map(|&column| columns.category(column)[row]);
                    *out = hash::bucket(hash::cross(codes), salt, bits);
                }
            }
            Sparse::Buckets { column, boundaries } => {
                for (out, &x) in out.zip(columns.number(*column)) {
                    let index = boundaries.partition_point(|&boundary| boundary <= x);
                    *out = hash::bucket(index as u64 + 1, salt, bits);
                }
            }
            Sparse::Calendar(part) => {
                for (out, &time_ms) in out.zip(&columns.times_ms[..columns.rows]) {
                    let code = part.code(&self.calendar.local(time_ms));
                    *out = hash::bucket(code + 1, salt, bits);
                }
            }
        }
    }

    fn check(&self, columns: &Columns<'_>, outputs: [usize; 2]) -> Result<(), KernelError> {
        let kernel = "assemble";
        let equal = |argument, given: usize, expected: usize| match given == expected {
            true => Ok(()),
            false => Err(KernelError::Shape { kernel, argument, expected, given }),
        };
        let rows = columns.rows;
        equal("dense", outputs[0], rows * self.dense.len())?;
        equal("sparse", outputs[1], rows * self.sparse.len())?;
        let least = |argument, given: usize, expected: usize| match given >= expected {
            true => Ok(()),
            false => Err(KernelError::Shape { kernel, argument, expected, given }),
        };
        least("stride", columns.stride, rows)?;
        least("times_ms", columns.times_ms.len(), rows)?;
        let [numbers, categories] = self.columns_used();
        let length = |columns_used: usize| match columns_used {
            0 => 0,
            used => (used - 1) * columns.stride + rows,
        };
        least("numbers", columns.numbers.len(), length(numbers))?;
        least("categories", columns.categories.len(), length(categories))?;
        equal("given", columns.given.len(), rows * self.given_width())
    }

    /// Number and category columns, as far as they are used.
    fn columns_used(&self) -> [usize; 2] {
        let (mut numbers, mut categories) = (0, 0);
        for dense in &self.dense {
            if let Dense::Number { column, .. } = dense {
                numbers = numbers.max(column + 1);
            }
        }
        for sparse in &self.sparse {
            match &sparse.source {
                Sparse::Category(column) => categories = categories.max(column + 1),
                Sparse::Cross(columns) => {
                    let used = columns.iter().map(|column| column + 1).max();
                    categories = categories.max(used.unwrap_or(0));
                }
                Sparse::Buckets { column, .. } => numbers = numbers.max(column + 1),
                Sparse::Calendar(_) => {}
            }
        }
        [numbers, categories]
    }
}

#[cfg(test)]
mod tests;
