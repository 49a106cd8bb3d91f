//! What a run has done, as JSON and as a few readable lines.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use pelton::error::Error;
use pelton::learn::Learner;
use pelton::learn::drift::alerts::Alert;
use pelton::learn::drift::{Drift, Standing};
use pelton::ring::Reason;
use pelton::run::Outcome;
use pelton_models::MemberStatus;
use pelton_models::contest::{Contest, Standing as Entrant};
use pelton_models::evaluate::{Evaluator, Metric, ReliabilityBin};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::write_whole;

/// The report of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Event records read, by the runs before a restart too.
    pub events: u64,
    /// Events scored.
    pub scored: u64,
    /// Labels that met their event.
    pub labels: u64,
    /// Records that could not be used.
    pub dead_letters: u64,
    /// The same by reason, those that occurred.
    pub dead_letters_by_reason: Map<String, Value>,
    /// Events left out by the filter.
    pub filtered: u64,
    /// From start to end.
    pub wall_seconds: f64,
    /// CPU time of the process, all threads.
    pub cpu_seconds: f64,
    /// Events of this run by wall clock.
    pub events_per_second: f64,
    /// Largest resident memory of the process, bytes; absent where the system does not say.
    pub peak_memory_bytes: Option<u64>,
    /// What computed.
    pub device: String,
    /// Digest of the model's state at the end.
    pub model_digest: String,
    /// Digest of every id and score in stream order.
    pub score_digest: String,
    /// From a record's arrival in the process to its score handed over.
    pub latency_ms: Latency,
    /// Prequential metrics within the bounds of [evaluate]; `models` holds them per model.
    pub metrics: Map<String, Value>,
    /// The members of a mixture: weights now, mean losses, and what the mixture lost more than the
    /// best of them; absent for other models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Value>,
    /// Champion and challengers: mean losses, evidence against the champion (natural logarithm) and
    /// how much is needed; absent without challengers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contest: Option<Value>,
    /// Alerts of drift, the newest, and how features stand; absent when nothing is watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<Value>,
    /// Where `ece` is asked for: its bins, lowest scores first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reliability: Vec<Reliability>,
    /// Where each partition has a state of its own: those served, as they were left.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub partitions: BTreeMap<i32, Report>,
}

/// Equally many rows of neighbouring scores.
#[derive(Debug, Serialize)]
pub struct Reliability {
    /// Rows of the bin.
    rows: u64,
    /// Mean of what was predicted.
    mean_score: f64,
    /// Share that came true.
    observed: f64,
}

impl Reliability {
    fn of(evaluator: &Evaluator) -> Vec<Reliability> {
        if !evaluator.spec().metrics.contains(&Metric::Ece) {
            return Vec::new();
        }
        let bin = |bin: ReliabilityBin| {
            let ReliabilityBin { rows, mean_score, observed } = bin;
            Reliability { rows, mean_score, observed }
        };
        evaluator.reliability().into_iter().map(bin).collect()
    }
}

/// Quantiles of a latency.
#[derive(Debug, Serialize)]
pub struct Latency {
    p50: f64,
    p99: f64,
    p999: f64,
}

fn members_of(learner: &Learner) -> Option<Value> {
    let (members, regret) = learner.members();
    let of =
        |own: &MemberStatus| (own.name.to_owned(), json!({"weight": own.weight, "loss": own.loss}));
    let own: Map<String, Value> = members.iter().map(of).collect();
    (!own.is_empty())
        .then(|| json!({"regret": regret, "renewals": learner.renewals(), "models": own}))
}

fn contest_of(contest: &Contest) -> Value {
    let standings = contest.standings();
    let champion = standings.iter().find(|own| own.is_champion).map(|own| own.name.clone());
    let of =
        |own: &Entrant| (own.name.clone(), json!({"loss": own.loss, "evidence": own.evidence}));
    let own: Map<String, Value> = standings.iter().map(of).collect();
    json!({
        "champion": champion,
        "promotions": contest.promotions(),
        "evidence_needed": contest.evidence_needed(),
        "models": own,
    })
}

impl Latency {
    fn of(latency_ns: &Histogram<u64>) -> Latency {
        let quantile = |q: f64| latency_ns.value_at_quantile(q) as f64 / 1e6;
        Latency { p50: quantile(0.5), p99: quantile(0.99), p999: quantile(0.999) }
    }
}

