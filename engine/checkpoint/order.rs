//! The order log: in which order the partitions were read since a checkpoint.
//!
//! State is a function of the records in the order they were read. With one partition that order
//! is the topic's own; with several, live traffic decides it, and a restart that read them in
//! another order would compute other scores than those already sent. So the order of each batch
//! is appended here *before* its scores go out: a few bytes a batch, never the records themselves.
//! After a crash the source is led through the same order, up to where the log ends, and is free
//! from there on.
//!
//! A log belongs to the checkpoint it begins at, and its first entry says where every partition
//! stood there, so that a log before it that is missing, or lacks its end, does not go unseen. Each
//! entry carries its length and a checksum: an
//! entry that was torn by a crash ends the log, and nothing of it was sent. Written entries survive
//! the death of the process; with `sync` they survive the death of the machine too.
//!
//! ```text
//! entry     payload length u32, first 8 bytes of the payload's BLAKE3, payload
//! payload   number of new lanes, each: name length, name, zigzag partition;
//!           number of runs, each: lane, zigzag first offset, offsets read (numbers LEB128)
//! ```

pub mod chain;
pub mod place;

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Error;
use crate::fail::fail_point;
use crate::ring::{Run, Span};
use place::{OrderFile, OrderPlace};

/// A stretch of one partition that was read without another in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Where the partition was read from.
    pub first: i64,
    /// Where the stretch ended: the offset read next.
    pub next: i64,
}

/// The stretches of one batch, in the order they were read.
pub type BatchOrder = Vec<Stretch>;

/// A partition that a log names: its topic and number.
type Lane = (Arc<str>, i32);

/// An entry's frame: length and checksum.
const FRAME_BYTES: usize = 12;
/// No entry is longer: a damaged length must not ask for memory.
const ENTRY_BYTES_MAX: usize = 1 << 28;

/// Writes a log.
#[derive(Debug)]
pub struct OrderLog {
    path: PathBuf,
    file: Box<dyn OrderFile>,
    sync: bool,
    lanes: Vec<Lane>,
    entry: Vec<u8>,
    sync_count: u64,
}

impl OrderLog {
    /// An empty log that begins at a checkpoint; one that was there is replaced.
    ///
    /// # Errors
    /// As [`OrderPlace::create`].
    pub fn create(place: &dyn OrderPlace, sequence: u64, sync: bool) -> Result<OrderLog, Error> {
        let (path, file) = (place.path(sequence), place.create(sequence, sync)?);
        Ok(OrderLog { path, file, sync, lanes: Vec::new(), entry: Vec::new(), sync_count: 0 })
    }

    /// An empty log that begins where the partitions stand so.
    ///
    /// # Errors
    /// As [`OrderLog::create`] and [`OrderLog::append`].
    pub fn begin(
        place: &dyn OrderPlace,
        sequence: u64,
        sync: bool,
        positions: &[Span],
    ) -> Result<OrderLog, Error> {
        let mut log = OrderLog::create(place, sequence, sync)?;
        log.append_positions(positions)?;
        Ok(log)
    }

