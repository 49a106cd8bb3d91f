//! The whole history, searched anew for every row.

use std::collections::{BTreeMap, BTreeSet};

use crate::fixed::{self, U256};
use crate::window::{Aggregate, Layout, Over, TableSpec, WindowSpec};

struct Entry {
    /// Its time, or in the tiled layout the start of its tile.
    place_ms: i64,
    time_ms: i64,
    values: [f32; 2],
    code: u64,
}

/// Every entry there ever was, by key.
pub(super) struct Oracle {
    spec: TableSpec,
    watermark_ms: i64,
    keys: BTreeMap<u64, Vec<Entry>>,
}

impl Oracle {
    pub(super) fn new(spec: TableSpec) -> Self {
        Self { spec, watermark_ms: i64::MIN, keys: BTreeMap::new() }
    }

    pub(super) fn row(&mut self, key: u64, time_ms: i64, values: [f32; 2], code: u64) -> Vec<f32> {
        self.watermark_ms = self.watermark_ms.max(time_ms);
        let is_late = time_ms < self.watermark_ms - self.spec.lateness_ms;
        let known = if key == 0 || is_late { 0 } else { key };
        let entry = self.entry(time_ms, values, code);
        let own = (self.spec.over == Over::Events && known != 0).then_some(&entry);
        let features = self.spec.features.clone();
        let answers = features.iter().map(|feature| {
            let window = self.spec.windows[feature.window];
            self.aggregate(known, time_ms, &window, feature.aggregate, own)
        });
        let answers: Vec<f32> = answers.collect();
        if self.spec.over == Over::Events && known != 0 {
            self.enter(known, entry);
        }
        answers
    }

    pub(super) fn label(&mut self, key: u64, time_ms: i64, values: [f32; 2], code: u64) {
        let entry = self.entry(time_ms, values, code);
        if key != 0 && entry.place_ms > self.horizon_ms() {
            self.enter(key, entry);
        }
    }

    fn entry(&self, time_ms: i64, values: [f32; 2], code: u64) -> Entry {
        let place_ms = match self.spec.layout {
            Layout::Exact => time_ms,
            Layout::Tiled { tile_ms } => time_ms.div_euclid(tile_ms) * tile_ms,
        };
        let limit = fixed::VALUE_MAX;
        Entry { place_ms, time_ms, values: values.map(|v| v.clamp(-limit, limit) + 0.0), code }
    }

    /// Enters after all entries of its time, then evicts as the limit on keys says.
    fn enter(&mut self, key: u64, entry: Entry) {
        let entries = self.keys.entry(key).or_default();
        entries.push(entry);
        entries.sort_by_key(|entry| entry.time_ms);
        let horizon_ms = self.horizon_ms();
        loop {
            let newest = self.keys.iter().map(|(&key, entries)| {
                (entries.iter().map(|entry| entry.place_ms).max().unwrap_or(i64::MIN), key)
            });
            let mut live: Vec<_> = newest.filter(|&(newest, _)| newest > horizon_ms).collect();
            if live.len() <= self.spec.keys_max {
                return;
            }
            live.sort_unstable();
            self.keys.remove(&live[0].1);
        }
    }

    fn horizon_ms(&self) -> i64 {
        let reach = self.spec.windows.iter().map(|window| window.width_ms + window.delay_ms).max();
        let behind = self.spec.lateness_ms + reach.unwrap_or(0);
        self.watermark_ms.saturating_sub(behind)
    }

    fn aggregate(
        &self,
        key: u64,
        time_ms: i64,
        window: &WindowSpec,
        aggregate: Aggregate,
        own: Option<&Entry>,
    ) -> f32 {
        let to_ms = time_ms - window.delay_ms;
        let from_ms = to_ms - window.width_ms;
        let entries = self.keys.get(&key).map_or(&[][..], |entries| &entries[..]);
        let is_inside = |entry: &&Entry| entry.place_ms > from_ms && entry.place_ms <= to_ms;
        let mut inside: Vec<&Entry> = entries.iter().filter(is_inside).collect();
        if aggregate == Aggregate::Since {
            let empty_ms = (window.width_ms + window.delay_ms) as f64;
            let newest = inside.last().map(|entry| (time_ms - entry.time_ms).max(0) as f64);
            return (newest.unwrap_or(empty_ms) / 1000.0) as f32;
        }
        if window.include_self && window.delay_ms == 0 {
            // The row itself comes after the entries of its time, before what is newer in its tile.
            inside.extend(own);
            inside.sort_by_key(|entry| entry.time_ms);
        }
        let of = |value: usize| {
            let present = inside.iter().map(|entry| entry.values[value]);
            present.filter(|value| !value.is_nan()).collect::<Vec<f32>>()
        };
        let mean = |value| {
            let present = of(value);
            let sum: i128 = present.iter().map(|&value| fixed::quantize(value)).sum();
            if present.is_empty() { 0.0 } else { fixed::unscale(sum) / present.len() as f64 }
        };
        match aggregate {
            Aggregate::Count => inside.len() as f32,
            Aggregate::Rate => (inside.len() as f64 / (window.width_ms as f64 / 1000.0)) as f32,
            Aggregate::Since => 0.0,
            Aggregate::Distinct { .. } => {
                inside.iter().map(|entry| entry.code).collect::<BTreeSet<_>>().len() as f32
            }
            Aggregate::Sum { value } => {
                fixed::unscale(of(value).iter().map(|&value| fixed::quantize(value)).sum()) as f32
            }
            Aggregate::Mean { value } => mean(value) as f32,
            Aggregate::Std { value } => deviation(&of(value)),
            Aggregate::Min { value } => of(value).into_iter().reduce(f32::min).unwrap_or(0.0),
            Aggregate::Max { value } => of(value).into_iter().reduce(f32::max).unwrap_or(0.0),
            Aggregate::Last { value } => of(value).last().copied().unwrap_or(0.0),
            Aggregate::Ratio { value } => match own.map(|entry| entry.values[value]) {
                Some(own) if !own.is_nan() && mean(value) != 0.0 => {
                    let limit = f64::from(fixed::VALUE_MAX);
                    (f64::from(own) / mean(value)).clamp(-limit, limit) as f32
                }
                _ => 0.0,
            },
        }
    }
}

/// `n^2 var = sum over pairs of (a - b)^2`, exact in integers, without the squares' cancellation.
fn deviation(values: &[f32]) -> f32 {
    let mut pairs = U256::default();
    for (i, &a) in values.iter().enumerate() {
        for &b in &values[..i] {
            pairs = pairs.plus(U256::square(fixed::quantize(a) - fixed::quantize(b)));
        }
    }
    if values.is_empty() {
        return 0.0;
    }
    let spread = fixed::spread(1, 0, 0, pairs);
    let unscale = 1.0 / (1_u64 << fixed::FRACTION_BITS) as f64;
    (spread.sqrt() / values.len() as f64 * unscale) as f32
}
