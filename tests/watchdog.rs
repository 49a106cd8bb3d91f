//! A stage that stands still: told apart from one that waits, said, shown, and where it is asked
//! for the end of the process, which loses nothing.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::TcpListener;

use crate::checkpoint::job::{self, Job, text};
use crate::settings::look::ask_for_page;

const STAGES: [&str; 4] = ["ingest", "compute", "emit", "checkpoint"];
const STANDS: &str = "a stage holds a batch and does not finish it";

/// Checkpoints at every chance, and a watchdog with these limits.
fn watched(job: &Job, limits: &str, more: &str) -> String {
    let folder = job.path("state");
    format!("every = \"10ms\"\nkeep = 50\ndir = {:?}\n[run]\n{limits}\n{more}", text(&folder))
}

/// A job that has run once, as `oracle`, with nothing in its way.
fn undisturbed() -> Option<Job> {
    if !cfg!(feature = "failpoints") {
        println!("SKIPPED: a stage stands still only with --features failpoints");
        return None;
    }
    let job = Job::new(&[]);
    assert_eq!(job.finish(&job.config("oracle", "")), Some(0));
    Some(job)
}

/// The stages that the metrics page says stand still, or do not.
fn shown(page: &str, value: u32) -> BTreeSet<&'static str> {
    let line = |stage: &str| format!("pelton_stalled{{stage=\"{stage}\"}} {value}");
    STAGES.into_iter().filter(|stage| page.lines().any(|at| at == line(stage))).collect()
}

#[test]
fn a_stage_that_stands_is_said_and_shown_and_the_run_goes_on() {
    let Some(job) = undisturbed() else { return };
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = port.expect("a free port").port();
    let page = format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n");
    let config = job.config("stands", &watched(&job, "stall_after = \"1s\"", &page));
    let places = "ingest::filled=50:sleep:3000,compute::noted=200:sleep:3000,\
                  emit::scores_sent=400:sleep:3000,checkpoint::written=6:sleep:3000";
    let log = job.path("stands.log");
    let variables = [("PELTON_FAIL", places), ("RUST_LOG", "warn")];
    let mut child = job.start_with(&config, &variables, File::create(&log).expect("a file").into());
    let (mut stood, mut went_on) = (BTreeSet::new(), BTreeSet::<&str>::new());
    let ended = job::wait(&mut child, || {
        let page = ask_for_page(port).unwrap_or_default();
        went_on.extend(shown(&page, 0).intersection(&stood));
        stood.extend(shown(&page, 1));
        false
    });
    let log = std::fs::read_to_string(log).expect("a log");
    assert_eq!(ended.expect("it ends").code(), Some(0), "{log}");
    assert_eq!(stood, BTreeSet::from(STAGES), "{log}");
    assert!(!went_on.is_empty(), "one that goes on is shown to");
    for stage in STAGES {
        let says = |what| {
            let of = format!("stage=\"{stage}\"");
            log.lines().filter(|line| line.contains(what) && line.contains(&of)).count()
        };
        assert_eq!((says(STANDS), says("the stage goes on")), (1, 1), "{stage}: {log}");
    }
    let compute = log.lines().find(|line| line.contains("stage=\"compute\"")).expect("found");
    for part in ["batch=200", "rows=64", "ingest waits for the next stage"] {
        assert!(compute.contains(part), "{part}: {compute}");
    }
    job.assert_same("stands", "oracle");
}

#[test]
fn a_process_that_is_ended_goes_on_from_its_checkpoint() {
    let Some(job) = undisturbed() else { return };
    let limits = "stall_after = \"500ms\"\nstall_exit = \"1s\"";
    let config = job.config("ended", &watched(&job, limits, ""));
    for place in ["compute::noted=300", "emit::scores_sent=200", "checkpoint::synced=3"] {
        let log = job.path("ended.log");
        let fails = format!("{place}:sleep:600000");
        let file = File::create(&log).expect("a file");
        let mut child = job.start_with(&config, &[("PELTON_FAIL", &fails)], file.into());
        let ended = job::wait(&mut child, || false).expect("it ends");
        let log = std::fs::read_to_string(log).expect("a log");
        assert_eq!(ended.code(), Some(4), "{place}: {log}");
        assert!(log.contains("the process ends at once"), "{place}: {log}");
    }
    assert_eq!(job.finish(&config), Some(0));
    job.assert_same("ended", "oracle");
}
