//! Clicks on advertisements: 13 counts, 26 categories and a label from a truth that is known.
//!
//! Counts are skewed (their logarithm is triangular), some are missing; categories follow Zipf's
//! law with exponent 1 over 3 to two million values. The label is drawn from a logistic truth:
//! every category value has an effect of its own, counts count by their logarithm, a missing count
//! counts too, eight pairs of categories have an effect that neither has alone, and part of the
//! effects sways slowly, to the opposite and back within two million events.
//!
//! Every seed's truth is brought to the same difficulty: a quarter of the events is positive, and
//! the least log loss any model can reach is 0.396 nats (both measured over a sample of 4,096
//! events, so the stream's own values differ in the third place).
//!
//! The probability that the label was drawn with is in [`ClickRecord::truth`]: its log loss is the
//! least that can be reached. Invariant: an event depends on the seed and its place only, so a
//! shorter stream is the beginning of a longer one. Memory: constant.

use pelton_kernels::math;

use super::Generator;
use super::labels::HasLabel;
use super::random::{Random, mix};
use super::record::{Field, FieldVisitor, Record, field, write_integer};

use difficulty::Difficulty;

mod difficulty;

/// Number of counts.
pub const NUMBERS: usize = 13;
/// Number of categories.
pub const CATEGORIES: usize = 26;

/// Distinct values per category.
pub const CARDINALITIES: [u32; CATEGORIES] = [
    3, 4, 10, 18, 24, 30, 50, 100, 200, 300, 500, 800, 1_500, 2_000, 3_000, 5_000, 8_000, 10_000,
    15_000, 30_000, 60_000, 100_000, 300_000, 500_000, 1_000_000, 2_000_000,
];

/// A count is below 2 to the power of this.
const NUMBER_BITS: [f64; NUMBERS] =
    [3.0, 9.0, 8.0, 4.0, 16.0, 9.0, 6.0, 5.0, 9.0, 2.0, 5.0, 4.0, 6.0];

/// How many of 256 counts are missing.
const NUMBER_MISSING: [u8; NUMBERS] = [115, 0, 55, 55, 7, 57, 11, 0, 11, 115, 11, 195, 55];

/// Categories whose pairs have effects of their own.
const PAIRS: [(usize, usize); 8] =
    [(0, 5), (1, 7), (2, 6), (3, 4), (2, 9), (5, 8), (6, 10), (0, 11)];

/// Deviations of the effects against each other; [`Difficulty`] scales them all.
const NUMBER_EFFECT: f64 = 0.34;
const MISSING_EFFECT: f64 = 0.20;
const CATEGORY_EFFECT: f64 = 0.26;
const SWAY_EFFECT: f64 = 0.08;
const PAIR_EFFECT: f64 = 0.22;
const SAMPLE_EVENTS: u64 = 4096;
/// Events from one extreme of the sway to the other and back.
const SWAY_EVENTS: u64 = 2_000_000;
/// Gaps between events are uniform up to this: about a million events a day.
const GAP_MS_MAX: u32 = 172;

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClickSpec {
    /// Events in all.
    pub events: u64,
    /// Another seed, another truth.
    pub seed: u64,
    /// Time of the first event, milliseconds since the epoch.
    pub start_ms: i64,
}

impl ClickSpec {
    /// Time of the first event unless said otherwise: 2024-01-01 00:00 UTC.
    pub const START_MS: i64 = 1_704_067_200_000;

    /// So many events of the truth of this seed.
    pub fn new(events: u64, seed: u64) -> ClickSpec {
        ClickSpec { events, seed, start_ms: ClickSpec::START_MS }
    }
}

/// One impression.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClickRecord {
    /// Counts up from 0.
    pub id: u64,
    /// Milliseconds since the epoch.
    pub time_ms: i64,
    /// Counts; [`ClickRecord::MISSING`] where there is none.
    pub numbers: [i32; NUMBERS],
    /// Category values, 0 the most frequent.
    pub categories: [u32; CATEGORIES],
    /// Whether it was clicked.
    pub is_click: bool,
    /// The probability that it was clicked.
    pub truth: f64,
}

impl ClickRecord {
    /// Stands for a count that is not known.
    pub const MISSING: i32 = -1;
}

