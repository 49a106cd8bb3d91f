//! Earlier states of a learner that it can go back to, without copies of its tables.
//!
//! What is small (dense weights, covariances, the mixture) is kept as bytes; of the sparse table
//! each cell is noted before it changes, and going back puts the notes in again, last one first. So
//! a kept state costs what is learned after it, not the size of the table. Invariant: the learner
//! gone back to is the one that was kept, to the bit. When to keep, and for how long, is up to the
//! caller.

use std::collections::{HashMap, VecDeque};
use std::io;

use pelton_kernels::blend::BlendCell;
use pelton_kernels::coordinate::Cell;
use pelton_kernels::state::{Number, StateReader, StateWriter, invalid};

use super::rows::RowLearner;

/// More than anyone keeps: a damaged count must not ask for memory.
const VERSIONS_MAX: usize = 1 << 20;
/// No list of changes or bytes is longer.
const LENGTH_MAX: usize = 1 << 40;
/// No cell is larger.
const CELL_BYTES_MAX: usize = 32;

/// A cell of a sparse table, as the numbers it is made of.
pub(crate) trait KeptCell: Copy + Default + Send {
    /// The numbers.
    type Numbers: Number;
    /// The cell as numbers.
    fn numbers(self) -> Self::Numbers;
    /// The cell of these numbers.
    fn of(numbers: Self::Numbers) -> Self;
}

impl KeptCell for BlendCell {
    type Numbers = [f32; 6];

    /// The descents have no variances.
    fn numbers(self) -> [f32; 6] {
        let ([a, b, c, d], [e, f, ..]) = (self.weights, self.variances);
        [a, b, c, d, e, f]
    }

    fn of([a, b, c, d, e, f]: [f32; 6]) -> BlendCell {
        BlendCell { weights: [a, b, c, d], variances: [e, f, 0.0, 0.0] }
    }
}

impl KeptCell for Cell {
    type Numbers = Cell;

    fn numbers(self) -> Cell {
        self
    }

    fn of(numbers: Cell) -> Cell {
        numbers
    }
}

