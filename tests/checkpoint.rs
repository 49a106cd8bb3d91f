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

#[test]
fn the_commands_look_into_the_folders_of_partitions() {
    let job = Job::new(&[]);
    let (folder, alone) = (job.path("state"), job.path("alone"));
    let config = job.config("alone", &format!("every = \"1d\"\ndir = {:?}\n", text(&alone)));
    assert_eq!(job.finish(&config), Some(0));
    // Two partitions that have been where the run was; the second's newest is the empty state.
    for (partition, sequences) in [("partition-0000", &[1, 2][..]), ("partition-0003", &[1])] {
        std::fs::create_dir_all(folder.join(partition)).expect("created");
        for &sequence in sequences {
            let name = file_name(sequence);
            let to = folder.join(partition).join(&name);
            std::fs::copy(alone.join(name), to).expect("copied");
        }
    }
    let file = format!("source.file = {:?}", text(&job.path("payments.parquet")));
    let topics = "source = { topics = [\"events\"], state = \"partitioned\" }";
    let partitioned = std::fs::read_to_string(&config).expect("written");
    let partitioned = partitioned.replace(&file, topics).replace(text(&alone), text(&folder));
    let config = job.path("partitioned.toml");
    std::fs::write(&config, partitioned).expect("written");
    let ask = |arguments: &[&str]| {
        let output = job.tell(arguments);
        let printed = String::from_utf8(output.stdout).expect("UTF-8");
        (output.status.code(), printed, String::from_utf8(output.stderr).expect("UTF-8"))
    };
    for place in [text(&config), text(&folder)] {
        let (code, printed, error) = ask(&["checkpoint", "list", place, "--json"]);
        assert_eq!(code, Some(0), "{error}");
        let listed: Vec<Value> = serde_json::from_str(&printed).expect("JSON");
        let of = |one: &Value| (one["partition"].as_i64(), one["sequence"].as_u64());
        let listed: Vec<_> = listed.iter().map(of).collect();
        assert_eq!(listed, [(Some(0), Some(1)), (Some(0), Some(2)), (Some(3), Some(1))]);
        let (code, printed, error) = ask(&["checkpoint", "show", place]);
        assert_eq!(code, Some(0), "{error}");
        let order = ["partition 0", "60000 events", "partition 3", " 0 events"];
        let at: Vec<_> = order.map(|part| printed.find(part).expect(part)).into();
        assert!(at.is_sorted(), "{printed}");
        assert_eq!(ask(&["checkpoint", "show", place, "2"]).0, Some(0));
        assert_eq!(ask(&["checkpoint", "show", place, "3"]).0, Some(2));
    }
    let (code, printed, error) = ask(&["checkpoint", "verify", text(&config)]);
    assert_eq!(code, Some(0), "{printed}{error}");
    for part in ["go on from 2 of partition 0", "go on from 1 of partition 3"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let (code, printed, error) = ask(&["model", "list", text(&config)]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(printed.matches("partition ").count(), 2, "{printed}");
    assert!(!printed.contains("cannot be used"), "{printed}");
    // One that is damaged is found, whichever partition's it is.
    std::fs::write(folder.join("partition-0003").join(file_name(1)), "torn").expect("written");
    let (code, printed, error) = ask(&["checkpoint", "verify", text(&folder)]);
    assert_eq!(code, Some(3), "{error}");
    assert!(printed.contains("60000 events"), "{printed}");
    std::fs::create_dir(folder.join("partition-0004")).expect("created");
    std::fs::remove_dir_all(folder.join("partition-0003")).expect("removed");
    assert_eq!(ask(&["checkpoint", "verify", text(&folder)]).0, Some(2), "a partition has none");
}
