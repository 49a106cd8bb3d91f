//! One feature, or the score: its reference, and the window that is compared with it.
//!
//! A column waits until its values can be told of (windows of features are filled, the model has
//! learned), takes a sample of the rows of some windows, makes bins of it, and counts from then on.
//! Memory: a sample of at most [`SAMPLE_MAX`] values (8 KB), or eight parts of 42 bins (3 KB).

use std::io;

use pelton_kernels::assemble::Dense;
use pelton_kernels::hash::mix64;
use pelton_kernels::state::{StateReader, StateWriter, invalid};
use pelton_models::drift::bins::BINS_MAX;
use pelton_models::drift::{Bins, ks, psi};

use super::FEATURES_MAX;
use super::alerts::Detector;
use super::sampling::PARTS;
use crate::config::drift::DriftConfig;
use crate::features::plan::Plan;

/// Values of a reference; of more rows a sample without replacement (Vitter's algorithm R, 1985).
pub const SAMPLE_MAX: usize = 2048;

/// So many rows and runs are never reached.
const FAR: u64 = 1 << 50;

/// Where the values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A number of the event.
    Number(usize),
    /// An aggregate of a window.
    Given(usize),
    /// The score; of several classes the highest.
    Score,
}

/// A column that is watched.
#[derive(Clone, Debug)]
pub struct Column {
    name: String,
    source: Source,
    settles_ms: i64,
    reference_runs: u64,
    phase: Phase,
    compared: Compared,
    /// Whether an alert of PSI, of KS, has been given and the figure not come back since.
    is_over: [bool; 2],
}

/// What a column does with a value.
#[derive(Clone, Debug)]
enum Phase {
    /// Nothing: it is too early.
    Waiting,
    /// It becomes part of the reference.
    Collecting { sample: Vec<f32>, seen: u64, runs: u64 },
    /// It is counted: `[PARTS, bins]`.
    Watching { bins: Bins, counts: Vec<u64>, runs: u64 },
}

/// A window beside the reference.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// Population stability index.
    pub psi: f64,
    /// Distance of Kolmogorov and Smirnov.
    pub distance: f64,
    /// The chance of such a distance.
    pub chance: f64,
}

const NOTHING: Compared = Compared { psi: f64::NAN, distance: f64::NAN, chance: f64::NAN };

/// The columns that are watched: the numbers and aggregates behind dense features, each once, and
/// the score. What the calendar says is not: it is of the clock, not of the data.
pub fn of(config: &DriftConfig, plan: &Plan) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for (dense, name) in plan.dense.iter().zip(&plan.dense_names) {
        let (source, filled_ms) = match *dense {
            Dense::Number { column, .. } => (Source::Number(column), 0),
            Dense::Given(given) => (Source::Given(given), plan.filled_after_ms(given)),
            Dense::Calendar(_) => continue,
        };
        let is_new = columns.iter().all(|column| column.source != source);
        if is_new && columns.len() < FEATURES_MAX {
            columns.push(Column::new(config, name.clone(), source, filled_ms));
        }
    }
    columns.push(Column::new(config, "score".to_owned(), Source::Score, 0));
    columns
}

