//! The embeddings of a machine: those of dense columns for good, those of sparse indices as long as
//! they are needed.
//!
//! One flat array of cells, row by row, each `[classes, width]`: dense columns first, then the rows
//! of the table. A row begins with small numbers that its index alone decides, the same for every
//! expert. An index without a row adds nothing to a score.

use std::cell::Cell;
use std::io;

use pelton_kernels::blend::{BlendCell, BlendStep, EXPERTS};
use pelton_kernels::hash::mix64;
use pelton_kernels::pairs::{Form, Input, LIMIT, Lanes, Pairs};
use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::config::FactorConfig;
use super::kept::{Note, Version, Versions};
use crate::index_table::Table;
use crate::linear::blend::Addend;
use crate::linear::kept::KeptCell;
use crate::linear::rows::Row;
use crate::{ABSENT, FeatureShape};

/// Dense inputs count as no larger in pairs: a product of two must not run away.
pub(super) const INPUT_MAX: f32 = 8.0;
/// Tells the beginnings of dense columns from those of indices.
const DENSE_SEED: u64 = 1 << 40;

/// Embeddings and where they are.
pub(super) struct Embeddings {
    pub pairs: Pairs,
    pub shape: FeatureShape,
    /// Cells of a row: classes times width.
    pub row_cells: usize,
    pub rows_max: usize,
    pub priors: Lanes,
    deviation: f32,
    pub cells: Vec<BlendCell>,
    pub table: Table,
    kept: Versions,
    /// The row being learned.
    inputs: Vec<Input>,
    sums: Vec<Lanes>,
    /// The same for scoring, which leaves the rest alone.
    room: Cell<(Vec<Input>, Vec<Lanes>)>,
}

impl Embeddings {
    pub fn new(config: &FactorConfig, shape: FeatureShape) -> Embeddings {
        let pairs = config.pairs(shape);
        let (priors, deviation) = config.priors(shape);
        let rows_max = config.rows_max(shape);
        let sums = vec![[0.0; EXPERTS]; config.factors];
        let mut embeddings = Embeddings {
            row_cells: pairs.width() * config.task.outputs(),
            pairs,
            shape,
            rows_max,
            priors,
            deviation,
            cells: Vec::new(),
            table: Table::new(rows_max),
            kept: Versions::default(),
            inputs: Vec::new(),
            room: Cell::new((Vec::new(), sums.clone())),
            sums,
        };
        (0..shape.dense_width).for_each(|column| embeddings.begin(column, column as u64));
        embeddings
    }

    /// Sparse indices with an embedding, and those given away so far.
    pub fn counts(&self) -> (usize, u64) {
        (self.table.len(), self.table.expired())
    }

    /// Adds the pairs of a row to the scores of each class.
    pub fn add_scores(&self, row: Row<'_>, scores: &mut [f32]) {
        let (mut inputs, mut sums) = self.room.take();
        self.gather(row, &mut inputs);
        for (class, scores) in scores.as_chunks_mut::<EXPERTS>().0.iter_mut().enumerate() {
            let own = (&inputs[..], class * self.pairs.width());
            let added = self.pairs.score(&self.cells, own, &mut sums);
            for (score, added) in scores.iter_mut().zip(added) {
                *score += added;
            }
        }
        self.room.set((inputs, sums));
    }