impl Report {
    /// The report of this run.
    pub fn new(outcome: &Outcome) -> Result<Report, Error> {
        let learner = outcome.pipeline.learner();
        let totals = &outcome.totals;
        let reasons = Reason::ALL.iter().zip(totals.dead_letters).filter(|(_, n)| *n > 0);
        let mut metrics = Map::new();
        for (name, value) in learner.evaluator().report() {
            // A metric that is not defined (one class only, say) is null in JSON.
            metrics.insert(name.to_owned(), Value::from(value));
        }
        let mut models =
            Map::from_iter([(learner.model_name().to_owned(), Value::from(metrics.clone()))]);
        if let Some(contest) = learner.contest() {
            models = Map::from_iter([("served".to_owned(), Value::from(metrics.clone()))]);
            for (own, judge) in contest.standings().iter().zip(learner.judges().entrants()) {
                let measures = judge.report().into_iter();
                let measures = measures.map(|(name, value)| (name.to_owned(), Value::from(value)));
                models.insert(own.name.clone(), Value::from(Map::from_iter(measures)));
            }
        }
        metrics.insert("models".to_owned(), Value::from(models));
        Ok(Report {
            events: totals.consumed,
            scored: totals.scored,
            labels: outcome.pipeline.join().counts().joined,
            dead_letters: totals.dead_letters_total(),
            dead_letters_by_reason: reasons
                .map(|(reason, count)| (reason.name().to_owned(), Value::from(count)))
                .collect(),
            filtered: totals.filtered,
            wall_seconds: outcome.wall.as_secs_f64(),
            cpu_seconds: cpu_time().as_secs_f64(),
            events_per_second: (totals.consumed - outcome.consumed_before) as f64
                / outcome.wall.as_secs_f64().max(1e-9),
            peak_memory_bytes: peak_memory_bytes(),
            device: outcome.pipeline.device().to_string(),
            model_digest: learner.model_digest()?,
            score_digest: learner.score_digest(),
            latency_ms: Latency::of(&outcome.latency_ns),
            metrics,
            members: members_of(learner),
            contest: learner.contest().map(contest_of),
            drift: learner.drift().is_on().then(|| drift_of(learner.drift())),
            reliability: Reliability::of(learner.evaluator()),
            partitions: BTreeMap::new(),
        })
    }

    /// Prints the readable lines and writes the JSON if asked.
    pub fn finish(&self, path: Option<&PathBuf>) -> Result<(), Error> {
        self.print();
        if let Some(path) = path {
            let text = serde_json::to_string_pretty(self).expect("a report is plain data");
            write_whole(path, &(text + "\n"))?;
            println!("report        {}", path.display());
        }
        Ok(())
    }

    fn print(&self) {
        println!(
            "events        {} ({} scored, {} filtered)",
            self.events, self.scored, self.filtered
        );
        println!("labels        {}", self.labels);
        println!("dead letters  {}", self.dead_letters);
        for (reason, count) in &self.dead_letters_by_reason {
            println!("  {reason:<12}{count}");
        }
        println!(
            "time          {:.2} s, {:.2} s of CPU, {:.0} events/s, {:.0} events per CPU-second",
            self.wall_seconds,
            self.cpu_seconds,
            self.events_per_second,
            self.events as f64 / self.cpu_seconds.max(1e-9),
        );
        if let Some(bytes) = self.peak_memory_bytes {
            println!("memory        {:.0} MiB at most", bytes as f64 / f64::from(1 << 20));
        }
        let Latency { p50, p99, p999 } = self.latency_ms;
        println!("latency       p50 {p50:.3} ms, p99 {p99:.3} ms, p99.9 {p999:.3} ms");
        for (name, value) in self.metrics.iter().filter(|(_, value)| !value.is_object()) {
            match value.as_f64() {
                Some(value) => println!("  {name:<24}{value:.4}"),
                None => println!("  {name:<24}not defined"),
            }
        }
        if let Some(alerts) = self.drift.as_ref().and_then(|drift| drift["alerts_total"].as_u64()) {
            println!("drift         {alerts} alerts");
        }
        for (partition, report) in &self.partitions {
            println!(
                "partition {partition:<4}{} events, model {}",
                report.events, report.model_digest
            );
        }
        println!("scores        {}", self.score_digest);
        println!("model         {}", self.model_digest);
    }
}

