//! Records in a folder, first in, first out: what waits on the disk while a sink is away.
//!
//! Files of frames follow one another; new records go to the last, the oldest are read from the
//! first, and a file all of whose records are confirmed is removed. Reading and confirming are two
//! things: what was read and not confirmed is read again by the next process, and a little of what
//! was confirmed may be too, when it dies in between. Records are numbered; the number up to which
//! all is confirmed lies in a file of its own. Order is by file and place, and numbers only rise.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use super::folder::Folder;
use super::frame::{self, Begins, Frames};
use super::segment::{Chunk, Segment};
use crate::emit::Record;
use crate::error::Error;

/// The first file's number: there is room for files before it.
const FIRST_ORDINAL: u64 = 1 << 32;

/// A folder of records.
#[derive(Debug)]
pub struct Spill {
    folder: Folder,
    bytes_max: u64,
    segments: VecDeque<Segment>,
    /// The number that the next record gets.
    next: u64,
    /// Every record before this number is confirmed.
    confirmed: u64,
    /// Where reading goes on: index of the file, and byte in it.
    at: (usize, u64),
    /// The number after the last record read.
    read: u64,
    chunk: Chunk,
    frame: Vec<u8>,
}

/// What became of a record that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It was taken: the next one is at hand.
    Taken,
    /// It was not taken, and is still at hand.
    Refused,
    /// There is none.
    None,
}

impl Spill {
    /// Opens the folder, and makes it when it does not exist. What a crash tore is cut off.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Usage`] when another process has it open.
    pub fn open(dir: &Path, bytes_max: u64) -> Result<Spill, Error> {
        let folder = Folder::open(dir)?;
        let failed = || Error::file("read", dir);
        let confirmed = folder.confirmed().map_err(failed())?;
        let ordinals = folder.ordinals().map_err(failed())?;
        let mut spill = Spill {
            folder,
            bytes_max,
            segments: VecDeque::new(),
            next: confirmed,
            confirmed,
            at: (0, 0),
            read: confirmed,
            chunk: Chunk::default(),
            frame: Vec::new(),
        };
        for (index, &ordinal) in ordinals.iter().enumerate() {
            let is_last = index + 1 == ordinals.len();
            spill.take_in(ordinal, is_last).map_err(failed())?;
        }
        Ok(spill)
    }

    /// Takes in a file of an earlier process.
    fn take_in(&mut self, ordinal: u64, is_last: bool) -> io::Result<()> {
        let (mut segment, scan) =
            Segment::open(self.folder.file(ordinal), ordinal, self.confirmed)?;
        let rest = segment.end() - scan.whole_bytes;
        if rest > 0 {
            let is_torn = is_last && !scan.is_damaged;
            let copy = if is_torn { None } else { Some(segment.keep_copy()?) };
            let path = segment.path().display();
            if let Some(copy) = copy {
                let copy = copy.display();
                tracing::error!(%path, rest, %copy, "the end of a spill file is damaged; it was \
                    cut off, and all of the file is kept as a copy");
            } else {
                tracing::warn!(%path, rest, "the last record of a spill file was torn; cut off");
            }
            metrics::counter!("pelton_spill_torn_total").increment(1);
            segment.cut(scan.whole_bytes)?;
        }
        self.next = self.next.max(scan.last.map_or(0, |last| last + 1));
        let Some(first) = scan.first else { return segment.remove() };
        if self.is_empty() {
            (self.confirmed, self.read) = (first, first);
        }
        self.segments.push_back(segment);
        Ok(())
    }

    /// Removes the records from number `sequence` on: they will come again.
    ///
    /// # Errors
    /// Of the file system.
    pub fn cut_from(&mut self, sequence: u64) -> io::Result<()> {
        self.rewind();
        for segment in &mut self.segments {
            segment.cut_from(self.confirmed, sequence)?;
        }
        for segment in self.segments.iter().filter(|segment| segment.records == 0) {
            segment.remove()?;
        }
        self.segments.retain(|segment| segment.records > 0);
        self.chunk = Chunk::default();
        self.next = sequence;
        if self.is_empty() || self.confirmed > sequence {
            self.confirmed = sequence;
        }
        self.read = self.confirmed;
        self.folder.confirm(self.confirmed)
    }

