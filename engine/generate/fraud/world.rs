//! Where customers and terminals are, and how each customer pays.
//!
//! Terminals are kept by the cells of a grid as wide as the reach, so a terminal near a customer is
//! drawn from nine cells by rejection, without a list per customer. Invariant: a function of the
//! seed and the number of customers.

use pelton_kernels::math;

use crate::generate::random::Random;

const PLANE: f64 = 100.0;
const TERMINALS_PER_CUSTOMER: u32 = 2;
/// Terminals in reach of a customer on average: pi * 5^2 of 10,000 on the plane.
const TERMINALS_IN_REACH: f64 = 78.5;
const CUSTOMER_SEQUENCE: u64 = 0;
const TERMINAL_SEQUENCE: u64 = 1;
/// Draws before a payment goes to the last terminal drawn, in reach or not: about one in three is
/// in reach, so this happens only to a customer who has next to none.
const DRAWS_MAX: u32 = 64;

/// Everything that does not change with time.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) customers: Vec<Customer>,
    /// Cells per side of the plane.
    side: usize,
    reach: f64,
    /// Terminals by cell, row by row; `cell_starts[c]..cell_starts[c + 1]` are those of cell c.
    terminals: Vec<Terminal>,
    cell_starts: Vec<u32>,
}

/// A customer's place and habits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Customer {
    x: f32,
    y: f32,
    amount_mean: f32,
    pub(super) exp_of_minus_rate: f64,
}

#[derive(Clone, Copy, Debug)]
struct Terminal {
    x: f32,
    y: f32,
    id: u32,
}

impl World {
    pub(super) fn new(seed: u64, customers: u32) -> World {
        let mut random = Random::new(seed, CUSTOMER_SEQUENCE);
        let customers: Vec<Customer> = (0..customers)
            .map(|_| Customer {
                x: (PLANE * random.unit()) as f32,
                y: (PLANE * random.unit()) as f32,
                amount_mean: (5.0 + 95.0 * random.unit()) as f32,
                exp_of_minus_rate: math::exp(-4.0 * random.unit()),
            })
            .collect();
        let count = (customers.len() as u32).saturating_mul(TERMINALS_PER_CUSTOMER);
        let reach = PLANE * (TERMINALS_IN_REACH / (std::f64::consts::PI * f64::from(count))).sqrt();
        let side = (PLANE / reach).max(1.0) as usize;
        let mut random = Random::new(seed, TERMINAL_SEQUENCE);
        let mut terminals: Vec<Terminal> = (0..count)
            .map(|id| Terminal {
                x: (PLANE * random.unit()) as f32,
                y: (PLANE * random.unit()) as f32,
                id,
            })
            .collect();
        let cell_of = |t: &Terminal| cell(t.y, side) * side + cell(t.x, side);
        terminals.sort_by_key(|terminal| (cell_of(terminal), terminal.id));
        let mut cell_starts = vec![0; side * side + 1];
        terminals.iter().for_each(|terminal| cell_starts[cell_of(terminal) + 1] += 1);
        for cell in 0..side * side {
            cell_starts[cell + 1] += cell_starts[cell];
        }
        World { customers, side, reach, terminals, cell_starts }
    }

    /// How many terminals there are.
    pub(super) fn terminals(&self) -> u32 {
        self.terminals.len() as u32
    }

    /// A terminal in reach of the customer, each as likely as another.
    pub(super) fn terminal_near(&self, customer: &Customer, random: &mut Random) -> u32 {
        let (column, row) = (cell(customer.x, self.side), cell(customer.y, self.side));
        let (first_row, last_row) = (row.saturating_sub(1), (row + 1).min(self.side - 1));
        let (first, last) = (column.saturating_sub(1), (column + 1).min(self.side - 1));
        // The cells of a row lie side by side: at most three runs of terminals.
        let run = |row: usize| {
            let start = self.cell_starts[row * self.side + first] as usize;
            start..self.cell_starts[row * self.side + last + 1] as usize
        };
        let count: usize = (first_row..=last_row).map(|row| run(row).len()).sum();
        if count == 0 {
            return random.below(self.terminals());
        }
        let mut drawn = 0;
        for _ in 0..DRAWS_MAX {
            let mut index = random.below(count as u32) as usize;
            let mut place = run(first_row);
            let mut row = first_row;
            while index >= place.len() {
                index -= place.len();
                row += 1;
                place = run(row);
            }
            let terminal = self.terminals[place.start + index];
            drawn = terminal.id;
            let (x, y) = (
                f64::from(terminal.x) - f64::from(customer.x),
                f64::from(terminal.y) - f64::from(customer.y),
            );
            if x * x + y * y < self.reach * self.reach {
                break;
            }
        }
        drawn
    }
}

impl Customer {
    /// An amount: normal about the customer's mean; if below 0, uniform up to twice the mean.
    pub(super) fn amount_cents(&self, random: &mut Random) -> u64 {
        let mean = f64::from(self.amount_mean);
        let normal = mean + 0.5 * mean * random.normal();
        let amount = if normal < 0.0 { 2.0 * mean * random.unit() } else { normal };
        (amount * 100.0 + 0.5) as u64
    }
}

/// The row or column of the grid.
fn cell(place: f32, side: usize) -> usize {
    ((f64::from(place) / PLANE * side as f64) as usize).min(side - 1)
}
