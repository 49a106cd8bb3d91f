//! How strange a row is among the last ones: the detector itself, free of labels.
//!
//! A window holds a random one in `stride` of the last rows. The trees are grown from it, one after
//! another, so that all of them are grown once while the window goes by: what was strange becomes
//! usual as it goes on, without a jump.

use std::cell::Cell;

use pelton_kernels::hash::mix64;
use pelton_kernels::math::ln_f32;

use super::AnomalyConfig;
use super::ranks::Ranks;
use super::rarity::Rarity;
use super::tree::{Draws, Ground, NUMBER_MAX, Node, depth_of, depths_alone};
use crate::{FeatureShape, ModelError};

/// Rows before there are trees.
const ROWS_MIN: u64 = 32;
/// No row is stranger than one in so many.
const SHARE_MIN: f32 = 1e-6;

/// How strange rows are among the last ones, by their features alone.
///
/// Memory: `window_rows` rows of 4 bytes a column and 4 more, at most `trees * sample_rows * 96`
/// bytes of trees, and 256 KiB where there are categories.
pub struct Strangeness {
    pub(super) config: AnomalyConfig,
    /// Dense columns, and the rarity of each category.
    pub(super) width: usize,
    /// Rows learned.
    pub(super) learned: u64,
    /// Rows that were kept, whether they still are or not.
    pub(super) kept: u64,
    /// `[rows kept, width]`: where the next one goes when it is full follows from `kept`.
    pub(super) window: Vec<f32>,
    pub(super) ranks: Ranks,
    pub(super) rarity: Rarity,
    pub(super) trees: Vec<Vec<Node>>,
    pub(super) draws: Draws,
    /// The rows at which the next tree is grown, and trees grown one by one so far.
    pub(super) next: u64,
    pub(super) grown: u64,
    alone: Vec<f32>,
    /// Room for a row.
    room: Cell<Vec<f32>>,
}

impl Strangeness {
    /// Of no rows.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] for a setting or shape outside its range.
    pub fn new(config: AnomalyConfig, shape: FeatureShape) -> Result<Strangeness, ModelError> {
        config.check(shape)?;
        let alone = depths_alone(config.sample_rows + 1);
        Ok(Strangeness {
            width: (shape.dense_width + shape.sparse_width).max(1),
            learned: 0,
            kept: 0,
            window: Vec::new(),
            ranks: Ranks::new(depth_max(&config, &alone)),
            rarity: Rarity::new(shape),
            trees: Vec::new(),
            draws: Draws::default(),
            next: ROWS_MIN,
            grown: 0,
            alone,
            room: Cell::default(),
            config,
        })
    }

    /// The share of recent rows that were less strange, in `0..1`; .5 of the first few rows.
    ///
    /// # Shapes
    /// `dense: [dense_width]`, what is not finite counts as 0; `sparse: [sparse_width]`.
    pub fn rank(&self, dense: &[f32], sparse: &[u32]) -> f32 {
        1.0 - self.share_stranger(self.depth(dense, sparse))
    }

    /// How strange a row is, as a feature of others: `-ln(1 - rank) - 1`, in `-1..=12.82`. Of usual
    /// rows it has mean 0 and deviation 1, because their ranks are even; 0 of the first few rows.
    ///
    /// # Shapes
    /// As [`Strangeness::rank`].
    pub fn strangeness(&self, dense: &[f32], sparse: &[u32]) -> f32 {
        let depth = self.depth(dense, sparse);
        depth.map_or(0.0, |_| -ln_f32(self.share_stranger(depth)) - 1.0)
    }

    /// Takes a row in.
    ///
    /// # Shapes
    /// As [`Strangeness::rank`].
    pub fn learn(&mut self, dense: &[f32], sparse: &[u32]) {
        self.learn_measured(dense, sparse, None);
    }

