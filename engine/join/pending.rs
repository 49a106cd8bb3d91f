//! What is kept of a scored event until its label has come: the features and the score of the
//! moment, and what the label will need (time, group, keys of label windows).
//!
//! Everything lies in slabs, one row an entry; rows of entries that are forgotten are used again.
//! Features have a slab of their own, since they are released as soon as they are learned while
//! the entry itself stays to recognise duplicate labels.

use pelton_kernels::prefetch::prefetch;
use pelton_models::Features;

use crate::ring::Slot;

use super::State;

/// The index of a pending event.
pub type Entry = u32;

/// Of an entry whose features have been learned.
pub(super) const NO_FEATURES: u32 = u32::MAX;

/// What is kept of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingShape {
    /// Dense features of an event.
    pub dense_width: usize,
    /// Sparse features of an event.
    pub sparse_width: usize,
    /// Scores of an event.
    pub outputs: usize,
    /// What the model notes of an event.
    pub notes_width: usize,
    /// Category columns of each label window's key.
    pub label_keys: Vec<Vec<usize>>,
    /// Category column of the evaluation's groups.
    pub group: Option<usize>,
}

/// The events that wait for their label.
#[derive(Debug)]
pub struct Pending {
    pub(super) shape: PendingShape,
    pub(super) ids: Vec<u128>,
    pub(super) times_ms: Vec<i64>,
    pub(super) states: Vec<State>,
    pub(super) groups: Vec<u64>,
    pub(super) keys: Vec<u64>,
    pub(super) features: Vec<u32>,
    pub(super) free: Vec<Entry>,
    pub(super) dense: Vec<f32>,
    pub(super) sparse: Vec<u32>,
    pub(super) scores: Vec<f32>,
    pub(super) notes: Vec<f32>,
    pub(super) features_free: Vec<u32>,
    pub(super) features_len: usize,
}

impl Pending {
    /// No events.
    #[must_use]
    pub fn new(shape: PendingShape) -> Pending {
        Pending {
            shape,
            ids: Vec::new(),
            times_ms: Vec::new(),
            states: Vec::new(),
            groups: Vec::new(),
            keys: Vec::new(),
            features: Vec::new(),
            free: Vec::new(),
            dense: Vec::new(),
            sparse: Vec::new(),
            scores: Vec::new(),
            notes: Vec::new(),
            features_free: Vec::new(),
            features_len: 0,
        }
    }

    /// Events that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len() - self.free.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps row `row` of the batch; what was scored follows by [`Pending::store_features`].
    pub fn admit(&mut self, slot: &Slot, row: usize) -> Entry {
        let entry = self.free.pop().unwrap_or_else(|| self.grow());
        let at = entry as usize;
        self.ids[at] = slot.ids[row];
        self.times_ms[at] = slot.times_ms[row];
        self.states[at] = State::Waiting;
        self.groups[at] = self.shape.group.map_or(0, |column| slot.categories[[column, row]]);
        let width = self.shape.label_keys.len();
        for (key, columns) in self.keys[at * width..].iter_mut().zip(&self.shape.label_keys) {
            *key = crate::features::key_of(slot, columns, row);
        }
        let features = self.features_free.pop().unwrap_or_else(|| self.grow_features());
        self.features[at] = features;
        self.scores[features as usize * self.shape.outputs..][..self.shape.outputs].fill(f32::NAN);
        entry
    }

    /// Stores the features of an entry.
    pub fn store_features(&mut self, entry: Entry, dense: &[f32], sparse: &[u32]) {
        let row = self.features[entry as usize] as usize;
        let (dense_width, sparse_width) = (self.shape.dense_width, self.shape.sparse_width);
        self.dense[row * dense_width..][..dense_width].copy_from_slice(dense);
        self.sparse[row * sparse_width..][..sparse_width].copy_from_slice(sparse);
    }

    /// Stores the scores of an entry, and what the model has noted.
    pub fn store_scores(&mut self, entry: Entry, scores: &[f32], notes: &[f32]) {
        let row = self.features[entry as usize] as usize;
        let PendingShape { outputs, notes_width, .. } = self.shape;
        self.scores[row * outputs..][..outputs].copy_from_slice(scores);
        self.notes[row * notes_width..][..notes_width].copy_from_slice(notes);
    }

