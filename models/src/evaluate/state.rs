//! The bytes of an evaluation inside a checkpoint: little-endian numbers in a fixed order.
//!
//! Invariant: equal evaluations write equal bytes, and what is read back goes on as the original
//! would have. It knows nothing of checkpoints: the caller frames and checks the bytes.

use std::io::{self, Read, Write};

/// Rows converted at a time when a long list is written or read.
const CHUNK_ROWS: usize = 4096;

/// Writes numbers in little-endian order.
pub(super) struct StateWriter<'a>(pub(super) &'a mut dyn Write);

impl StateWriter<'_> {
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    pub(super) fn u64(&mut self, value: u64) -> io::Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn i64(&mut self, value: i64) -> io::Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn f64(&mut self, value: f64) -> io::Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn f32(&mut self, value: f32) -> io::Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> io::Result<()> {
        self.bytes(&value.to_le_bytes())
    }

    /// A list of words, its length first.
    pub(super) fn u32s(&mut self, values: &[u32]) -> io::Result<()> {
        self.u64(values.len() as u64)?;
        let mut buffer = Vec::with_capacity(CHUNK_ROWS * 4);
        for chunk in values.chunks(CHUNK_ROWS) {
            buffer.clear();
            chunk.iter().for_each(|value| buffer.extend_from_slice(&value.to_le_bytes()));
            self.bytes(&buffer)?;
        }
        Ok(())
    }

    /// A list of counts, its length first.
    pub(super) fn i64s(&mut self, values: &[i64]) -> io::Result<()> {
        self.u64(values.len() as u64)?;
        values.iter().try_for_each(|&value| self.i64(value))
    }
}

/// Reads what [`StateWriter`] wrote.
pub(super) struct StateReader<'a>(pub(super) &'a mut dyn Read);

impl StateReader<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u64(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> io::Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(super) fn f64(&mut self) -> io::Result<f64> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    pub(super) fn f32(&mut self) -> io::Result<f32> {
        Ok(f32::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A length that must not exceed `max`: a damaged state must not ask for all memory.
    pub(super) fn length(&mut self, max: usize) -> io::Result<usize> {
        let given = self.u64()?;
        usize::try_from(given)
            .ok()
            .filter(|&length| length <= max)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// A list of at most `max` words.
    pub(super) fn u32s(&mut self, max: usize) -> io::Result<Vec<u32>> {
        let mut left = self.length(max)?;
        let mut values = Vec::new();
        let mut buffer = [0u8; CHUNK_ROWS * 4];
        while left > 0 {
            let rows = left.min(CHUNK_ROWS);
            self.0.read_exact(&mut buffer[..rows * 4])?;
            values.extend(
                buffer[..rows * 4]
                    .chunks_exact(4)
                    .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])),
            );
            left -= rows;
        }
        Ok(values)
    }

    /// A list of at most `max` counts.
    pub(super) fn i64s(&mut self, max: usize) -> io::Result<Vec<i64>> {
        let length = self.length(max)?;
        (0..length).map(|_| self.i64()).collect()
    }
}
