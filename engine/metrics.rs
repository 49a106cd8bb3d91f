//! Every metric the program shows, by name and unit, and the clocks behind the histograms.
//!
//! Stages count in plain fields of their own; [`Published`] carries those to the metrics page once
//! a second, so that counting costs nothing on the way of an event.

mod models;

use std::io::{self, Read, Write};
use std::time::Instant;

use metrics::{Counter, Gauge, Histogram, Label, SharedString, counter, describe_counter};
use metrics::{describe_gauge, describe_histogram, gauge, histogram};
use pelton_kernels::state::{StateReader, StateWriter};

use crate::learn::guard::figures::Measure;
use crate::pipeline::Pipeline;
use crate::ring::{Reason, Ring, Slot};

/// A stage whose time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Rows are screened and repaired.
    Clean,
    /// Labels find their events.
    Join,
    /// Features are made.
    Features,
    /// Rows are scored, labels learned.
    Learn,
}

impl Stage {
    const ALL: [Stage; 4] = [Stage::Clean, Stage::Join, Stage::Features, Stage::Learn];

    fn name(self) -> &'static str {
        match self {
            Stage::Clean => "clean",
            Stage::Join => "join",
            Stage::Features => "features",
            Stage::Learn => "learn",
        }
    }
}

/// Times the stages of a batch into histograms.
pub struct StageClock {
    last: Instant,
    stages: [Histogram; 4],
}

impl Default for StageClock {
    fn default() -> StageClock {
        let of = |stage: Stage| histogram!("pelton_stage_seconds", "stage" => stage.name());
        StageClock { last: Instant::now(), stages: Stage::ALL.map(of) }
    }
}

impl StageClock {
    /// A batch begins.
    pub fn start(&mut self) {
        self.last = Instant::now();
    }

    /// The stage has ended; the next one begins.
    pub fn lap(&mut self, stage: Stage) {
        let now = Instant::now();
        self.stages[stage as usize].record(now.duration_since(self.last).as_secs_f64());
        self.last = now;
    }
}

/// What the batches of a run add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Event records read.
    pub consumed: u64,
    /// Events scored.
    pub scored: u64,
    /// Events left out by the filter.
    pub filtered: u64,
    /// Label records read.
    pub label_records: u64,
    /// Records dead-lettered, by reason, in the order of [`Reason::ALL`].
    pub dead_letters: [u64; Reason::ALL.len()],
    /// Of these, label records.
    pub dead_label_records: u64,
}

impl Totals {
    /// Adds a batch that has been through the stages.
    pub fn add(&mut self, slot: &Slot) {
        self.consumed += slot.consumed;
        self.scored += slot.rows as u64;
        self.filtered += slot.filtered;
        self.label_records += slot.labels.len() as u64;
        self.dead_letters[Reason::Quarantined as usize] += slot.quarantined.len() as u64;
        self.dead_label_records += slot.quarantined.len() as u64;
        for reject in &slot.rejects {
            self.dead_letters[reject.reason as usize] += 1;
            self.dead_label_records += u64::from(reject.is_label);
        }
    }

    /// Writes them.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        let Totals { consumed, scored, filtered, label_records, .. } = *self;
        let state = &mut StateWriter::new(out);
        state.slice(&[consumed, scored, filtered, label_records, self.dead_label_records])?;
        state.list(&self.dead_letters)
    }

    /// Reads what [`Totals::write_state`] wrote.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` when there were other reasons.
    pub fn read_state(from: &mut dyn Read) -> io::Result<Totals> {
        let state = &mut StateReader::new(from);
        let [consumed, scored, filtered, label_records, dead_label_records] = state.get()?;
        let mut dead_letters = [0; Reason::ALL.len()];
        state.expect(&[dead_letters.len() as u64], "dead letters had other reasons")?;
        state.fill(&mut dead_letters)?;
        Ok(Totals { consumed, scored, filtered, label_records, dead_letters, dead_label_records })
    }

    /// All dead letters.
    #[must_use]
    pub fn dead_letters_total(&self) -> u64 {
        self.dead_letters.iter().sum()
    }

    /// Whether every event record read has been accounted for.
    #[must_use]
    pub fn balances(&self) -> bool {
        let dead_events = self.dead_letters_total() - self.dead_label_records;
        self.consumed == self.scored + self.filtered + dead_events
    }
}

