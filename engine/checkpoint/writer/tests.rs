//! The writer before a store that fails, by a clock that the test moves.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::checkpoint::store::StoredFile;

/// Counts what it is asked to keep, and refuses it as it is told to.
#[derive(Clone, Default)]
struct Place {
    tries: Arc<AtomicUsize>,
    is_away: Arc<AtomicBool>,
    is_taken: Arc<AtomicBool>,
}

impl Store for Place {
    fn put(&self, _name: &str, _parts: &[&[u8]]) -> Result<(), Error> {
        self.tries.fetch_add(1, Ordering::Relaxed);
        if self.is_taken.load(Ordering::Relaxed) {
            return Err(Error::Replaced { place: self.place() });
        }
        if self.is_away.load(Ordering::Relaxed) {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(Error::file("write", "place")(full));
        }
        Ok(())
    }

    fn get(&self, _name: &str) -> Result<Vec<u8>, Error> {
        Ok(Vec::new())
    }

    fn list(&self) -> Result<Vec<StoredFile>, Error> {
        Ok(Vec::new())
    }

    fn delete(&self, _name: &str) -> Result<(), Error> {
        Ok(())
    }

    fn place(&self) -> String {
        "place".to_owned()
    }
}

const EVERY_MS: i64 = 1000;

fn snapshot(sequence: u64) -> Snapshot {
    let mut sections = Sections::default();
    sections.add("state", |out| std::io::Write::write_all(out, b"state")).unwrap();
    let manifest = Manifest {
        sequence,
        taken_ms: 0,
        program: String::new(),
        settings: Default::default(),
        challengers: String::new(),
        is_last: false,
        consumed: 0,
        watermark_ms: 0,
        positions: Vec::new(),
        scores: None,
        dead_letters: None,
    };
    Snapshot { sections, manifest }
}

fn writing(place: &Place) -> Writing {
    let retention = Retention { count: 3, age_ms: 0 };
    let writing = Writing::new(Box::new(place.clone()), None, retention, 0);
    writing.guarded_by(breaker(EVERY_MS, Jitter::new(3)))
}

#[test]
fn a_place_that_is_away_is_not_tried_at_every_cut_and_is_found_again() {
    let (place, start) = (Place::default(), Instant::now());
    let mut writing = writing(&place);
    // A cut each second; those that were tried, by the second.
    let tried = |writing: &mut Writing, seconds: std::ops::Range<u64>| {
        let mut tried = Vec::new();
        for second in seconds {
            let clock = || start + Duration::from_secs(second);
            let before = place.tries.load(Ordering::Relaxed);
            let snapshot = snapshot(second + 1);
            let sections = writing.write_or_count(snapshot, Default::default(), &clock).unwrap();
            assert!(sections.body().is_empty(), "the buffer comes back empty");
            let more = place.tries.load(Ordering::Relaxed) - before;
            tried.extend((more > 0).then_some(second));
        }
        tried
    };
    assert_eq!(tried(&mut writing, 0..5), [0, 1, 2, 3, 4]);
    place.is_away.store(true, Ordering::Relaxed);
    let while_away = tried(&mut writing, 5..1000);
    assert_eq!(while_away[..3], [5, 6, 7], "three in a row before it is left alone");
    let waits: Vec<u64> = while_away[2..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.iter().all(|&wait| wait <= 10), "{waits:?}");
    assert!(waits[5..].iter().all(|&wait| wait >= 5), "{waits:?}");
    let failed = writing.progress().failed.load(Ordering::Relaxed);
    assert_eq!((failed, writing.progress().good()), (while_away.len() as u64, 5));
    // The last one of a run is tried whatever the breaker says.
    let before = place.tries.load(Ordering::Relaxed);
    assert!(writing.write(snapshot(1001), Default::default()).1.is_err());
    assert_eq!(place.tries.load(Ordering::Relaxed), before + 1);
    place.is_away.store(false, Ordering::Relaxed);
    let back = tried(&mut writing, 1001..1040);
    assert!(back[0] <= 1010, "{back:?}");
    assert_eq!(back, Vec::from_iter(back[0]..1040), "then at every cut again");
    assert_eq!(writing.progress().good(), 1040);
}

#[test]
fn a_place_that_another_engine_has_taken_ends_the_thread_and_stops_the_run() {
    let (place, stop) = (Place::default(), Arc::new(AtomicBool::new(false)));
    let writer = writing(&place).start(&stop);
    let write = |sequence| {
        writer.deliveries.send(Delivery { sequence, positions: Default::default() }).unwrap();
        writer.snapshots.send(snapshot(sequence)).unwrap();
    };
    for sequence in 1..=2 {
        // The buffer is back when the one before is written.
        writer.free.recv().unwrap();
        write(sequence);
    }
    writer.free.recv().unwrap();
    place.is_taken.store(true, Ordering::Relaxed);
    write(3);
    let ended = writer.thread.join().unwrap().map(|_| ());
    assert!(matches!(ended, Err(Error::Replaced { .. })), "{ended:?}");
    assert!(stop.load(Ordering::Relaxed));
    assert_eq!(place.tries.load(Ordering::Relaxed), 3);
}
