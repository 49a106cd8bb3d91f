//! How a tree grows, and how it is cut back when it is full.
//!
//! A leaf splits as soon as the best cut of the columns it watches wins more nats than chance does:
//! `G / (1 + 1 / lambda) > gain_min + ln(cuts tried) + (classes - 2) / 2 ln(rows)`, where `G` is
//! per counted row, the factor is what the random numbers of the bagging add to its variance, and
//! the last term is that of Schwarz (1978). Whether the best column beats the second best, as in
//! Domingos and Hulten (2000), is not asked: trees of a forest should differ.
//!
//! A tree that is full is cut back: of the splits whose children are both leaves a quarter, those
//! with the fewest rows, become leaves again, and all counts of rows are halved, so that what is
//! idle shows. A node has never stopped counting, so that nothing has to be learned again.

use pelton_kernels::hash::mix64;
use pelton_kernels::math;

use super::bins::{Bins, Remap};
use super::config::{ForestConfig, MEMORIES};
use super::leaves::{LEAF_BINS, Slot, Watched};
use super::split::{Cell, Cut};
use super::tree::{LEAF, NONE, Node, Row, Tree};

/// Splits from the root to a leaf, at most.
pub(super) const DEPTH_MAX: usize = 64;
/// Rows of a leaf between two looks, as a share of those it has.
const GRACE_SHARE: f32 = 0.2;
/// Weight at which a histogram counts half from then on: a float counts no further than 2^24.
const WEIGHT_MAX: f32 = 4_194_304.0;

impl Tree {
    /// Splits a leaf where that is clearly worth it.
    pub fn look_for_split(&mut self, row: &Row<'_>, at: usize) {
        let config = row.config;
        let slot = self.nodes[at].slot;
        if self.leaves.slots[slot as usize].weight > WEIGHT_MAX {
            self.leaves.halve(slot);
        }
        let own = &mut self.leaves.slots[slot as usize];
        own.next = own.weight + (own.weight * GRACE_SHARE).max(grace(config));
        let rows = f64::from(own.weight) / config.lambda;
        let Some((watched, cut, tried)) = self.best_cut(config, slot) else { return };
        let classes = match self.leaves.cell() {
            Cell::Classes(classes) => classes as f64,
            Cell::Moments => 2.0,
        };
        let chance =
            math::ln(tried as f64) + (classes - 2.0).max(0.0) / 2.0 * math::ln(rows.max(2.0));
        if cut.gain / (config.lambda + 1.0) <= config.gain_min + chance {
            return;
        }
        let code = watched.codes(cut.bin)[1];
        let Some(threshold) = row.bins.edge(usize::from(watched.column), code) else { return };
        let nodes_max = config.nodes(row.values.len(), self.leaves.cell().width());
        if self.free.is_empty() && self.nodes.len() + 2 > nodes_max {
            self.cut_back(row);
        } else {
            self.split(row, at, (watched, cut.bin), threshold);
        }
    }

    /// The best cut of the columns a leaf watches, the first of equals; and how many there are.
    pub fn best_cut(&self, config: &ForestConfig, slot: u32) -> Option<(Watched, Cut, usize)> {
        let side_min = config.side_min * config.lambda;
        let mut best: Option<(Watched, Cut)> = None;
        let mut tried = 0;
        for (watched, bins) in self.leaves.columns(slot) {
            tried += usize::from(watched.high - watched.low).min(LEAF_BINS);
            let Some(cut) = self.leaves.cell().best(bins, side_min) else { continue };
            if best.is_none_or(|(_, best)| cut.gain > best.gain) {
                best = Some((watched, cut));
            }
        }
        best.map(|(watched, cut)| (watched, cut, tried.max(1)))
    }

    /// Splits a leaf behind a bin.
    fn split(
        &mut self,
        row: &Row<'_>,
        at: usize,
        (watched, bin): (Watched, usize),
        threshold: f32,
    ) {
        let Node { slot, rows, .. } = self.nodes[at];
        let cell = self.leaves.cell();
        let Some((_, bins)) = self.leaves.columns(slot).find(|own| own.0 == watched) else {
            return;
        };
        let (left, right) = bins.split_at((bin + 1) * cell.width());
        let sides = [cell.total(left), cell.total(right)];
        let offset = self.leaves.slots[slot as usize].offset;
        self.leaves.give(slot);
        let child = match self.free.pop() {
            Some(free) => free as usize,
            None => self.nodes.len(),
        };
        let stride = MEMORIES * self.outputs;
        if child == self.nodes.len() {
            self.nodes.extend([LEAF; 2]);
            self.means.resize((child + 2) * stride, 0.0);
        }
        let column = u32::from(watched.column);
        self.nodes[at] = Node { column, threshold, left: child as u32, slot: NONE, rows };
        for (node, side) in [child, child + 1].into_iter().zip(sides) {
            let weight = cell.weight(&side);
            self.nodes[node] = Node { rows: (weight / row.config.lambda) as f32, ..LEAF };
            let means = &mut self.means[node * stride..][..stride];
            for means in means.chunks_exact_mut(self.outputs) {
                match cell {
                    Cell::Moments => means[0] = offset + (side[1] / weight) as f32,
                    Cell::Classes(_) if means.len() == 1 => means[0] = (side[1] / weight) as f32,
                    Cell::Classes(_) => {
                        means.iter_mut().zip(&side).for_each(|(mean, count)| {
                            *mean = (count / weight) as f32;
                        });
                    }
                }
            }
        }
        let Some(ranges) = self.ranges(row, at) else { return };
        for node in [child, child + 1] {
            let mut ranges = ranges.clone();
            narrow(&mut ranges, row.bins, &self.nodes[at], node == child);
            self.watch(row.config, node, &ranges);
        }
    }