/// The metrics page's counters and gauges of one pipeline.
pub struct Published {
    /// `partition`, when the pipeline is a partition's.
    of: Vec<Label>,
    consumed: Counter,
    scored: Counter,
    filtered: Counter,
    dead_letters: [Counter; Reason::ALL.len()],
    slots_free: Gauge,
}

impl Published {
    /// Those of a partition's pipeline, or of the only one.
    #[must_use]
    pub fn of(partition: Option<i32>) -> Published {
        describe();
        let of: Vec<Label> =
            partition.iter().map(|p| Label::new("partition", p.to_string())).collect();
        let dead_letters = Reason::ALL.map(|reason| {
            counter!("pelton_dead_letters_total", with(&of, "reason", reason.name()))
        });
        Published {
            consumed: counter!("pelton_events_consumed_total", of.clone()),
            scored: counter!("pelton_events_scored_total", of.clone()),
            filtered: counter!("pelton_events_filtered_total", of.clone()),
            dead_letters,
            slots_free: gauge!("pelton_slots_free", of.clone()),
            of,
        }
    }

    /// Shows the state of the run.
    pub fn show(&self, totals: &Totals, pipeline: &Pipeline, ring: &Ring) {
        self.consumed.absolute(totals.consumed);
        self.scored.absolute(totals.scored);
        self.filtered.absolute(totals.filtered);
        for (counter, &count) in self.dead_letters.iter().zip(&totals.dead_letters) {
            counter.absolute(count);
        }
        self.slots_free.set(ring.free_count() as f64);
        for Shown { gauge, value, .. } in gauges(&self.of, pipeline) {
            gauge.set(value);
        }
        show_labels(&self.of, pipeline);
        show_cleaning(&self.of, pipeline);
        show_windows(&self.of, pipeline);
        show_guard(&self.of, pipeline);
        models::show_counts(&self.of, pipeline);
    }

    /// The pipeline is not here any more: another instance may have it. A gauge cannot be taken
    /// back, so that amounts are zero from now on, and measures no number.
    pub fn hand_back(&self, pipeline: &Pipeline) {
        self.slots_free.set(0.0);
        for Shown { gauge, when_gone, .. } in gauges(&self.of, pipeline) {
            gauge.set(when_gone);
        }
    }
}

/// A gauge of a pipeline.
struct Shown {
    gauge: Gauge,
    value: f64,
    when_gone: f64,
}

fn gauges(of: &[Label], pipeline: &Pipeline) -> Vec<Shown> {
    let amount = |gauge, amount: usize| Shown { gauge, value: amount as f64, when_gone: 0.0 };
    let measure = |gauge, value: f64| Shown { gauge, value, when_gone: f64::NAN };
    let (of_all, join) = (|| of.to_vec(), pipeline.join());
    let is_tripped = pipeline.learner().guard().is_tripped();
    let mut shown = vec![
        amount(gauge!("pelton_pending_events", of_all()), join.pending().len()),
        amount(gauge!("pelton_pending_bytes", of_all()), join.pending().byte_count()),
        measure(gauge!("pelton_label_delay_seconds", of_all()), join.label_delay_ms() / 1000.0),
        measure(gauge!("pelton_watermark_seconds", of_all()), join.watermark_ms() as f64 / 1000.0),
        // 0 while all is well, 1 once the guard has tripped.
        amount(gauge!("pelton_guard_state", of_all()), usize::from(is_tripped)),
    ];
    for table in pipeline.features().window_gauges() {
        let key = || with(of, "key", table.name.to_owned());
        shown.push(amount(gauge!("pelton_window_keys", key()), table.keys));
        shown.push(amount(gauge!("pelton_window_bytes", key()), table.bytes));
        shown.push(amount(gauge!("pelton_window_cold_keys", key()), table.cold.keys));
    }
    shown.extend(models::gauges(of, pipeline.learner()));
    // The trailing metrics, named as in the report.
    for (name, value) in pipeline.learner().evaluator().trailing() {
        shown.push(measure(gauge!("pelton_model_trailing", with(of, "metric", name)), value));
    }
    shown
}

