//! Configurations and streams that reach into every corner of the state: each round another task,
//! optimiser, way of labels and set of limits; streams with late, doubted, repeated and incomplete
//! events, and labels that come early, late, twice, never, or otherwise than assumed.

use pelton::config::Config;

use crate::support::{Random, Record};

/// A configuration.
pub struct World {
    /// As TOML.
    pub text: String,
    classes: u64,
    is_regression: bool,
    is_recorded: bool,
}

const FIELDS: &str = r#"
    filter = [{ field = "shop", except = ["s9"] }]
    [fields.card]
    type = "category"
    [fields.shop]
    type = "category"
    [fields.amount]
    type = "number"
    missing = "last"
    missing_key = "card"
    clip_quantiles = [0.02, 0.98]
    [fields.size]
    type = "number"
    missing = "mean"
    clip_sigma = 2
    range = [-50, 80]
    out_of_range = "missing"
    [fields.plain]
    type = "number"
    missing = 0.5
    range = [0, 9]
    out_of_range = "reject"
"#;

const FEATURES: &str = r#"
    [[features]]
    number = "amount"
    forms = ["identity", "log"]
    buckets = [10, 50]
    [[features]]
    number = "size"
    [[features]]
    category = "card"
    [[features]]
    category = ["card", "shop"]
    [[features]]
    calendar = ["hour", "day_cycle"]
    [[features]]
    window = "card"
    widths = ["50ms", "300ms"]
    aggregates = ["count", "sum(amount)", "std(amount)", "max(size)", "distinct(shop)"]
    [[features]]
    window = "card"
    widths = ["200ms"]
    include_current = false
    aggregates = ["min(amount)", "last(amount)", "ratio(amount)", "rate", "since_previous"]
    [[features]]
    window = ["card", "shop"]
    widths = ["150ms"]
    delay = "30ms"
    aggregates = ["count", "mean(plain)"]
    [[features]]
    window = "shop"
    widths = ["100ms", "400ms"]
    tiles = 10
    aggregates = ["count", "mean(amount)", "std(size)", "min(size)", "last(amount)", "rate"]
    [[features]]
    window = "shop"
    over = "labels"
    widths = ["400ms"]
    aggregates = ["count", "mean", "max"]
    [[features]]
    window = "card"
    over = "labels"
    widths = ["90ms", "200ms"]
    delay = "20ms"
    aggregates = ["mean", "std", "since_previous"]
"#;

impl World {
    /// Tasks and optimisers go through all pairs in 12 rounds; the rest is drawn.
    pub fn new(random: &mut Random, round: u64) -> World {
        let mut pick =
            |choices: &[&str]| choices[random.below(choices.len() as u64) as usize].to_owned();
        let optimizer = ["auto", "ftrl", "adagrad", "sgd"][round as usize % 4];
        let (classes, task, metrics) = match round / 4 % 3 {
            0 => (2, "task = 'binary'", BINARY),
            1 => (
                3,
                "task = 'multiclass', classes = ['0', '1', '2']",
                "'accuracy', 'kappa', 'log_loss', 'no_change_accuracy', 'kappa_temporal'",
            ),
            _ => (2, "task = 'regression'", "'mae', 'rmse', 'r2', 'mean_score', 'mean_label'"),
        };
        let is_recorded = round % 6 == 5;
        let labels = match is_recorded {
            true => "field = 'truth', delay = '60ms', horizon = '200ms'".to_owned(),
            false => format!(
                "topic = 'labels', id = 'id', field = 'truth', time = 't', horizon = '150ms', \
                 orphan_wait = '40ms', correct_within = '100ms', unlabelled = '{}'",
                pick(&["drop", "negative", "negative"])
            ),
        };
        let text = format!(
            "event = {{ id = 'id', time = 't', lateness = '40ms', ahead_max = '2s', \
             duplicates_within = '{}' }}\nlabels = {{ {labels}, pending_max = {} }}\n\
             transform = {{ hash_bits = 10, keys_max = {}, bytes_max = {}, standardize = {} }}\n\
             guard = {{ action = '{}', window_labels = 40, warm_up_windows = 2, \
             cool_down_labels = 30, deviations = 2, loss_rise = 0.1, label_shift = 0.5 }}\n\
             dead_letters.topic = 'dead'\n\
             model = {{ {task}, kind = 'linear', optimizer = '{optimizer}', fold = {} }}\n\
             learn.step_rows = {}\n\
             evaluate = {{ metrics = [{metrics}], group = 'card', k = 2, trailing_rows = {} }}\n\
             {FIELDS}{FEATURES}",
            pick(&["0ms", "100ms"]),
            pick(&["1000", "25"]),
            pick(&["1000", "3"]),
            pick(&["65536", "1000000"]),
            pick(&["true", "false"]),
            pick(&["pause", "pause", "warn", "off"]),
            pick(&["true", "false"]),
            pick(&["1", "100"]),
            pick(&["7", "500"]),
        );
        World { text, classes, is_regression: round / 4 % 3 == 2, is_recorded }
    }