static FIELDS: [Field; 2 + NUMBERS + CATEGORIES + 2] = [
    field!("id", Int64, Event),
    field!("time_ms", Int64, Event),
    field!("i1", Int32, Event, true),
    field!("i2", Int32, Event, true),
    field!("i3", Int32, Event, true),
    field!("i4", Int32, Event, true),
    field!("i5", Int32, Event, true),
    field!("i6", Int32, Event, true),
    field!("i7", Int32, Event, true),
    field!("i8", Int32, Event, true),
    field!("i9", Int32, Event, true),
    field!("i10", Int32, Event, true),
    field!("i11", Int32, Event, true),
    field!("i12", Int32, Event, true),
    field!("i13", Int32, Event, true),
    field!("c1", Int32, Event),
    field!("c2", Int32, Event),
    field!("c3", Int32, Event),
    field!("c4", Int32, Event),
    field!("c5", Int32, Event),
    field!("c6", Int32, Event),
    field!("c7", Int32, Event),
    field!("c8", Int32, Event),
    field!("c9", Int32, Event),
    field!("c10", Int32, Event),
    field!("c11", Int32, Event),
    field!("c12", Int32, Event),
    field!("c13", Int32, Event),
    field!("c14", Int32, Event),
    field!("c15", Int32, Event),
    field!("c16", Int32, Event),
    field!("c17", Int32, Event),
    field!("c18", Int32, Event),
    field!("c19", Int32, Event),
    field!("c20", Int32, Event),
    field!("c21", Int32, Event),
    field!("c22", Int32, Event),
    field!("c23", Int32, Event),
    field!("c24", Int32, Event),
    field!("c25", Int32, Event),
    field!("c26", Int32, Event),
    field!("label", Int8, Label),
    field!("truth", Float64, Hidden),
];

impl Record for ClickRecord {
    const FIELDS: &'static [Field] = &FIELDS;

    #[inline]
    fn visit<V: FieldVisitor>(&self, visitor: &mut V) {
        let [id, time, columns @ .., label, truth] = &FIELDS;
        let (numbers, categories) = columns.split_at(NUMBERS);
        visitor.integer(id, self.id as i64);
        visitor.integer(time, self.time_ms);
        for (field, &value) in numbers.iter().zip(&self.numbers) {
            if value == ClickRecord::MISSING {
                visitor.missing(field);
            } else {
                visitor.integer(field, i64::from(value));
            }
        }
        for (field, &value) in categories.iter().zip(&self.categories) {
            visitor.integer(field, i64::from(value));
        }
        visitor.integer(label, i64::from(self.is_click));
        visitor.decimal(truth, self.truth);
    }

    fn time_ms(&self) -> i64 {
        self.time_ms
    }

    /// The event's id in decimal: clicks have no key that matters.
    fn write_key(&self, out: &mut Vec<u8>) {
        write_integer(self.id as i64, out);
    }
}

impl HasLabel for ClickRecord {
    const LABEL_FIELDS: &'static [Field; 3] = &[
        field!("id", Int64, Event),
        field!("time_ms", Int64, Event),
        field!("label", Int8, Label),
    ];

    fn id(&self) -> u64 {
        self.id
    }

    fn is_positive(&self) -> bool {
        self.is_click
    }
}

/// Generates clicks one by one.
#[derive(Clone, Debug)]
pub struct ClickGenerator {
    spec: ClickSpec,
    random: Random,
    next_id: u64,
    time_ms: i64,
    /// Binary logarithm of the cardinality plus one.
    category_bits: [f64; CATEGORIES],
    /// Tells the effects of different columns apart.
    salts: [u64; CATEGORIES + PAIRS.len()],
    number_effects: [f64; NUMBERS],
    missing_effects: [f64; NUMBERS],
    difficulty: Difficulty,
}

impl ClickGenerator {
    /// Draws the truth; events are made as they are asked for.
    pub fn new(spec: ClickSpec) -> ClickGenerator {
        let mut truth = Random::new(spec.seed, 0);
        let bits = |values: u32| math::ln(f64::from(values) + 1.0) / std::f64::consts::LN_2;
        let mut number_effect = || {
            let size = 0.5 + truth.unit();
            if truth.bits() >> 63 == 0 { size } else { -size }
        };
        let number_effects = std::array::from_fn(|_| NUMBER_EFFECT * number_effect());
        let mut generator = ClickGenerator {
            random: Random::new(spec.seed, 1),
            next_id: 0,
            time_ms: spec.start_ms,
            category_bits: CARDINALITIES.map(bits),
            salts: std::array::from_fn(|_| truth.bits()),
            number_effects,
            missing_effects: std::array::from_fn(|_| MISSING_EFFECT * truth.normal()),
            difficulty: Difficulty::default(),
            spec,
        };
        generator.difficulty = Difficulty::reach(&generator.sample());
        generator
    }

    /// Log odds of events all over the sway, before they are scaled.
    fn sample(&self) -> Vec<f64> {
        let mut sampler = self.clone();
        sampler.random = Random::new(self.spec.seed, 2);
        let mut record = ClickRecord::default();
        let places = (0..SAMPLE_EVENTS).map(|index| index * (SWAY_EVENTS / SAMPLE_EVENTS));
        places
            .map(|place| {
                sampler.next_id = place;
                sampler.draw(&mut record)
            })
            .collect()
    }

