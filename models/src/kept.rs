//! Kept states: a copy of everything now and then, and the steps learned since.
//!
//! A state is a function of a copy and of the steps learned after it, so that keeping one costs the
//! rows and not the megabytes of samples, tables and histograms; going back to one, which is rare,
//! learns up to [`ROWS_MAX`] rows again. Invariant: what is gone back to is the kept state, to the
//! bit.

use std::collections::VecDeque;
use std::io;

use pelton_kernels::state::{StateReader, StateWriter, invalid};

use crate::{FeatureShape, Features, LabeledBatch, Model, ModelError};

/// Rows behind a copy before the next state that is kept is a copy itself; few in tests, so that
/// there are several copies.
const ROWS_MAX: usize = if cfg!(test) { 500 } else { 16_384 };
/// More than anyone keeps: a damaged count must not ask for memory.
const KEPT_MAX: usize = 1 << 16;
/// No list here can be longer.
const LENGTH_MAX: usize = 1 << 32;

/// What is kept of a model.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// Dense features, sparse features and notes of a row.
    widths: [usize; 3],
    /// Oldest first; the last one takes the steps that are learned.
    copies: VecDeque<Copied>,
    /// Copies that were there before the first of them.
    forgotten: u64,
    /// Oldest first: the number of a copy, and steps behind it.
    states: VecDeque<[u64; 2]>,
}

/// A state as bytes, and the steps learned after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copied {
    bytes: Vec<u8>,
    /// Rows up to the end of each step.
    ends: Vec<u64>,
    dense: Vec<f32>,
    sparse: Vec<u32>,
    notes: Vec<f32>,
    labels: Vec<f32>,
    weights: Vec<f32>,
}

/// A model whose states are kept here. It [notes](Kept::note) each step before it learns it.
pub(crate) trait Keeps: Model + Sized {
    /// What is kept.
    fn kept(&mut self) -> &mut Kept;

    /// [`Model::keep`].
    fn keep_state(&mut self) -> Result<(), ModelError> {
        if self.kept().needs_copy() {
            let mut bytes = Vec::new();
            self.write_state(&mut bytes)?;
            self.kept().copies.push_back(Copied { bytes, ..Copied::default() });
        }
        self.kept().keep();
        Ok(())
    }

    /// [`Model::go_back`].
    fn go_back_to_oldest(&mut self) -> Result<(), ModelError> {
        let widths = self.kept().widths;
        let mut kept = std::mem::replace(self.kept(), Kept::of(widths));
        let result = match kept.oldest() {
            Some(copy) => self.learn_again(copy, widths),
            None => Ok(()),
        };
        *self.kept() = kept;
        result
    }

    /// Becomes the state behind the steps of a copy; keeps nothing meanwhile.
    fn learn_again(&mut self, copy: &Copied, widths: [usize; 3]) -> Result<(), ModelError> {
        self.read_state(&mut &copy.bytes[..])?;
        let mut from = 0;
        for end in &copy.ends {
            let rows = from..*end as usize;
            let of = |width: usize| rows.start * width..rows.end * width;
            let features = Features {
                rows: rows.len(),
                dense: &copy.dense[of(widths[0])],
                sparse: &copy.sparse[of(widths[1])],
                notes: &copy.notes[of(widths[2])],
            };
            let (labels, weights) = (&copy.labels[rows.clone()], &copy.weights[rows.clone()]);
            self.learn(&LabeledBatch { features, labels, weights })?;
            from = rows.end;
        }
        Ok(())
    }
}

/// The part of [`Model`] that is about kept states, of a model that is [`Keeps`] and has a field
/// `kept`: to stand in its `impl Model`.
macro_rules! keeps_by_copies {
    () => {
        fn keep(&mut self) -> Result<(), $crate::ModelError> {
            $crate::kept::Keeps::keep_state(self)
        }

        fn forget_oldest(&mut self) {
            self.kept.forget_oldest();
        }

        fn go_back(&mut self) -> Result<(), $crate::ModelError> {
            $crate::kept::Keeps::go_back_to_oldest(self)
        }

        fn write_kept(&self, out: &mut dyn std::io::Write) -> std::io::Result<()> {
            self.kept.write(&mut pelton_kernels::state::StateWriter::new(out))
        }

        fn read_kept(&mut self, from: &mut dyn std::io::Read) -> Result<(), $crate::ModelError> {
            Ok(self.kept.read(&mut pelton_kernels::state::StateReader::new(from))?)
        }
    };
}
pub(crate) use keeps_by_copies;

impl Copied {
    /// Cuts off what is behind the first so many steps.
    fn truncate(&mut self, steps: usize, widths: [usize; 3]) {
        self.ends.truncate(steps);
        let rows = self.ends.last().map_or(0, |end| *end as usize);
        self.dense.truncate(rows * widths[0]);
        self.sparse.truncate(rows * widths[1]);
        self.notes.truncate(rows * widths[2]);
        self.labels.truncate(rows);
        self.weights.truncate(rows);
    }
}

