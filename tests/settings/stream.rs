//! A stream that gives every setting something to do: late, early, double, incomplete and odd
//! events, labels that come soon, late, twice, too early or never.

use std::fmt::Write as _;
use std::sync::OnceLock;

use crate::support::{Random, Record};

const EVENTS: u64 = 1500;
/// An evening in UTC: the stream passes midnight.
const START_MS: i64 = 1_532_548_800_000;

/// Events and labels in the order in which they arrive.
pub fn records() -> Vec<Record> {
    static RECORDS: OnceLock<Vec<Record>> = OnceLock::new();
    RECORDS.get_or_init(make).clone()
}

fn make() -> Vec<Record> {
    let mut random = Random::new(31);
    let mut arrivals: Vec<(i64, Record)> = Vec::new();
    let mut now_ms = START_MS;
    for id in 0..EVENTS {
        now_ms += 1000 + random.below(40_000) as i64;
        let is_positive = push_event(&mut random, id, now_ms, &mut arrivals);
        push_labels(&mut random, id, now_ms, is_positive, &mut arrivals);
    }
    arrivals.sort_by_key(|(at_ms, _)| *at_ms);
    arrivals.into_iter().map(|(_, record)| record).collect()
}

/// The events alone, one JSON object each.
pub fn events() -> Vec<String> {
    let event = |record| match record {
        Record::Event(json) => Some(json),
        Record::Label(_) => None,
    };
    records().into_iter().filter_map(event).collect()
}

fn push_event(random: &mut Random, id: u64, now_ms: i64, out: &mut Vec<(i64, Record)>) -> bool {
    let time_ms = match random.below(20) {
        0 => now_ms - random.below(120_000) as i64,
        1 => now_ms + random.below(120_000) as i64,
        _ => now_ms,
    };
    let number = match random.below(100) {
        0 => "\"x\"".to_owned(),
        1..=4 => "null".to_owned(),
        5 | 6 => "5000".to_owned(),
        _ => format!("{}", random.below(10_000) as f64 / 100.0),
    };
    let category = match random.below(100) {
        0..=3 => "null".to_owned(),
        4..=49 => format!("\"rare {}\"", random.below(600)),
        _ => format!("\"c{}\"", random.below(6)),
    };
    let (other, shop) = (random.below(100), random.below(4));
    let is_positive = random.per_mille(if other > 50 { 400 } else { 100 });
    let again = if random.per_mille(40) { id.saturating_sub(random.below(9)) } else { id };
    let mut json = format!(r#"{{"id":{again},"other_id":"b{}","t":{time_ms}"#, id / 2);
    let later_ms = time_ms + 60_000 * (id % 50) as i64;
    let second = time_ms / 1000 - START_MS / 1000;
    let (hour, minute) = ((20 + second / 3600) % 24, second / 60 % 60);
    let day = 25 + (20 + second / 3600) / 24;
    write!(json, r#","t2":{later_ms},"t_s":{}.25"#, time_ms / 1000).expect("a string");
    write!(json, r#","t_text":"2018-07-{day}T{hour:02}:{minute:02}:00Z""#).expect("a string");
    write!(json, r#","NUMBER":{number},"OTHER":{other},"CATEGORY":{category}"#).expect("a string");
    let (label, truth) = (u8::from(is_positive), u8::from(other < 30));
    write!(json, r#","SHOP":"s{shop}","label":{label},"truth":{truth}"#).expect("a string");
    write!(json, r#","note":"{}"}}"#, "n".repeat(random.below(100) as usize)).expect("a string");
    out.push((now_ms, Record::Event(json)));
    is_positive
}

fn push_labels(
    random: &mut Random,
    id: u64,
    now_ms: i64,
    is_positive: bool,
    out: &mut Vec<(i64, Record)>,
) {
    let wait_ms = match random.below(20) {
        0..=2 => return,
        3 => -(random.below(300_000) as i64),
        _ => random.below(1_200_000) as i64,
    };
    let times = if random.per_mille(100) { 2 } else { 1 };
    for time in 0..times {
        let known_ms = now_ms + wait_ms + 30_000 * time;
        let label = is_positive != (time == 1 && random.per_mille(500));
        let json = format!(
            r#"{{"id":{id},"other":{},"t":{known_ms},"t2":{},"label":{label},"truth":{}}}"#,
            id ^ 1,
            known_ms - 600_000,
            id < EVENTS / 3,
        );
        out.push((known_ms, Record::Label(json)));
    }
}
