//! Byte strings of a batch in one buffer: texts to repeat and the original bytes of rows.
//!
//! A [`Slot`](super::Slot) keeps its [`Arena`]s from batch to batch, so that no row allocates.
//! Every entry lies within the buffer; bytes of entries that were replaced or dropped stay until
//! the arena is cleared.

/// Byte strings in one buffer.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    bytes: Vec<u8>,
    entries: Vec<(u32, u32)>,
}

impl Arena {
    /// Appends an entry made of whatever `write` adds.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.entries.push((0, 0));
        self.set(self.entries.len() - 1, write);
    }

    /// Replaces entry `index` by whatever `write` adds.
    pub fn set(&mut self, index: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.end();
        write(&mut self.bytes);
        self.entries[index] = (start, self.end());
    }

    /// Entry `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> &[u8] {
        let (start, end) = self.entries[index];
        &self.bytes[start as usize..end as usize]
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes held.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        self.bytes.len()
    }

    /// Keeps the first `count` entries.
    pub fn truncate(&mut self, count: usize) {
        self.entries.truncate(count);
    }

    /// Keeps the entries that are wanted, in order; `width` of them belong to one row.
    pub fn retain_rows(&mut self, width: usize, keep: impl Fn(usize) -> bool) {
        let mut index = 0;
        self.entries.retain(|_| {
            index += 1;
            keep((index - 1) / width)
        });
    }

    /// Forgets all entries, keeps the memory.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
    }

    fn end(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("a batch is closed long before 4 GiB")
    }
}
