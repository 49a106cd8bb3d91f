//! What goes wrong, and when: one clock and one fate for the disk, the sinks and the engine.
//!
//! Every effect on the outside world (a write, a sync, a record sent) is asked of the [`Fate`]
//! first. A death is counted in effects, so that it strikes between any two of them, or in the
//! middle of one; afterwards nothing the engine still does reaches anyone.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::dice::Dice;

/// What dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The process: what it has written to files survives, synced or not.
    Process,
    /// The machine: of what was not synced, anything may be gone.
    Machine,
}

/// How much of an effect happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All of it.
    Whole,
    /// A part of it.
    Part,
    /// Nothing of it.
    Nothing,
}

/// What goes wrong, and when.
pub struct Fate {
    began_at: Instant,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    now_ms: u64,
    /// So many effects from now on this dies.
    doom: Option<(u64, Death)>,
    died: Option<Death>,
    is_disk_full: bool,
    is_sink_away: bool,
    /// An entry of the order log was refused by a full disk.
    has_lost_order: bool,
}

impl Fate {
    /// Nothing goes wrong yet.
    #[must_use]
    pub fn new(dice: Dice) -> Fate {
        let state = State {
            dice,
            now_ms: 0,
            doom: None,
            died: None,
            is_disk_full: false,
            is_sink_away: false,
            has_lost_order: false,
        };
        Fate { began_at: Instant::now(), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The simulated time; only differences mean anything.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.began_at + Duration::from_millis(self.state().now_ms)
    }

    /// A millisecond goes by.
    pub fn pass(&self) {
        self.state().now_ms += 1;
    }

    /// A death, so many effects from now on, unless one is ahead already.
    pub fn doom(&self, effects: u64, death: Death) {
        self.state().doom.get_or_insert((effects, death));
    }

    /// What died, if anything did since the last [`Fate::revive`].
    #[must_use]
    pub fn died(&self) -> Option<Death> {
        self.state().died
    }

    /// Dies at once.
    pub fn die(&self, death: Death) {
        self.state().died.get_or_insert(death);
    }

    /// Begins another life.
    pub fn revive(&self) {
        let mut state = self.state();
        (state.doom, state.died) = (None, None);
    }

    /// Nothing goes wrong from now on.
    pub fn mend(&self) {
        let mut state = self.state();
        (state.doom, state.is_disk_full, state.is_sink_away) = (None, false, false);
    }

    /// The disk takes no more, or does again.
    pub fn fill_disk(&self, is_full: bool) {
        self.state().is_disk_full = is_full;
    }

    /// Whether the disk takes no more.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        self.state().is_disk_full
    }

    /// The sinks do not answer, or do again.
    pub fn send_sink_away(&self, is_away: bool) {
        self.state().is_sink_away = is_away;
    }

    /// Whether the sinks do not answer.
    #[must_use]
    pub fn is_sink_away(&self) -> bool {
        self.state().is_sink_away
    }

    /// The order of a batch could not be written: a crash may show it.
    pub fn lose_order(&self) {
        self.state().has_lost_order = true;
    }

    /// Whether the order of some batch could not be written.
    #[must_use]
    pub fn has_lost_order(&self) -> bool {
        self.state().has_lost_order
    }

    /// The engine acts on the world: how far it gets.
    #[must_use]
    pub fn effect(&self) -> Reach {
        let mut state = self.state();
        if state.died.is_some() {
            return Reach::Nothing;
        }
        match state.doom {
            Some((0, death)) => {
                state.died = Some(death);
                state.dice.pick(&[Reach::Whole, Reach::Part, Reach::Nothing])
            }
            Some((left, death)) => {
                state.doom = Some((left - 1, death));
                Reach::Whole
            }
            None => Reach::Whole,
        }
    }

    /// What the engine is told, if it is still there to hear.
    ///
    /// # Errors
    /// When it is not.
    pub fn answer(&self) -> io::Result<()> {
        let dead = || io::Error::new(io::ErrorKind::ConnectionAborted, "the process is dead");
        if self.died().is_some() { Err(dead()) } else { Ok(()) }
    }

    /// Uniform below `bound`, which is not 0.
    pub fn below(&self, bound: u64) -> u64 {
        self.state().dice.below(bound)
    }

    /// Uniform below `bound`, as an index.
    pub fn index(&self, bound: usize) -> usize {
        self.state().dice.index(bound)
    }

    /// Whether something of this many in a thousand happens.
    pub fn per_mille(&self, probability: u64) -> bool {
        self.state().dice.per_mille(probability)
    }
}
