//! What the last labels were: of all rows, and of the rows with each category.
//!
//! Running means at several rates, from the last few labels to all of them. Trees cannot split on a
//! hashed index, so a category becomes the labels it had (Micci-Barreca 2001, without the row's
//! own: the ordered statistics of Prokhorenkova et al. 2018, "CatBoost"); and a stream whose labels
//! go on as they went is told by the fast ones. The means of the moment a row is scored are its
//! notes ([`crate::Model::note`]): it is learned with these, whenever its label comes, so nothing
//! is learned from labels that were not known then.
//!
//! Classes are noted as log odds of their share, a regression's targets as they are.

mod draw;

use std::io;

use pelton_kernels::math::logit_f32;
use pelton_kernels::state::{StateReader, StateWriter};

use crate::{ABSENT, FeatureShape, Features, Task};

/// Rates of the running means, those that tell most first; a mean of few labels goes faster.
const RATES: [f32; 5] = [1.0 / 16.0, 1.0 / 4096.0, 1.0, 1.0 / 128.0, 1.0 / 3.0];
/// The rate that a category begins with the mean of.
const SLOWEST: usize = 1;
/// Labels that the mean of all counts for in that of a category.
const PRIOR: u32 = 10;
/// Beyond so many classes a share each would be more columns than features.
const KINDS_MAX: usize = 10;
/// Notes of a row's categories, at most, unless one rate alone makes more.
const NOTES_MAX: usize = 128;
/// Shares are noted as if there were no surer ones.
const SHARE_MIN: f32 = 1e-3;

/// Running means of labels.
#[derive(Clone, Debug)]
pub(crate) struct LabelMemory {
    task: Task,
    shape: FeatureShape,
    /// Means apart: one, or one for each class.
    kinds: usize,
    rates: usize,
    labels: u64,
    /// `[kinds, rates]`.
    overall: Vec<f32>,
    /// `[2^sparse_bits, kinds, rates]`.
    own: Vec<f32>,
    /// Labels by index, with the prior's; 0 where there was none.
    counts: Vec<u32>,
}

impl LabelMemory {
    /// Of no labels.
    pub fn new(task: Task, shape: FeatureShape) -> LabelMemory {
        let kinds = match task {
            Task::Binary | Task::Regression => 1,
            Task::MultiClass { classes } if classes as usize <= KINDS_MAX => classes as usize,
            Task::MultiClass { .. } => 0,
        };
        let columns = shape.sparse_width.max(1) * kinds.max(1);
        let rates = (NOTES_MAX / columns).clamp(1, RATES.len());
        let indices = if shape.sparse_width == 0 { 0 } else { 1_usize << shape.sparse_bits };
        LabelMemory {
            task,
            shape,
            kinds,
            rates,
            labels: 0,
            overall: vec![if kinds > 1 { 1.0 / kinds as f32 } else { 0.0 }; kinds * rates],
            own: vec![0.0; indices * kinds * rates],
            counts: vec![0; indices],
        }
    }

    /// Notes of all rows.
    pub fn overall_width(&self) -> usize {
        self.kinds * self.rates
    }

    /// Notes of a row's categories.
    pub fn categories_width(&self) -> usize {
        self.shape.sparse_width * self.kinds * self.rates
    }

    /// The sparse feature that a note of a row's categories is about.
    pub fn noted_feature(&self, note: usize) -> Option<usize> {
        let feature = note.checked_div(self.kinds * self.rates)?;
        (feature < self.shape.sparse_width).then_some(feature)
    }

    /// Notes what the last labels of all rows were.
    ///
    /// # Shapes
    /// `notes: [overall_width]`.
    pub fn note_overall(&self, notes: &mut [f32]) {
        for (note, mean) in notes.iter_mut().zip(&self.overall) {
            *note = self.noted(*mean);
        }
    }