/// What a learner keeps of earlier states besides its table and what is small; the linear ones
/// nothing. Each is called with what the functions here do for the rest.
pub(crate) trait Beside {
    /// Keeps the state as it is.
    fn keep_beside(&mut self) {}
    /// Forgets the oldest kept state.
    fn forget_oldest_beside(&mut self) {}
    /// Goes back to the oldest kept state, which stays kept.
    fn go_back_beside(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// Goes back to the newest kept state, which is forgotten.
    fn unwind_beside(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// Writes the kept states.
    fn write_kept_beside(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        let _ = state;
        Ok(())
    }
    /// Reads them back.
    fn read_kept_beside(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let _ = state;
        Ok(())
    }
    /// Writes the state itself.
    fn write_beside(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        let _ = state;
        Ok(())
    }
    /// Keeps a state so written, which this one has followed.
    fn keep_whole_beside(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let _ = state;
        Ok(())
    }
}

/// The states that are kept, oldest first.
pub(crate) struct Kept<C> {
    versions: VecDeque<Version<C>>,
}

/// One of them.
struct Version<C> {
    /// Everything but the sparse table.
    small: Vec<u8>,
    /// Cells of the table that changed after it and before the next, as they had been; in the order
    /// of the changes, a cell as often as it changed.
    changed: Vec<(u64, C)>,
}

impl<C> Default for Kept<C> {
    fn default() -> Kept<C> {
        Kept { versions: VecDeque::new() }
    }
}

impl<C: KeptCell> Kept<C> {
    /// Where changes of the table are to be noted; nowhere when nothing is kept.
    #[inline]
    pub fn changes(&mut self) -> Option<&mut Vec<(u64, C)>> {
        self.versions.back_mut().map(|version| &mut version.changed)
    }
}

/// Keeps the learner as it is.
pub(crate) fn keep<L: RowLearner>(learner: &mut L) -> io::Result<()> {
    let mut small = Vec::new();
    learner.write_small(&mut StateWriter::new(&mut small))?;
    let room = learner.kept().versions.back().map_or(0, |version| version.changed.len());
    let changed = Vec::with_capacity(room);
    learner.kept().versions.push_back(Version { small, changed });
    learner.keep_beside();
    Ok(())
}

/// Forgets the oldest kept state.
pub(crate) fn forget_oldest<L: RowLearner>(learner: &mut L) {
    learner.kept().versions.pop_front();
    learner.forget_oldest_beside();
}

/// Goes back to the oldest kept state, which stays kept; without one nothing happens.
pub(crate) fn go_back<L: RowLearner>(learner: &mut L) -> io::Result<()> {
    let mut versions = std::mem::take(&mut learner.kept().versions);
    let table = learner.table();
    for version in versions.iter().rev() {
        for (place, cell) in version.changed.iter().rev() {
            table[*place as usize] = *cell;
        }
    }
    versions.truncate(1);
    for oldest in &mut versions {
        oldest.changed.clear();
        learner.read_small(&mut StateReader::new(&mut &oldest.small[..]))?;
    }
    learner.kept().versions = versions;
    learner.go_back_beside()
}

/// Writes what is kept, as a function of the kept states alone: each place once, in ascending
/// order, and only where it differs from what it is in the next state.
pub(crate) fn write<L: RowLearner>(learner: &L, state: &mut StateWriter<'_>) -> io::Result<()> {
    let versions = &learner.kept_ref().versions;
    let mut later = HashMap::new();
    let table = learner.table_ref();
    let mut differences: Vec<_> =
        versions.iter().rev().map(|version| version.differences(table, &mut later)).collect();
    state.length(versions.len())?;
    for Version { small, .. } in versions {
        let changed = differences.pop().unwrap_or_default();
        state.list(small)?;
        state.length(changed.len())?;
        state.each(changed.iter().map(|(place, _)| *place))?;
        state.each(changed.iter().map(|(_, cell)| cell.numbers()))?;
    }
    learner.write_kept_beside(state)
}

impl<C: KeptCell> Version<C> {
    /// Where this state differs from the next one, with what the cells are here. `later` has the
    /// cells of the next state that are not as in the table now, and has those of this one after.
    fn differences(&self, now: &[C], later: &mut HashMap<u64, C>) -> Vec<(u64, C)> {
        let mut changed = self.changed.clone();
        // Stable: of several notes of a place the first says what it was.
        changed.sort_by_key(|(place, _)| *place);
        changed.dedup_by_key(|(place, _)| *place);
        changed.retain(|(place, cell)| {
            let next = later.insert(*place, *cell).unwrap_or(now[*place as usize]);
            !is_same(*cell, next)
        });
        changed
    }
}

/// Whether two cells have the same bits.
fn is_same<C: KeptCell>(one: C, other: C) -> bool {
    let [mut bytes, mut others] = [[0; CELL_BYTES_MAX]; 2];
    one.numbers().put(&mut bytes[..C::Numbers::BYTES]);
    other.numbers().put(&mut others[..C::Numbers::BYTES]);
    bytes == others
}

/// Goes back from the newest kept state to the oldest, showing each; none is kept afterwards.
pub(crate) fn unwind<L: RowLearner, E: From<io::Error>>(
    learner: &mut L,
    mut show: impl FnMut(&mut L) -> Result<(), E>,
) -> Result<(), E> {
    let versions = std::mem::take(&mut learner.kept().versions);
    for version in versions.iter().rev() {
        let table = learner.table();
        for (place, cell) in version.changed.iter().rev() {
            table[*place as usize] = *cell;
        }
        learner.read_small(&mut StateReader::new(&mut &version.small[..]))?;
        learner.unwind_beside()?;
        show(learner)?;
    }
    Ok(())
}

/// A state as a whole.
pub(crate) struct Whole<C> {
    small: Vec<u8>,
    table: Vec<C>,
    beside: Vec<u8>,
}

/// The state of the learner as it is.
pub(crate) fn whole<L: RowLearner>(learner: &L) -> io::Result<Whole<L::Cell>> {
    let (mut small, mut beside) = (Vec::new(), Vec::new());
    learner.write_small(&mut StateWriter::new(&mut small))?;
    learner.write_beside(&mut StateWriter::new(&mut beside))?;
    Ok(Whole { small, table: learner.table_ref().to_vec(), beside })
}

/// Keeps a state that is given as a whole: the learner is the one that followed it.
pub(crate) fn keep_whole<L: RowLearner>(learner: &mut L, whole: Whole<L::Cell>) -> io::Result<()> {
    let Whole { small, table: was, beside } = whole;
    let table = learner.table_ref().iter().zip(&was);
    let differs = |(place, (now, was)): (u64, (&L::Cell, &L::Cell))| {
        (!is_same(*now, *was)).then_some((place, *was))
    };
    let changed = (0..).zip(table).filter_map(differs).collect();
    learner.kept().versions.push_back(Version { small, changed });
    learner.keep_whole_beside(&mut StateReader::new(&mut &beside[..]))
}

/// Forgets all kept states.
pub(crate) fn forget_all<L: RowLearner>(learner: &mut L) {
    while !learner.kept().versions.is_empty() {
        forget_oldest(learner);
    }
}

/// Reads what [`write`] wrote of a learner in the same state; returns how many there are.
pub(crate) fn read<L: RowLearner>(
    learner: &mut L,
    state: &mut StateReader<'_>,
) -> io::Result<usize> {
    let count = state.length(VERSIONS_MAX)?;
    let cells = learner.table().len();
    let mut own = Vec::new();
    learner.write_small(&mut StateWriter::new(&mut own))?;
    let mut versions = VecDeque::new();
    for _ in 0..count {
        let small = state.list::<u8>(LENGTH_MAX)?;
        // What could not be gone back to later must not be believed now.
        let mut bytes = &small[..];
        let reader = &mut StateReader::new(&mut bytes);
        let read = learner.read_small(reader).and_then(|()| reader.end());
        learner.read_small(&mut StateReader::new(&mut &own[..]))?;
        read?;
        let places = state.list::<u64>(LENGTH_MAX)?;
        if places.iter().any(|place| *place as usize >= cells) {
            return Err(invalid("a cell changed that is not there"));
        }
        let numbers = state.numbers::<<L::Cell as KeptCell>::Numbers>(places.len())?;
        let changed = places.into_iter().zip(numbers.into_iter().map(L::Cell::of)).collect();
        versions.push_back(Version { small, changed });
    }
    learner.kept().versions = versions;
    learner.read_kept_beside(state)?;
    Ok(count)
}