    /// Appends a record; false when the limit is reached. An empty spill takes any one record.
    ///
    /// # Errors
    /// When the disk does not take what was appended before; nothing is appended then.
    pub fn append(&mut self, record: &Record<'_>) -> io::Result<bool> {
        let length = frame::length(record) as u64;
        if !self.is_empty() && self.bytes() + length > self.bytes_max {
            return Ok(false);
        }
        self.make_room()?;
        let (sequence, last) = (self.next, self.segments.back_mut().expect("there is room"));
        if !last.append(|out| frame::write(out, sequence, record))? {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.next += 1;
        Ok(true)
    }

    fn make_room(&mut self) -> io::Result<()> {
        let bytes_max = (self.bytes_max / 8).clamp(64 << 10, 64 << 20);
        if let Some(last) = self.segments.back_mut() {
            if last.end() < bytes_max {
                return Ok(());
            }
            last.sync()?;
        }
        let ordinal = self.segments.back().map_or(FIRST_ORDINAL, |last| last.ordinal + 1);
        let segment = Segment::create(self.folder.file(ordinal), ordinal)?;
        self.segments.push_back(segment);
        Ok(())
    }

    /// A record has gone to the sink directly: it has a number, too.
    pub fn count_passed(&mut self) {
        debug_assert!(self.is_empty());
        self.next += 1;
        (self.confirmed, self.read) = (self.next, self.next);
    }

    /// Puts records before all others: those that the sink was given last and has not delivered.
    /// What was read so far is confirmed. They are held in memory until they can be written.
    ///
    /// # Errors
    /// Of the file system; nothing has changed then.
    ///
    /// # Panics
    /// When there are more records than were ever counted or read.
    pub fn put_first(&mut self, frames: &Frames) -> io::Result<()> {
        if frames.count() == 0 {
            self.confirm();
            return Ok(());
        }
        // Their numbers end where those that were not read yet begin.
        let first = self.read.checked_sub(frames.count()).expect("they were numbered before");
        let ordinal = self.segments.front().map_or(FIRST_ORDINAL, |front| front.ordinal) - 1;
        let mut segment = Segment::create(self.folder.file(ordinal), ordinal)?;
        let mut sequence = first;
        frames.for_each(|record| {
            segment.hold(|out| frame::write(out, sequence, record));
            sequence += 1;
        });
        self.leave_what_is_read();
        self.segments.push_front(segment);
        (self.at, self.read, self.confirmed) = ((0, 0), first, first);
        self.note_confirmed();
        Ok(())
    }

    /// Offers the oldest record that was not read yet.
    ///
    /// # Errors
    /// [`Error::File`], and those of `take`.
    pub fn offer(
        &mut self,
        take: &mut dyn FnMut(&Record<'_>) -> Result<bool, Error>,
    ) -> Result<Offered, Error> {
        while self.load().map_err(Error::file("read", self.folder.path()))? {
            let Begins::Whole(frame) = frame::read(&self.frame) else {
                self.abandon().map_err(Error::file("write", self.folder.path()))?;
                continue;
            };
            let (sequence, length) = (frame.sequence, frame.length as u64);
            // Not what was put before this file, or confirmed by an earlier process.
            if sequence >= self.read {
                if !take(&frame.record())? {
                    return Ok(Offered::Refused);
                }
                self.read = sequence + 1;
                self.at.1 += length;
                return Ok(Offered::Taken);
            }
            self.at.1 += length;
        }
        Ok(Offered::None)
    }

    /// Copies the next frame; false at the end.
    fn load(&mut self) -> io::Result<bool> {
        while let Some(segment) = self.segments.get(self.at.0) {
            if segment.copy(self.at.1, &mut self.chunk, &mut self.frame)? {
                return Ok(true);
            }
            if self.at.0 + 1 == self.segments.len() {
                return Ok(false);
            }
            self.at = (self.at.0 + 1, 0);
        }
        Ok(false)
    }

    /// The disk has turned a file that was whole before: what is left of it cannot be read.
    fn abandon(&mut self) -> io::Result<()> {
        let segment = &mut self.segments[self.at.0];
        let copy = segment.keep_copy()?;
        let rest = segment.end() - self.at.1;
        tracing::error!(rest, copy = %copy.display(), "a spill file was damaged on the disk; \
            its rest was left out, and all of the file is kept as a copy");
        metrics::counter!("pelton_spill_torn_total").increment(1);
        segment.cut(self.at.1)
    }

    /// Everything read so far is delivered.
    pub fn confirm(&mut self) {
        if self.at != (0, 0) {
            self.leave_what_is_read();
            self.note_confirmed();
        }
    }

    fn leave_what_is_read(&mut self) {
        self.confirmed = self.read;
        // The number of a file that is gone is given to another.
        self.chunk = Chunk::default();
        while let Some(first) = self.segments.front()
            && (self.at.0 > 0 || self.at.1 == first.end())
        {
            // A file that stays has nothing in it that is not confirmed.
            if let Err(error) = first.remove() {
                let path = first.path().display();
                tracing::warn!(%path, %error, "a spill file that is done cannot be removed");
            }
            self.segments.pop_front();
            self.at = if self.at.0 > 0 { (self.at.0 - 1, self.at.1) } else { (0, 0) };
        }
    }

    /// On a full disk the number of before stays: more is sent again after a crash, no less.
    fn note_confirmed(&self) {
        if let Err(error) = self.folder.confirm(self.confirmed) {
            tracing::debug!(%error, "cannot note what is confirmed");
        }
    }

    /// What was read and not confirmed is read again.
    pub fn rewind(&mut self) {
        (self.at, self.read) = ((0, 0), self.confirmed);
    }

    /// Returns when every record is on the disk.
    ///
    /// # Errors
    /// Of the file system; what could not be written is still held.
    pub fn sync(&mut self) -> io::Result<()> {
        self.segments.iter_mut().try_for_each(Segment::sync)
    }

    /// Hands what was gathered to the system.
    ///
    /// # Errors
    /// As [`Spill::sync`].
    pub fn write(&mut self) -> io::Result<()> {
        self.segments.iter_mut().try_for_each(Segment::write)
    }

    /// Whether nothing is left that is not confirmed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The number that the next record gets.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Records that are not confirmed.
    #[must_use]
    pub fn records(&self) -> u64 {
        if self.is_empty() { 0 } else { self.next - self.confirmed }
    }

    /// Bytes of the files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::end).sum()
    }

    /// Where they lie.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }
}