    /// Notes what the last labels of a row's categories were.
    ///
    /// # Shapes
    /// `sparse: [sparse_width]`, `notes: [categories_width]`.
    pub fn note_categories(&self, sparse: &[u32], notes: &mut [f32]) {
        let width = self.kinds * self.rates;
        if width == 0 {
            return;
        }
        for (notes, index) in notes.chunks_exact_mut(width).zip(sparse) {
            let place = *index as usize;
            if *index != ABSENT && self.counts[place] > 0 {
                let own = &self.own[place * width..][..width];
                notes.iter_mut().zip(own).for_each(|(note, mean)| *note = self.noted(*mean));
                continue;
            }
            // What is not known is like all.
            for (notes, overall) in
                notes.chunks_exact_mut(self.rates).zip(self.overall.chunks_exact(self.rates))
            {
                notes.fill(self.noted(overall[SLOWEST.min(self.rates - 1)]));
            }
        }
    }

    /// Notes what the last labels of each row's categories were.
    ///
    /// # Shapes
    /// `notes: [rows, categories_width]`.
    pub fn note_all_categories(&self, features: &Features<'_>, notes: &mut [f32]) {
        let width = self.shape.sparse_width;
        let rows = notes.chunks_exact_mut(self.categories_width().max(1));
        for (sparse, notes) in features.sparse.chunks_exact(width.max(1)).zip(rows) {
            self.note_categories(sparse, notes);
        }
    }

