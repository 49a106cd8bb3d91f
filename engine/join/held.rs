//! Labels that were learned and may yet be taken back, each with the record it came from.
//!
//! In segments, one for every state that the model keeps: when the model goes back to such a state,
//! what lies behind it is taken back too; when it forgets the oldest, those labels are settled.
//! While a label is held, its event keeps its features, so that it can be learned once more.
//! Invariant: an entry named here is pending, or [`GONE`].

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::pending::Entry;
use crate::ring::{Envelope, QuarantinedLabel, Slot};

/// Of an event that is no longer pending, or a label that no record brought.
pub(super) const GONE: Entry = u32::MAX;
/// Of a label that no record brought, or whose record is not kept.
const NO_LANE: u32 = u32::MAX;
/// No list here can be longer.
const LENGTH_MAX: usize = 1 << 40;
/// More partitions than anyone has; names of topics are short.
const LANES_MAX: usize = 1 << 20;
const NAME_BYTES_MAX: usize = 1 << 16;

/// A label record as it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Original<'a> {
    pub topic: &'a Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub payload: &'a [u8],
    pub envelope: &'a [u8],
}

/// The same to keep.
#[derive(Clone, Debug)]
pub(super) struct OwnOriginal {
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub payload: Vec<u8>,
    pub envelope: Vec<u8>,
}

/// The labels that may be taken back.
#[derive(Debug, Default)]
pub(super) struct Held {
    segments: VecDeque<Segment>,
    lanes: Vec<(Arc<str>, i32)>,
}

/// Labels between two kept states, in their order.
#[derive(Debug, Default)]
pub(super) struct Segment {
    pub entries: Vec<Entry>,
    pub labels: Vec<f32>,
    lanes: Vec<u32>,
    offsets: Vec<i64>,
    /// Where payload and envelope of each label end in the bytes.
    ends: Vec<[u64; 2]>,
    bytes: Vec<u8>,
}

impl<'a> Original<'a> {
    /// The record of label `index` of a batch, where it is kept.
    pub fn of_slot(slot: &'a Slot, index: usize) -> Option<Original<'a>> {
        if slot.label_raw.len() < 2 * index + 2 {
            return None;
        }
        let position = slot.labels.get(index)?.position;
        let span = slot.spans.get(position.span as usize)?;
        Some(Original {
            topic: &span.topic,
            partition: span.partition,
            offset: position.offset,
            payload: slot.label_raw.get(2 * index),
            envelope: slot.label_raw.get(2 * index + 1),
        })
    }

    pub fn own(&self) -> OwnOriginal {
        OwnOriginal {
            topic: Arc::clone(self.topic),
            partition: self.partition,
            offset: self.offset,
            payload: self.payload.to_vec(),
            envelope: self.envelope.to_vec(),
        }
    }

    /// What is put aside of it.
    pub fn quarantined(&self, span: u64, number: u64) -> QuarantinedLabel {
        QuarantinedLabel {
            topic: Arc::clone(self.topic),
            partition: self.partition,
            offset: self.offset,
            bytes: self.payload.to_vec(),
            envelope: Envelope::read(self.envelope),
            span,
            number,
        }
    }
}

impl OwnOriginal {
    pub fn as_ref(&self) -> Original<'_> {
        Original {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            payload: &self.payload,
            envelope: &self.envelope,
        }
    }

    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.list(self.topic.as_bytes())?;
        state.slice(&[i64::from(self.partition), self.offset])?;
        state.list(&self.payload)?;
        state.list(&self.envelope)
    }

    pub fn read(state: &mut StateReader<'_>) -> io::Result<OwnOriginal> {
        let topic = read_name(state)?;
        let [partition, offset] = state.get()?;
        let partition = i32::try_from(partition).map_err(|_| invalid("no partition"))?;
        let (payload, envelope) = (state.list(LENGTH_MAX)?, state.list(LENGTH_MAX)?);
        Ok(OwnOriginal { topic, partition, offset, payload, envelope })
    }
}

impl Held {
    /// Whether labels are held at all.
    pub fn is_on(&self) -> bool {
        !self.segments.is_empty()
    }

    /// A state is kept: what follows is in a segment of its own.
    pub fn begin(&mut self) {
        self.segments.push_back(Segment::default());
    }

    /// Holds a label.
    pub fn push(&mut self, entry: Entry, label: f32, original: Option<Original<'_>>) {
        let lane = original.map_or(NO_LANE, |original| self.lane(&original));
        let Some(segment) = self.segments.back_mut() else { return };
        segment.entries.push(entry);
        segment.labels.push(label);
        segment.lanes.push(lane);
        segment.offsets.push(original.map_or(0, |original| original.offset));
        let bytes = &mut segment.bytes;
        let ends = original.map(|Original { payload, envelope, .. }| {
            bytes.extend_from_slice(payload);
            let end = bytes.len() as u64;
            bytes.extend_from_slice(envelope);
            [end, bytes.len() as u64]
        });
        let end = bytes.len() as u64;
        segment.ends.push(ends.unwrap_or([end; 2]));
    }

