//! Whole runs with their checkpoints on the server: killed, cut off from it, replaced, started
//! again.
//!
//! The oracle is the same program over the same recording that keeps no checkpoint and is never
//! disturbed: the file of scores, the digests and the counts must be its.

use std::fs::File;

use pelton::checkpoint::file_name;
use pelton::checkpoint::store::Store;
use pelton::checkpoint::store::object::ObjectStore;

use super::server::{BUCKET, Road, Server, Way};
use crate::checkpoint::job::{EVENTS, Job, newest, wait};

const KEYS: [(&str, &str); 3] =
    [("AWS_ALLOW_HTTP", "true"), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];

#[test]
fn a_run_goes_on_from_the_object_store_as_if_it_had_never_stopped() {
    let Some(server) = Server::start(false) else { return };
    let road = Road::to(&server);
    let [near, far] = [server.address(), road.address()].map(|at| format!("http://{at}"));
    let url = format!("s3://{BUCKET}/jobs/fraud");
    let job = Job::new(&[&KEYS[..], &[("AWS_ENDPOINT", &far)]].concat());
    let store = ObjectStore::look(&url, &[&KEYS[..], &[("AWS_ENDPOINT", &near)]].concat());
    let store = store.expect("it can be looked at");
    assert_eq!(job.finish(&job.config("oracle", "")), Some(0));
    let config = job.config("killed", &format!("every = \"10ms\"\ndir = {url:?}\n"));
    // Killed twice, each time with newer checkpoints behind it.
    for _ in 0..2 {
        job.run_and_kill(&config, &store, 2);
    }
    // The newest is torn, as by a store that lies.
    let last = newest(&store);
    let bytes = store.get(&file_name(last)).expect("read");
    store.put(&file_name(last + 1), &[&bytes[..bytes.len() / 2]]).expect("written");
    let mut child = job.start(&config);
    assert_eq!(wait(&mut child, || newest(&store) > last + 1), None, "it ended too soon");
    // The store goes away; every event is scored all the same, and the exit code tells that the
    // last checkpoint is missing.
    road.set(Way::Closed);
    assert_eq!(wait(&mut child, || false).expect("it ends").code(), Some(3));
    let scores = std::fs::read_to_string(job.path("killed.jsonl")).expect("scores");
    assert_eq!(scores.lines().count(), EVENTS, "scoring goes on without the store");
    assert_eq!(job.finish(&config), Some(3), "it does not begin anew in silence");
    road.set(Way::Open);
    let asked = job.tell(&["checkpoint", "verify", &url]);
    assert_eq!(asked.status.code(), Some(0), "{asked:?}");
    assert_eq!(job.finish(&config), Some(0));
    job.assert_same("killed", "oracle");
}

#[test]
fn a_run_that_was_replaced_ends_and_the_new_one_goes_on() {
    let Some(server) = Server::start(false) else { return };
    let endpoint = format!("http://{}", server.address());
    let environment = [&KEYS[..], &[("AWS_ENDPOINT", &endpoint)]].concat();
    let url = format!("s3://{BUCKET}/jobs/replaced");
    let job = Job::new(&environment);
    assert_eq!(job.finish(&job.config("oracle", "")), Some(0));
    let config = job.config("replaced", &format!("every = \"10ms\"\ndir = {url:?}\n"));
    let looked = ObjectStore::look(&url, &environment).expect("it can be looked at");
    let log = job.path("replaced.log");
    let mut child = job.start_with(&config, &[], File::create(&log).expect("a file").into());
    assert_eq!(wait(&mut child, || newest(&looked) > 2), None, "it ended too soon");
    let new = ObjectStore::open(&url, &environment).expect("taken over");
    let status = wait(&mut child, || false).expect("it ends");
    let log = std::fs::read_to_string(&log).expect("a log");
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("error: another process has taken over the checkpoints"), "{log}");
    let scores = std::fs::read_to_string(job.path("replaced.jsonl")).expect("scores");
    assert!(scores.lines().count() < EVENTS, "it stops scoring");
    drop(new);
    assert_eq!(job.finish(&config), Some(0));
    job.assert_same("replaced", "oracle");
}
