//! Card payments with three kinds of fraud, after the simulator of the Fraud Detection Handbook.
//!
//! The world is the one the handbook describes (Le Borgne et al. 2022, chapter 3.2): customers and
//! terminals at random places of a 100 x 100 plane; each customer has a mean amount (5..100, with
//! half of it as deviation), a number of payments per day (mean 0..4, Poisson) and pays at the
//! terminals within reach, mostly around noon. Three frauds: (1) every amount above 220; (2) each
//! day 2 in 10,000 terminals are taken over, and for 28 days every payment there is a fraud; (3)
//! each day 6 in 10,000 cards are stolen, and for 14 days a third of their payments is one, of
//! five times the amount. About 0.055 %, 0.5 % and 0.26 % of the payments.
//!
//! **Sizes.** A customer pays 1.94 times a day, so `events / 351` customers, with two terminals for
//! each, cover about 180 days: 5,000 for 1.75 million payments, as in the handbook. It is never
//! less than 100 (a short stream covers fewer days) nor more than a million (beyond 350 million
//! events the days grow instead). The reach is set so that about 78 terminals are in it.
//!
//! Invariant: payments come in the order of time, ids count up from 0 without gaps. Memory: one day
//! of payments and the world. With [`FraudSpec::customers`] given, a shorter stream of the same
//! seed is the beginning of a longer one; without, the world grows with the number of events.

use super::Generator;
use super::labels::HasLabel;
use super::random::Random;
use super::record::{Field, FieldVisitor, Record, field, write_integer};
use world::World;

mod world;

const DAY_MS: i64 = 86_400_000;
const TERMINAL_DAYS: u32 = 28;
const CARD_DAYS: u32 = 14;
/// Terminals taken over and cards stolen per day, of all.
const TERMINALS_PER_DAY: f64 = 2.0 / 10_000.0;
const CARDS_PER_DAY: f64 = 6.0 / 10_000.0;
const AMOUNT_LIMIT_CENTS: u64 = 22_000;
/// The sequence of random numbers of day d is this one plus d; those before are the world's.
const FIRST_DAY_SEQUENCE: u64 = 16;

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FraudSpec {
    /// Payments in all.
    pub events: u64,
    /// Another seed, another world.
    pub seed: u64,
    /// Customers; as many as make about 180 days when not given.
    pub customers: Option<u32>,
    /// Start of the first day, milliseconds since the epoch.
    pub start_ms: i64,
}

impl FraudSpec {
    /// Start of the first day unless said otherwise: 2018-04-01 00:00 UTC, as in the handbook.
    pub const START_MS: i64 = 1_522_540_800_000;

    /// So many payments of the world of this seed.
    pub fn new(events: u64, seed: u64) -> FraudSpec {
        FraudSpec { events, seed, customers: None, start_ms: FraudSpec::START_MS }
    }

    /// The customers there will be, at least 1.
    pub fn customers(&self) -> u32 {
        let for_half_a_year = (self.events / 351).clamp(100, 1_000_000);
        self.customers.unwrap_or(for_half_a_year as u32).max(1)
    }
}

/// One payment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FraudRecord {
    /// Counts up from 0.
    pub transaction_id: u64,
    /// Time of the payment, milliseconds since the epoch.
    pub datetime_ms: i64,
    /// Who pays.
    pub customer_id: u32,
    /// Where.
    pub terminal_id: u32,
    /// Hundredths of the currency.
    pub amount_cents: u64,
    /// 0 none, 1 high amount, 2 terminal taken over, 3 card stolen.
    pub scenario: u8,
}

static FIELDS: [Field; 7] = [
    field!("TRANSACTION_ID", Int32, Event),
    field!("TX_DATETIME", Int64, Event),
    field!("CUSTOMER_ID", Int32, Event),
    field!("TERMINAL_ID", Int32, Event),
    field!("TX_AMOUNT", Float64, Event),
    field!("TX_FRAUD", Int8, Label),
    field!("TX_FRAUD_SCENARIO", Int8, Hidden),
];

impl Record for FraudRecord {
    const FIELDS: &'static [Field] = &FIELDS;

    #[inline]
    fn visit<V: FieldVisitor>(&self, visitor: &mut V) {
        visitor.integer(&FIELDS[0], self.transaction_id as i64);
        visitor.integer(&FIELDS[1], self.datetime_ms);
        visitor.integer(&FIELDS[2], i64::from(self.customer_id));
        visitor.integer(&FIELDS[3], i64::from(self.terminal_id));
        visitor.hundredths(&FIELDS[4], self.amount_cents);
        visitor.integer(&FIELDS[5], i64::from(self.is_positive()));
        visitor.integer(&FIELDS[6], i64::from(self.scenario));
    }

