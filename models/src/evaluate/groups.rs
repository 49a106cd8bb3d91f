//! Precision of the `k` most suspicious groups of each day.
//!
//! Somebody can look into `k` cards a day: of the `k` groups with the highest score of that UTC
//! day, which share has at least one positive among its rows of the day? The mean over the days
//! with a judged row is the measure (card precision top-k of the Fraud Detection Handbook, 4.4; a
//! day with fewer than `k` groups is divided by its groups). Equal scores are taken in ascending
//! order of the group's code, so the result does not depend on hashing or arrival.
//!
//! Memory: one entry per group and open day. A day is folded into the mean once no label of it can
//! arrive any more; should more than [`GROUPS_MAX`] entries be open all the same, the oldest day is
//! folded early and counted. Rows and corrections of a folded day are counted, not judged.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::io;

use pelton_kernels::state::{StateReader, StateWriter};
use pelton_kernels::tally::ExactSum;

const DAY_MS: i64 = 86_400_000;
/// Entries that may be open over all days: about 100 MB.
pub const GROUPS_MAX: usize = 1 << 22;

type Groups = HashMap<u64, Group, BuildHasherDefault<CodeHasher>>;

/// The days' groups and the mean of the folded days.
#[derive(Clone, Debug)]
pub(super) struct GroupedPrecision {
    k: usize,
    groups_max: usize,
    open: BTreeMap<i64, Groups>,
    open_groups: usize,
    /// Days before this one are folded.
    first_open_day: i64,
    days: i64,
    shares: ExactSum,
    pub(super) late_rows: u64,
    pub(super) days_folded_early: u64,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    best: f32,
    positives: i64,
}

impl GroupedPrecision {
    pub(super) fn new(k: u32) -> GroupedPrecision {
        GroupedPrecision {
            k: k as usize,
            groups_max: GROUPS_MAX,
            open: BTreeMap::new(),
            open_groups: 0,
            first_open_day: i64::MIN,
            days: 0,
            shares: ExactSum::default(),
            late_rows: 0,
            days_folded_early: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn with_groups_max(mut self, groups_max: usize) -> GroupedPrecision {
        self.groups_max = groups_max;
        self
    }

    /// Judges a row of the group.
    pub(super) fn observe(&mut self, event_time_ms: i64, group: u64, score: f32, positive: bool) {
        let day = event_time_ms.div_euclid(DAY_MS);
        if day < self.first_open_day {
            self.late_rows += 1;
            return;
        }
        let groups = self.open.entry(day).or_default();
        let before = groups.len();
        let entry = groups.entry(group).or_insert(Group { best: score, positives: 0 });
        entry.best = entry.best.max(score);
        entry.positives += i64::from(positive);
        self.open_groups += groups.len() - before;
        while self.open_groups > self.groups_max && self.open.len() > 1 {
            self.days_folded_early += 1;
            self.fold_first();
        }
    }

    /// Turns a row of the group from positive to negative or back.
    pub(super) fn correct(&mut self, event_time_ms: i64, group: u64, positive: bool) {
        let day = event_time_ms.div_euclid(DAY_MS);
        match self.open.get_mut(&day).and_then(|groups| groups.get_mut(&group)) {
            Some(entry) => entry.positives += if positive { 1 } else { -1 },
            None => self.late_rows += 1,
        }
    }

    /// Folds every day that ends at or before the time: no label of it may arrive any more.
    pub(super) fn close_days_before(&mut self, time_ms: i64) {
        let day = time_ms.div_euclid(DAY_MS);
        while self.open.first_key_value().is_some_and(|(&first, _)| first < day) {
            self.fold_first();
        }
        self.first_open_day = self.first_open_day.max(day);
    }

    /// The mean share over the days, open ones as they stand; NaN without a day.
    pub(super) fn value(&self) -> f64 {
        let mut shares = self.shares;
        self.open.values().for_each(|groups| shares.add(share(groups, self.k), 1));
        shares.value() / (self.days as f64 + self.open.len() as f64)
    }

    fn fold_first(&mut self) {
        if let Some((day, groups)) = self.open.pop_first() {
            self.shares.add(share(&groups, self.k), 1);
            self.days += 1;
            self.open_groups -= groups.len();
            self.first_open_day = self.first_open_day.max(day + 1);
        }
    }

    pub(super) fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.first_open_day)?;
        state.put(self.days)?;
        self.shares.write(state)?;
        state.put(self.late_rows)?;
        state.put(self.days_folded_early)?;
        state.length(self.open.len())?;
        for (&day, groups) in &self.open {
            state.put(day)?;
            state.length(groups.len())?;
            let mut sorted: Vec<_> = groups.iter().map(|(&code, group)| (code, *group)).collect();
            sorted.sort_unstable_by_key(|&(code, _)| code);
            state.each(sorted.iter().map(|(code, _)| *code))?;
            state.each(sorted.iter().map(|(_, group)| group.best))?;
            state.each(sorted.iter().map(|(_, group)| group.positives))?;
        }
        Ok(())
    }

    pub(super) fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.first_open_day = state.get()?;
        self.days = state.get()?;
        self.shares = ExactSum::read(state)?;
        self.late_rows = state.get()?;
        self.days_folded_early = state.get()?;
        self.open.clear();
        self.open_groups = 0;
        for _ in 0..state.length(usize::MAX)? {
            let day = state.get()?;
            let codes = state.list::<u64>(usize::MAX)?;
            let (best, positives) = (state.numbers(codes.len())?, state.numbers(codes.len())?);
            let groups = best.into_iter().zip(positives);
            let groups = groups.map(|(best, positives)| Group { best, positives });
            let groups: Groups = codes.into_iter().zip(groups).collect();
            self.open_groups += groups.len();
            self.open.insert(day, groups);
        }
        Ok(())
    }
}

/// The share with a positive among the `k` groups of highest score.
fn share(groups: &Groups, k: usize) -> f64 {
    // Scores are in 0..=1, so their bits order as they do.
    let mut ranked: Vec<_> = groups
        .iter()
        .map(|(&code, group)| (Reverse(group.best.to_bits()), code, group.positives > 0))
        .collect();
    let taken = k.min(ranked.len());
    if taken < ranked.len() {
        ranked.select_nth_unstable(taken);
    }
    let hits = ranked[..taken].iter().filter(|(_, _, has_positive)| *has_positive).count();
    hits as f64 / taken as f64
}

/// Spreads group codes, which are hashes or small integers, over the table.
#[derive(Clone, Copy, Debug, Default)]
struct CodeHasher(u64);

impl Hasher for CodeHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, code: u64) {
        // The finalizer's first half of splitmix64: enough to fill the high bits the table reads.
        let mixed = (code ^ (code >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        self.0 = mixed ^ (mixed >> 29);
    }
}
