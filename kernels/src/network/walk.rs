//! What a network on a GPU is to do next, in its order: rows to be scored, rows to be learned.
//!
//! A mini-batch is learned row by row, since each row moves the embeddings that the next one is
//! read with. Rows that have no embedding in common do not notice each other: up to [`WAVE`] of
//! them that follow one another make a wave, which goes through the network side by side. Sums over
//! the rows of a wave keep the order of the rows, so that waves change no bit.
//!
//! Invariant: rows of a wave have no row of the table in common, also none that one of them begins.

use super::WAVE;

/// As network.cu declares it: rows to score, lessons, begins, flags, an offset; a count behind each
/// first.
type Step = [u32; 8];

const OPENS: u32 = 1;
const CLOSES: u32 = 2;
const SETS: u32 = 4;

const SCORES: usize = 1;
const FIRST: usize = 2;
const LESSONS: usize = 3;
const BEGIN: usize = 4;
const BEGINS: usize = 5;
const FLAGS: usize = 6;
const OFFSET: usize = 7;

/// Steps, and the rows that are learned in them.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    pub(super) dense: Vec<f32>,
    pub(super) places: Vec<u32>,
    pub(super) targets: Vec<f32>,
    pub(super) shares: Vec<f32>,
    pub(super) steps: Vec<Step>,
    /// Rows of the table that begin, each with its index.
    pub(super) begins: Vec<[u32; 2]>,
    /// Biases of the outputs, for the one step that sets them.
    pub(super) biases: Vec<f32>,
    /// The wave that last had each row of the table.
    stamps: Vec<u64>,
    wave: u64,
}

/// A row that is learned.
#[derive(Clone, Copy, Debug)]
pub struct Lesson<'a> {
    /// Dense features.
    pub dense: &'a [f32],
    /// Rows of the table by sparse feature, or [`super::NONE`].
    pub places: &'a [u32],
    /// Those of them that begin with this row, each with its index.
    pub begins: &'a [[u32; 2]],
    /// The label, or the target in the unit of the outputs.
    pub target: f32,
    /// What it counts for in its mini-batch.
    pub share: f32,
}

fn small(count: usize) -> u32 {
    u32::try_from(count).expect("a walk is short")
}

impl Walk {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Forgets the steps, which were done.
    pub fn clear(&mut self) {
        self.dense.clear();
        self.places.clear();
        self.targets.clear();
        self.shares.clear();
        self.steps.clear();
        self.begins.clear();
        self.biases.clear();
    }

    /// Scores the row of this number, as the network is then.
    pub fn score(&mut self, row: usize) {
        match self.steps.last_mut() {
            Some(step) if step[LESSONS] == 0 && step[FLAGS] == 0 => step[SCORES] += 1,
            _ => self.steps.push([small(row), 1, 0, 0, 0, 0, 0, 0]),
        }
    }

    /// Learns a mini-batch: its rows in their order, with all log odds `offset` above those of the
    /// outputs, whose biases become those given; none where they are to stay.
    pub fn open(&mut self, offset: f32, biases: &[f32]) {
        if self.steps.last().is_none_or(|step| step[LESSONS] > 0 || step[FLAGS] > 0) {
            self.steps.push([0; 8]);
        }
        self.biases.extend_from_slice(biases);
        self.begin_wave(if biases.is_empty() { OPENS } else { OPENS | SETS }, offset);
    }

    /// A row of the mini-batch.
    pub fn lesson(&mut self, lesson: &Lesson<'_>) {
        let is_stamped =
            |place: &u32| self.stamps.get(*place as usize).is_some_and(|stamp| *stamp == self.wave);
        let known = |place: &&u32| **place != super::NONE;
        let is_full = self.steps.last().is_some_and(|step| step[LESSONS] as usize == WAVE);
        if is_full || lesson.places.iter().filter(known).any(is_stamped) {
            let offset = self.steps.last().map_or(0, |step| step[OFFSET]);
            self.steps.push([0; 8]);
            self.begin_wave(0, f32::from_bits(offset));
        }
        for place in lesson.places.iter().filter(known) {
            let place = *place as usize;
            if self.stamps.len() <= place {
                self.stamps.resize(place + 1, 0);
            }
            self.stamps[place] = self.wave;
        }
        self.dense.extend_from_slice(lesson.dense);
        self.places.extend_from_slice(lesson.places);
        self.targets.push(lesson.target);
        self.shares.push(lesson.share);
        self.begins.extend_from_slice(lesson.begins);
        if let Some(step) = self.steps.last_mut() {
            step[LESSONS] += 1;
            step[BEGINS] += small(lesson.begins.len());
        }
    }

    /// The mini-batch is whole: the dense parameters move.
    pub fn close(&mut self) {
        if let Some(step) = self.steps.last_mut() {
            step[FLAGS] |= CLOSES;
        }
    }

    /// Makes the last step one that learns.
    fn begin_wave(&mut self, flags: u32, offset: f32) {
        self.wave += 1;
        let (first, begin) = (small(self.targets.len()), small(self.begins.len()));
        if let Some(step) = self.steps.last_mut() {
            (step[FIRST], step[BEGIN]) = (first, begin);
            (step[FLAGS], step[OFFSET]) = (flags, offset.to_bits());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Draw;
    use crate::network::NONE;

    /// Whatever rows come, a wave is short and its rows share nothing; all are there, in order.
    #[test]
    fn rows_of_a_wave_have_nothing_in_common() {
        let mut draw = Draw::new(1);
        let mut walk = Walk::default();
        let (mut lessons, mut begun, mut scored) = (0, Vec::new(), 0);
        for _ in 0..300 {
            for _ in 0..draw.bits() % 4 {
                walk.score(scored);
                scored += 1;
            }
            walk.open(0.5, &[]);
            for _ in 0..1 + draw.bits() % 40 {
                let range = 1 + draw.bits() % 50;
                let places: Vec<u32> = (0..3)
                    .map(|_| if draw.unit() < 0.1 { NONE } else { (draw.bits() % range) as u32 })
                    .collect();
                let begins: Vec<[u32; 2]> = places
                    .iter()
                    .filter(|place| **place % 7 == 0)
                    .map(|place| [*place, lessons])
                    .collect();
                begun.extend_from_slice(&begins);
                let (target, share) = (lessons as f32, 1.0);
                let (dense, places) = (&[][..], &places[..]);
                walk.lesson(&Lesson { dense, places, begins: &begins, target, share });
                lessons += 1;
            }
            walk.close();
        }
        let (mut next, mut next_scored, mut next_begin, mut is_open) = (0, 0, 0, false);
        for [score, scores, first, count, begin, begins, flags, offset] in &walk.steps {
            if *scores > 0 {
                assert!(!is_open && *score == next_scored);
                next_scored += scores;
            }
            assert_eq!(*flags & OPENS == 0, is_open);
            is_open = *flags & CLOSES == 0;
            assert!(*first == next && (1..=WAVE as u32).contains(count));
            assert!(*begin == next_begin && f32::from_bits(*offset) == 0.5);
            (next, next_begin) = (next + count, next_begin + begins);
            let mut seen = std::collections::BTreeSet::new();
            for row in *first as usize..next as usize {
                let mut own = walk.places[row * 3..][..3].to_vec();
                own.sort_unstable();
                own.dedup();
                assert!(own.iter().all(|place| *place == NONE || seen.insert(*place)));
            }
        }
        assert_eq!((next, next_scored, is_open), (lessons, scored as u32, false));
        assert!(walk.begins == begun && next_begin as usize == begun.len());
        walk.clear();
        assert!(walk.is_empty());
    }
}
