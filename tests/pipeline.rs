//! The promises of the whole path: features equal brute force over the history to the last bit,
//! and no cut of the stream into batches changes a feature, a score, the model or a metric.

use pelton::config::Config;
use pelton::device::Device;
use pelton::features::Way;
use pelton::pipeline::Pipeline;
use pelton::ring::Slot;
use pelton::schema::{Scalar, identity};

use crate::state::memory::pieces_of;
use crate::support::{Feed, Random, Record, Trace, trace};

const CONFIG: &str = r#"
    event = { id = "id", time = "t", lateness = "40ms" }
    fields.amount = { type = "number", missing = 0 }
    fields.card = { type = "category" }
    fields.shop = { type = "category" }
    labels = { topic = "labels", id = "id", field = "fraud", time = "t" }
    transform = { standardize = false }

    [[features]]
    number = "amount"
    forms = ["identity", "log"]
    buckets = [10, 50]
    [[features]]
    category = ["card", "shop"]
    [[features]]
    window = "card"
    widths = ["50ms", "300ms"]
    aggregates = ["count", "sum(amount)", "mean(amount)", "max(amount)", "distinct(shop)"]
    [[features]]
    window = "card"
    widths = ["200ms"]
    include_current = false
    aggregates = ["count", "min(amount)", "last(amount)", "since_previous", "ratio(amount)"]
    [[features]]
    window = ["card", "shop"]
    widths = ["500ms"]
    delay = "30ms"
    aggregates = ["count", "rate"]
    [[features]]
    window = "shop"
    over = "labels"
    widths = ["400ms"]
    aggregates = ["count", "mean"]
"#;

#[derive(Clone, Copy)]
struct Payment {
    id: u64,
    time_ms: i64,
    amount: f32,
    card: u64,
    shop: u64,
}

/// A label in the stream: `(id, time it became known, truth)`.
type Truth = (u64, i64, bool);

enum Step {
    Payment(Payment),
    Truth(Truth),
}

/// Ties in time, late payments within the lateness, labels after a while or never.
fn stream(seed: u64, payments: u64) -> Vec<Step> {
    let mut random = Random::new(seed);
    let mut steps = Vec::new();
    let mut due: Vec<Truth> = Vec::new();
    let mut now_ms = 1_000_000;
    for id in 0..payments {
        now_ms += random.below(4) as i64;
        due.sort_by_key(|truth| truth.1);
        while due.first().is_some_and(|truth| truth.1 <= now_ms) {
            steps.push(Step::Truth(due.remove(0)));
        }
        let late_ms = if random.per_mille(100) { random.below(40) as i64 } else { 0 };
        let amount = random.below(100_000) as f32 / 1000.0;
        let time_ms = now_ms - late_ms;
        let (card, shop) = (random.below(6), random.below(4));
        steps.push(Step::Payment(Payment { id, time_ms, amount, card, shop }));
        if !random.per_mille(150) {
            due.push((id, now_ms + random.below(120) as i64, random.per_mille(300)));
        }
    }
    // Labels that come when no event follows make a batch without rows.
    steps.extend(due.into_iter().map(Step::Truth));
    steps
}

