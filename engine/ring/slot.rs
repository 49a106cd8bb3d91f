//! The columns of one micro-batch, and where its records were read.
//!
//! A [`Slot`] is filled by ingest, walks through the stages and is cleared for the next batch; its
//! columns never change their length. Rows `0..rows` hold events, in the order they were read, and
//! everything else of the batch (labels, rejects) says between which rows it came.

use std::sync::Arc;
use std::time::Instant;

use pelton_kernels::device::{Device, DeviceError, Pinned, Pinning};

use crate::schema::Schema;

use super::{Arena, Columns, GivenFeatures, QuarantinedLabel, Reasons, Reject};

/// Where a record is: a partition of the batch's [`Span`] list and its own offset there.
///
/// For files, the partition is 0 and the offset is the row's index in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    /// Index into [`Slot::spans`].
    pub span: u32,
    /// The record's own offset.
    pub offset: i64,
}

/// The part of one partition that a batch was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Topic, or path of the file.
    pub topic: Arc<str>,
    /// Partition; 0 for files.
    pub partition: i32,
    /// Offset to read next once this batch is done (never an offset that was read).
    pub next: i64,
}

/// A stretch of one partition that was read without another in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Index into [`Slot::spans`].
    pub span: u32,
    /// Where the partition was read from.
    pub first: i64,
    /// Where the stretch ended: the offset read next.
    pub next: i64,
}

/// Who decided in which order the partitions of a batch were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lead {
    /// The traffic did.
    #[default]
    Free,
    /// The order log of an earlier run did, and it goes on.
    Led,
    /// The order log did, and ends with this batch.
    LedToTheEnd,
}

/// A label as it arrived: the truth about one event id, known from `time_ms` on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelRecord {
    /// The event it speaks of.
    pub id: u128,
    /// Event time at which the truth became known.
    pub time_ms: i64,
    /// The label as [`LabelMeaning`](crate::schema::LabelMeaning) reads it.
    pub value: f32,
    /// It was read before this row of the batch.
    pub before_row: u32,
    /// Where it was read.
    pub position: Position,
}

/// One micro-batch worth of columns, on loan from the [`Ring`](super::Ring).
#[derive(Debug)]
pub struct Slot {
    /// Rows filled.
    pub rows: usize,
    /// Of these the last so many are still records that wait to be read; none once a source has
    /// given the slot back.
    pub unread: usize,
    /// Event ids, `[rows_max]`.
    pub ids: Vec<u128>,
    /// Event times, milliseconds since the epoch, `[rows_max]`.
    pub times_ms: Pinned<i64>,
    /// Number columns, `[numbers, rows_max]`; NaN is missing.
    pub numbers: Columns<f32>,
    /// Category columns, `[categories, rows_max]`; 0 is missing.
    pub categories: Columns<u64>,
    /// Labels recorded with the events, `[rows_max]`; NaN is none.
    pub recorded_labels: Vec<f32>,
    /// Where each row was read, `[rows_max]`.
    pub positions: Vec<Position>,
    /// When each row reached this process, nanoseconds after [`Slot::opened_at`], `[rows_max]`.
    pub arrived_ns: Vec<u64>,
    /// Texts to repeat in score records, rendered as JSON: `texts` entries a row.
    pub texts: Arena,
    /// The original bytes of each row, where the schema keeps them.
    pub raw: Arena,
    /// What the transport gave along with them: an [`Envelope`](super::Envelope) a row, none for
    /// rows beyond its end.
    pub envelopes: Arena,
    /// Labels that arrived among the rows, in order.
    pub labels: Vec<LabelRecord>,
    /// Whether the records of labels are kept.
    pub keeps_labels: bool,
    /// Their payloads and envelopes, one after the other, where they are kept.
    pub label_raw: Arena,
    /// Labels of this batch and of earlier ones that are put aside.
    pub quarantined: Vec<QuarantinedLabel>,
    /// Records that will not be scored.
    pub rejects: Vec<Reject>,
    /// Records left out by the filter.
    pub filtered: u64,
    /// Event records consumed: `rows + event rejects + filtered`.
    pub consumed: u64,
    /// The partitions this batch was read from.
    pub spans: Vec<Span>,
    /// In which order they were read, where a source has more than one.
    pub runs: Vec<Run>,
    /// Who decided that order.
    pub lead: Lead,
    /// Whether the batch ends here, whatever room is left.
    pub is_cut: bool,
    /// The checkpoint whose cut lies right behind this batch.
    pub checkpoint: Option<u64>,
    /// Start of the clock of [`Slot::arrived_ns`].
    pub opened_at: Instant,
    /// Rows that close the batch, where they are fewer than it could hold.
    pub rows_most: usize,
    /// The arrival given to the rows that are finished next; see [`Slot::mark_arrival`].
    pub arriving_ns: u64,
    /// Scores, `[rows, outputs]`, filled by the score stage.
    pub scores: Vec<f32>,
    /// Version of the model that gave each row's score, `[rows]`.
    pub versions: Vec<u64>,
    /// Why each row has its score, where that is asked for.
    pub reasons: Reasons,
    /// What each row was scored by, where score records repeat it.
    pub features: GivenFeatures,
}