impl Column {
    fn new(config: &DriftConfig, name: String, source: Source, filled_ms: i64) -> Column {
        Column {
            name,
            source,
            settles_ms: filled_ms,
            reference_runs: config.reference_windows * PARTS as u64,
            phase: Phase::Waiting,
            compared: NOTHING,
            is_over: [false; 2],
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its values come from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Event time before its values are worth looking at.
    pub fn settles_ms(&self) -> i64 {
        self.settles_ms
    }

    /// The index and the distance found last; NaN before.
    pub fn figures(&self) -> [f64; 2] {
        [self.compared.psi, self.compared.distance]
    }

    /// Whether an alert stands.
    pub fn was_over(&self, detector: Detector) -> bool {
        self.is_over[detector as usize % 2]
    }

    /// Says whether one does.
    pub fn set_over(&mut self, detector: Detector, is_over: bool) {
        self.is_over[detector as usize % 2] = is_over;
    }

    /// Takes a value in, which stands for `stride` rows of this part of the window. One that is not
    /// finite is no value: scores that are not are counted where they are given.
    #[inline]
    pub fn take(&mut self, value: f32, part: usize, stride: u64) {
        if !value.is_finite() {
            return;
        }
        match &mut self.phase {
            Phase::Waiting => {}
            Phase::Collecting { sample, seen, .. } => {
                *seen += 1;
                if sample.len() < SAMPLE_MAX {
                    sample.push(value);
                    return;
                }
                let place = mix64(*seen) % *seen;
                if let Some(place) = sample.get_mut(place as usize) {
                    *place = value;
                }
            }
            Phase::Watching { bins, counts, .. } => {
                counts[part * bins.len() + bins.bin(value)] += stride;
            }
        }
    }

    /// A run has ended: the comparison, where a window is whole. `per_row` makes rows of weights,
    /// and `next` is the part to be filled now.
    pub fn end_run(&mut self, is_settled: bool, (per_row, next): (f64, usize)) -> Option<Compared> {
        match &mut self.phase {
            Phase::Waiting if is_settled => self.begin_reference(),
            Phase::Waiting => {}
            Phase::Collecting { sample, runs, .. } => {
                *runs += 1;
                if *runs < self.reference_runs {
                    return None;
                }
                self.phase = match Bins::of(sample) {
                    Some(bins) => {
                        let counts = vec![0; PARTS * bins.len()];
                        Phase::Watching { bins, counts, runs: 0 }
                    }
                    None => Phase::Collecting { sample: Vec::new(), seen: 0, runs: 0 },
                };
            }
            Phase::Watching { bins, counts, runs } => {
                *runs += 1;
                let is_whole = *runs >= PARTS as u64;
                if is_whole {
                    self.compared = Compared::new(bins, counts, per_row);
                }
                counts[next * bins.len()..][..bins.len()].fill(0);
                return is_whole.then_some(self.compared);
            }
        }
        None
    }

    /// It waits as at the beginning.
    pub fn begin(&mut self) {
        (self.phase, self.compared, self.is_over) = (Phase::Waiting, NOTHING, [false; 2]);
    }

    /// A reference is taken from the rows that follow.
    pub fn begin_reference(&mut self) {
        self.phase = Phase::Collecting { sample: Vec::new(), seen: 0, runs: 0 };
        self.is_over = [false; 2];
    }

    /// Writes what rows have changed.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        let Compared { psi, distance, chance } = self.compared;
        state.slice(&[psi, distance, chance])?;
        state.slice(&self.is_over.map(u8::from))?;
        match &self.phase {
            Phase::Waiting => state.put(0_u8),
            Phase::Collecting { sample, seen, runs } => {
                state.put(1_u8)?;
                state.slice(&[*seen, *runs])?;
                state.list(sample)
            }
            Phase::Watching { bins, counts, runs } => {
                state.put(2_u8)?;
                state.put(*runs)?;
                bins.write(state)?;
                state.slice(counts)
            }
        }
    }

    /// Reads what [`Column::write`] wrote of the same column.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let [psi, distance, chance] = state.get()?;
        self.compared = Compared { psi, distance, chance };
        self.is_over = state.get::<[u8; 2]>()?.map(|is_over| is_over == 1);
        self.phase = match state.get::<u8>()? {
            0 => Phase::Waiting,
            1 => {
                let [seen, runs] = state.get()?;
                let sample = state.list(SAMPLE_MAX)?;
                Phase::Collecting { sample, seen, runs }
            }
            2 => {
                let runs = state.get()?;
                let bins = Bins::read(state)?;
                let counts = state.numbers(PARTS * bins.len())?;
                Phase::Watching { bins, counts, runs }
            }
            _ => return Err(invalid("a feature is watched in an unknown way")),
        };
        let is_far = match &self.phase {
            Phase::Waiting => false,
            Phase::Collecting { seen, runs, .. } => *seen > FAR || *runs > FAR,
            Phase::Watching { counts, runs, .. } => {
                *runs > FAR || counts.iter().any(|count| *count > FAR)
            }
        };
        if is_far { Err(invalid("a feature has more values than there can be")) } else { Ok(()) }
    }
}

impl Compared {
    fn new(bins: &Bins, counts: &[u64], per_row: f64) -> Compared {
        let mut rows = [0.0; BINS_MAX];
        for part in counts.chunks_exact(bins.len()) {
            rows.iter_mut().zip(part).for_each(|(sum, count)| *sum += *count as f64);
        }
        let rows = &mut rows[..bins.len()];
        rows.iter_mut().for_each(|sum| *sum *= per_row);
        let reference: Vec<f64> = bins.counts().iter().map(|count| *count as f64).collect();
        let distance = ks::distance(&reference, rows);
        let [n, m] = [&reference[..], &*rows].map(|counts| counts.iter().sum::<f64>());
        Compared {
            psi: psi::index(&bins.grouped(&reference), &bins.grouped(rows)),
            distance,
            chance: ks::significance(distance, n, m),
        }
    }

    /// Whether the index, and the distance, are above their limits.
    pub fn are_over(&self, config: &DriftConfig) -> [bool; 2] {
        let is_far = self.distance > config.ks_distance && self.chance < config.ks_significance;
        [self.psi > config.psi, is_far]
    }
}
