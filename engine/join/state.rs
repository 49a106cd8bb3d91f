//! The label join as bytes: events that wait, the order in which their time ends, orphans.
//!
//! Events are written in the order of the two timelines, recorded labels first, and numbered by
//! it when they are read: where a running join keeps an event depends on how the stream was cut
//! into batches, what is written does not. So equal joins give equal bytes, free rows of the slabs
//! are left out, and a state cannot name an event that is not there.
//!
//! Invariant: between two batches every pending event is in exactly one of the timelines.

use std::io::{self, Read, Write};

use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::held::{GONE, Held, OwnOriginal};
use super::pending::{Entry, NO_FEATURES, Pending, PendingShape};
use super::timeline::Timeline;
use super::{Join, JoinCounts, State};
use crate::ids::IdMap;
use crate::ring::{LabelRecord, Position};

/// No list here can be longer: entries are numbered in 32 bits.
const LENGTH_MAX: usize = 1 << 31;

/// Bits of an entry's mark: how its label stands, whether its features are still kept, whether a
/// label of its id would find it.
const ASSUMED: u8 = 1;
const LABELLED: u8 = 2;
const HAS_FEATURES: u8 = 4;
const IS_NAMED: u8 = 8;
const QUARANTINED: u8 = 16;

impl Join {
    /// Writes everything that rows and labels have changed. Between two batches only.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.slice(&self.pending.widths())?;
        state.put(self.watermark_ms)?;
        state.put(self.delays_ms)?;
        state.slice(&self.counts.words())?;
        let future = self.future.iter().map(|(time_ms, (_, label))| (time_ms, label));
        state.length(self.future.len())?;
        state.each(future.clone().map(|(time_ms, _)| *time_ms))?;
        state.each(future.map(|(_, label)| *label))?;
        self.deadlines.write_times(state)?;
        let future = self.future.iter().map(|(_, (entry, _))| *entry);
        let order: Vec<Entry> = future.chain(self.deadlines.iter().map(|(_, e)| *e)).collect();
        debug_assert_eq!(order.len(), self.pending.len(), "between two batches");
        self.pending.write(state, &order, &self.named())?;
        self.orphan_deadlines.write_times(state)?;
        state.each(self.orphan_deadlines.iter().map(|(_, id)| *id))?;
        let mut orphans: Vec<&LabelRecord> = self.orphans.values().collect();
        orphans.sort_unstable_by_key(|label| label.id);
        state.length(orphans.len())?;
        state.each(orphans.iter().map(|label| label.id))?;
        state.each(orphans.iter().map(|label| label.time_ms))?;
        state.each(orphans.iter().map(|label| label.value))?;
        let mut originals: Vec<_> = self.orphan_originals.iter().collect();
        originals.sort_unstable_by_key(|(id, _)| **id);
        state.length(originals.len())?;
        for (id, original) in originals {
            state.put(*id)?;
            original.write(state)?;
        }
        state.put(self.quarantined_records)?;
        let mut numbers = vec![GONE; self.pending.rows()];
        (0..).zip(&order).for_each(|(number, entry)| numbers[*entry as usize] = number);
        self.held.write(state, |entry| numbers.get(entry as usize).copied().unwrap_or(GONE))
    }

    /// Becomes what [`Join::write_state`] wrote for the same configuration; on an error it is left
    /// half read and must not be used.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for what cannot have been written.
    pub fn read_state(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let state = &mut StateReader::new(from);
        state
            .expect(&self.pending.widths(), "events had other features, scores or label windows")?;
        (self.watermark_ms, self.delays_ms) = (state.get()?, state.get()?);
        self.counts = JoinCounts::from_words(state.get()?);
        let due_ms = state.list::<i64>(LENGTH_MAX)?;
        let labels = state.numbers::<f32>(due_ms.len())?;
        let ends_ms = state.list::<i64>(LENGTH_MAX)?;
        let (recorded, count) = (due_ms.len(), due_ms.len() + ends_ms.len());
        let last = Entry::try_from(count).ok().filter(|&count| count <= 1 << 31);
        let last = last.ok_or_else(|| invalid("more events than have a number"))?;
        self.future = Timeline::from_sorted(due_ms.into_iter().zip((0..).zip(labels)))?;
        self.deadlines = Timeline::from_sorted(ends_ms.into_iter().zip(recorded as Entry..last))?;
        let named = self.pending.read(state, count)?;
        if !self.pending.states[..recorded].iter().all(|state| *state == State::Waiting) {
            return Err(invalid("an event has its label and waits for it"));
        }
        self.by_id = named.iter().map(|&entry| (self.pending.id(entry), entry)).collect();
        if self.by_id.len() != named.len() {
            return Err(invalid("two events would get the same label"));
        }
        let ends_ms = state.list::<i64>(LENGTH_MAX)?;
        let ids = state.numbers::<u128>(ends_ms.len())?;
        self.orphan_deadlines = Timeline::from_sorted(ends_ms.into_iter().zip(ids))?;
        self.orphans = read_orphans(state)?;
        self.orphan_originals.clear();
        for _ in 0..state.length(LENGTH_MAX)? {
            let (id, original) = (state.get()?, OwnOriginal::read(state)?);
            self.orphan_originals.insert(id, original);
        }
        self.quarantined_records = state.get()?;
        self.held = Held::read(state, count)?;
        let has_features = |entry: Entry| self.pending.features[entry as usize] != NO_FEATURES;
        if !self.held.entries().all(has_features) {
            return Err(invalid("a label is held of an event without features"));
        }
        self.admitted.clear();
        self.leaving.clear();
        Ok(())
    }

    /// By entry, whether a label of its id would find it.
    fn named(&self) -> Vec<bool> {
        let mut named = vec![false; self.pending.rows()];
        self.by_id.values().for_each(|&entry| named[entry as usize] = true);
        named
    }
}