fn with(of: &[Label], name: &'static str, value: impl Into<SharedString>) -> Vec<Label> {
    let mut labels = of.to_vec();
    labels.push(Label::new(name, value));
    labels
}

fn show_labels(of: &[Label], pipeline: &Pipeline) {
    let counts = pipeline.join().counts();
    let fates = [
        ("joined", counts.joined),
        ("duplicate", counts.duplicates),
        ("contradiction", counts.contradictions),
        ("orphan", counts.orphans),
        ("orphan_expired", counts.orphans_expired),
        ("unlabelled", counts.unlabelled),
        ("assumed", counts.assumed),
        ("confirmed", counts.confirmed),
        ("corrected", counts.corrected),
        ("evicted", counts.evicted),
        ("quarantined", counts.quarantined),
        ("returned", counts.returned),
    ];
    for (fate, count) in fates {
        counter!("pelton_labels_total", with(of, "fate", fate)).absolute(count);
    }
    let learned = pipeline.learner().counts();
    let of = || of.to_vec();
    counter!("pelton_labels_learned_total", of()).absolute(learned.learned);
    counter!("pelton_labels_unlearned_total", of()).absolute(learned.unlearned);
    counter!("pelton_labels_refused_total", of()).absolute(learned.refused);
    counter!("pelton_scores_nonfinite_total", of()).absolute(learned.scores_nonfinite);
}

fn show_cleaning(of: &[Label], pipeline: &Pipeline) {
    for (field, counts) in pipeline.clean().counts() {
        let repairs = [
            ("imputed", counts.imputed),
            ("out_of_range", counts.out_of_range),
            ("clipped", counts.clipped),
        ];
        for (repair, count) in repairs {
            let labels = with(&with(of, "field", field.to_owned()), "repair", repair);
            counter!("pelton_values_repaired_total", labels).absolute(count);
        }
    }
}

fn show_windows(of: &[Label], pipeline: &Pipeline) {
    for table in pipeline.features().window_gauges() {
        let key = || with(of, "key", table.name.to_owned());
        counter!("pelton_window_keys_evicted_total", key()).absolute(table.counts.evicted_keys);
        for (to, count) in [("host", table.cold.moved_out), ("gpu", table.cold.brought_in)] {
            let labels = with(&key(), "to", to);
            counter!("pelton_window_keys_moved_total", labels).absolute(count);
        }
    }
}

fn show_guard(of: &[Label], pipeline: &Pipeline) {
    let guard = pipeline.learner().guard();
    for (measure, count) in Measure::ALL.into_iter().zip(guard.counts().trips) {
        counter!("pelton_guard_trips_total", with(of, "measure", measure.name())).absolute(count);
    }
}