fn records(steps: &[Step]) -> Vec<Record> {
    let record = |step: &Step| match step {
        Step::Payment(p) => Record::Event(format!(
            r#"{{"id":{},"t":{},"amount":{},"card":{},"shop":"s{}"}}"#,
            p.id, p.time_ms, p.amount, p.card, p.shop
        )),
        Step::Truth((id, time_ms, fraud)) => {
            Record::Label(format!(r#"{{"id":{id},"t":{time_ms},"fraud":{fraud}}}"#))
        }
    };
    steps.iter().map(record).collect()
}

/// The features of a payment, told over the whole history before it in plain f64.
fn brute_force(payment: &Payment, before: &[Payment], truths: &[(Truth, u64)]) -> Vec<f32> {
    let within = |time_ms: i64, width_ms: i64, delay_ms: i64| {
        let end_ms = payment.time_ms - delay_ms;
        time_ms > end_ms - width_ms && time_ms <= end_ms
    };
    let in_order = |mut list: Vec<Payment>| {
        list.sort_by_key(|p| p.time_ms);
        list
    };
    let log = pelton_kernels::math::ln_1p_f32(payment.amount);
    let mut out = vec![payment.amount, log];
    for width_ms in [50, 300] {
        let mut list: Vec<Payment> = before.to_vec();
        list.push(*payment);
        list.retain(|p| p.card == payment.card && within(p.time_ms, width_ms, 0));
        let amounts = || list.iter().map(|p| f64::from(p.amount));
        let shops: std::collections::BTreeSet<u64> = list.iter().map(|p| p.shop).collect();
        let count = list.len() as f64;
        out.push(count as f32);
        out.push(amounts().sum::<f64>() as f32);
        out.push((amounts().sum::<f64>() / count) as f32);
        out.push(amounts().fold(0.0, f64::max) as f32);
        out.push(shops.len() as f32);
    }
    let own = |p: &&Payment| p.card == payment.card && within(p.time_ms, 200, 0);
    let list = in_order(before.iter().filter(own).copied().collect());
    let amounts = || list.iter().map(|p| f64::from(p.amount));
    let mean = amounts().sum::<f64>() / list.len().max(1) as f64;
    out.push(list.len() as f32);
    out.push(if list.is_empty() { 0.0 } else { amounts().fold(f64::MAX, f64::min) as f32 });
    out.push(list.last().map_or(0.0, |p| p.amount));
    let since_ms = list.last().map_or(200, |p| payment.time_ms - p.time_ms);
    out.push((since_ms as f64 / 1000.0) as f32);
    out.push(if mean == 0.0 { 0.0 } else { (f64::from(payment.amount) / mean) as f32 });
    let both = |p: &&Payment| {
        (p.card, p.shop) == (payment.card, payment.shop) && within(p.time_ms, 500, 30)
    };
    let count = before.iter().filter(both).count() as f64;
    out.push(count as f32);
    out.push((count / 0.5) as f32);
    let known = |(truth, shop): &&(Truth, u64)| *shop == payment.shop && within(truth.1, 400, 0);
    let labels: Vec<bool> = truths.iter().filter(known).map(|(truth, _)| truth.2).collect();
    let frauds = labels.iter().filter(|&&fraud| fraud).count() as f64;
    out.push(labels.len() as f32);
    out.push(if labels.is_empty() { 0.0 } else { (frauds / labels.len() as f64) as f32 });
    out
}

#[test]
fn features_equal_brute_force_to_the_last_bit() {
    let config = Config::parse(CONFIG).expect("a valid configuration");
    let steps = stream(11, 3000);
    let found = trace(&config, &records(&steps), 64);
    let (mut before, mut truths) = (Vec::new(), Vec::new());
    for step in &steps {
        match step {
            Step::Truth(truth) => {
                let of = |p: &&Payment| p.id == truth.0;
                let shop = before.iter().find(of).expect("truths follow payments").shop;
                truths.push((*truth, shop));
            }
            Step::Payment(payment) => {
                let expected = brute_force(payment, &before, &truths);
                let id = identity(Scalar::Int(payment.id as i64)).expect("an id");
                let given: Vec<f32> = found.dense[&id].iter().map(|b| f32::from_bits(*b)).collect();
                assert_eq!(given, expected, "payment {}", payment.id);
                before.push(*payment);
            }
        }
    }
    assert_eq!(found.dense.len(), 3000, "{:?}", found.rejects);
}

#[test]
fn no_cut_changes_a_bit() {
    for step_rows in [1, 100] {
        let text = CONFIG.replace("standardize = false", "standardize = true");
        let text = format!("learn.step_rows = {step_rows}\n{text}");
        let config = Config::parse(&text).expect("a valid configuration");
        let records = records(&stream(12, 2000));
        let whole = trace(&config, &records, 4096);
        for cut in [1, 7, 256] {
            let other: Trace = trace(&config, &records, cut);
            assert!(
                other == whole,
                "cut {cut}, step {step_rows}: {:?} {:?}",
                other.metrics,
                whole.metrics
            );
        }
    }
}

#[test]
fn a_larger_step_is_another_model() {
    let at = |step_rows: u64| {
        let config = Config::parse(&format!("learn.step_rows = {step_rows}\n{CONFIG}"));
        trace(&config.expect("a valid configuration"), &records(&stream(13, 500)), 64)
    };
    assert_ne!(at(1).score_digest, at(100).score_digest);
}

/// Tables, queues and lists grow to the size that the stream needs; apart from that a batch asks
/// for no memory, wherever it is computed.
#[test]
fn no_batch_asks_for_memory() {
    let records = crate::guard::records(7, 20_000, 0..0);
    for (device, step_rows, way) in devices() {
        let text = format!(
            "model = {{ kind = 'linear', optimizer = 'ftrl' }}\nlearn.step_rows = {step_rows}\n
             event = {{ id = 'id', time = 't', duplicates_within = '1s' }}
             labels = {{ topic = 'l', id = 'id', field = 'y', time = 't', horizon = '40s' }}
             fields.x = {{ type = 'number', missing = 'mean' }}
             fields.shop = {{ type = 'category' }}
             features = [
                 {{ number = 'x' }}, {{ category = 'shop' }},
                 {{ calendar = ['hour', 'day_cycle'] }},
                 {{ window = 'shop', widths = ['2s'], aggregates = ['count', 'mean(x)'] }},
             ]
             evaluate.trailing_rows = 100
             guard = {{ action = 'off' }}"
        );
        let config = Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let mut pipeline = Pipeline::on(&config, &device).expect("a possible configuration");
        way.into_iter().for_each(|way| pipeline.go(way));
        let mut slot = Slot::on(&device, &config.event.schema, 64).expect("room");
        let mut feed = Feed::new(&config, &records);
        let mut pieces = Vec::new();
        while feed.next_batch(&mut slot) {
            let step = || pipeline.step(&mut slot).expect("data never ends a run");
            pieces.push(pieces_of(step));
        }
        let late = &pieces[pieces.len() / 2..];
        let without = late.iter().filter(|pieces| **pieces == 0).count();
        assert!(without * 5 >= late.len() * 4, "{device}, {way:?}, steps of {step_rows}: {late:?}");
    }
}

/// The CPU, and a device by either way of a batch, where there is one to play it.
fn devices() -> Vec<(Device, u32, Option<Way>)> {
    let mut devices = vec![(Device::Cpu, 1, None), (Device::Cpu, 50, None)];
    #[cfg(feature = "double")]
    devices.extend([Way::Wide, Way::Recorded].map(|way| {
        let double = pelton_kernels::device::double::Double::open(0);
        (Device::Gpu(double), 50, Some(way))
    }));
    devices
}
