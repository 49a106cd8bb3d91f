//! The job of a simulation: a small configuration and a small stream, both drawn from the seed.
//!
//! Everything that holds state is in it: windows over events and labels, running statistics, a
//! filter, late, doubled and bad records, labels that come early, late, twice or never.

use std::sync::Arc;

use super::dice::Dice;
use crate::config::Config;
use crate::error::Error;

/// A record of a partition.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its offset; some are left out.
    pub offset: i64,
    /// Its event time, milliseconds since the epoch.
    pub time_ms: i64,
    /// The record.
    pub payload: Vec<u8>,
}

/// A partition of a topic.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its number.
    pub number: i32,
    /// Whether it holds labels.
    pub is_label: bool,
    /// What it holds, or will hold once all has been written.
    pub entries: Vec<Entry>,
}

/// A configuration and its stream.
pub struct Job {
    /// The configuration.
    pub config: Config,
    /// The partitions of all topics.
    pub partitions: Vec<Partition>,
    /// In which order their records are written, by the index of the partition.
    pub written: Vec<usize>,
}

const FIELDS: &str = r#"
filter = [{ field = "shop", except = ["s3"] }]
[fields.card]
type = "category"
required = true
[fields.shop]
type = "category"
[fields.amount]
type = "number"
missing = "mean"
clip_sigma = 3
range = [-10, 900]
out_of_range = "reject"
[[features]]
number = "amount"
[[features]]
category = "shop"
[[features]]
window = "card"
widths = ["40ms", "300ms"]
aggregates = ["count", "mean(amount)", "max(amount)"]
[[features]]
window = "shop"
over = "labels"
widths = ["200ms"]
aggregates = ["count", "mean"]
"#;

impl Job {
    /// The job of a seed, with so many events.
    ///
    /// # Errors
    /// [`Error::Config`] for a bug only: every configuration that is drawn is possible.
    pub fn new(seed: u64, events: u64) -> Result<Job, Error> {
        let mut dice = Dice::new(seed, "job");
        let is_recorded = dice.per_mille(125);
        let text = configuration(&mut dice, is_recorded);
        let config = Config::parse(&text).map_err(|problems| Error::Config {
            path: "the simulated configuration".into(),
            problems,
        })?;
        let (topics, labels) = (1 + dice.index(3), if is_recorded { 0 } else { 1 + dice.index(2) });
        let mut partitions = Vec::new();
        for (topic, is_label, count) in [("events", false, topics), ("labels", true, labels)] {
            for number in 0..count as i32 {
                partitions.push(Partition {
                    topic: topic.into(),
                    number,
                    is_label,
                    entries: Vec::new(),
                });
            }
        }
        let mut job = Job { config, partitions, written: Vec::new() };
        job.write(&mut dice, events, topics, is_recorded);
        Ok(job)
    }

    /// The index of a partition.
    #[must_use]
    pub fn partition(&self, topic: &str, number: i32) -> Option<usize> {
        self.partitions.iter().position(|p| p.number == number && *p.topic == *topic)
    }

