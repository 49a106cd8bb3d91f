//! A bounded sample of labelled rows, each kind of label in a reservoir of its own.
//!
//! Rare labels are kept whole as long as there is room; a row kept of a common kind stands for
//! `seen / kept` of them. Once a reservoir is full a new row takes the place of a random one with
//! the probability that all rows seen of its kind stay equally likely to be there (Vitter 1985,
//! algorithm R). The random numbers are part of the state.

use pelton_kernels::hash::mix64;

/// Labelled rows.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    width: usize,
    /// `[rows, width]`.
    pub rows: Vec<f32>,
    pub labels: Vec<f32>,
    /// How often each row counts by itself.
    pub weights: Vec<f32>,
    /// The kind of each row.
    pub kinds: Vec<u32>,
    pub strata: Vec<Stratum>,
    pub draws: u64,
}

/// The rows of one kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Stratum {
    rows_max: usize,
    /// Rows of this kind seen.
    pub seen: u64,
    /// Where the kept ones are.
    pub places: Vec<u32>,
}

impl Stratum {
    /// How many rows seen a kept one stands for; nothing where none was seen.
    pub fn weight(&self) -> Option<f64> {
        (self.seen > 0).then(|| self.seen as f64 / self.places.len() as f64)
    }
}

impl Sample {
    /// Of no rows; `rows_max` is shared out to the kinds evenly.
    pub fn new(width: usize, kinds: usize, rows_max: usize) -> Sample {
        let stratum = Stratum { rows_max: (rows_max / kinds).max(1), ..Stratum::default() };
        let (rows, labels, weights) = (Vec::new(), Vec::new(), Vec::new());
        let (kinds, strata) = (Vec::new(), vec![stratum; kinds]);
        Sample { width, rows, labels, weights, kinds, strata, draws: 0 }
    }

    /// Rows kept.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// How much a row of each kind counts: 1 for the kind that is kept most wholly, so that the
    /// penalties of a tree are in units of rows.
    pub fn weights_by_kind(&self) -> Vec<f32> {
        let weights = self.strata.iter().filter_map(Stratum::weight);
        let least = weights.fold(f64::INFINITY, f64::min);
        let of = |stratum: &Stratum| stratum.weight().map_or(0.0, |weight| weight / least) as f32;
        self.strata.iter().map(of).collect()
    }

    /// A kept row.
    pub fn row(&self, place: usize) -> &[f32] {
        &self.rows[place * self.width..][..self.width]
    }

    /// Offers a row of a kind; where it is kept.
    pub fn offer(
        &mut self,
        row: &[f32],
        (label, weight): (f32, f32),
        kind: usize,
    ) -> Option<usize> {
        let stratum = &mut self.strata[kind];
        stratum.seen += 1;
        if stratum.places.len() < stratum.rows_max {
            let place = self.labels.len();
            stratum.places.push(place as u32);
            self.rows.extend_from_slice(row);
            self.labels.push(label);
            self.weights.push(weight);
            self.kinds.push(kind as u32);
            return Some(place);
        }
        self.draws += 1;
        // A multiple of 2^-64 of what was seen; the bias of a division is far below that.
        let drawn = (u128::from(mix64(self.draws)) * u128::from(stratum.seen)) >> 64;
        let place = *stratum.places.get(usize::try_from(drawn).unwrap_or(usize::MAX))? as usize;
        self.rows[place * self.width..][..self.width].copy_from_slice(row);
        (self.labels[place], self.weights[place]) = (label, weight);
        Some(place)
    }
}
