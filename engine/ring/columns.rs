//! Columns of a micro-batch: contiguous, one after another, as an upload wants them.
//!
//! Where the engine computes on a GPU the memory is page-locked, so that the GPU copies it by
//! itself. It is not write-combined: the clean stage and the windows read it here, and a read of
//! write-combined memory goes past every cache.

use std::ops::{Index, IndexMut};

use pelton_kernels::device::{Device, DeviceError, Pinned, Pinning, Plain};

/// Columns of one type, each of `rows_max` values.
#[derive(Debug)]
pub struct Columns<T: Plain> {
    values: Pinned<T>,
    columns: usize,
    rows_max: usize,
}

impl<T: Plain> Columns<T> {
    /// Columns of missing values.
    ///
    /// # Errors
    /// [`DeviceError`] when the GPU's driver has no such memory to give.
    pub fn new(
        device: &Device,
        columns: usize,
        rows_max: usize,
        missing: T,
    ) -> Result<Columns<T>, DeviceError> {
        let mut values = Pinned::new(device, columns * rows_max, Pinning::Both)?;
        values.fill(missing);
        Ok(Columns { values, columns, rows_max })
    }

    /// How many columns there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.columns
    }

    /// A column.
    #[inline]
    #[must_use]
    pub fn column(&self, column: usize) -> &[T] {
        &self.values[column * self.rows_max..][..self.rows_max]
    }

    /// A column to be changed.
    #[inline]
    #[must_use]
    pub fn column_mut(&mut self, column: usize) -> &mut [T] {
        &mut self.values[column * self.rows_max..][..self.rows_max]
    }

    /// The values of a row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = T> + '_ {
        self.values.iter().skip(row).step_by(self.rows_max.max(1)).copied()
    }

    /// Gives all columns of a row this value.
    #[inline]
    pub fn fill_row(&mut self, row: usize, value: T) {
        let stride = self.rows_max;
        let values = &mut *self.values;
        (0..self.columns).for_each(|column| values[column * stride + row] = value);
    }

    /// Copies the values of a row to another.
    #[inline]
    pub fn move_row(&mut self, from: usize, to: usize) {
        let stride = self.rows_max;
        let values = &mut *self.values;
        (0..self.columns).for_each(|column| {
            values[column * stride + to] = values[column * stride + from];
        });
    }

    /// All columns, `[count, rows_max]`.
    #[must_use]
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The same as memory that a GPU copies from.
    pub fn memory(&mut self) -> &mut Pinned<T> {
        &mut self.values
    }
}

impl<T: Plain> Index<[usize; 2]> for Columns<T> {
    type Output = T;

    #[inline]
    fn index(&self, [column, row]: [usize; 2]) -> &T {
        &self.column(column)[row]
    }
}

impl<T: Plain> IndexMut<[usize; 2]> for Columns<T> {
    #[inline]
    fn index_mut(&mut self, [column, row]: [usize; 2]) -> &mut T {
        &mut self.column_mut(column)[row]
    }
}