    /// Writes a log that has nothing but its beginning once more, and behind it that a run has gone
    /// on from there, on the disk. After an error the log is none that only begins, either.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn mark(&mut self, positions: &[Span]) -> Result<(), Error> {
        self.lanes.clear();
        let emptied = self.file.cut(0).and_then(|()| self.file.sync());
        emptied.map_err(Error::file("write", &self.path))?;
        self.append_positions(positions)?;
        self.append(&[], &[])?;
        self.file.sync().map_err(Error::file("sync", &self.path))
    }

    /// Appends where the partitions stand.
    ///
    /// # Errors
    /// As [`OrderLog::append`].
    pub fn append_positions(&mut self, positions: &[Span]) -> Result<(), Error> {
        let run = |(span, at): (u32, &Span)| Run { span, first: at.next, next: at.next };
        let runs: Vec<Run> = (0..).zip(positions).map(run).collect();
        self.append(positions, &runs)
    }

    /// Goes on with a log: what a crash tore is cut off, the whole entries are returned.
    ///
    /// # Errors
    /// As [`OrderPlace::open`].
    pub fn reopen(
        place: &dyn OrderPlace,
        sequence: u64,
        sync: bool,
    ) -> Result<(OrderLog, Vec<BatchOrder>), Error> {
        let (mut file, bytes) = place.open(sequence)?;
        let (batches, lanes, whole) = parse_all(&bytes);
        let path = place.path(sequence);
        // An entry that a crash left between its writing and its sync is followed from now on.
        let cut = file.cut(whole as u64).and_then(|()| if sync { file.sync() } else { Ok(()) });
        cut.map_err(Error::file("write", &path))?;
        Ok((OrderLog { path, file, sync, lanes, entry: Vec::new(), sync_count: 0 }, batches))
    }

    /// Appends the order of a batch; `runs` name their partitions by their index in `spans`.
    ///
    /// # Errors
    /// [`Error::File`]; the batch must not be sent then.
    pub fn append(&mut self, spans: &[Span], runs: &[Run]) -> Result<(), Error> {
        self.encode(spans, runs);
        let (head, tail) = self.entry.split_at(self.entry.len() / 2);
        let written = self.file.append(head).and_then(|()| {
            fail_point("order::half_written")?;
            self.file.append(tail)
        });
        let synced = written.and_then(|()| if self.sync { self.file.sync() } else { Ok(()) });
        self.sync_count += u64::from(self.sync);
        synced.map_err(Error::file("write", &self.path))
    }

    /// How often an entry was synced to the disk.
    #[must_use]
    pub fn sync_count(&self) -> u64 {
        self.sync_count
    }

    fn encode(&mut self, spans: &[Span], runs: &[Run]) {
        self.entry.clear();
        self.entry.resize(FRAME_BYTES, 0);
        let known = self.lanes.len();
        for span in spans {
            let is_known =
                |(topic, partition): &Lane| *topic == span.topic && *partition == span.partition;
            if !self.lanes.iter().any(is_known) {
                self.lanes.push((Arc::clone(&span.topic), span.partition));
            }
        }
        put(&mut self.entry, (self.lanes.len() - known) as u64);
        for (topic, partition) in &self.lanes[known..] {
            put(&mut self.entry, topic.len() as u64);
            self.entry.extend_from_slice(topic.as_bytes());
            put(&mut self.entry, zigzag(i64::from(*partition)));
        }
        put(&mut self.entry, runs.len() as u64);
        for run in runs {
            let span = &spans[run.span as usize];
            let lane = self.lanes.iter().position(|(topic, partition)| {
                *topic == span.topic && *partition == span.partition
            });
            put(&mut self.entry, lane.expect("every span was made a lane above") as u64);
            put(&mut self.entry, zigzag(run.first));
            put(&mut self.entry, run.next.wrapping_sub(run.first).cast_unsigned());
        }
        let payload = &self.entry[FRAME_BYTES..];
        let length = u32::try_from(payload.len()).expect("a batch has at most 2^20 rows");
        let digest = blake3::hash(payload);
        self.entry[..4].copy_from_slice(&length.to_le_bytes());
        self.entry[4..FRAME_BYTES].copy_from_slice(&digest.as_bytes()[..8]);
    }
}

/// Reads the whole entries of a log; what follows a torn one was never sent. A log that is not
/// there is empty.
///
/// # Errors
/// As [`OrderPlace::read`].
pub fn read(place: &dyn OrderPlace, sequence: u64) -> Result<Vec<BatchOrder>, Error> {
    Ok(parse(&place.read(sequence)?))
}

/// The whole entries at the beginning of these bytes.
#[must_use]
pub fn parse(bytes: &[u8]) -> Vec<BatchOrder> {
    parse_all(bytes).0
}

/// The whole entries, the lanes they name, and their bytes.
fn parse_all(bytes: &[u8]) -> (Vec<BatchOrder>, Vec<Lane>, usize) {
    let (mut batches, mut lanes) = (Vec::new(), Vec::new());
    let mut rest = bytes;
    while let Some((payload, after)) = frame(rest) {
        let known = lanes.len();
        let Some(batch) = batch(payload, &mut lanes) else {
            lanes.truncate(known);
            break;
        };
        batches.push(batch);
        rest = after;
    }
    (batches, lanes, bytes.len() - rest.len())
}

