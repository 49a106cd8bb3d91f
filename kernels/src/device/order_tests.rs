//! What a stream promises of order: on the double, a GPU, and the driver of the tests, which does
//! all work as late as it may (kernels/host/driver/).

use super::double::tested;
use super::{Buffer, Device, Pinned, Pinning, Stream};

/// Where the driver of the tests lies, when a run has it.
const DRIVER: &str = "PELTON_TEST_DRIVER";

fn pinned(stream: &Stream, values: &[u32]) -> Pinned<u32> {
    let device = Device::Gpu(stream.gpu().clone());
    let mut pinned = Pinned::new(&device, values.len(), Pinning::Both).expect("room");
    pinned.copy_from_slice(values);
    pinned
}

#[test]
fn host_memory_waits_for_its_copies() {
    for gpu in tested() {
        let stream = Stream::new(&gpu).expect("a stream");
        let (mut from, mut to) = (pinned(&stream, &[1, 2, 3]), pinned(&stream, &[0; 3]));
        let mut there = Buffer::new(&gpu, 3).expect("room");
        stream.upload((&mut there, 0), (&mut from, 0), 3).expect("a copy");
        // Written again only when the copy has read it.
        from.copy_from_slice(&[7, 8, 9]);
        stream.download((&mut to, 0), (&there, 0), 3).expect("a copy");
        assert_eq!(to[..], [1, 2, 3]);
    }
}

#[test]
fn streams_meet_at_events() {
    for gpu in tested() {
        let [one, other] = [(); 2].map(|()| Stream::new(&gpu).expect("a stream"));
        let (mut from, mut to) = (pinned(&one, &[4, 5]), pinned(&other, &[0; 2]));
        let mut there = Buffer::new(&gpu, 2).expect("room");
        let mut copied = Buffer::new(&gpu, 2).expect("room");
        one.upload((&mut there, 0), (&mut from, 0), 2).expect("a copy");
        let event = one.event().expect("an event");
        one.record(&event).expect("recorded");
        other.after(&event).expect("in order");
        other.copy(&mut copied, &there, 2).expect("a copy");
        other.download((&mut to, 0), (&copied, 0), 2).expect("a copy");
        assert_eq!(to[..], [4, 5]);
    }
}

#[test]
fn a_graph_reads_what_is_there_when_it_is_replayed() {
    for gpu in tested() {
        let stream = Stream::new(&gpu).expect("a stream");
        let (mut from, mut to) = (pinned(&stream, &[0; 4]), pinned(&stream, &[0; 4]));
        let mut there = Buffer::new(&gpu, 4).expect("room");
        let give = |stream: &Stream| {
            stream.upload((&mut there, 0), (&mut from, 0), 4)?;
            stream.download((&mut to, 0), (&there, 0), 4)
        };
        // SAFETY: all of it outlives the graph, and is touched only behind a wait.
        let graph = unsafe { stream.graph(give) }.expect("a graph");
        assert_eq!(to[..], [0; 4], "nothing is done while it is recorded");
        for round in 1..4 {
            from.fill(round);
            stream.replay(&graph).expect("done again");
            stream.wait().expect("done");
            assert_eq!(to[..], [round; 4]);
        }
    }
}

/// A source decodes on a stream of its own while a batch is recorded.
#[test]
fn a_stream_that_records_leaves_the_others_alone() {
    for gpu in tested() {
        let [stream, other] = [(); 2].map(|()| Stream::new(&gpu).expect("a stream"));
        let (mut from, mut to) = (pinned(&other, &[5, 6]), pinned(&other, &[0; 2]));
        let mut there = Buffer::new(&gpu, 2).expect("room");
        let mut recorded: Buffer<u32> = Buffer::new(&gpu, 2).expect("room");
        let give = |stream: &Stream| {
            stream.clear(&mut recorded)?;
            other.upload((&mut there, 0), (&mut from, 0), 2)?;
            other.download((&mut to, 0), (&there, 0), 2)
        };
        // SAFETY: all of it outlives the graph.
        let graph = unsafe { stream.graph(give) }.expect("a graph");
        assert_eq!(to[..], [5, 6], "done, and not when the graph is");
        from.copy_from_slice(&[7, 8]);
        stream.replay(&graph).expect("done");
        stream.wait().expect("done");
        assert_eq!(to[..], [5, 6], "no part of the graph");
    }
}

/// Else all that runs on that driver would show no more than the double.
#[test]
fn the_driver_of_the_tests_is_late() {
    let Some(_) = std::env::var_os(DRIVER) else { return };
    let gpu = tested().remove(0);
    let stream = Stream::new(&gpu).expect("a stream");
    let mut to = pinned(&stream, &[0; 2]);
    let there = stream.buffer_of(&[6_u32, 6]).expect("room");
    stream.download((&mut to, 0), (&there, 0), 2).expect("a copy");
    // SAFETY: within the memory; no other thread is there that could write it.
    let early = unsafe { to.part(0, 2).read_volatile() };
    assert_eq!((early, to[0]), (0, 6), "before the wait, and behind it");
}
