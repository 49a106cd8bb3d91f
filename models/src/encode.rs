//! Rows as trees see them: dense features, and for each sparse one the mean label of its value.
//!
//! A tree cannot split on a hashed index. So a sparse feature becomes the mean of the labels seen
//! with it so far, drawn to the mean of all by [`PRIOR`] of them (Micci-Barreca 2001); for classes,
//! the share of each. A row is encoded before its own label is counted, so that no row tells its
//! own label (the ordered statistics of Prokhorenkova et al. 2018, "CatBoost").

use std::io;

use pelton_kernels::state::{StateReader, StateWriter};

use crate::{ABSENT, FeatureShape, Features, Task};

/// Labels that the mean of all counts for.
const PRIOR: f32 = 10.0;
/// The longest memory: a float counts no further than 2^24, and a sum of labels stays finite.
pub(crate) const LABELS_MAX: f32 = 8_388_608.0;
/// Beyond so many classes a share each would be more columns than features.
const SHARES_MAX: usize = 10;

/// Labels counted by sparse index.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    shape: FeatureShape,
    /// Numbers a sparse feature becomes.
    shares: usize,
    is_share: bool,
    /// Labels, then their sum or the count of each class: `[1 + shares]` for all, then by index.
    counts: Vec<f32>,
    /// Labels of a value at which all that is known of it counts half.
    labels_max: f32,
}

impl Encoder {
    /// Of no labels; a value that has had `labels_max` of them ([`LABELS_MAX`] at most) counts half
    /// from then on, so that the mean is one of about as many.
    pub fn new(task: Task, shape: FeatureShape, labels_max: f32) -> Encoder {
        let shares = match task {
            Task::Binary | Task::Regression => 1,
            Task::MultiClass { classes } if classes as usize <= SHARES_MAX => classes as usize,
            Task::MultiClass { .. } => 0,
        };
        let indices = if shape.sparse_width == 0 { 0 } else { 1_usize << shape.sparse_bits };
        let is_share = matches!(task, Task::MultiClass { .. });
        let counts = vec![0.0; (1 + indices) * (1 + shares)];
        Encoder { shape, shares, is_share, counts, labels_max }
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.shape.dense_width + self.sparse_width()
    }

    /// Numbers that the sparse features of a row become.
    pub fn sparse_width(&self) -> usize {
        self.shape.sparse_width * self.shares
    }

    /// Encodes a row; what is not finite counts as 0.
    pub fn encode(&self, features: &Features<'_>, row: usize, out: &mut Vec<f32>) {
        let width = self.shape.dense_width;
        let dense = &features.dense[row * width..][..width];
        out.clear();
        out.extend(dense.iter().map(|value| if value.is_finite() { *value } else { 0.0 }));
        self.encode_sparse(features, row, out);
    }

    /// The sparse features of a row alone, behind what is in `out`.
    pub fn encode_sparse(&self, features: &Features<'_>, row: usize, out: &mut Vec<f32>) {
        let width = self.shape.sparse_width;
        let sparse = &features.sparse[row * width..][..width];
        if self.shares == 0 {
            return;
        }
        let (all, by_index) = self.counts.split_at(1 + self.shares);
        let mean = |share: usize| all[1 + share] / all[0].max(1.0);
        for index in sparse {
            let place = *index as usize * (1 + self.shares);
            let own = if *index == ABSENT { &[0.0; 0][..] } else { &by_index[place..] };
            for share in 0..self.shares {
                let [count, sum] = match own {
                    [] => [0.0; 2],
                    own => [own[0], own[1 + share]],
                };
                out.push((sum + PRIOR * mean(share)) / (count + PRIOR));
            }
        }
    }

    /// Counts a label.
    pub fn count(&mut self, features: &Features<'_>, row: usize, label: f32) {
        let width = 1 + self.shares;
        let labels_max = self.labels_max;
        let sparse_width = self.shape.sparse_width;
        let sparse = &features.sparse[row * sparse_width..][..sparse_width];
        let places = sparse.iter().filter(|index| **index != ABSENT);
        let places = places.map(|index| (1 + *index as usize) * width);
        for place in places.chain([0]) {
            let own = &mut self.counts[place..place + width];
            if own[0] >= labels_max {
                own.iter_mut().for_each(|count| *count *= 0.5);
            }
            own[0] += 1.0;
            if self.is_share {
                // A class beyond the shares counts in none.
                if let Some(share) = own[1..].get_mut(label as usize) {
                    *share += 1.0;
                }
            } else {
                own[1] += label;
            }
        }
    }

    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.blocks(&self.counts, |count| *count)
    }

    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.counts.fill(0.0);
        state.blocks(&mut self.counts, |count| count)
    }
}