    /// The configuration as the engine reads it.
    pub fn config(&self) -> Config {
        Config::parse(&self.text).unwrap_or_else(|problems| panic!("{problems}\n{}", self.text))
    }

    /// A stream of so many events.
    pub fn records(&self, random: &mut Random, events: u64) -> Vec<Record> {
        let mut records = Vec::new();
        let mut due: Vec<(i64, String)> = Vec::new();
        // A second before midnight, so that a day of the grouped measure ends.
        let mut now_ms = 1_600_041_599_000;
        for index in 0..events {
            // Once in a while the stream rests, so that everything falls due; some clocks are off.
            now_ms += if random.per_mille(4) { 700 } else { random.below(4) as i64 };
            due.sort_by_key(|(at_ms, _)| *at_ms);
            while due.first().is_some_and(|(at_ms, _)| *at_ms <= now_ms) {
                records.push(Record::Label(due.remove(0).1));
            }
            let id =
                if random.per_mille(30) { index.saturating_sub(random.below(40)) } else { index };
            let off_ms = match random.below(50) {
                0 => 5_000,
                1 => -200,
                2..8 => -(random.below(40) as i64),
                _ => 0,
            };
            records.push(Record::Event(self.event(random, id, now_ms + off_ms)));
            if self.is_recorded || random.per_mille(250) {
                continue;
            }
            let mut after_ms = random.below(280) as i64 - 15;
            for _ in 0..=random.below(8) / 6 {
                let (at_ms, truth) = (now_ms + after_ms, self.truth(random));
                let label = format!(r#"{{"id":{id},"t":{at_ms},"truth":{truth}}}"#);
                match at_ms <= now_ms {
                    // Before its event: both have the same time and change places.
                    true => records.insert(records.len() - 1, Record::Label(label)),
                    false => due.push((at_ms, label)),
                }
                after_ms += random.below(60) as i64;
            }
            if random.per_mille(10) {
                let label = format!(r#"{{"id":{},"t":{now_ms},"truth":0}}"#, id + 1_000_000);
                records.push(Record::Label(label));
            }
        }
        records
    }

    fn event(&self, random: &mut Random, id: u64, time_ms: i64) -> String {
        let number = |random: &mut Random| match random.below(40) {
            0 => "null".to_owned(),
            1 => format!("{}", random.below(100_000)),
            _ => format!("{}", random.below(40_000) as f64 / 1000.0 - 5.0),
        };
        let (amount, size) = (number(random), number(random));
        let plain = random.below(100) as f64 / 10.5;
        let (card, shop) = (random.below(9), random.below(5) + random.below(5));
        let truth = match self.is_recorded && !random.per_mille(100) {
            true => format!(r#","truth":{}"#, self.truth(random)),
            false => String::new(),
        };
        let numbers = format!(r#""amount":{amount},"size":{size},"plain":{plain}"#);
        format!(r#"{{"id":{id},"t":{time_ms},{numbers},"card":{card},"shop":"s{shop}"{truth}}}"#)
    }

    fn truth(&self, random: &mut Random) -> String {
        match self.is_regression {
            true => format!("{}", random.below(1000) as f64 / 7.0),
            false => format!("{}", random.below(self.classes)),
        }
    }
}

const BINARY: &str = "'auc', 'average_precision', 'log_loss', 'brier', 'accuracy', 'kappa', \
                      'no_change_accuracy', 'kappa_temporal', 'calibration_error', 'ece', \
                      'mean_score', 'mean_label', 'grouped_precision_at_k'";
