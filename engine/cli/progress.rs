//! A progress bar on a terminal; nothing where there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use pelton::live::Live;

/// A bar that follows a running engine.
pub struct Progress {
    done: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

const TICK: Duration = Duration::from_millis(200);

impl Progress {
    /// Starts a bar; `total` where it is known beforehand.
    pub fn start(live: &Arc<Live>, total: Option<u64>, unit: &str) -> Progress {
        let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let shape = match total {
            Some(_) => "{wide_bar} {human_pos}/{human_len} UNIT  {per_sec}  eta {eta}  {msg}",
            None => "{spinner} {human_pos} UNIT  {per_sec}  {elapsed}  {msg}",
        };
        let style = ProgressStyle::with_template(&shape.replace("UNIT", unit));
        bar.set_style(style.expect("the template is a constant"));
        let done = Arc::new(AtomicBool::new(false));
        let (live, ended) = (Arc::clone(live), Arc::clone(&done));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                bar.set_position(live.consumed());
                bar.set_message(message(&live));
                std::thread::park_timeout(TICK);
            }
            bar.finish_and_clear();
        });
        Progress { done, thread }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        // A bar that failed to draw is no reason to fail the run.
        let _ = self.thread.join();
    }
}

/// The first trailing metric and what went wrong, if anything did.
fn message(live: &Live) -> String {
    let view = live.view();
    let metric = view.trailing.first().filter(|(_, value)| value.is_finite());
    let metric = metric.map(|(name, value)| format!("{name} {value:.4}")).unwrap_or_default();
    match live.dead_letters() {
        0 => metric,
        dead => format!("{metric}  {dead} dead letters"),
    }
}