fn describe() {
    describe_counter!("pelton_events_consumed_total", "Event records read");
    describe_counter!("pelton_events_scored_total", "Events scored");
    describe_counter!("pelton_events_filtered_total", "Events left out by the filter");
    describe_counter!("pelton_dead_letters_total", "Records that could not be used, by reason");
    describe_counter!(
        "pelton_labels_total",
        "Labels and events that waited, by what became of them"
    );
    describe_counter!("pelton_labels_learned_total", "Labels learned");
    describe_counter!("pelton_labels_unlearned_total", "Labels learned and taken back");
    describe_counter!("pelton_decoded_records_total", "Events given to a GPU, read there or hard");
    describe_gauge!("pelton_device", "1 for the kind of device in use");
    describe_counter!("pelton_device_losses_total", "GPUs that went away while in use");
    describe_gauge!("pelton_guard_state", "1 while the learning breaker has tripped");
    describe_counter!("pelton_guard_trips_total", "Trips of the learning breaker, by measure");
    describe_counter!("pelton_drift_alerts_total", "Alerts of drift, by detector and feature");
    describe_gauge!("pelton_model_weight", "How much each member of the mixture counts");
    describe_gauge!("pelton_model_loss", "Mean loss of each member of the mixture");
    describe_gauge!("pelton_model_regret", "What the mixture lost more than its best member");
    describe_gauge!("pelton_champion", "1 for the model whose scores leave");
    describe_gauge!("pelton_challenger_loss", "Mean loss of each model of the contest");
    describe_gauge!("pelton_challenger_evidence", "Log evidence that it beats the champion");
    describe_counter!("pelton_model_renewals_total", "Fresh trees after a drift, by what became");
    describe_counter!("pelton_promotions_total", "Challengers that became champion");
    describe_gauge!("pelton_drift_psi", "Population stability index against the reference");
    describe_gauge!("pelton_drift_ks", "Kolmogorov-Smirnov distance from the reference");
    describe_gauge!("pelton_drift_loss", "Mean loss in the window that ADWIN keeps");
    describe_counter!("pelton_labels_refused_total", "Labels refused as not finite");
    describe_counter!("pelton_scores_nonfinite_total", "Scores that were not finite");
    describe_counter!("pelton_values_repaired_total", "Numbers imputed or clipped, by field");
    describe_counter!("pelton_window_keys_evicted_total", "Keys forgotten because of a limit");
    describe_counter!("pelton_window_keys_moved_total", "Keys moved to or from a GPU's memory");
    describe_gauge!("pelton_slots_free", "Slots of the ring that are free");
    describe_gauge!("pelton_pending_events", "Events that wait for their label");
    describe_gauge!("pelton_pending_bytes", "Bytes they take");
    describe_gauge!("pelton_label_delay_seconds", "Mean event time from an event to its label");
    describe_gauge!("pelton_watermark_seconds", "Newest event time, seconds since the epoch");
    describe_gauge!("pelton_window_keys", "Keys in a window table");
    describe_gauge!("pelton_window_bytes", "Bytes of a window table");
    describe_gauge!("pelton_window_cold_keys", "Keys of a window table that a GPU has no room for");
    describe_gauge!("pelton_model_trailing", "Metrics over the trailing window of judged rows");
    describe_histogram!("pelton_stage_seconds", "Time of a stage per micro-batch");
    describe_histogram!("pelton_score_latency_seconds", "From a record's arrival to its score out");
    describe_histogram!("pelton_batch_rows", "Rows of a micro-batch");
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::config::Config;

    #[test]
    fn the_gauges_of_a_partition_that_is_handed_back_are_empty() {
        let config = "event.time = 't'\nfields.a = { type = 'number' }\n\
                      features = [{ number = 'a' }]";
        let config = Config::parse(config).unwrap();
        let pipeline = Pipeline::new(&config).unwrap();
        let device = crate::device::Device::Cpu;
        let ring = Ring::new(&device, &config.event.schema, config.batch.rows_max)
            .expect("ordinary memory asks no driver");
        let recorder = PrometheusBuilder::new().build_recorder();
        let gauges = || {
            let page = recorder.handle().render();
            let lines = page.lines().filter(|line| line.contains('{'));
            let lines = lines.filter(|line| !line.contains("_total"));
            let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
            lines.map(|line| (line.to_owned(), value(line))).collect::<Vec<_>>()
        };
        let published = metrics::with_local_recorder(&recorder, || {
            let published = Published::of(Some(3));
            published.show(&Totals::default(), &pipeline, &ring);
            published
        });
        let before = gauges();
        assert!(before.iter().any(|(_, value)| *value != 0.0), "{before:?}");
        metrics::with_local_recorder(&recorder, || published.hand_back(&pipeline));
        let after = gauges();
        assert_eq!(before.len(), after.len());
        for (line, value) in after {
            assert!(line.contains("partition=\"3\"") && (value == 0.0 || value.is_nan()), "{line}");
        }
    }
}