impl Slot {
    /// An empty slot for `rows_max` rows of this schema, in ordinary memory.
    #[must_use]
    pub fn new(schema: &Schema, rows_max: usize) -> Slot {
        Slot::on(&Device::Cpu, schema, rows_max).expect("ordinary memory asks no driver")
    }

    /// An empty slot whose columns a GPU can copy by itself.
    ///
    /// # Errors
    /// [`DeviceError`] when the GPU's driver has no such memory to give.
    pub fn on(device: &Device, schema: &Schema, rows_max: usize) -> Result<Slot, DeviceError> {
        Ok(Slot {
            rows: 0,
            unread: 0,
            ids: vec![0; rows_max],
            times_ms: Pinned::new(device, rows_max, Pinning::Both)?,
            numbers: Columns::new(device, schema.numbers.len(), rows_max, f32::NAN)?,
            categories: Columns::new(device, schema.categories.len(), rows_max, 0)?,
            recorded_labels: vec![f32::NAN; rows_max],
            positions: vec![Position::default(); rows_max],
            arrived_ns: vec![0; rows_max],
            texts: Arena::default(),
            raw: Arena::default(),
            envelopes: Arena::default(),
            labels: Vec::new(),
            keeps_labels: schema.keeps_labels,
            label_raw: Arena::default(),
            quarantined: Vec::new(),
            rejects: Vec::new(),
            filtered: 0,
            consumed: 0,
            spans: Vec::new(),
            runs: Vec::new(),
            lead: Lead::Free,
            is_cut: false,
            checkpoint: None,
            opened_at: Instant::now(),
            rows_most: usize::MAX,
            arriving_ns: 0,
            scores: Vec::new(),
            versions: Vec::new(),
            reasons: Reasons::default(),
            features: GivenFeatures::default(),
        })
    }

    /// The most rows it holds.
    #[must_use]
    pub fn rows_max(&self) -> usize {
        self.ids.len()
    }