/// The payload of the first entry, if it is whole, and what follows it.
fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(FRAME_BYTES)?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    if length > ENTRY_BYTES_MAX {
        return None;
    }
    let (payload, after) = rest.split_at_checked(length)?;
    (blake3::hash(payload).as_bytes()[..8] == head[4..]).then_some((payload, after))
}

fn batch(mut payload: &[u8], lanes: &mut Vec<Lane>) -> Option<BatchOrder> {
    let from = &mut payload;
    for _ in 0..get(from)? {
        let length = usize::try_from(get(from)?).ok()?;
        let (name, rest) = from.split_at_checked(length)?;
        *from = rest;
        let partition = i32::try_from(unzigzag(get(from)?)).ok()?;
        lanes.push((std::str::from_utf8(name).ok()?.into(), partition));
    }
    let mut stretches = Vec::new();
    for _ in 0..get(from)? {
        let (topic, partition) = lanes.get(usize::try_from(get(from)?).ok()?)?;
        let first = unzigzag(get(from)?);
        let next = first.wrapping_add(get(from)?.cast_signed());
        stretches.push(Stretch { topic: Arc::clone(topic), partition: *partition, first, next });
    }
    Some(stretches)
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn get(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::place::Folder;
    use super::*;
    use proptest::prelude::*;

    fn span(topic: &str, partition: i32) -> Span {
        Span { topic: topic.into(), partition, next: 0 }
    }

    fn logged(batches: &[Vec<(usize, i64)>]) -> (Vec<u8>, Vec<BatchOrder>, Vec<usize>) {
        let folder = tempfile::tempdir().unwrap();
        let place = Folder::new(folder.path());
        let mut log = OrderLog::create(&place, 1, false).unwrap();
        let (mut expected, mut ends) = (Vec::new(), vec![0]);
        for batch in batches {
            // Spans of a batch come in the order of their first record.
            let mut spans: Vec<Span> = Vec::new();
            let mut runs = Vec::new();
            for &(lane, next) in batch {
                let name = span(["events", "labels", "other"][lane % 3], (lane / 3) as i32 - 1);
                let at = spans.iter().position(|s| *s == name).unwrap_or_else(|| {
                    spans.push(name.clone());
                    spans.len() - 1
                });
                runs.push(Run { span: at as u32, first: next / 2, next });
            }
            log.append(&spans, &runs).unwrap();
            expected.push(
                runs.iter()
                    .map(|run| {
                        let span = &spans[run.span as usize];
                        let topic = Arc::clone(&span.topic);
                        Stretch {
                            topic,
                            partition: span.partition,
                            first: run.first,
                            next: run.next,
                        }
                    })
                    .collect(),
            );
            ends.push(place.read(1).unwrap().len());
        }
        (place.read(1).unwrap(), expected, ends)
    }

    proptest! {
        #[test]
        fn what_was_written_comes_back_up_to_the_tear(
            batches in prop::collection::vec(
                prop::collection::vec((0_usize..9, any::<i64>()), 0..6), 0..8),
            cut in any::<prop::sample::Index>(),
            flip in any::<prop::sample::Index>(),
        ) {
            let (bytes, expected, ends) = logged(&batches);
            prop_assert_eq!(&parse(&bytes), &expected);
            let cut = cut.index(bytes.len() + 1);
            let whole = ends.iter().filter(|&&end| end <= cut).count() - 1;
            prop_assert_eq!(&parse(&bytes[..cut]), &expected[..whole]);
            if !bytes.is_empty() {
                let mut bytes = bytes;
                let flip = flip.index(bytes.len() * 8);
                bytes[flip / 8] ^= 1 << (flip % 8);
                let whole = ends.iter().filter(|&&end| end <= flip / 8).count() - 1;
                prop_assert_eq!(&parse(&bytes), &expected[..whole]);
            }
        }

        #[test]
        fn any_bytes_are_a_log(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }

    #[test]
    fn a_log_that_is_not_there_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(&Folder::new(folder.path()), 7).unwrap(), Vec::<BatchOrder>::new());
    }
}
