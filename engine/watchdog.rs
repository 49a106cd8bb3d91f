//! The watchdog: a stage that holds a batch and does not finish it is found out.
//!
//! Stages show what they do by their [`Heart`]s, which cost a few stores a batch. One thread looks
//! at all of them, those of every partition's pipeline too, and decides by [`Standing`]. Waiting,
//! for input, for a neighbour, for brokers or a sink that is away, is no standing still: those have
//! reports of their own. What is found is logged once, and once more when the stage goes on; the
//! metrics page shows it; and after a longer time, where the settings ask for it, the process ends
//! at once, so that whoever supervises it starts it again from its checkpoint.
//!
//! The thread is never waited for. What it has to say is said by a thread of its own, since the log
//! may be what the stage stands before.

pub mod heart;
pub mod standing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crate::config::run::RunConfig;
use crate::error::Actor;
use crate::live::Live;
use heart::{Register, Shown, Whose};
use standing::{Found, Limits, Standing, Watched};

pub use heart::{Doing, Heart, Hearts};

/// The running watchdog; it looks until this is dropped.
pub struct Watchdog(Option<(Arc<AtomicBool>, Thread)>);

impl Watchdog {
    /// Looks at all runs that `live` shows, from now on; not at all when the settings say so.
    #[must_use]
    pub fn start(config: &RunConfig, live: &Arc<Live>) -> Watchdog {
        let limits = config.limits();
        if limits.say.is_zero() {
            return Watchdog(None);
        }
        let (live, over) = (Arc::clone(live), Arc::new(AtomicBool::new(false)));
        let is_over = Arc::clone(&over);
        let look = move || {
            let mut watch = Watch::new(limits, Instant::now());
            while !is_over.load(Ordering::Relaxed) {
                std::thread::park_timeout(limits.look_every());
                for news in watch.look(live.stages(), Instant::now()) {
                    news.act();
                }
            }
        };
        let thread = Builder::new().name("pelton-watchdog".to_owned()).spawn(look);
        let thread = thread.expect("the system can start a thread");
        Watchdog(Some((over, thread.thread().clone())))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some((over, thread)) = &self.0 {
            over.store(true, Ordering::Relaxed);
            thread.unpark();
        }
    }
}

/// What is known of all stages.
#[derive(Debug)]
pub struct Watch {
    limits: Limits,
    watched: Watched,
    stages: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    shown: Shown,
    whose: Whose,
    standing: Standing,
}

/// Something to be said of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The stage.
    pub whose: Whose,
    /// What was found.
    pub found: Found,
    /// The number of its batch in the run.
    pub batch: u64,
    /// Rows of that batch.
    pub rows: u64,
    /// What the other stages of the same run do.
    pub others: String,
}

impl Watch {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(limits: Limits, now: Instant) -> Watch {
        Watch { limits, watched: Watched::new(now, &limits), stages: Vec::new() }
    }

    /// Looks at every stage, and shows those that stand still on the metrics page.
    pub fn look(&mut self, register: &Register, now: Instant) -> Vec<News> {
        self.watched.advance(now);
        self.stages.extend(register.take().into_iter().filter_map(Stage::new));
        let sights: Vec<_> = self.stages.iter().map(|stage| stage.shown.look()).collect();
        let mut news = Vec::new();
        for (stage, sight) in self.stages.iter_mut().zip(&sights) {
            let Some((whose, sight)) = sight else { continue };
            let found = stage.standing.look(sight, self.watched.passed, &self.limits);
            if found == Found::Nothing {
                continue;
            }
            stage.show(matches!(found, Found::Stands(_)));
            let others = sights.iter().flatten();
            let others = others.filter(|(other, _)| other != whose);
            let others = others.filter(|(other, _)| other.partition == whose.partition);
            let others: Vec<_> = others
                .map(|(other, sight)| format!("{} {}", other.stage, sight.doing.name()))
                .collect();
            let (whose, others) = (*whose, others.join(", "));
            news.push(News { whose, found, batch: sight.batch, rows: sight.rows, others });
        }
        self.stages.retain(|stage| {
            let is_there = stage.shown.look().is_some();
            if !is_there && stage.standing.is_said() {
                stage.show(false);
            }
            is_there
        });
        news
    }
}

impl Stage {
    fn new(shown: Shown) -> Option<Stage> {
        let (whose, _) = shown.look()?;
        let stage = Stage { shown, whose, standing: Standing::default() };
        stage.show(false);
        Some(stage)
    }

    fn show(&self, stands: bool) {
        let mut labels = vec![("stage", self.whose.stage.to_owned())];
        labels.extend(self.whose.partition.map(|number| ("partition", number.to_string())));
        metrics::gauge!("pelton_stalled", &labels).set(f64::from(u8::from(stands)));
        metrics::counter!("pelton_stalls_total", &labels).increment(u64::from(stands));
    }
}

/// How long a process that ends waits for its last words.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl News {
    /// Says it, and ends the process where that is due.
    fn act(self) {
        let is_end = matches!(self.found, Found::Ends(_));
        let said = Builder::new().name("pelton-news".to_owned()).spawn(move || self.say());
        if is_end {
            end(said.ok());
        }
    }

    fn say(&self) {
        let News { whose: Whose { stage, partition }, batch, rows, others, .. } = self;
        let (stood, what) = match self.found {
            Found::Nothing => return,
            Found::GoesOn(stood) => {
                let seconds = stood.as_secs_f64();
                tracing::warn!(stage, partition, batch, rows, seconds, "the stage goes on");
                return;
            }
            Found::Stands(stood) => (stood, ""),
            Found::Ends(stood) => {
                (stood, ": the process ends at once, to be started again from its checkpoint")
            }
        };
        let seconds = stood.as_secs_f64();
        tracing::error!(
            stage,
            partition,
            batch,
            rows,
            others,
            seconds,
            "a stage holds a batch and does not finish it{what}"
        );
    }
}

/// Ends the process as a crash would, but for its exit code.
fn end(said: Option<JoinHandle<()>>) -> ! {
    let until = Instant::now() + LAST_WORDS;
    while said.as_ref().is_some_and(|said| !said.is_finished()) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::process::exit(i32::from(Actor::Us.exit_code()))
}
