//! Arrays of several types that lie together, so that one copy moves them: a copy costs a small
//! batch as much as its bytes do.
//!
//! Their places are planned first ([`BlockPlan`]); the same plan holds here and there.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use super::buffer::{Buffer, Plain};
use super::pinned::Pinned;
use super::{Device, DeviceError, Gpu, Pinning, Stream};

/// What each array's place is a multiple of: as an allocation of its own would be.
const ALIGNMENT: usize = 256;

/// Where the arrays of a block will lie.
#[derive(Clone, Debug, Default)]
pub struct BlockPlan {
    bytes: usize,
}

/// The place of an array.
pub struct Part<T> {
    at: usize,
    length: usize,
    of: PhantomData<T>,
}

/// Arrays that lie together, in page-locked memory here and in the memory of a GPU.
pub struct Block {
    here: Pinned<u64>,
    there: Buffer<u64>,
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Part<T> {}

impl<T: Plain> Part<T> {
    /// The bytes of the block before it.
    #[must_use]
    pub fn start(&self) -> usize {
        self.at
    }

    /// The same, and its own.
    #[must_use]
    pub fn end(&self) -> usize {
        self.at + self.length * size_of::<T>()
    }
}

impl BlockPlan {
    /// A place for `length` values, behind all that were planned before.
    pub fn part<T: Plain>(&mut self, length: usize) -> Part<T> {
        let at = self.bytes.next_multiple_of(ALIGNMENT);
        self.bytes = at + length * size_of::<T>();
        Part { at, length, of: PhantomData }
    }
}

impl Block {
    /// Zeros here and whatever there, in the places of the plan.
    ///
    /// # Errors
    /// [`DeviceError::Memory`], [`DeviceError::Lost`].
    pub fn new(gpu: &Arc<Gpu>, plan: &BlockPlan) -> Result<Block, DeviceError> {
        let words = plan.bytes.div_ceil(8);
        let here = Pinned::new(&Device::Gpu(Arc::clone(gpu)), words, Pinning::Both)?;
        Ok(Block { here, there: Buffer::new(gpu, words)? })
    }

    /// An array here.
    ///
    /// # Panics
    /// If it is none of this block, as the following.
    #[must_use]
    pub fn here<T: Plain>(&self, part: Part<T>) -> &[T] {
        self.here.view(part.at, part.length)
    }

    /// The same to be written.
    pub fn here_mut<T: Plain>(&mut self, part: Part<T>) -> &mut [T] {
        self.here.view_mut(part.at, part.length)
    }

    /// The same there.
    #[must_use]
    pub fn there<T: Plain>(&self, part: Part<T>) -> Buffer<T> {
        self.there.part(part.at, part.length)
    }

    /// Copies these bytes to the GPU, without waiting: whole parts.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn upload(&mut self, stream: &Stream, bytes: Range<usize>) -> Result<(), DeviceError> {
        let (at, length) = words(&bytes);
        stream.upload((&mut self.there, at), (&mut self.here, at), length)
    }

    /// Copies these bytes back, without waiting.
    ///
    /// # Errors
    /// [`DeviceError::Lost`].
    pub fn download(&mut self, stream: &Stream, bytes: Range<usize>) -> Result<(), DeviceError> {
        let (at, length) = words(&bytes);
        stream.download((&mut self.here, at), (&self.there, at), length)
    }
}

/// A part begins at a word and may end within one.
fn words(bytes: &Range<usize>) -> (usize, usize) {
    (bytes.start / 8, bytes.end.div_ceil(8) - bytes.start / 8)
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block").field("bytes", &self.there.byte_count()).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "double"))]
mod tests {
    use super::*;

    #[test]
    fn one_copy_moves_arrays_of_several_types_and_leaves_the_others() {
        for gpu in crate::device::double::tested() {
            let stream = Stream::new(&gpu).expect("a stream");
            let mut plan = BlockPlan::default();
            let (bytes, floats) = (plan.part::<u8>(3), plan.part::<f32>(5));
            let (none, words) = (plan.part::<u64>(0), plan.part::<u64>(2));
            let mut block = Block::new(&gpu, &plan).expect("a block");
            block.here_mut(bytes).copy_from_slice(&[1, 2, 3]);
            block.here_mut(floats).copy_from_slice(&[0.5; 5]);
            block.here_mut(words).copy_from_slice(&[7, 8]);
            block.upload(&stream, 0..words.end()).expect("uploaded");
            let there = block.there(floats);
            let mut read = [0.0_f32; 5];
            stream.read(&there, &mut read).expect("read");
            assert_eq!(read, [0.5; 5]);
            block.here_mut(bytes).fill(0);
            block.here_mut(floats).fill(0.0);
            block.here_mut(words).fill(0);
            block.download(&stream, floats.start()..words.end()).expect("downloaded");
            assert_eq!(block.here(bytes), [0; 3]);
            assert_eq!(block.here(floats), [0.5; 5]);
            assert_eq!((block.here(none).len(), block.here(words)), (0, &[7, 8][..]));
            // The memory is there as long as one of its parts is.
            drop(block);
            stream.read(&there, &mut read).expect("read");
            assert_eq!(read, [0.5; 5]);
        }
    }
}
