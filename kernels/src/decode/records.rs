//! Records one after another, as they came, in memory that a GPU copies from by itself.

use crate::device::{Device, DeviceError, Pinned, Pinning};

/// Records of a batch: their bytes, and where each ends.
#[derive(Debug)]
pub struct Records {
    /// What lies behind the last record may hold anything.
    pub(super) bytes: Pinned<u8>,
    /// Ends of the records, in bytes from the start; never decreasing, never beyond the bytes.
    pub(super) ends: Pinned<u32>,
    rows: usize,
    used: usize,
}

impl Records {
    /// Room for so many records of so many bytes together, at most 2^32 - 1.
    ///
    /// # Errors
    /// [`DeviceError`] when the driver has no such memory to give.
    pub fn new(device: &Device, rows: usize, bytes: usize) -> Result<Records, DeviceError> {
        let bytes = bytes.min(u32::MAX as usize);
        // Only written here, but the rows that are hard are read.
        let bytes = Pinned::new(device, bytes, Pinning::Both)?;
        let ends = Pinned::new(device, rows, Pinning::Both)?;
        Ok(Records { bytes, ends, rows: 0, used: 0 })
    }

    /// Adds a record; false, and nothing is changed, where there is no room.
    pub fn push(&mut self, record: &[u8]) -> bool {
        let end = self.used.saturating_add(record.len());
        if self.rows == self.ends.len() || end > self.bytes.len() {
            return false;
        }
        self.bytes[self.used..end].copy_from_slice(record);
        // It fits: the room is at most `u32::MAX` bytes.
        self.ends[self.rows] = end as u32;
        self.rows += 1;
        self.used = end;
        true
    }

    /// How many there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of all of them.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.used
    }

    /// The most records there is room for.
    #[must_use]
    pub fn rows_max(&self) -> usize {
        self.ends.len()
    }

    /// The most bytes there is room for.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of a record.
    #[must_use]
    pub fn record(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        &self.bytes[start..self.ends[row] as usize]
    }

    /// Forgets all of them; the room stays.
    pub fn clear(&mut self) {
        (self.rows, self.used) = (0, 0);
    }
}
