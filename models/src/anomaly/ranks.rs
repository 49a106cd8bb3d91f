//! How strange a depth is among those of the rows in the window.
//!
//! The mean depth over the trees says little by itself: what is usual depends on the number of
//! columns and on how they hang together. Its rank among recent rows means the same for every
//! stream. Each of these was measured when it came, by trees that had not seen it.

/// Bins of depths, from none to the greatest possible.
pub(super) const BINS: usize = 512;

/// Depths of the rows in the window.
#[derive(Clone, Debug)]
pub(super) struct Ranks {
    /// Bins in one unit of depth.
    per_depth: f32,
    /// The bin of the row at each place of the window; [`BINS`] where there was no tree yet.
    pub bins: Vec<u32>,
    counts: Vec<u32>,
    total: u32,
}

impl Ranks {
    /// Of no rows.
    pub fn new(depth_max: f32) -> Ranks {
        let per_depth = BINS as f32 / depth_max;
        Ranks { per_depth, bins: Vec::new(), counts: vec![0; BINS], total: 0 }
    }

    /// Puts a row at a place of the window, which is new or taken.
    pub fn set(&mut self, place: usize, depth: Option<f32>) {
        let bin = depth.map_or(BINS, |depth| self.position(depth) as usize) as u32;
        match self.bins.get_mut(place) {
            Some(own) => {
                let before = std::mem::replace(own, bin);
                if let Some(count) = self.counts.get_mut(before as usize) {
                    *count -= 1;
                    self.total -= 1;
                }
            }
            None => self.bins.push(bin),
        }
        self.count(bin);
    }

    /// Takes the bins of a window; false, and nothing changes, where they are none.
    pub fn fill(&mut self, bins: Vec<u32>) -> bool {
        if bins.iter().any(|bin| *bin as usize > BINS) {
            return false;
        }
        self.counts.fill(0);
        self.total = 0;
        bins.iter().for_each(|bin| self.count(*bin));
        self.bins = bins;
        true
    }

    /// The share of rows that were at least as strange, in `0..1`, falling strictly from depth 0
    /// on: as if there were one more row, anywhere.
    #[inline]
    pub fn share_stranger(&self, depth: f32) -> f32 {
        let position = self.position(depth);
        let bin = position as usize;
        let below: u32 = self.counts[..bin].iter().sum();
        let within = (position - bin as f32) * self.counts[bin] as f32;
        let anywhere = position / BINS as f32;
        (below as f32 + within + anywhere) / (self.total + 1) as f32
    }

    fn count(&mut self, bin: u32) {
        if let Some(count) = self.counts.get_mut(bin as usize) {
            *count += 1;
            self.total += 1;
        }
    }

    /// From where shallow depths are strange; at most the end of the last bin.
    fn position(&self, depth: f32) -> f32 {
        (depth * self.per_depth).clamp(0.0, BINS as f32 - 0.001)
    }
}