    /// Adds to each input of a row half of every pair that it is in, in a score that is the sum of
    /// the experts' scores times `shares`: the Shapley values of products against inputs of 0.
    ///
    /// # Shapes
    /// `out: [inputs + 1]`.
    pub fn explain(&self, (row, class): (Row<'_>, usize), shares: &Lanes, out: &mut [f32]) {
        let (mut inputs, mut sums) = self.room.take();
        self.gather(row, &mut inputs);
        let (shift, factors) = (class * self.pairs.width(), self.pairs.factors);
        let pooled = |own: Lanes| {
            let parts: Lanes = std::array::from_fn(|at| shares[at] * own[at]);
            (parts[0] + parts[2]) + (parts[1] + parts[3])
        };
        match self.pairs.form {
            Form::Shared => {
                self.pairs.sum(&self.cells, (&inputs, shift), &mut sums);
                for input in &inputs {
                    let own = &self.cells[input.at + shift..][..factors];
                    let mut all = [0.0; EXPERTS];
                    for (cell, sum) in own.iter().zip(&sums) {
                        for lane in 0..EXPERTS {
                            let part = cell.weights[lane] * input.value;
                            all[lane] += part * (sum[lane] - part);
                        }
                    }
                    out[input.field] += 0.5 * pooled(all);
                }
            }
            Form::ByField { .. } => {
                for (at, one) in inputs.iter().enumerate() {
                    for other in &inputs[at + 1..] {
                        let first = &self.cells[one.at + shift + other.field * factors..];
                        let second = &self.cells[other.at + shift + one.field * factors..];
                        let mut all = [0.0; EXPERTS];
                        for (a, b) in first[..factors].iter().zip(second) {
                            let both = a.weights.iter().zip(b.weights);
                            all.iter_mut().zip(both).for_each(|(all, (a, b))| *all += a * b);
                        }
                        let half = 0.5 * pooled(all) * (one.value * other.value);
                        out[one.field] += half;
                        out[other.field] += half;
                    }
                }
            }
        }
        self.room.set((inputs, sums));
    }

    /// Makes the embeddings that a row needs, where they are not there; whether there were any.
    /// Those the row is about to change are noted, where a state is kept.
    pub fn admit(&mut self, row: Row<'_>, now: u64) -> bool {
        let dense = self.shape.dense_width;
        (0..dense).for_each(|column| self.note((column, 0, 0)));
        let mut has_new = false;
        for index in row.sparse.iter().filter(|index| **index != ABSENT) {
            let place = self.table.admit(*index, now);
            if let Some((key, seen)) = place.before {
                self.note((dense + place.row, key, seen));
            }
            if place.is_new {
                self.begin(dense + place.row, u64::from(*index) + DENSE_SEED);
                has_new = true;
            }
        }
        has_new
    }

    #[inline]
    fn note(&mut self, note: Note) {
        let from = note.0 * self.row_cells;
        let cells = &self.cells[from..from + self.row_cells];
        self.kept.note(self.shape.dense_width, note, cells);
    }

    /// Makes a row ready to be learned.
    pub fn take(&mut self, row: Row<'_>) {
        let mut inputs = std::mem::take(&mut self.inputs);
        self.gather(row, &mut inputs);
        self.inputs = inputs;
    }

    /// The inputs of a row: what is 0, absent or unknown has no part in a pair.
    fn gather(&self, row: Row<'_>, inputs: &mut Vec<Input>) {
        let dense = self.shape.dense_width;
        inputs.clear();
        for (column, value) in row.values[..dense].iter().enumerate() {
            let value = value.clamp(-INPUT_MAX, INPUT_MAX);
            if value != 0.0 {
                inputs.push(Input { at: column * self.row_cells, field: column, value });
            }
        }
        for (column, index) in row.sparse.iter().enumerate() {
            if *index != ABSENT
                && let Some(place) = self.table.find(*index)
            {
                let at = (dense + place) * self.row_cells;
                inputs.push(Input { at, field: dense + column, value: 1.0 });
            }
        }
    }

    /// Begins a row of cells by small numbers between plus and minus the root of 3 deviations.
    fn begin(&mut self, row: usize, seed: u64) {
        let (from, to) = (row * self.row_cells, (row + 1) * self.row_cells);
        if self.cells.len() < to {
            let most = (self.shape.dense_width + self.rows_max) * self.row_cells;
            if self.cells.capacity() < to {
                // At most a quarter more than is needed, and never beyond the bound.
                let room = (self.cells.len() / 4).max(64 * self.row_cells);
                let room = room.min(most - self.cells.len());
                self.cells.reserve_exact(room.max(to - self.cells.len()));
            }
            self.cells.resize(to, BlendCell::default());
        }
        let scale = self.scale();
        for (number, cell) in self.cells[from..to].iter_mut().enumerate() {
            let bits = mix64(mix64(seed.wrapping_add(1)).wrapping_add(number as u64));
            let unit = (bits >> 40) as f32 - (1 << 23) as f32;
            *cell = BlendCell { weights: [unit * scale; EXPERTS], variances: self.priors };
        }
    }

    /// What numbers between plus and minus 2^23 are multiplied by.
    pub fn scale(&self) -> f32 {
        self.deviation * 1.732_050_8 / (1 << 23) as f32
    }

    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        self.table.write(state)?;
        state.each(self.cells.iter().map(|cell| cell.numbers()))
    }