    fn time_ms(&self) -> i64 {
        self.datetime_ms
    }

    /// The customer in decimal.
    fn write_key(&self, out: &mut Vec<u8>) {
        write_integer(i64::from(self.customer_id), out);
    }
}

impl HasLabel for FraudRecord {
    const LABEL_FIELDS: &'static [Field; 3] = &[
        field!("TRANSACTION_ID", Int32, Event),
        field!("LABEL_DATETIME", Int64, Event),
        field!("TX_FRAUD", Int8, Label),
    ];

    fn id(&self) -> u64 {
        self.transaction_id
    }

    fn is_positive(&self) -> bool {
        self.scenario != 0
    }
}

/// Generates payments day by day.
#[derive(Clone, Debug)]
pub struct FraudGenerator {
    spec: FraudSpec,
    world: World,
    /// First day on which the terminal, or the card, is out of danger again.
    terminal_until: Vec<u32>,
    card_until: Vec<u32>,
    next_day: u32,
    next_id: u64,
    /// The payments of the day, latest first: the next one is taken from the end.
    day: Vec<FraudRecord>,
}

impl FraudGenerator {
    /// Makes the world; payments are made as they are asked for.
    pub fn new(spec: FraudSpec) -> FraudGenerator {
        let world = World::new(spec.seed, spec.customers());
        FraudGenerator {
            terminal_until: vec![0; world.terminals() as usize],
            card_until: vec![0; world.customers.len()],
            spec,
            world,
            next_day: 0,
            next_id: 0,
            day: Vec::new(),
        }
    }

    /// Makes the payments of the next day.
    fn make_day(&mut self) {
        let day = self.next_day;
        self.next_day += 1;
        let mut random = Random::new(self.spec.seed, FIRST_DAY_SEQUENCE + u64::from(day));
        take_over(&mut self.terminal_until, TERMINALS_PER_DAY, day + TERMINAL_DAYS, &mut random);
        take_over(&mut self.card_until, CARDS_PER_DAY, day + CARD_DAYS, &mut random);
        for customer_id in 0..self.card_until.len() as u32 {
            let customer = self.world.customers[customer_id as usize];
            for _ in 0..random.poisson(customer.exp_of_minus_rate) {
                let second = 43_200.0 + 20_000.0 * random.normal();
                let amount_cents = customer.amount_cents(&mut random);
                let terminal_id = self.world.terminal_near(&customer, &mut random);
                if second > 0.0 && second < 86_400.0 {
                    self.day.push(FraudRecord {
                        transaction_id: 0,
                        datetime_ms: (second * 1000.0) as i64,
                        customer_id,
                        terminal_id,
                        amount_cents,
                        scenario: 0,
                    });
                }
            }
        }
        // Stable, so payments of one millisecond keep the order of their customers.
        self.day.sort_by_key(|payment| payment.datetime_ms);
        for payment in &mut self.day {
            payment.datetime_ms += self.spec.start_ms + i64::from(day) * DAY_MS;
            if payment.amount_cents > AMOUNT_LIMIT_CENTS {
                payment.scenario = 1;
            }
            if day < self.terminal_until[payment.terminal_id as usize] {
                payment.scenario = 2;
            }
            if day < self.card_until[payment.customer_id as usize] && random.below(3) == 0 {
                payment.scenario = 3;
                payment.amount_cents *= 5;
            }
        }
        self.day.reverse();
    }
}

impl Generator for FraudGenerator {
    type Record = FraudRecord;

    #[inline]
    fn next_into(&mut self, record: &mut FraudRecord) -> bool {
        if self.next_id >= self.spec.events {
            return false;
        }
        let payment = loop {
            match self.day.pop() {
                Some(payment) => break payment,
                None => self.make_day(),
            }
        };
        *record = FraudRecord { transaction_id: self.next_id, ..payment };
        self.next_id += 1;
        true
    }
}

/// Puts a share of all, drawn at random, in danger until the day.
fn take_over(until: &mut [u32], share: f64, day: u32, random: &mut Random) {
    let expected = share * until.len() as f64;
    for _ in 0..(expected + random.unit()) as u32 {
        until[random.below(until.len() as u32) as usize] = day;
    }
}