    /// Bytes of the columns, arenas left out.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        let row = 16 + 8 + 4 * self.numbers.count() + 8 * self.categories.count() + 4 + 16 + 8;
        self.rows_max() * row
    }

    /// Whether the batch takes no further row.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.rows >= self.rows_most.min(self.rows_max())
    }

    /// Whether it has as many rejects as it could have rows: they have no limit of their own, and a
    /// long run of them fills it too. What is unread may become one.
    #[must_use]
    pub fn is_full_of_rejects(&self) -> bool {
        self.rejects.len() + self.unread >= self.rows_max()
    }

    /// Whether the batch carries nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0 && self.labels.is_empty() && self.rejects.is_empty() && self.consumed == 0
    }

    /// Number column `column` of the filled rows.
    #[must_use]
    pub fn number(&self, column: usize) -> &[f32] {
        &self.numbers.column(column)[..self.rows]
    }

    /// Category column `column` of the filled rows.
    #[must_use]
    pub fn category(&self, column: usize) -> &[u64] {
        &self.categories.column(column)[..self.rows]
    }

    /// The index in [`Slot::spans`] of a partition, added when it is new to this batch.
    pub fn span_index(&mut self, topic: &Arc<str>, partition: i32) -> u32 {
        let found = self.spans.iter().position(|s| s.partition == partition && s.topic == *topic);
        let index = found.unwrap_or_else(|| {
            self.spans.push(Span { topic: Arc::clone(topic), partition, next: 0 });
            self.spans.len() - 1
        });
        u32::try_from(index).expect("partitions are few")
    }

    /// Notes that a partition was read from `first` to `next`, after all that was noted before.
    pub fn note_run(&mut self, span: u32, first: i64, next: i64) {
        match self.runs.last_mut() {
            Some(run) if run.span == span => run.next = next,
            _ => self.runs.push(Run { span, first, next }),
        }
    }

    /// Keeps the rows that are wanted, in their order; labels move with the rows they precede.
    pub fn retain_rows(&mut self, keep: &[bool]) {
        let mut kept = 0;
        let mut next_label = 0;
        for (row, &stays) in keep.iter().enumerate().take(self.rows) {
            next_label = self.move_labels(next_label, row, kept);
            if stays {
                self.move_row(row, kept);
                kept += 1;
            }
        }
        self.move_labels(next_label, self.rows, kept);
        if !self.texts.is_empty() {
            self.texts.retain_rows(self.texts.len() / self.rows, |row| keep[row]);
        }
        if !self.raw.is_empty() {
            self.raw.retain_rows(1, |row| keep[row]);
        }
        if !self.envelopes.is_empty() {
            self.envelopes.retain_rows(1, |row| keep[row]);
        }
        self.rows = kept;
    }

    /// Labels from `next` on that precede row `row` will precede row `to`; returns the next one.
    fn move_labels(&mut self, mut next: usize, row: usize, to: usize) -> usize {
        while let Some(label) = self.labels.get_mut(next)
            && label.before_row as usize <= row
        {
            label.before_row = u32::try_from(to).expect("a batch has at most 2^20 rows");
            next += 1;
        }
        next
    }

    fn move_row(&mut self, from: usize, to: usize) {
        self.ids[to] = self.ids[from];
        self.times_ms[to] = self.times_ms[from];
        self.recorded_labels[to] = self.recorded_labels[from];
        self.positions[to] = self.positions[from];
        self.arrived_ns[to] = self.arrived_ns[from];
        self.numbers.move_row(from, to);
        self.categories.move_row(from, to);
    }

    /// Makes it an empty batch again; capacities stay.
    pub fn clear(&mut self) {
        (self.rows, self.unread) = (0, 0);
        self.texts.clear();
        self.raw.clear();
        self.envelopes.clear();
        self.labels.clear();
        self.label_raw.clear();
        self.quarantined.clear();
        self.rejects.clear();
        self.filtered = 0;
        self.consumed = 0;
        self.spans.clear();
        self.runs.clear();
        self.lead = Lead::Free;
        self.is_cut = false;
        self.checkpoint = None;
        self.scores.clear();
        self.versions.clear();
        self.reasons.clear();
        self.features.clear();
        self.opened_at = Instant::now();
        self.arriving_ns = 0;
    }

    /// Rows finished from now on have arrived now. Called once per poll, not per row.
    pub fn mark_arrival(&mut self) {
        let elapsed = self.opened_at.elapsed().as_nanos();
        self.arriving_ns = u64::try_from(elapsed).unwrap_or(u64::MAX);
    }
}