    /// Reads what was written; nothing is kept afterwards.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let mut table = Table::new(self.rows_max);
        table.read(state)?;
        let limit = 1_u64 << self.shape.sparse_bits;
        if (0..table.len()).any(|row| u64::from(table.key(row)) >= limit) {
            return Err(invalid("an embedding is of no index"));
        }
        let count = (self.shape.dense_width + table.len()) * self.row_cells;
        self.cells = checked(&self.priors, state.numbers(count)?)?;
        (self.table, self.kept) = (table, Versions::default());
        Ok(())
    }

    /// Keeps the embeddings as they are.
    pub fn keep(&mut self) {
        self.kept.keep(self.table.figures());
    }

    /// Forgets the oldest kept state.
    pub fn forget_oldest(&mut self) {
        self.kept.versions.pop_front();
    }

    /// Goes back to the oldest kept state, which stays kept.
    pub fn go_back(&mut self) -> io::Result<()> {
        let Some(oldest) = self.kept.versions.front().map(|oldest| oldest.table) else {
            return Ok(());
        };
        let mut kept = std::mem::take(&mut self.kept);
        for version in kept.versions.iter().rev() {
            self.undo(version);
        }
        kept.begin_anew();
        self.kept = kept;
        self.cut(oldest)
    }

    /// Goes back to the newest kept state, which is forgotten.
    pub fn unwind(&mut self) -> io::Result<()> {
        let Some(version) = self.kept.versions.pop_back() else { return Ok(()) };
        self.undo(&version);
        self.cut(version.table)
    }

    fn undo(&mut self, version: &Version) {
        let (dense, row_cells) = (self.shape.dense_width, self.row_cells);
        let cells = version.cells.chunks_exact(row_cells);
        for ((place, key, seen), was) in version.notes.iter().zip(cells) {
            self.cells[place * row_cells..(place + 1) * row_cells].copy_from_slice(was);
            if *place >= dense {
                self.table.put(place - dense, (*key, *seen));
            }
        }
    }

    /// Goes back to fewer rows.
    fn cut(&mut self, table: [u64; 3]) -> io::Result<()> {
        self.table.go_back(table)?;
        self.cells.truncate((self.shape.dense_width + self.table.len()) * self.row_cells);
        Ok(())
    }

    /// Keeps a state that is given as a whole: these embeddings are the ones that followed it. The
    /// rows that have changed are those that were needed since `learned`, its last learned row.
    pub fn keep_whole(&mut self, was: &Embeddings, learned: u64, has_learned: bool) {
        let (dense, row_cells) = (self.shape.dense_width, self.row_cells);
        let columns = if has_learned { dense } else { 0 };
        let changed = (0..was.table.len()).filter(|row| self.table.seen(*row) > learned);
        let of_row = |row| (dense + row, was.table.key(row), was.table.seen(row));
        let notes: Vec<Note> =
            (0..columns).map(|column| (column, 0, 0)).chain(changed.map(of_row)).collect();
        let of = |(place, ..): &Note| &was.cells[place * row_cells..(place + 1) * row_cells];
        let cells = notes.iter().flat_map(of).copied().collect();
        self.kept.versions.push_back(Version { table: was.table.figures(), notes, cells });
    }

    /// Writes the kept states.
    pub fn write_kept(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        self.kept.write(state, self.row_cells)
    }

    /// Reads what was written of embeddings that have been read.
    pub fn read_kept(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let dense = self.shape.dense_width;
        let of = (dense, dense + self.table.len(), self.row_cells);
        let kept = Versions::read(state, of, |numbers| checked(&self.priors, numbers))?;
        // What could not be gone back to later must not be believed now.
        let (mut table, limit) = (self.table.clone(), 1_u64 << self.shape.sparse_bits);
        for version in kept.versions.iter().rev() {
            for (place, key, seen) in version.notes.iter().filter(|note| note.0 >= dense) {
                if u64::from(*key) >= limit {
                    return Err(invalid("an embedding was of no index"));
                }
                table.put(place - dense, (*key, *seen));
            }
            table.go_back(version.table)?;
        }
        self.kept = kept;
        Ok(())
    }

    /// The cells, and which of them the row taken last has, for tests.
    #[cfg(test)]
    pub fn parts(&mut self) -> (Pairs, &mut Vec<BlendCell>, &[Input]) {
        (self.pairs, &mut self.cells, &self.inputs)
    }
}

/// Cells of these numbers, if they can be.
fn checked(priors: &Lanes, numbers: Vec<[f32; 6]>) -> io::Result<Vec<BlendCell>> {
    let is_good = |numbers: &[f32; 6]| {
        let [weights @ .., first, second] = numbers;
        let is_inside = |variance: f32, prior: f32| variance > 0.0 && variance <= prior;
        weights.iter().all(|weight| weight.abs() <= LIMIT)
            && is_inside(*first, priors[0])
            && is_inside(*second, priors[1])
    };
    if !numbers.iter().all(is_good) {
        return Err(invalid("an embedding is outside its range"));
    }
    let [.., third, fourth] = *priors;
    let cell = |numbers| {
        let BlendCell { weights, variances: [first, second, ..] } = BlendCell::of(numbers);
        BlendCell { weights, variances: [first, second, third, fourth] }
    };
    Ok(numbers.into_iter().map(cell).collect())
}

/// The row taken last, on top of the linear scores.
impl Addend for Embeddings {
    #[inline]
    fn spreads(&mut self, class: usize, own: Lanes) -> Lanes {
        let row = (&self.inputs[..], class * self.pairs.width());
        self.pairs.sum(&self.cells, row, &mut self.sums);
        let added = self.pairs.spreads(&self.cells, row, &self.sums);
        std::array::from_fn(|lane| own[lane] + added[lane])
    }

    #[inline]
    fn learn(&mut self, class: usize, step: &BlendStep) {
        let row = (&self.inputs[..], class * self.pairs.width());
        let step = BlendStep { priors: self.priors, ..*step };
        self.pairs.learn(&mut self.cells, row, &self.sums, &step);
    }
}
