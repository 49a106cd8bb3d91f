//! A table's state as bytes: equal states give equal bytes, whatever led to them.
//!
//! Little endian: the watermark, the counts, the number of keys; then for each key, smallest first:
//! the key, the number of entries, their words. Keys that no window can reach any more are left
//! out. Cursors and sums are not written: they are rebuilt by the first row of the key.

use std::io::{self, Read, Write};

use super::table::WindowTable;
use super::{TableSpec, WindowCounts};

impl WindowTable {
    /// Writes the state.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_state(&self, writer: &mut dyn Write) -> io::Result<()> {
        let horizon_ms = self.plan.horizon_ms(self.watermark_ms);
        let mut keys = self.keys.sorted();
        keys.retain(|&(_, slot)| {
            let view = self.arena.view(self.keys.ring(slot));
            view.time_ms(view.len() - 1) > horizon_ms
        });
        writer.write_all(&self.watermark_ms.to_le_bytes())?;
        for count in self.counts.words() {
            writer.write_all(&count.to_le_bytes())?;
        }
        writer.write_all(&(keys.len() as u64).to_le_bytes())?;
        let mut bytes = Vec::new();
        for (key, slot) in keys {
            let view = self.arena.view(self.keys.ring(slot));
            bytes.clear();
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&view.len().to_le_bytes());
            for position in 0..view.len() {
                view.entry(position).iter().for_each(|word| bytes.extend(word.to_le_bytes()));
            }
            writer.write_all(&bytes)?;
        }
        Ok(())
    }

    /// A table of `spec` with a state that [`WindowTable::write_state`] wrote for an equal one.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` where the bytes are not such a state; `InvalidInput` for
    /// a specification that [`WindowTable::new`] refuses.
    pub fn read_state(spec: &TableSpec, reader: &mut dyn Read) -> io::Result<Self> {
        let refused = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let mut table = Self::new(spec).map_err(refused)?;
        table.watermark_ms = read_u64(reader)?.cast_signed();
        let mut words = [0; WindowCounts::WORDS];
        for word in &mut words {
            *word = read_u64(reader)?;
        }
        table.counts = WindowCounts::from_words(words);
        let mut previous = 0;
        for _ in 0..read_u64(reader)? {
            let key = read_u64(reader)?;
            let mut len = [0; 4];
            reader.read_exact(&mut len)?;
            let len = u32::from_le_bytes(len);
            if key <= previous || len == 0 {
                return Err(invalid("keys out of order, or one without entries"));
            }
            previous = key;
            table.read_key(key, len, reader)?;
        }
        Ok(table)
    }

    fn read_key(&mut self, key: u64, len: u32, reader: &mut dyn Read) -> io::Result<()> {
        let mut bytes = vec![0; self.plan.layout.words() * 4];
        let mut entry = vec![0; self.plan.layout.words()];
        let mut ring = super::arena::Ring::EMPTY;
        let mut newest_ms = i64::MIN;
        for position in 0..len {
            reader.read_exact(&mut bytes)?;
            for (word, quad) in entry.iter_mut().zip(bytes.chunks_exact(4)) {
                *word = u32::from_le_bytes([quad[0], quad[1], quad[2], quad[3]]);
            }
            let time_ms = super::arena::read_i64(&entry);
            if time_ms < newest_ms {
                return Err(invalid("entries of a key out of order"));
            }
            newest_ms = time_ms;
            self.arena.insert(&mut ring, position, &entry);
        }
        self.entries += len as usize;
        let (slot, _) = self.keys.create(key, newest_ms);
        *self.keys.ring_mut(slot) = ring;
        self.lanes.push_slot(&self.plan);
        Ok(())
    }
}

fn read_u64(reader: &mut dyn Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