    /// Gives the rank of a row, then takes it in.
    ///
    /// # Shapes
    /// As [`Strangeness::rank`].
    pub fn rank_and_learn(&mut self, dense: &[f32], sparse: &[u32]) -> f32 {
        let depth = self.depth(dense, sparse);
        let rank = 1.0 - self.share_stranger(depth);
        self.learn_measured(dense, sparse, depth);
        rank
    }

    /// The mean depth at which a row would be alone; none before there are trees.
    fn depth(&self, dense: &[f32], sparse: &[u32]) -> Option<f32> {
        if self.trees.is_empty() {
            return None;
        }
        let mut row = self.room.take();
        self.columns(dense, sparse, &mut row);
        let depth = depth_of(&self.trees, &row);
        self.room.set(row);
        Some(depth / self.trees.len() as f32)
    }

    fn share_stranger(&self, depth: Option<f32>) -> f32 {
        depth.map_or(0.5, |depth| self.ranks.share_stranger(depth).max(SHARE_MIN))
    }

    /// The numbers of a row as trees look at them.
    pub(super) fn columns(&self, dense: &[f32], sparse: &[u32], row: &mut Vec<f32>) {
        let number = |value: &f32| {
            if value.is_finite() { value.clamp(-NUMBER_MAX, NUMBER_MAX) } else { 0.0 }
        };
        row.clear();
        row.extend(dense.iter().map(number));
        self.rarity.append(sparse, row);
        if row.is_empty() {
            // What leaves look at.
            row.push(0.0);
        }
    }

    /// Takes a row in whose depth may be known already.
    fn learn_measured(&mut self, dense: &[f32], sparse: &[u32], depth: Option<f32>) {
        let is_drawn = mix64(!self.learned).is_multiple_of(self.config.stride);
        if is_drawn || self.learned < self.config.window_rows as u64 {
            let depth = depth.or_else(|| self.depth(dense, sparse));
            let mut row = self.room.take();
            self.columns(dense, sparse, &mut row);
            self.keep(&row, depth);
            self.room.set(row);
        }
        self.rarity.learn(sparse);
        self.learned += 1;
        if self.learned >= self.next {
            self.grow();
        }
    }

    /// Puts a row into the window, in the place of the oldest one where it is full.
    fn keep(&mut self, row: &[f32], depth: Option<f32>) {
        let place = (self.kept % self.config.window_rows as u64) as usize;
        self.kept += 1;
        match self.window.get_mut(place * self.width..(place + 1) * self.width) {
            Some(own) => own.copy_from_slice(row),
            None => self.window.extend_from_slice(row),
        }
        self.ranks.set(place, depth);
    }

    /// Grows the tree whose turn it is, at first all of them.
    fn grow(&mut self) {
        let trees = self.config.trees as u64;
        if self.trees.is_empty() {
            self.trees = (0..trees).map(|_| self.tree()).collect();
        } else {
            let turn = (self.grown % trees) as usize;
            self.trees[turn] = self.tree();
            self.grown = self.grown.wrapping_add(1);
        }
        let span = self.config.window_rows as u64 * self.config.stride;
        self.next = self.learned + (self.learned.min(span) / trees).max(1);
    }

    /// A tree over rows that are spread evenly over the window: one of each of its parts.
    fn tree(&mut self) -> Vec<Node> {
        let rows = self.ranks.bins.len();
        let count = self.config.sample_rows.min(rows);
        let ground = Ground {
            rows: &self.window,
            width: self.width,
            depth_max: self.config.depth(),
            alone: &self.alone,
        };
        let draws = &mut self.draws;
        let mut place = |part: usize| {
            let (from, to) = (part * rows / count, (part + 1) * rows / count);
            (from + draws.below(to - from)) as u32
        };
        let mut places: Vec<u32> = (0..count).map(&mut place).collect();
        ground.grow(&mut places, draws)
    }

    /// No depth is greater.
    pub(super) fn depth_max(&self) -> f32 {
        depth_max(&self.config, &self.alone)
    }
}

fn depth_max(config: &AnomalyConfig, alone: &[f32]) -> f32 {
    config.depth() as f32 + alone[config.sample_rows + 1]
}
