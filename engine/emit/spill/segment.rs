//! One file of a spill: whole frames, one after another, appended to and read from the start.
//!
//! What is appended is gathered in memory and written in one piece at a known place; a write that
//! fails leaves the file as long as it was, keeps the bytes, and is tried again later.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::frame::{self, Begins};

/// So much is gathered before it is written.
const PENDING_BYTES: usize = 256 << 10;
/// So much is read at once.
const CHUNK_BYTES: u64 = 256 << 10;

/// A file of frames.
#[derive(Debug)]
pub struct Segment {
    /// Its place among the others.
    pub ordinal: u64,
    /// Frames in it that have not been read and confirmed.
    pub records: u64,
    path: PathBuf,
    file: File,
    written: u64,
    pending: Vec<u8>,
    is_synced: bool,
}

/// What was found in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Bytes of whole frames from its start.
    pub whole_bytes: u64,
    /// Sequence of the last of them.
    pub last: Option<u64>,
    /// The first frame of the wanted sequence or later.
    pub first: Option<u64>,
    /// How many there are from there on.
    pub records: u64,
    /// Whether what follows is something else than the beginning of a frame.
    pub is_damaged: bool,
}

impl Segment {
    /// A new, empty file.
    ///
    /// # Errors
    /// Of the file system.
    pub fn create(path: PathBuf, ordinal: u64) -> io::Result<Segment> {
        let file =
            File::options().create(true).truncate(true).read(true).write(true).open(&path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(Segment {
            ordinal,
            records: 0,
            path,
            file,
            written: 0,
            pending: vec![],
            is_synced: true,
        })
    }

    /// A file that is there, and what is in it; frames before `from` are not counted.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(path: PathBuf, ordinal: u64, from: u64) -> io::Result<(Segment, Scan)> {
        let file = File::options().read(true).write(true).open(&path)?;
        let written = file.metadata()?.len();
        let (pending, is_synced) = (Vec::new(), false);
        let mut segment = Segment { ordinal, records: 0, path, file, written, pending, is_synced };
        let scan = segment.scan(from, u64::MAX)?;
        segment.records = scan.records;
        Ok((segment, scan))
    }

    /// Looks through the frames up to the first of sequence `until` or later.
    fn scan(&self, from: u64, until: u64) -> io::Result<Scan> {
        let (mut scan, mut chunk, mut bytes) = (Scan::default(), Chunk::default(), Vec::new());
        while self.copy(scan.whole_bytes, &mut chunk, &mut bytes)? {
            match frame::read(&bytes) {
                Begins::Whole(frame) if frame.sequence < until => {
                    scan.whole_bytes += frame.length as u64;
                    scan.last = Some(frame.sequence);
                    if frame.sequence >= from {
                        scan.first.get_or_insert(frame.sequence);
                        scan.records += 1;
                    }
                }
                Begins::Whole(_) | Begins::Cut => break,
                Begins::Damaged => {
                    scan.is_damaged = true;
                    break;
                }
            }
        }
        Ok(scan)
    }

    /// Cuts the file after `bytes`, which are whole frames.
    ///
    /// # Errors
    /// Of the file system.
    pub fn cut(&mut self, bytes: u64) -> io::Result<()> {
        if bytes >= self.written {
            self.pending.clear();
        }
        self.file.set_len(bytes)?;
        self.written = bytes;
        self.file.sync_all()
    }

    /// Cuts off the frames of sequence `until` and later; frames before `from` are not counted.
    ///
    /// # Errors
    /// Of the file system.
    pub fn cut_from(&mut self, from: u64, until: u64) -> io::Result<()> {
        let scan = self.scan(from, until)?;
        self.records = scan.records;
        if scan.whole_bytes == self.end() { Ok(()) } else { self.cut(scan.whole_bytes) }
    }

    /// Keeps a copy of the file beside it, for whoever wants to know what happened.
    ///
    /// # Errors
    /// Of the file system.
    pub fn keep_copy(&self) -> io::Result<PathBuf> {
        let path = self.path.with_extension("damaged");
        std::fs::copy(&self.path, &path)?;
        Ok(path)
    }