/// Where an orphan was read is forgotten: it is asked for no more.
fn read_orphans(state: &mut StateReader<'_>) -> io::Result<IdMap<LabelRecord>> {
    let ids = state.list::<u128>(LENGTH_MAX)?;
    let times_ms = state.numbers::<i64>(ids.len())?;
    let values = state.numbers::<f32>(ids.len())?;
    let labels = ids.into_iter().zip(times_ms).zip(values).map(|((id, time_ms), value)| {
        let (before_row, position) = (0, Position::default());
        (id, LabelRecord { id, time_ms, value, before_row, position })
    });
    Ok(labels.collect())
}

impl Pending {
    /// Numbers of an entry: dense, sparse, scores, notes, keys.
    fn widths(&self) -> [u64; 5] {
        let PendingShape { dense_width, sparse_width, outputs, notes_width, .. } = self.shape;
        let keys = self.shape.label_keys.len();
        [dense_width, sparse_width, outputs, notes_width, keys].map(|width| width as u64)
    }

    /// Rows of the slabs, free ones included.
    fn rows(&self) -> usize {
        self.ids.len()
    }

    fn write(
        &self,
        state: &mut StateWriter<'_>,
        order: &[Entry],
        named: &[bool],
    ) -> io::Result<()> {
        let at = |&entry: &Entry| entry as usize;
        state.each(order.iter().map(|entry| self.ids[at(entry)]))?;
        state.each(order.iter().map(|entry| self.times_ms[at(entry)]))?;
        state.each(order.iter().map(|entry| self.groups[at(entry)]))?;
        let keys = self.shape.label_keys.len();
        state.slices(order.iter().map(|entry| &self.keys[at(entry) * keys..][..keys]))?;
        state.each(order.iter().map(|entry| self.mark(at(entry), named)))?;
        state.each(order.iter().map(|entry| match self.states[at(entry)] {
            State::Labelled(label) | State::Quarantined(label) => label,
            State::Waiting | State::Assumed => 0.0,
        }))?;
        let features = order.iter().map(|entry| self.features[at(entry)]);
        let rows: Vec<u32> = features.filter(|&row| row != NO_FEATURES).collect();
        let PendingShape { dense_width, sparse_width, outputs, notes_width, .. } = self.shape;
        let of = |row: &u32, width: usize| *row as usize * width..(*row as usize + 1) * width;
        state.slices(rows.iter().map(|row| &self.dense[of(row, dense_width)]))?;
        state.slices(rows.iter().map(|row| &self.sparse[of(row, sparse_width)]))?;
        state.slices(rows.iter().map(|row| &self.scores[of(row, outputs)]))?;
        state.slices(rows.iter().map(|row| &self.notes[of(row, notes_width)]))
    }

