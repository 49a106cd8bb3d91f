//! The sink around a sink that comes and goes.

mod queue;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use super::segment::DISK_IS_FULL;
use super::*;

fn record(payload: &[u8]) -> Record<'_> {
    Record { key: b"k", payload, time_ms: Some(1), headers: &[("h", b"v")] }
}

fn body(number: u64, length: usize) -> Vec<u8> {
    let mut body = number.to_string().into_bytes();
    body.resize(body.len().max(length), b'.');
    body
}

/// A topic that can be away; it has room for a few records.
#[derive(Clone, Default)]
struct Shaky(Arc<Mutex<Topic>>);

#[derive(Default)]
struct Topic {
    is_away: bool,
    room: usize,
    waiting: VecDeque<Vec<u8>>,
    delivered: Vec<Vec<u8>>,
}

impl Shaky {
    fn topic(&self) -> MutexGuard<'_, Topic> {
        self.0.lock().unwrap()
    }

    fn deliver(&self, most: usize) {
        let mut topic = self.topic();
        for _ in 0..if topic.is_away { 0 } else { most } {
            let next = topic.waiting.pop_front();
            topic.delivered.extend(next);
        }
    }
}

impl Sink for Shaky {
    fn send(&mut self, _: &Record<'_>) -> Result<(), Error> {
        panic!("a sink inside is only tried")
    }
    fn try_send(&mut self, record: &Record<'_>) -> Result<bool, Error> {
        let mut topic = self.topic();
        let has_room = topic.waiting.len() < topic.room;
        if has_room {
            topic.waiting.push_back(record.payload.to_vec());
        }
        Ok(has_room)
    }
    fn flush(&mut self) -> Result<(), Error> {
        panic!("a sink inside is only waited for a while")
    }
    fn flush_for(&mut self, _: Duration) -> Result<bool, Error> {
        self.deliver(7);
        Ok(self.topic().waiting.is_empty())
    }
    fn waiting_count(&self) -> usize {
        self.topic().waiting.len()
    }
    fn take_back(&mut self, each: &mut dyn FnMut(&Record<'_>)) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.topic().waiting);
        waiting.iter().for_each(|payload| each(&record(payload)));
        Ok(())
    }
    fn is_reachable(&mut self) -> bool {
        !self.topic().is_away
    }
    fn position(&mut self) -> Result<SinkPosition, Error> {
        let bytes = self.topic().delivered.len() as u64;
        Ok(SinkPosition::File { path: String::new(), bytes })
    }
    fn tail(&mut self, _: &SinkPosition, _: Duration, _: &mut Delivered) -> Result<(), Error> {
        Ok(())
    }
    fn batch_done(&mut self) -> Result<(), Error> {
        self.deliver(3);
        Ok(())
    }
}

fn options(dir: Option<&Path>, bytes_max: u64) -> SpillOptions {
    SpillOptions {
        name: "test",
        dir: dir.map(Path::to_owned),
        bytes_max,
        away_after: Duration::from_millis(20),
        drain_patience: Duration::from_millis(200),
    }
}

fn sink(shaky: &Shaky, options: &SpillOptions, stop: &Arc<AtomicBool>) -> SpillSink {
    SpillSink::open(Box::new(shaky.clone()), options, stop).unwrap()
}

fn bodies(numbers: impl IntoIterator<Item = u64>) -> Vec<Vec<u8>> {
    numbers.into_iter().map(|n| body(n, 40)).collect()
}

#[test]
fn a_sink_that_comes_and_goes_gets_everything_once_and_in_order() {
    let seed = std::env::var("PELTON_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(11);
    println!("PELTON_SEED={seed}");
    let mut random = crate::backoff::Jitter::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let (shaky, stop) = (Shaky::default(), Arc::default());
    shaky.topic().room = 50;
    let mut sink = sink(&shaky, &options(Some(folder.path()), 1 << 20), &stop);
    let mut most = 0;
    for number in 0..6000 {
        sink.send(&record(&body(number, 40))).unwrap();
        if random.unit() < 0.02 {
            sink.batch_done().unwrap();
            std::thread::sleep(Duration::from_micros(300));
        }
        if random.unit() < 0.002 {
            sink.flush().unwrap();
            let on_disk = sink.spill.as_ref().map_or(0, Spill::records) as usize;
            let topic = shaky.topic();
            assert!(topic.waiting.is_empty(), "a flush leaves nothing in memory");
            assert_eq!(topic.delivered.len() + on_disk, number as usize + 1);
        }
        if random.unit() < 0.004 {
            let is_away = random.unit() < 0.6;
            shaky.topic().is_away = is_away;
        }
        most = most.max(sink.spill.as_ref().map_or(0, Spill::records));
    }
    assert!(most > 100, "it was away for long enough to matter: {most}");
    shaky.topic().is_away = false;
    sink.finish().unwrap();
    assert_eq!(shaky.topic().delivered, bodies(0..6000));
    assert_eq!(sink.spill.as_ref().unwrap().bytes(), 0);
}

#[test]
fn at_the_limit_sending_waits_and_what_is_left_goes_out_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let (shaky, stop) = (Shaky::default(), Arc::new(AtomicBool::new(false)));
    shaky.topic().room = 10;
    shaky.topic().is_away = true;
    let options = options(Some(folder.path()), 20_000);
    let mut first = sink(&shaky, &options, &stop);
    let sent = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let sending = {
        let sent = Arc::clone(&sent);
        std::thread::spawn(move || {
            loop {
                let number = sent.load(Ordering::Relaxed);
                if let Err(error) = first.send(&record(&body(number, 40))) {
                    return error;
                }
                sent.store(number + 1, Ordering::Relaxed);
            }
        })
    };
    let mut before = 0;
    loop {
        std::thread::sleep(Duration::from_millis(100));
        let now = sent.load(Ordering::Relaxed);
        if now > 0 && now == before {
            break;
        }
        before = now;
    }
    let per_record = frame::length(&record(&body(0, 40))) as u64;
    assert_eq!(before, 10 + 20_000 / per_record, "what the sink and the disk had room for");
    stop.store(true, Ordering::Relaxed);
    let error = sending.join().unwrap();
    assert_eq!(error.actor(), crate::error::Actor::Outside);
    assert!(error.to_string().contains("go out at the next start"), "{error}");
    assert!(shaky.topic().delivered.is_empty());
    shaky.topic().is_away = false;
    let mut second = sink(&shaky, &options, &Arc::default());
    second.send(&record(&body(before, 40))).unwrap();
    second.finish().unwrap();
    assert_eq!(shaky.topic().delivered, bodies(0..=before));
}

#[test]
fn without_a_folder_it_waits_and_the_end_of_the_run_ends_the_waiting() {
    let (shaky, stop) = (Shaky::default(), Arc::new(AtomicBool::new(false)));
    shaky.topic().room = 2;
    shaky.topic().is_away = true;
    let mut sink = sink(&shaky, &options(None, 0), &stop);
    let back = {
        let shaky = shaky.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            shaky.topic().is_away = false;
        })
    };
    bodies(0..20).iter().for_each(|body| sink.send(&record(body)).unwrap());
    back.join().unwrap();
    shaky.topic().is_away = true;
    stop.store(true, Ordering::Relaxed);
    let error = sink.finish().unwrap_err();
    assert!(error.to_string().contains("give [emit] spill_dir"), "{error}");
}

#[test]
fn a_disk_that_fails_stops_the_sender_until_it_works() {
    let folder = tempfile::tempdir().unwrap();
    let (shaky, stop) = (Shaky::default(), Arc::default());
    shaky.topic().room = 10;
    shaky.topic().is_away = true;
    let mut sink = sink(&shaky, &options(Some(folder.path()), 1 << 24), &stop);
    DISK_IS_FULL.set(true);
    let back = {
        let shaky = shaky.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(400));
            shaky.topic().is_away = false;
        })
    };
    // More than is held in memory: sending waits, here until the sink is back.
    (0..10_000).for_each(|n| sink.send(&record(&body(n, 40))).unwrap());
    back.join().unwrap();
    sink.finish().unwrap();
    DISK_IS_FULL.set(false);
    assert_eq!(shaky.topic().delivered, bodies(0..10_000));
}