    /// Appends a frame that `write` makes.
    ///
    /// # Errors
    /// When what was gathered before is too much and cannot be written; nothing is appended then.
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> io::Result<bool> {
        if self.pending.len() >= PENDING_BYTES {
            self.write()?;
        }
        let is_appended = write(&mut self.pending);
        self.records += u64::from(is_appended);
        Ok(is_appended)
    }

    /// Appends a frame without writing anything, however much is held already.
    pub fn hold(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        self.records += u64::from(write(&mut self.pending));
    }

    /// Writes what was gathered.
    ///
    /// # Errors
    /// Of the file system: the file is as it was, and the bytes are still held.
    pub fn write(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if let Err(error) = write_at(&self.file, &self.pending, self.written) {
            // What is left over is overwritten by the next try, or cut as torn after a crash.
            let _ = self.file.set_len(self.written);
            return Err(error);
        }
        self.written += self.pending.len() as u64;
        self.pending.clear();
        self.is_synced = false;
        Ok(())
    }

    /// Writes, and returns when it is on the disk.
    ///
    /// # Errors
    /// As [`Segment::write`].
    pub fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        if !self.is_synced {
            self.file.sync_data()?;
            self.is_synced = true;
        }
        Ok(())
    }

    /// Bytes of all frames, written or not.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// Copies the frame at `offset`, or what there is of it; false at the end.
    ///
    /// # Errors
    /// Of the file system.
    pub fn copy(&self, offset: u64, chunk: &mut Chunk, frame: &mut Vec<u8>) -> io::Result<bool> {
        frame.clear();
        if offset >= self.written {
            let start = usize::try_from(offset - self.written).unwrap_or(usize::MAX);
            let bytes = self.pending.get(start..).unwrap_or_default();
            frame.extend_from_slice(&bytes[..length_of(bytes).min(bytes.len())]);
            return Ok(!frame.is_empty());
        }
        let head = chunk.at(self, offset, frame::HEAD_BYTES)?;
        let length = length_of(head);
        let bytes = chunk.at(self, offset, length)?;
        frame.extend_from_slice(&bytes[..length.min(bytes.len())]);
        Ok(true)
    }

    /// Removes the file.
    ///
    /// # Errors
    /// Of the file system.
    pub fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Bytes of the frame that begins here; of a head that cannot be one, its own.
fn length_of(bytes: &[u8]) -> usize {
    match bytes.len() {
        0..frame::HEAD_BYTES => frame::HEAD_BYTES,
        _ => frame::whole_length(bytes).unwrap_or(frame::HEAD_BYTES),
    }
}

/// A piece of a file in memory.
#[derive(Debug, Default)]
pub struct Chunk {
    ordinal: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Chunk {
    /// The written bytes from `offset` on, `wanted` of them if there are so many.
    fn at(&mut self, of: &Segment, offset: u64, wanted: usize) -> io::Result<&[u8]> {
        let end = (offset + wanted as u64).min(of.written);
        let has = self.ordinal == of.ordinal
            && self.start <= offset
            && end <= self.start + self.bytes.len() as u64;
        if !has {
            let length = CHUNK_BYTES.max(wanted as u64).min(of.written - offset);
            self.bytes.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
            of.file.read_exact_at(&mut self.bytes, offset)?;
            (self.ordinal, self.start) = (of.ordinal, offset);
        }
        let start = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        Ok(&self.bytes[start..])
    }
}

fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    crate::fail::fail_point("spill::write")?;
    #[cfg(test)]
    if DISK_IS_FULL.get() {
        file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
        return Err(io::Error::from(io::ErrorKind::StorageFull));
    }
    file.write_all_at(bytes, offset)
}

#[cfg(test)]
thread_local! {
    /// Lets every write of this thread stop half way.
    pub static DISK_IS_FULL: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}
