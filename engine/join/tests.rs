//! The join against a plain re-telling of its rules over the whole history, and against other cuts.

use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::ring::Position;

/// One record of a stream: an event with its time, or a label for an id.
#[derive(Clone, Copy, Debug)]
enum Record {
    Event { id: u128, time_ms: i64 },
    Label { id: u128, value: f32 },
}

/// A label in its place: `(events before it, id, label, kind)`.
type Placed = (usize, u128, f32, Kind);

fn config(unlabelled: &str) -> Config {
    let text = format!(
        "event = {{ id = 'id', time = 't' }}
         labels = {{ topic = 'labels', horizon = '100ms', unlabelled = '{unlabelled}',
                     correct_within = '60ms', orphan_wait = '30ms' }}"
    );
    Config::parse(&text).expect("a valid configuration")
}

fn shape() -> PendingShape {
    let (dense_width, sparse_width, outputs, notes_width) = (1, 1, 1, 1);
    let (label_keys, group) = (Vec::new(), None);
    PendingShape { dense_width, sparse_width, outputs, notes_width, label_keys, group }
}

/// Runs the join over the stream, cut after every `cut` events.
fn run(config: &Config, stream: &[Record], cut: usize) -> (Vec<Placed>, JoinCounts) {
    let mut join = Join::new(&config.labels, shape());
    let (mut placed, mut resolved, mut events_before) = (Vec::new(), Vec::new(), 0);
    let mut records = stream.iter().peekable();
    while records.peek().is_some() {
        let mut slot = Slot::new(&config.event.schema, cut);
        while let Some(record) = records.next_if(|_| !slot.is_full()) {
            match *record {
                Record::Event { id, time_ms } => {
                    (slot.ids[slot.rows], slot.times_ms[slot.rows]) = (id, time_ms);
                    slot.rows += 1;
                }
                Record::Label { id, value } => {
                    let (time_ms, position) = (0, Position::default());
                    let before_row = row_number(slot.rows);
                    slot.labels.push(LabelRecord { id, time_ms, value, before_row, position });
                }
            }
        }
        join.run(&slot, &mut resolved);
        for &entry in join.admitted().to_vec().iter() {
            let mark = join.pending.id(entry) as f32;
            join.pending_mut().store_features(entry, &[mark], &[0]);
        }
        for label in resolved.clone() {
            let id = join.pending.id(label.entry);
            let features = join.pending().features(label.entry);
            assert_eq!(features.dense, [id as f32], "features of another event");
            placed.push((events_before + label.before_row as usize, id, label.label, label.kind));
            join.learned(&label, None);
        }
        join.settle();
        events_before += slot.rows;
    }
    (placed, join.counts())
}

/// What is known of an event, for the oracle.
struct Known {
    id: u128,
    time_ms: i64,
    label: Option<f32>,
    assumed: bool,
    gone: bool,
}

/// The same rules, told over lists.
fn oracle(config: &Config, stream: &[Record]) -> Vec<Placed> {
    let labels = &config.labels;
    let mut placed = Vec::new();
    let mut events: Vec<Known> = Vec::new();
    let mut orphans: Vec<(u128, f32, i64)> = Vec::new();
    let mut now_ms = i64::MIN;
    for record in stream {
        let before = events.len();
        match *record {
            Record::Label { id, value } => {
                // Of several events with one id, the newest counts.
                let newest = events.iter_mut().rev().find(|e| e.id == id);
                let known = newest.filter(|e| !e.gone);
                match known {
                    Some(event) => meet(event, value, before, &mut placed),
                    None if orphans.iter().any(|o| o.0 == id) => {}
                    None => orphans.push((id, value, now_ms.max(0) + labels.orphan_wait_ms)),
                }
            }
            Record::Event { id, time_ms } => {
                now_ms = now_ms.max(time_ms);
                orphans.retain(|orphan| orphan.2 > now_ms);
                let mut due: Vec<(i64, usize)> = Vec::new();
                for (index, event) in events.iter().enumerate().filter(|(_, e)| !e.gone) {
                    due.push((event.time_ms + labels.horizon_ms, index));
                }
                due.sort_unstable();
                for (deadline_ms, index) in due {
                    let event = &mut events[index];
                    let waits = event.label.is_none() && !event.assumed;
                    if waits && labels.unlabelled == Unlabelled::Negative && deadline_ms <= now_ms {
                        event.assumed = true;
                        placed.push((before, event.id, 0.0, Kind::Assumed));
                    }
                    let more_ms = if event.assumed { labels.correct_within_ms } else { 0 };
                    event.gone = deadline_ms + more_ms <= now_ms;
                }
                let (label, assumed, gone) = (None, false, false);
                let mut event = Known { id, time_ms, label, assumed, gone };
                if let Some(at) = orphans.iter().position(|o| o.0 == id) {
                    let (_, value, _) = orphans.remove(at);
                    meet(&mut event, value, before + 1, &mut placed);
                }
                events.push(event);
            }
        }
    }
    placed
}

