//! The program and its checkpoints in a folder: killed runs, failing sinks, and the commands that
//! look at what lies there.

pub mod job;

use std::path::Path;

use pelton::checkpoint::file_name;
use pelton::checkpoint::store::Store;
use pelton::checkpoint::store::local::LocalStore;
use serde_json::Value;

use job::{EVENTS, Job, newest, text};

fn often(folder: &Path) -> String {
    format!("every = \"10ms\"\nkeep = 50\ndir = {:?}\n", text(folder))
}

#[test]
fn killed_while_it_passes_over_what_was_sent_it_still_sends_nothing_twice() {
    let job = Job::new(&[]);
    assert_eq!(job.finish(&job.config("oracle", "")), Some(0));
    let folder = job.path("state");
    let (config, store) = (job.config("killed", &often(&folder)), LocalStore::look(&folder));
    job.run_and_kill(&config, &store, 4);
    // As if nothing had been kept since the beginning, though much was sent.
    for sequence in 2..=newest(&store) {
        store.delete(&file_name(sequence)).expect("removed");
    }
    // Each of these begins among records that are out already, keeps the state there, and dies.
    for _ in 0..3 {
        job.run_and_kill(&config, &store, 1);
    }
    assert_eq!(job.finish(&config), Some(0));
    job.assert_same("killed", "oracle");
}

#[test]
fn a_sink_that_fails_ends_the_run() {
    let job = Job::new(&[]);
    for every in ["10ms", "1d"] {
        let kept = format!("every = {every:?}\ndir = {:?}\n", text(&job.path(every)));
        let config = job.config_to("full", Path::new("/dev/full"), &kept);
        assert_eq!(job.finish(&config), Some(3), "{every}");
    }
}

#[test]
fn the_commands_tell_what_lies_there() {
    let job = Job::new(&[]);
    let folder = job.path("state");
    let config = job.config("run", &often(&folder));
    let ask = |arguments: &[&str]| {
        let output = job.tell(&[&["checkpoint"], arguments].concat());
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        (output.status.code(), printed, String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (code, _, error) = ask(&["list", text(&config)]);
    assert_eq!(code, Some(2), "{error}");
    // An engine at work is no hindrance.
    let store = LocalStore::look(&folder);
    let mut child = job.start(&config);
    assert_eq!(job::wait(&mut child, || newest(&store) >= 3), None);
    let (code, printed, error) = ask(&["verify", text(&folder)]);
    assert_eq!(code, Some(0), "{printed}{error}");
    assert!(job::wait(&mut child, || false).expect("it ends").success());

    let (code, printed, _) = ask(&["list", text(&config), "--json"]);
    let listed: Value = serde_json::from_str(&printed).expect("JSON");
    let listed = listed.as_array().expect("a list");
    let last = listed.last().expect("some");
    assert_eq!((code, last["sequence"].as_u64()), (Some(0), Some(newest(&store))));
    assert_eq!(last["manifest"]["consumed"], EVENTS, "{last}");
    assert!(listed.iter().all(|one| one["damage"].is_null()), "{printed}");
    let (code, printed, _) = ask(&["show", text(&folder)]);
    assert_eq!(code, Some(0));
    for part in ["section   model", "whole", "60000 events", "the run ended right behind it"] {
        assert!(printed.contains(part), "{part} is not in {printed}");
    }
    let (code, printed, _) = ask(&["verify", text(&config)]);
    assert_eq!(code, Some(0));
    assert!(printed.contains("a run would go on from"), "{printed}");

    // Other settings would not go on from it; a damaged one below the newest is told, and no more.
    let foreign = std::fs::read_to_string(&config).expect("written").replace("\"7d\"", "\"6d\"");
    let other = job.path("other.toml");
    std::fs::write(&other, foreign).expect("written");
    assert_eq!(ask(&["verify", text(&other)]).0, Some(2));
    let mut bytes = store.get(&file_name(newest(&store))).expect("read");
    bytes.truncate(bytes.len() - 1);
    std::fs::write(folder.join(file_name(1)), &bytes).expect("written");
    let (code, printed, _) = ask(&["verify", text(&folder)]);
    assert_eq!(code, Some(0));
    assert!(printed.contains("DAMAGED: it has"), "{printed}");
    std::fs::write(folder.join(file_name(900)), &bytes).expect("written");
    let (code, _, error) = ask(&["verify", text(&folder)]);
    assert_eq!(code, Some(3));
    assert!(error.contains(&file_name(900)) && error.contains("was cut off"), "{error}");
    assert_eq!(ask(&["show", text(&folder), "900"]).0, Some(3));
    assert_eq!(ask(&["show", text(&folder), "901"]).0, Some(2));
}