    /// The codes of each column that can come to a node on the row's way; none where it is too deep
    /// to split again.
    fn ranges(&self, row: &Row<'_>, node: usize) -> Option<Vec<[u8; 2]>> {
        let mut ranges = all_codes(row.bins);
        let mut at = 0;
        for _ in 1..DEPTH_MAX {
            if at == node {
                return Some(ranges);
            }
            let parent = &self.nodes[at];
            at = Tree::next(parent, row.values);
            narrow(&mut ranges, row.bins, parent, at == parent.left as usize);
        }
        None
    }

    /// Lets a leaf watch columns drawn for it, of those that can still split.
    pub fn watch(&mut self, config: &ForestConfig, node: usize, ranges: &[[u8; 2]]) {
        let can_split = |column: &usize| ranges[*column][0] < ranges[*column][1];
        let (mut order, others): (Vec<usize>, Vec<usize>) = (0..ranges.len()).partition(can_split);
        let splittable = order.len();
        order.extend(others);
        let columns = config.watched(ranges.len());
        for place in 0..columns.min(splittable) {
            let draw = mix64(self.seed ^ mix64((node as u64) << 16 | place as u64));
            let left = (splittable - place) as u128;
            order.swap(place, place + ((u128::from(draw) * left) >> 64) as usize);
        }
        let watched = order[..columns].iter().map(|column| {
            let [low, high] = ranges[*column];
            Watched { column: *column as u16, low, high }
        });
        let watched: Vec<Watched> = watched.collect();
        let is_values = self.leaves.cell() == Cell::Moments;
        let longest = self.means[(node + 1) * MEMORIES * self.outputs - 1];
        let offset = if is_values { longest } else { 0.0 };
        let slot = Slot { weight: 0.0, next: grace(config), offset };
        self.nodes[node].slot = self.leaves.take(slot, &watched);
    }

    /// Makes leaves of the least visited splits, and halves all counts of rows.
    fn cut_back(&mut self, row: &Row<'_>) {
        let rows_below = |node: &Node| {
            let pair = [node.left as usize, node.left as usize + 1].map(|at| &self.nodes[at]);
            let is_last = node.left != 0 && pair.iter().all(|child| child.left == 0);
            is_last.then(|| pair[0].rows + pair[1].rows)
        };
        let mut found = Vec::new();
        let mut way = vec![(0, all_codes(row.bins))];
        while let Some((at, ranges)) = way.pop() {
            let node = &self.nodes[at];
            if let Some(rows) = rows_below(node) {
                found.push((rows, at, ranges));
            } else if node.left != 0 {
                for child in [node.left as usize, node.left as usize + 1] {
                    let mut ranges = ranges.clone();
                    narrow(&mut ranges, row.bins, node, child == node.left as usize);
                    way.push((child, ranges));
                }
            }
        }
        found.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        found.truncate(found.len().div_ceil(4));
        for (_, at, ranges) in found {
            let left = self.nodes[at].left;
            for child in [left as usize, left as usize + 1] {
                if self.nodes[child].slot != NONE {
                    self.leaves.give(self.nodes[child].slot);
                }
                self.nodes[child] = LEAF;
            }
            self.free.push(left);
            self.nodes[at] = Node { rows: self.nodes[at].rows, ..LEAF };
            self.watch(row.config, at, &ranges);
        }
        self.nodes.iter_mut().for_each(|node| node.rows *= 0.5);
    }

    /// Carries the histograms over to new bins. A tree that was made before the first ones begins
    /// to watch.
    pub fn remap(&mut self, config: &ForestConfig, bins: &Bins, remap: &Remap) {
        if remap.is_first() {
            self.leaves.give(self.nodes[0].slot);
            self.watch(config, 0, &all_codes(bins));
        } else {
            self.leaves.remap(remap);
        }
    }
}

/// Weight that a leaf counts before it is looked at.
fn grace(config: &ForestConfig) -> f32 {
    config.grace_rows * config.lambda as f32
}

/// The codes of all columns.
pub(super) fn all_codes(bins: &Bins) -> Vec<[u8; 2]> {
    (0..bins.width()).map(|column| [0, bins.last(column)]).collect()
}

/// What of the codes that come to a split goes left, or right.
fn narrow(ranges: &mut [[u8; 2]], bins: &Bins, node: &Node, is_left: bool) {
    let column = node.column as usize;
    let [low, high] = ranges[column];
    ranges[column] = if is_left {
        [low, bins.code(column, node.threshold).clamp(low, high)]
    } else {
        [bins.code_above(column, node.threshold).clamp(low, high), high]
    };
}