    /// The oldest state is forgotten: these labels are settled.
    pub fn settle_oldest(&mut self) -> Option<Segment> {
        self.segments.pop_front()
    }

    /// The event is no longer pending.
    pub fn forget(&mut self, entry: Entry) {
        let entries = self.segments.iter_mut().flat_map(|segment| &mut segment.entries);
        entries.filter(|held| **held == entry).for_each(|held| *held = GONE);
    }

    /// The record of label `index` of a segment.
    pub fn original<'a>(&'a self, segment: &'a Segment, index: usize) -> Option<Original<'a>> {
        let (topic, partition) = self.lanes.get(segment.lanes[index] as usize)?;
        let first = index.checked_sub(1).map_or(0, |before| segment.ends[before][1]) as usize;
        let [middle, last] = segment.ends[index].map(|end| end as usize);
        Some(Original {
            topic,
            partition: *partition,
            offset: segment.offsets[index],
            payload: &segment.bytes[first..middle],
            envelope: &segment.bytes[middle..last],
        })
    }

    fn lane(&mut self, original: &Original<'_>) -> u32 {
        let is_same = |(topic, partition): &(Arc<str>, i32)| {
            *partition == original.partition && *topic == *original.topic
        };
        let found = self.lanes.iter().position(is_same);
        let lane = found.unwrap_or_else(|| {
            self.lanes.push((Arc::clone(original.topic), original.partition));
            self.lanes.len() - 1
        });
        u32::try_from(lane).expect("partitions are few")
    }

    /// Writes it; `number_of` says what an entry is called in the state.
    pub fn write(
        &self,
        state: &mut StateWriter<'_>,
        number_of: impl Fn(Entry) -> Entry,
    ) -> io::Result<()> {
        state.length(self.lanes.len())?;
        for (topic, partition) in &self.lanes {
            state.list(topic.as_bytes())?;
            state.put(i64::from(*partition))?;
        }
        state.length(self.segments.len())?;
        for Segment { entries, labels, lanes, offsets, ends, bytes } in &self.segments {
            state.length(entries.len())?;
            state.each(entries.iter().map(|entry| number_of(*entry)))?;
            state.slice(labels)?;
            state.slice(lanes)?;
            state.slice(offsets)?;
            state.slice(ends)?;
            state.list(bytes)?;
        }
        Ok(())
    }

    /// Reads what [`Held::write`] wrote, of so many entries.
    pub fn read(state: &mut StateReader<'_>, entries: usize) -> io::Result<Held> {
        let mut held = Held::default();
        for _ in 0..state.length(LANES_MAX)? {
            let topic = read_name(state)?;
            let partition = i32::try_from(state.get::<i64>()?);
            held.lanes.push((topic, partition.map_err(|_| invalid("no partition"))?));
        }
        for _ in 0..state.length(LANES_MAX)? {
            let segment = Segment::read(state)?;
            let is_lane = |lane: &u32| *lane == NO_LANE || (*lane as usize) < held.lanes.len();
            let is_entry = |entry: &Entry| *entry == GONE || (*entry as usize) < entries;
            if !segment.lanes.iter().all(is_lane) || !segment.entries.iter().all(is_entry) {
                return Err(invalid("a label is held of what is not there"));
            }
            held.segments.push_back(segment);
        }
        Ok(held)
    }

    /// Every entry that is named.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        let all = self.segments.iter().flat_map(|segment| &segment.entries);
        all.copied().filter(|entry| *entry != GONE)
    }
}

impl Segment {
    fn read(state: &mut StateReader<'_>) -> io::Result<Segment> {
        let entries = state.list::<Entry>(LENGTH_MAX)?;
        let count = entries.len();
        let (labels, lanes) = (state.numbers(count)?, state.numbers(count)?);
        let (offsets, ends) = (state.numbers(count)?, state.numbers::<[u64; 2]>(count)?);
        let bytes = state.list::<u8>(LENGTH_MAX)?;
        let last = ends.last().map_or(0, |ends| ends[1]);
        if !ends.as_flattened().is_sorted() || last != bytes.len() as u64 {
            return Err(invalid("the records of held labels overlap"));
        }
        Ok(Segment { entries, labels, lanes, offsets, ends, bytes })
    }
}

fn read_name(state: &mut StateReader<'_>) -> io::Result<Arc<str>> {
    let name = String::from_utf8(state.list(NAME_BYTES_MAX)?);
    name.map(Arc::from).map_err(|_| invalid("the name of a topic is no text"))
}