    /// Draws counts and categories and returns the log odds before they are scaled.
    #[inline]
    fn draw(&mut self, record: &mut ClickRecord) -> f64 {
        self.draw_numbers(&mut record.numbers) + self.draw_categories(&mut record.categories)
    }

    /// Draws the counts and returns what they add to the log odds.
    #[inline]
    fn draw_numbers(&mut self, numbers: &mut [i32; NUMBERS]) -> f64 {
        let mut log_odds = 0.0;
        for index in 0..NUMBERS {
            let bits = self.random.bits();
            let is_missing = (bits & 0xFF) < u64::from(NUMBER_MISSING[index]);
            // Two uniforms of 28 bits: their mean is triangular about one half.
            let sum = (bits >> 36) + ((bits >> 8) & 0x0FFF_FFFF);
            let place = sum as f64 * (0.5 / f64::from(1u32 << 28));
            let value = exp2(place * NUMBER_BITS[index]) as i32 - 1;
            numbers[index] = if is_missing { ClickRecord::MISSING } else { value };
            // The deviation of the triangular place is 0.204.
            let known = (place - 0.5) * (1.0 / 0.204) * self.number_effects[index];
            log_odds += if is_missing { self.missing_effects[index] } else { known };
        }
        log_odds
    }

    /// Draws the categories and returns what they add to the log odds.
    #[inline]
    fn draw_categories(&mut self, categories: &mut [u32; CATEGORIES]) -> f64 {
        let sway = sway(self.next_id) * SWAY_EFFECT;
        let mut log_odds = 0.0;
        for index in 0..CATEGORIES {
            let place = self.random.unit() * self.category_bits[index];
            // The density of 2^place falls as 1 / value: Zipf's law. Value 0 is the most frequent.
            let value = (exp2(place) as u32).min(CARDINALITIES[index]) - 1;
            categories[index] = value;
            let (steady, swaying) = effects(self.salts[index], u64::from(value));
            log_odds += CATEGORY_EFFECT * steady + sway * swaying;
        }
        for (index, &(first, second)) in PAIRS.iter().enumerate() {
            let pair = u64::from(categories[first]) << 32 | u64::from(categories[second]);
            log_odds += PAIR_EFFECT * effects(self.salts[CATEGORIES + index], pair).0;
        }
        log_odds
    }
}

impl Generator for ClickGenerator {
    type Record = ClickRecord;

    #[inline]
    fn next_into(&mut self, record: &mut ClickRecord) -> bool {
        if self.next_id >= self.spec.events {
            return false;
        }
        record.id = self.next_id;
        record.time_ms = self.time_ms;
        let drawn = self.draw(record);
        record.truth = math::sigmoid(self.difficulty.log_odds(drawn));
        record.is_click = self.random.unit() < record.truth;
        self.time_ms += i64::from(self.random.below(GAP_MS_MAX + 1));
        self.next_id += 1;
        true
    }
}

/// Two effects of a value, about normal with deviation 1, fixed for the seed.
#[inline]
fn effects(salt: u64, value: u64) -> (f64, f64) {
    // Sums of four uniform bytes: mean 510, deviation 147.8.
    let bits = mix(salt ^ value);
    let pairs = (bits & 0x00FF_00FF_00FF_00FF) + ((bits >> 8) & 0x00FF_00FF_00FF_00FF);
    let first = (pairs & 0xFFFF) + ((pairs >> 16) & 0xFFFF);
    let second = ((pairs >> 32) & 0xFFFF) + (pairs >> 48);
    let scale = |sum: u64| (sum as f64 - 510.0) * (1.0 / 147.8);
    (scale(first), scale(second))
}

/// Between -1 and 1 and back, in straight lines.
fn sway(event: u64) -> f64 {
    let place = (event % SWAY_EVENTS) as f64 / SWAY_EVENTS as f64;
    4.0 * (place - 0.5).abs() - 1.0
}

/// 2 to the power of `x` for `0 <= x < 32`, to 2e-7 of itself, with the same bits everywhere.
#[inline]
fn exp2(x: f64) -> f64 {
    // Quicker than the library's: the shape of a distribution needs no last place.
    let whole = x as u32;
    let part = x - f64::from(whole);
    let power = 1.0
        + part
            * (std::f64::consts::LN_2
                + part
                    * (0.240_226_51
                        + part
                            * (0.055_504_1
                                + part * (0.009_618_1 + part * (0.001_333_4 + part * 0.000_154)))));
    f64::from(1u32 << whole) * power
}
