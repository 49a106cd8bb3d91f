//! Which of two ways a batch goes: the one that has been quicker for batches of its size.
//!
//! Both are tried a few times, then the quicker one is taken, and now and then the other one is
//! tried again, since clocks and neighbours change. Both give the same bits, so that what the clock
//! decides shows in no result.

/// Times each way is tried before one is chosen.
const TRIALS: u64 = 8;
/// One in so many batches tries the other way.
const AGAIN: u64 = 256;
/// What the newest measurement counts for.
const WEIGHT: f64 = 0.125;

/// How a small batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As a wide one does, launch by launch.
    Wide,
    /// As one recorded launch.
    Recorded,
}

/// What batches of one size cost by either way.
#[derive(Clone, Debug, Default)]
pub(super) struct Path {
    /// The way of all batches, where it is not to be measured.
    fixed: Option<Way>,
    batches: u64,
    /// Seconds, averaged with more weight to what is newer.
    costs: [Option<f64>; 2],
    tried: [u64; 2],
}

impl Path {
    /// The way of the next batch.
    pub fn choose(&self) -> Way {
        if let Some(way) = self.fixed {
            return way;
        }
        let [wide, recorded] = self.tried;
        let is_recorded = if wide < TRIALS || recorded < TRIALS {
            wide > recorded
        } else {
            let is_quicker = self.costs[1] < self.costs[0];
            let tries_other = self.batches.is_multiple_of(AGAIN);
            is_quicker != tries_other
        };
        if is_recorded { Way::Recorded } else { Way::Wide }
    }

    /// Every batch goes this way from now on.
    pub fn fix(&mut self, way: Way) {
        self.fixed = Some(way);
    }

    /// A batch took so long by this way.
    pub fn note(&mut self, way: Way, seconds: f64) {
        let way = way as usize;
        self.batches += 1;
        self.tried[way] += 1;
        // The first time pays for what is made once.
        if self.tried[way] == 1 {
            return;
        }
        let cost = self.costs[way].get_or_insert(seconds);
        *cost += WEIGHT * (seconds - *cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each way was taken where they cost so much.
    fn taken(path: &mut Path, batches: usize, costs: [f64; 2]) -> [usize; 2] {
        let mut taken = [0; 2];
        for _ in 0..batches {
            let way = path.choose();
            taken[way as usize] += 1;
            path.note(way, costs[way as usize]);
        }
        taken
    }

    #[test]
    fn the_quicker_way_is_found_and_the_other_one_not_forgotten() {
        let mut path = Path::default();
        assert_eq!(taken(&mut path, 16, [2.0, 1.0]), [8, 8]);
        let [slow, quick] = taken(&mut path, 1000, [2.0, 1.0]);
        assert!((1..10).contains(&slow) && quick > 990, "{slow} and {quick}");
        // It turns round: a few of the batches that try the other way see it.
        taken(&mut path, 20_000, [0.1, 1.0]);
        let [quick, slow] = taken(&mut path, 1000, [0.1, 1.0]);
        assert!(quick > 990 && slow < 10, "{quick} and {slow}");
        path.fix(Way::Recorded);
        assert_eq!(taken(&mut path, 1000, [0.1, 1.0]), [0, 1000]);
    }
}
