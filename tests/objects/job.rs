//! Whole runs with their checkpoints on the server: killed, cut off from it, started again.
//!
//! The oracle is the same program over the same recording that keeps no checkpoint and is never
//! disturbed: the file of scores, the digests and the counts must be its.

use pelton::checkpoint::file_name;
use pelton::checkpoint::store::Store;
use pelton::checkpoint::store::object::ObjectStore;

use super::server::{BUCKET, Road, Server, Way};
use crate::checkpoint::job::{EVENTS, Job, newest, wait};

#[test]
fn a_run_goes_on_from_the_object_store_as_if_it_had_never_stopped() {
    let Some(server) = Server::start(false) else { return };
    let road = Road::to(&server);
    let [near, far] = [server.address(), road.address()].map(|at| format!("http://{at}"));
    let keys = [
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let url = format!("s3://{BUCKET}/jobs/fraud");
    let job = Job::new(&[&keys[..], &[("AWS_ENDPOINT", &far)]].concat());
    let store = ObjectStore::look(&url, &[&keys[..], &[("AWS_ENDPOINT", &near)]].concat());
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