/// What has drifted, newest last, and how features and score stand against their references.
fn drift_of(drift: &Drift) -> Value {
    let alert = |alert: &Alert| {
        let mut fields = Map::new();
        fields.insert("detector".to_owned(), Value::from(alert.detector.name()));
        fields.insert("what".to_owned(), Value::from(drift.what(alert)));
        fields.insert("time".to_owned(), Value::from(alert.time()));
        fields.insert("scored".to_owned(), Value::from(alert.scored));
        for (name, figure) in alert.figure_names().into_iter().zip(alert.figures) {
            fields.insert(name.to_owned(), Value::from(figure));
        }
        Value::from(fields)
    };
    let alerts: Vec<Value> = drift.alerts().kept().map(alert).collect();
    let figures = |figure: fn(&Standing<'_>) -> f64| {
        let named = |standing: Standing<'_>| (standing.name.to_owned(), figure(&standing).into());
        Value::from(drift.standings().map(named).collect::<Map<String, Value>>())
    };
    Value::from(Map::from_iter([
        ("alerts_total".to_owned(), Value::from(drift.alerts().total())),
        ("suppressed".to_owned(), Value::from(drift.alerts().suppressed())),
        ("alerts".to_owned(), Value::from(alerts)),
        ("psi".to_owned(), figures(|standing| standing.psi)),
        ("ks".to_owned(), figures(|standing| standing.distance)),
    ]))
}

/// The report of a run whose partitions have states of their own: sums over those it served, each
/// as it was left last, and digests over their digests. Metrics of two models have no sum; they are
/// under `partitions`.
pub struct ShardsReport {
    started: Instant,
    /// Events of this run.
    events: u64,
    latency_ns: Option<Histogram<u64>>,
    partitions: BTreeMap<i32, Report>,
}

impl ShardsReport {
    /// The run begins.
    pub fn start() -> ShardsReport {
        let (started, partitions) = (Instant::now(), BTreeMap::new());
        ShardsReport { started, events: 0, latency_ns: None, partitions }
    }

    /// A partition has been left.
    pub fn add(&mut self, partition: i32, outcome: &Outcome) -> Result<(), Error> {
        self.events += outcome.totals.consumed - outcome.consumed_before;
        match &mut self.latency_ns {
            Some(all) => all.add(&outcome.latency_ns).expect("histograms of the same bounds"),
            None => self.latency_ns = Some(outcome.latency_ns.clone()),
        }
        self.partitions.insert(partition, Report::new(outcome)?);
        Ok(())
    }

    /// The whole.
    pub fn finish(self) -> Report {
        let wall_seconds = self.started.elapsed().as_secs_f64();
        let all = || self.partitions.values();
        let sum = |count: fn(&Report) -> u64| all().map(count).sum();
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        for (reason, count) in all().flat_map(|report| &report.dead_letters_by_reason) {
            *reasons.entry(reason).or_default() += count.as_u64().unwrap_or(0);
        }
        let reason = |(reason, count): (&str, u64)| (reason.to_owned(), Value::from(count));
        let latency_ns = self.latency_ns.as_ref();
        let nothing = Latency { p50: 0.0, p99: 0.0, p999: 0.0 };
        Report {
            events: sum(|report| report.events),
            scored: sum(|report| report.scored),
            labels: sum(|report| report.labels),
            dead_letters: sum(|report| report.dead_letters),
            dead_letters_by_reason: reasons.into_iter().map(reason).collect(),
            filtered: sum(|report| report.filtered),
            wall_seconds,
            cpu_seconds: cpu_time().as_secs_f64(),
            events_per_second: self.events as f64 / wall_seconds.max(1e-9),
            peak_memory_bytes: peak_memory_bytes(),
            device: all().last().map_or_else(|| "cpu".to_owned(), |last| last.device.clone()),
            model_digest: self.digest(|report| &report.model_digest),
            score_digest: self.digest(|report| &report.score_digest),
            latency_ms: latency_ns.map_or(nothing, Latency::of),
            metrics: Map::new(),
            members: None,
            contest: None,
            drift: None,
            reliability: Vec::new(),
            partitions: self.partitions,
        }
    }

    fn digest(&self, of: fn(&Report) -> &str) -> String {
        let mut all = blake3::Hasher::new();
        for (partition, report) in &self.partitions {
            all.update(format!("{partition} {}\n", of(report)).as_bytes());
        }
        all.finalize().to_hex().to_string()
    }
}

/// CPU time of the process so far.
pub fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