fn meet(event: &mut Known, value: f32, before: usize, placed: &mut Vec<Placed>) {
    if event.label.is_some() {
        return;
    }
    event.label = Some(value);
    match event.assumed {
        false => placed.push((before, event.id, value, Kind::Arrived)),
        true if value != 0.0 => placed.push((before, event.id, value, Kind::Corrected)),
        true => {}
    }
}

fn stream() -> impl Strategy<Value = Vec<Record>> {
    let event = (0..40_u128, -5..20_i64).prop_map(|(id, time_ms)| Record::Event { id, time_ms });
    let label =
        (0..40_u128, 0..2).prop_map(|(id, value)| Record::Label { id, value: value as f32 });
    prop::collection::vec(prop_oneof![event, label], 1..200).prop_map(|mut records| {
        let mut now_ms = 0;
        for record in &mut records {
            if let Record::Event { time_ms, .. } = record {
                now_ms += (*time_ms).max(0);
                *time_ms = now_ms + (*time_ms).min(0);
            }
        }
        records
    })
}

proptest! {
    #[test]
    fn labels_find_their_events_as_the_rules_say(records in stream(), negative: bool) {
        let config = config(if negative { "negative" } else { "drop" });
        let expected = oracle(&config, &records);
        for cut in [1, 3, 64, 1000] {
            let (placed, _) = run(&config, &records, cut);
            prop_assert_eq!(&placed, &expected, "cut {}", cut);
        }
    }
}

#[test]
fn every_fate_of_a_label_is_counted() {
    let event = |id, time_ms| Record::Event { id, time_ms };
    let label = |id, value| Record::Label { id, value };
    let stream = [
        label(1, 1.0), // an orphan, whose event comes
        label(9, 1.0), // an orphan, whose event does not come
        event(1, 0),
        label(1, 1.0), // a duplicate
        label(1, 0.0), // a contradiction
        event(2, 10),
        event(3, 10),
        event(4, 10),
        event(5, 115), // 2, 3 and 4 are assumed negative
        label(2, 1.0), // and corrected
        label(3, 0.0), // and confirmed
        event(6, 300), // 5 is assumed negative
    ];
    let (_, counts) = run(&config("negative"), &stream, 2);
    let expected = JoinCounts {
        quarantined: 0,
        returned: 0,
        joined: 2,
        duplicates: 1,
        contradictions: 1,
        orphans: 2,
        orphans_expired: 1,
        unlabelled: 0,
        assumed: 4,
        confirmed: 1,
        corrected: 1,
        evicted: 0,
    };
    assert_eq!(counts, expected);
}

#[test]
fn too_many_waiting_events_give_up_the_oldest() {
    let mut config = config("drop");
    config.labels.pending_max = 3;
    let events = (0..5).map(|id| Record::Event { id: id as u128, time_ms: id });
    let labels = (0..5).map(|id| Record::Label { id, value: 1.0 });
    let stream: Vec<Record> = events.chain(labels).collect();
    let (placed, counts) = run(&config, &stream, 1);
    let ids: Vec<u128> = placed.iter().map(|p| p.1).collect();
    assert_eq!((ids, counts.evicted), (vec![2, 3, 4], 2));
}

#[test]
fn recorded_labels_come_after_their_delay_and_before_an_event_of_that_time() {
    let text = "event = { id = 'id', time = 't' }
                labels = { field = 'y', delay = '10ms' }";
    let config = Config::parse(text).expect("a valid configuration");
    let times_ms = [0, 5, 9, 10, 10, 40];
    for cut in [1, 2, 6] {
        let mut join = Join::new(&config.labels, shape());
        let (mut placed, mut resolved) = (Vec::new(), Vec::new());
        let mut done = 0;
        for times_ms in times_ms.chunks(cut) {
            let mut slot = Slot::new(&config.event.schema, cut);
            for &time_ms in times_ms {
                slot.times_ms[slot.rows] = time_ms;
                slot.recorded_labels[slot.rows] = (done + slot.rows) as f32;
                slot.rows += 1;
            }
            join.run(&slot, &mut resolved);
            placed.extend(resolved.iter().map(|r| (done + r.before_row as usize, r.label)));
            resolved.iter().for_each(|r| join.learned(r, None));
            done += slot.rows;
        }
        join.flush(&mut resolved);
        placed.extend(resolved.iter().map(|r| (done, r.label)));
        let expected = [(3, 0.0), (5, 1.0), (5, 2.0), (5, 3.0), (5, 4.0), (6, 5.0)];
        assert_eq!(placed, expected, "cut {cut}");
    }
}
