//! A digest of a growing stream of bytes that can be saved, and goes on as if it never had been.
//!
//! The stream is cut into blocks of [`BLOCK`] bytes, wherever those end, and each block is hashed
//! behind the digest of all before it; the digest so far is that of the block begun. So it depends
//! on the bytes alone, not on the pieces they came in, and its state is one block. (A plain BLAKE3
//! of the stream keeps a stack of subtrees that its library does not give out.)

use std::io;

use pelton_kernels::state::{StateReader, StateWriter, invalid};

const LINK: usize = blake3::OUT_LEN;
/// Bytes of the stream per block: with the link before them they are 32 KiB, which BLAKE3 hashes
/// at full width.
pub const BLOCK: usize = 32 * 1024 - LINK;

/// The digest of what has been added so far.
pub struct RunningDigest {
    /// The digest of all blocks before, zeros before the first; then the block begun, never full.
    link_and_block: Vec<u8>,
}

impl RunningDigest {
    /// Of nothing.
    pub fn new() -> RunningDigest {
        let mut link_and_block = Vec::with_capacity(LINK + BLOCK);
        link_and_block.resize(LINK, 0);
        RunningDigest { link_and_block }
    }

    /// The stream goes on with these bytes.
    pub fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = LINK + BLOCK - self.link_and_block.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.link_and_block.extend_from_slice(now);
            bytes = later;
            if now.len() == room {
                let link = blake3::hash(&self.link_and_block);
                self.link_and_block.clear();
                self.link_and_block.extend_from_slice(link.as_bytes());
            }
        }
    }

    /// The digest so far.
    pub fn value(&self) -> blake3::Hash {
        blake3::hash(&self.link_and_block)
    }

    /// Writes the block begun.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.list(&self.link_and_block)
    }

    /// Becomes what [`RunningDigest::write`] wrote.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for what is no block begun.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let link_and_block = state.list(LINK + BLOCK - 1)?;
        if link_and_block.len() < LINK {
            return Err(invalid("a block of the score digest has no link"));
        }
        self.link_and_block.clear();
        self.link_and_block.extend_from_slice(&link_and_block);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, told plainly.
    fn whole(bytes: &[u8]) -> blake3::Hash {
        let of = |link: &[u8], block: &[u8]| blake3::hash(&[link, block].concat());
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let link = blocks.iter().fold([0; LINK], |link, block| of(&link, block).into());
        of(&link, rest)
    }

    #[test]
    fn neither_pieces_nor_a_restart_change_it() {
        let bytes: Vec<u8> = (0..3 * BLOCK + 700).map(|i| (i * i % 251) as u8).collect();
        for piece in [1, 20, 32, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let mut digest = RunningDigest::new();
            let mut end = 0;
            for (index, piece) in bytes.chunks(piece).enumerate() {
                digest.add(piece);
                end += piece.len();
                if index % 500 == 1 {
                    let mut saved = Vec::new();
                    digest.write(&mut StateWriter::new(&mut saved)).unwrap();
                    digest = RunningDigest::new();
                    digest.read(&mut StateReader::new(&mut &saved[..])).unwrap();
                    assert_eq!(digest.value(), whole(&bytes[..end]), "pieces of {}", piece.len());
                }
            }
            assert_eq!(digest.value(), whole(&bytes), "pieces of {piece}");
        }
        for end in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK] {
            let mut digest = RunningDigest::new();
            digest.add(&bytes[..end]);
            assert_eq!(digest.value(), whole(&bytes[..end]), "{end} bytes");
        }
    }
}