    fn write(&mut self, dice: &mut Dice, events: u64, topics: usize, is_recorded: bool) {
        let mut now_ms = 1_600_000_000_000_i64;
        let mut due: Vec<(i64, String)> = Vec::new();
        for index in 0..events {
            now_ms += if dice.per_mille(5) { 200 } else { dice.below(5) as i64 };
            while let Some(at) = due.iter().position(|(at_ms, _)| *at_ms <= now_ms) {
                let (at_ms, label) = due.swap_remove(at);
                let rank = topics + dice.index(self.partitions.len() - topics);
                self.append(dice, rank, at_ms, label);
            }
            let is_again = dice.per_mille(25);
            let id = if is_again { index.saturating_sub(dice.below(30)) } else { index };
            let event = event(dice, id, now_ms, is_recorded);
            let rank = dice.index(topics);
            self.append(dice, rank, now_ms, event);
            if is_recorded || dice.per_mille(200) {
                continue;
            }
            let mut after_ms = dice.below(120) as i64;
            for _ in 0..=dice.below(8) / 6 {
                let at_ms = now_ms + after_ms;
                let truth = u64::from(dice.per_mille(300));
                due.push((at_ms, format!(r#"{{"id":{id},"t":{at_ms},"truth":{truth}}}"#)));
                after_ms += dice.below(40) as i64;
            }
            if dice.per_mille(15) {
                // A label before its event, for ever, or one that is none.
                let id = index + dice.below(4);
                due.push((now_ms, format!(r#"{{"id":{id},"t":{now_ms},"truth":1}}"#)));
                due.push((now_ms, "no label".to_owned()));
            }
        }
    }

    fn append(&mut self, dice: &mut Dice, rank: usize, time_ms: i64, payload: String) {
        let entries = &mut self.partitions[rank].entries;
        let after = entries.last().map_or(-1, |entry| entry.offset);
        let offset = after + 1 + if dice.per_mille(50) { dice.below(4) as i64 } else { 0 };
        entries.push(Entry { offset, time_ms, payload: payload.into_bytes() });
        self.written.push(rank);
    }
}

fn configuration(dice: &mut Dice, is_recorded: bool) -> String {
    let labels = match is_recorded {
        true => "field = 'truth', delay = '50ms', horizon = '150ms'".to_owned(),
        false => format!(
            "topic = 'labels', id = 'id', field = 'truth', time = 't', horizon = '{}', \
             orphan_wait = '{}', correct_within = '80ms', unlabelled = '{}'",
            dice.pick(&["60ms", "150ms"]),
            dice.pick(&["10ms", "60ms"]),
            dice.pick(&["drop", "negative"]),
        ),
    };
    format!(
        "event = {{ id = 'id', time = 't', lateness = '{}', ahead_max = '2s', \
         duplicates_within = '{}' }}\nlabels = {{ {labels}, pending_max = {} }}\n\
         batch = {{ rows_max = {}, linger = '0ms' }}\n\
         transform = {{ hash_bits = 8, keys_max = {} }}\n\
         model = {{ kind = 'linear', optimizer = '{}' }}\nlearn.step_rows = {}\n\
         evaluate = {{ metrics = ['log_loss', 'accuracy'], trailing_rows = 40 }}\n\
         checkpoint = {{ every = '{}ms', keep = {}, order_sync = {}, settle = '1s' }}\n\
         emit = {{ topic = 'scores', fields = ['shop'] }}\ndead_letters.topic = 'dead'\n{FIELDS}",
        dice.pick(&["0ms", "50ms"]),
        dice.pick(&["0ms", "100ms"]),
        dice.pick(&[1000, 12]),
        1 + dice.below(64),
        dice.pick(&[1000, 6]),
        dice.pick(&["auto", "ftrl", "adagrad", "sgd"]),
        dice.pick(&[1, 1, 16]),
        10 + dice.below(30),
        1 + dice.below(3),
        dice.below(2) == 0,
    )
}

fn event(dice: &mut Dice, id: u64, now_ms: i64, is_recorded: bool) -> String {
    let time_ms = match dice.below(40) {
        0 => now_ms - 150,
        1 => now_ms + 4000,
        2..7 => now_ms - dice.below(40) as i64,
        _ => now_ms,
    };
    let (card, shop) = (dice.below(6), dice.below(4));
    let amount = match dice.below(30) {
        0 => "null".to_owned(),
        1 => "1e6".to_owned(),
        2 => "\"x\"".to_owned(),
        _ => format!("{}", dice.below(60_000) as f64 / 100.0),
    };
    if dice.per_mille(10) {
        return "not JSON".to_owned();
    }
    let truth = match is_recorded && !dice.per_mille(100) {
        true => format!(r#","truth":{}"#, u64::from(dice.per_mille(300))),
        false => String::new(),
    };
    format!(
        r#"{{"id":{id},"t":{time_ms},"amount":{amount},"card":{card},"shop":"s{shop}"{truth}}}"#
    )
}