    /// Takes in the label of a row.
    pub fn learn(&mut self, sparse: &[u32], label: f32) {
        let (rates, width) = (self.rates, self.kinds * self.rates);
        let (task, slowest) = (self.task, SLOWEST.min(rates - 1));
        let value = |kind: usize| match task {
            Task::MultiClass { .. } => f32::from(u8::from(label as usize == kind)),
            _ => label,
        };
        let follow = |means: &mut [f32], count: u64| {
            for (kind, means) in means.chunks_exact_mut(rates).enumerate() {
                for (mean, rate) in means.iter_mut().zip(RATES) {
                    *mean += rate.max(1.0 / count as f32) * (value(kind) - *mean);
                }
            }
        };
        if width > 0 {
            for index in sparse.iter().filter(|index| **index != ABSENT) {
                let (own, count) = (
                    &mut self.own[*index as usize * width..][..width],
                    &mut self.counts[*index as usize],
                );
                if *count == 0 {
                    *count = PRIOR;
                    let overall = self.overall.chunks_exact(rates);
                    for (own, overall) in own.chunks_exact_mut(rates).zip(overall) {
                        own.fill(overall[slowest]);
                    }
                }
                *count = count.saturating_add(1);
                follow(own, u64::from(*count));
            }
        }
        self.labels += 1;
        // The first few classes do not tell that there are no others.
        let prior = if self.kinds > 1 || task == Task::Binary { 1 } else { 0 };
        follow(&mut self.overall, self.labels + prior);
    }

    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.labels)?;
        state.slice(&self.overall)?;
        state.blocks(&self.counts, |count| *count)?;
        state.blocks(&self.own, |mean| *mean)
    }

    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.labels = state.get()?;
        state.fill(&mut self.overall)?;
        self.counts.fill(0);
        self.own.fill(0.0);
        state.blocks(&mut self.counts, |count| count)?;
        state.blocks(&mut self.own, |mean| mean)
    }

    #[inline]
    fn noted(&self, mean: f32) -> f32 {
        match self.task {
            Task::Regression => mean,
            _ => logit_f32(mean.clamp(SHARE_MIN, 1.0 - SHARE_MIN)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: FeatureShape = FeatureShape { dense_width: 0, sparse_width: 1, sparse_bits: 4 };

    /// Half of the labels are positive, however many there are: floats do not count beyond 2^24.
    #[test]
    fn a_mean_holds_however_long_the_stream_is() {
        let mut memory = LabelMemory::new(Task::Binary, SHAPE);
        (0..20_000_000_u32).for_each(|label| memory.learn(&[3], (label % 2) as f32));
        let mut notes = vec![0.0; memory.categories_width()];
        memory.note_categories(&[3], &mut notes);
        assert!(notes[SLOWEST].abs() < 1e-3, "{notes:?}");
    }

    /// Against the definition, in doubles: every mean follows at its rate, faster at first.
    #[test]
    fn means_are_those_of_the_definition() {
        let mut memory = LabelMemory::new(Task::Regression, SHAPE);
        let labels = |row: u32| ((row * 7919) % 101) as f32 / 10.0;
        let (mut overall, mut own) = ([0.0_f64; RATES.len()], [0.0_f64; RATES.len()]);
        for row in 0..3000 {
            let (label, index) = (f64::from(labels(row)), row % 5);
            if index == 2 {
                if row == 2 {
                    own = [overall[SLOWEST]; RATES.len()];
                }
                let count = f64::from(PRIOR + row / 5 + 1);
                let follow = |(mean, rate): (&mut f64, f32)| {
                    *mean += f64::from(rate).max(1.0 / count) * (label - *mean);
                };
                own.iter_mut().zip(RATES).for_each(follow);
            }
            let count = f64::from(row + 1);
            let follow = |(mean, rate): (&mut f64, f32)| {
                *mean += f64::from(rate).max(1.0 / count) * (label - *mean);
            };
            overall.iter_mut().zip(RATES).for_each(follow);
            memory.learn(&[index], labels(row));
        }
        let mut notes = [0.0; 2 * RATES.len()];
        memory.note_overall(&mut notes[..RATES.len()]);
        memory.note_categories(&[2], &mut notes[RATES.len()..]);
        for (note, mean) in notes.iter().zip(overall.iter().chain(&own)) {
            assert!((f64::from(*note) - mean).abs() < 1e-3, "{note} {mean}");
        }
        // What has not been seen is like all.
        memory.note_categories(&[9], &mut notes[RATES.len()..]);
        assert_eq!(notes[RATES.len()..], [notes[SLOWEST]; RATES.len()]);
    }
    /// What is drawn is what is noted, to the bit and in its order.
    #[test]
    fn notes_are_drawn() {
        use crate::graph::{Data, Graph, Inputs, Tensor};
        let shape = FeatureShape { sparse_width: 2, ..SHAPE };
        let tasks = [Task::Binary, Task::MultiClass { classes: 4 }, Task::Regression];
        for task in tasks {
            let mut memory = LabelMemory::new(task, shape);
            (0..200_u32).for_each(|row| memory.learn(&[row % 7, 7 + row % 3], (row % 2) as f32));
            let rows = [[3, 8], [ABSENT, 2], [15, ABSENT], [6, 9]];
            let mut graph = Graph::new();
            let inputs = Inputs::of(shape, &mut graph);
            let overall = memory.draw_overall(&mut graph, &inputs).expect("there are some");
            let own = memory.draw_categories(&mut graph, &inputs).expect("there are some");
            graph.output("overall", overall);
            graph.output("own", own);
            let given = rows.as_flattened().iter().map(|index| i64::from(*index)).collect();
            let given = Tensor::new(vec![4, 2], Data::I64(given)).expect("eight");
            let drawn = graph.run(&[given]).expect("it fits");
            let mut notes = [Vec::new(), Vec::new()];
            for row in rows {
                let mut overall = vec![0.0; memory.overall_width()];
                let mut own = vec![0.0; memory.categories_width()];
                memory.note_overall(&mut overall);
                memory.note_categories(&row, &mut own);
                notes[0].extend(overall);
                notes[1].extend(own);
            }
            for (drawn, notes) in drawn.iter().zip(&notes) {
                assert_eq!(drawn.as_f32(), Some(&notes[..]), "{task:?}");
            }
        }
    }
}