    fn mark(&self, at: usize, named: &[bool]) -> u8 {
        let label = match self.states[at] {
            State::Waiting => 0,
            State::Assumed => ASSUMED,
            State::Labelled(_) => LABELLED,
            State::Quarantined(_) => QUARANTINED,
        };
        let features = if self.features[at] == NO_FEATURES { 0 } else { HAS_FEATURES };
        let name = if named[at] { IS_NAMED } else { 0 };
        label | features | name
    }

    /// Reads entries `0..count`; returns those that a label of their id would find.
    fn read(&mut self, state: &mut StateReader<'_>, count: usize) -> io::Result<Vec<Entry>> {
        self.ids = state.numbers(count)?;
        self.times_ms = state.numbers(count)?;
        self.groups = state.numbers(count)?;
        self.keys = state.numbers(count * self.shape.label_keys.len())?;
        let marks = state.numbers::<u8>(count)?;
        let labels = state.numbers::<f32>(count)?;
        let states = marks.iter().zip(labels).map(|(mark, label)| state_of(*mark, label));
        self.states = states.collect::<io::Result<_>>()?;
        let mut rows = 0..;
        let has_features = |mark: &u8| mark & HAS_FEATURES != 0;
        let row = |mark: &u8| if has_features(mark) { rows.next() } else { None };
        self.features = marks.iter().map(row).map(|row| row.unwrap_or(NO_FEATURES)).collect();
        self.features_len = marks.iter().filter(|mark| has_features(mark)).count();
        self.dense = state.numbers(self.features_len * self.shape.dense_width)?;
        self.sparse = state.numbers(self.features_len * self.shape.sparse_width)?;
        self.scores = state.numbers(self.features_len * self.shape.outputs)?;
        self.notes = state.numbers(self.features_len * self.shape.notes_width)?;
        (self.free, self.features_free) = (Vec::new(), Vec::new());
        let named = (0..).zip(&marks).filter(|(_, mark)| *mark & IS_NAMED != 0);
        Ok(named.map(|(entry, _)| entry).collect())
    }
}

fn state_of(mark: u8, label: f32) -> io::Result<State> {
    let has_features = mark & HAS_FEATURES != 0;
    match mark & !(HAS_FEATURES | IS_NAMED) {
        0 if has_features => Ok(State::Waiting),
        ASSUMED if has_features => Ok(State::Assumed),
        LABELLED => Ok(State::Labelled(label)),
        QUARANTINED if has_features => Ok(State::Quarantined(label)),
        _ => Err(invalid("an event is marked as none can be")),
    }
}

impl<T> Timeline<T> {
    fn write_times(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.length(self.len())?;
        state.each(self.iter().map(|(time_ms, _)| *time_ms))
    }
}

impl JoinCounts {
    fn words(&self) -> [u64; 12] {
        let JoinCounts { joined, duplicates, contradictions, orphans, orphans_expired, .. } = *self;
        let JoinCounts { unlabelled, assumed, confirmed, corrected, evicted, .. } = *self;
        let JoinCounts { quarantined, returned, .. } = *self;
        let first = [joined, duplicates, contradictions, orphans, orphans_expired];
        let [a, b, c, d, e] = first;
        let last = [confirmed, corrected, evicted, quarantined, returned];
        let [f, g, h, i, j] = last;
        [a, b, c, d, e, unlabelled, assumed, f, g, h, i, j]
    }

    fn from_words(words: [u64; 12]) -> JoinCounts {
        let [joined, duplicates, contradictions, orphans, orphans_expired, ..] = words;
        let [.., unlabelled, assumed, confirmed, corrected, evicted, _, _] = words;
        let [.., quarantined, returned] = words;
        JoinCounts {
            joined,
            duplicates,
            contradictions,
            orphans,
            orphans_expired,
            unlabelled,
            assumed,
            confirmed,
            corrected,
            evicted,
            quarantined,
            returned,
        }
    }
}