impl Kept {
    /// Nothing, of a model with rows of this shape and so many notes.
    pub fn new(shape: FeatureShape, notes_width: usize) -> Kept {
        Kept::of([shape.dense_width, shape.sparse_width, notes_width])
    }

    fn of(widths: [usize; 3]) -> Kept {
        Kept { widths, copies: VecDeque::new(), forgotten: 0, states: VecDeque::new() }
    }

    /// Whether the next state to be kept has to be a copy.
    fn needs_copy(&self) -> bool {
        self.copies.back().is_none_or(|copy| copy.labels.len() >= ROWS_MAX)
    }

    /// Keeps the state as it is, by the last copy.
    fn keep(&mut self) {
        if let Some(copy) = self.copies.back() {
            let number = self.forgotten + self.copies.len() as u64 - 1;
            self.states.push_back([number, copy.ends.len() as u64]);
        }
    }

    /// Notes rows that are about to be learned as one step.
    #[inline]
    pub fn note(&mut self, batch: &LabeledBatch<'_>) {
        let Some(copy) = self.copies.back_mut() else { return };
        copy.dense.extend_from_slice(batch.features.dense);
        copy.sparse.extend_from_slice(batch.features.sparse);
        copy.notes.extend_from_slice(batch.features.notes);
        copy.labels.extend_from_slice(batch.labels);
        copy.weights.extend_from_slice(batch.weights);
        copy.ends.push(copy.labels.len() as u64);
    }

    /// Notes each row of a batch, as a step of its own.
    pub fn note_each(&mut self, batch: &LabeledBatch<'_>) {
        let before = self.copies.back().map_or(0, |copy| copy.labels.len() as u64);
        self.note(batch);
        let Some(copy) = self.copies.back_mut() else { return };
        copy.ends.pop();
        copy.ends.extend(before + 1..=copy.labels.len() as u64);
    }

    /// Forgets the oldest state, and copies that no other one needs.
    pub fn forget_oldest(&mut self) {
        self.states.pop_front();
        let needed = self.states.front().map_or(u64::MAX, |[number, _]| *number);
        while self.forgotten < needed && self.copies.pop_front().is_some() {
            self.forgotten += 1;
        }
    }

    /// Forgets all but the oldest state, and gives what it is made of.
    fn oldest(&mut self) -> Option<&Copied> {
        self.states.truncate(1);
        let steps = usize::try_from(self.states.front()?[1]).ok()?;
        self.copies.truncate(1);
        let copy = self.copies.front_mut()?;
        copy.truncate(steps, self.widths);
        Some(copy)
    }

    /// Writes everything.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.forgotten)?;
        state.length(self.copies.len())?;
        for copy in &self.copies {
            state.list(&copy.bytes)?;
            state.list(&copy.ends)?;
            state.list(&copy.labels)?;
            state.slice(&copy.weights)?;
            state.slice(&copy.dense)?;
            state.slice(&copy.sparse)?;
            state.slice(&copy.notes)?;
        }
        state.length(self.states.len())?;
        state.each(self.states.iter().copied())
    }

    /// Becomes what was written of a model of the same shape; on an error it is unchanged.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let mut kept = Kept { forgotten: state.get()?, ..Kept::of(self.widths) };
        for _ in 0..state.length(KEPT_MAX)? {
            let (bytes, ends) = (state.list(LENGTH_MAX)?, state.list::<u64>(LENGTH_MAX)?);
            let labels: Vec<f32> = state.list(LENGTH_MAX)?;
            let rows = labels.len();
            let weights = state.numbers(rows)?;
            let dense = state.numbers(rows * kept.widths[0])?;
            let sparse = state.numbers(rows * kept.widths[1])?;
            let notes = state.numbers(rows * kept.widths[2])?;
            if !ends.is_sorted() || ends.last().map_or(0, |end| *end) != rows as u64 {
                return Err(invalid("steps that were learned are not there"));
            }
            kept.copies.push_back(Copied { bytes, ends, dense, sparse, notes, labels, weights });
        }
        kept.states = state.list::<[u64; 2]>(KEPT_MAX)?.into();
        let is_there = |[number, steps]: &[u64; 2]| {
            let copy = number.checked_sub(kept.forgotten).and_then(|at| usize::try_from(at).ok());
            let copy = copy.and_then(|at| kept.copies.get(at));
            copy.is_some_and(|copy| *steps <= copy.ends.len() as u64)
        };
        let is_first = kept
            .states
            .front()
            .map_or(kept.copies.is_empty(), |[number, _]| *number == kept.forgotten);
        if !is_first || !kept.states.iter().is_sorted() || !kept.states.iter().all(is_there) {
            return Err(invalid("a kept state is not there"));
        }
        *self = kept;
        Ok(())
    }
}