    /// The features of the moment the entry was scored.
    #[must_use]
    pub fn features(&self, entry: Entry) -> Features<'_> {
        let row = self.features[entry as usize] as usize;
        let PendingShape { dense_width, sparse_width, notes_width, .. } = self.shape;
        Features {
            rows: 1,
            dense: &self.dense[row * dense_width..][..dense_width],
            sparse: &self.sparse[row * sparse_width..][..sparse_width],
            notes: &self.notes[row * notes_width..][..notes_width],
        }
    }

    /// Whether the entry has been given a finite score, and notes.
    #[must_use]
    pub fn is_scored(&self, entry: Entry) -> bool {
        self.scores(entry).iter().all(|score| !score.is_nan())
    }

    /// The scores the entry was given.
    #[must_use]
    pub fn scores(&self, entry: Entry) -> &[f32] {
        let row = self.features[entry as usize] as usize;
        &self.scores[row * self.shape.outputs..][..self.shape.outputs]
    }

    /// Says that the entry will soon be asked for: it may have waited for days.
    pub fn prefetch(&self, entry: Entry) {
        let row = self.features[entry as usize] as usize;
        prefetch(&self.dense, row * self.shape.dense_width);
        prefetch(&self.dense, ((row + 1) * self.shape.dense_width).saturating_sub(1));
        prefetch(&self.sparse, row * self.shape.sparse_width);
        prefetch(&self.scores, row * self.shape.outputs);
        prefetch(&self.notes, row * self.shape.notes_width);
        prefetch(&self.groups, entry as usize);
        prefetch(&self.times_ms, entry as usize);
    }

    /// The event's time.
    #[must_use]
    pub fn time_ms(&self, entry: Entry) -> i64 {
        self.times_ms[entry as usize]
    }

    /// The event's group in the evaluation.
    #[must_use]
    pub fn group(&self, entry: Entry) -> u64 {
        self.groups[entry as usize]
    }

    /// The event's key in label window `window`.
    #[must_use]
    pub fn label_key(&self, entry: Entry, window: usize) -> u64 {
        self.keys[entry as usize * self.shape.label_keys.len() + window]
    }

    /// Gives every event other notes: what `renote` appends for its features, with the notes they
    /// had, and its scores.
    ///
    /// # Errors
    /// That of `renote`; notes are then half renewed and must not be used.
    pub fn renote<E>(
        &mut self,
        notes_width: usize,
        mut renote: impl FnMut(&Features<'_>, &[f32], &mut Vec<f32>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut notes = vec![0.0; self.features_len * notes_width];
        let mut own = Vec::new();
        for (entry, row) in self.features.iter().enumerate() {
            if *row == NO_FEATURES {
                continue;
            }
            own.clear();
            renote(&self.features(entry as Entry), self.scores(entry as Entry), &mut own)?;
            notes[*row as usize * notes_width..][..notes_width].copy_from_slice(&own);
        }
        (self.notes, self.shape.notes_width) = (notes, notes_width);
        Ok(())
    }

    /// Bytes held.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        let entry = 16 + 8 + 8 + 8 + 4 + 4 + 8 * self.shape.label_keys.len();
        let PendingShape { dense_width, sparse_width, outputs, notes_width, .. } = self.shape;
        let features = 4 * (dense_width + sparse_width + outputs + notes_width + 1);
        self.ids.capacity() * entry + self.features_len * features
    }

    pub(super) fn id(&self, entry: Entry) -> u128 {
        self.ids[entry as usize]
    }

    pub(super) fn state(&self, entry: Entry) -> State {
        self.states[entry as usize]
    }

    pub(super) fn set_state(&mut self, entry: Entry, state: State) {
        self.states[entry as usize] = state;
    }

    /// The features of the entry will not be asked for again; the entry itself stays.
    pub(super) fn release_features(&mut self, entry: Entry) {
        let row = std::mem::replace(&mut self.features[entry as usize], NO_FEATURES);
        if row != NO_FEATURES {
            self.features_free.push(row);
        }
    }

    pub(super) fn remove(&mut self, entry: Entry) {
        self.release_features(entry);
        self.free.push(entry);
    }

    fn grow(&mut self) -> Entry {
        self.ids.push(0);
        self.times_ms.push(0);
        self.states.push(State::Waiting);
        self.groups.push(0);
        self.keys.extend(self.shape.label_keys.iter().map(|_| 0));
        self.features.push(NO_FEATURES);
        Entry::try_from(self.ids.len() - 1).expect("pending_max is below 2^31")
    }

    fn grow_features(&mut self) -> u32 {
        self.features_len += 1;
        self.dense.resize(self.features_len * self.shape.dense_width, 0.0);
        self.sparse.resize(self.features_len * self.shape.sparse_width, 0);
        self.scores.resize(self.features_len * self.shape.outputs, f32::NAN);
        self.notes.resize(self.features_len * self.shape.notes_width, 0.0);
        u32::try_from(self.features_len - 1).expect("pending_max is below 2^31")
    }
}
