//! A split of LightGBM in the questions that there are here.
//!
//! Where zero is missing too, all values within [`ZERO`] of 0 go the default way, whatever the
//! threshold; that is an interval within the line, which one comparison cannot cut out: then a
//! split is up to three questions.

use pelton_models::graph::Rule;

use super::malformed;
use crate::ExchangeError;
use crate::ensemble::{Branch, Goal, Question};

/// LightGBM's `kZeroThreshold`: what is not further from 0 is zero.
const ZERO: f32 = 1e-35;

/// What counts as missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Nothing: NaN is 0.
    None,
    /// Zero, and NaN.
    Zero,
    /// NaN.
    Nan,
}

/// What sends a row left.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    /// A value up to this one.
    UpTo(f64),
    /// One of these categories (bits, 32 a word).
    OneOf(Vec<u32>),
}

/// A node that is no leaf.
pub(super) struct Split {
    pub(super) column: usize,
    pub(super) test: Test,
    pub(super) missing: Missing,
    pub(super) is_default_left: bool,
    /// A split, or -1 minus a leaf.
    pub(super) left: i64,
    pub(super) right: i64,
}

impl Split {
    /// As a node of a tree of so many splits: leaves are numbered behind them.
    pub(super) fn branch(&self, splits: usize) -> Result<Branch, ExchangeError> {
        let child = |own: i64| {
            let leaf = || usize::try_from(-1 - own).ok().and_then(|leaf| leaf.checked_add(splits));
            let split = usize::try_from(own).ok().filter(|own| *own < splits);
            let number = if own < 0 { leaf() } else { split };
            number.ok_or_else(|| malformed(format!("there is no child {own}")))
        };
        let questions = match &self.test {
            // NaN goes right, whatever the default.
            Test::OneOf(words) => vec![Question::only(Rule::OneOf(words.clone()), false)],
            Test::UpTo(threshold) => self.compare(*threshold),
        };
        let (left, right) = (child(self.left)?, child(self.right)?);
        Ok(Branch::Split { column: self.column, questions, left, right })
    }

    fn compare(&self, threshold: f64) -> Vec<Question> {
        let most = floor(threshold);
        let up_to = Rule::LessOrEqual(most);
        let is_left = self.is_default_left;
        match self.missing {
            Missing::None => vec![Question::only(up_to, 0.0 <= threshold)],
            Missing::Nan => vec![Question::only(up_to, is_left)],
            // The default way is that of the comparison, for all that is zero.
            Missing::Zero if is_left && most >= ZERO || !is_left && most < -ZERO => {
                vec![Question::only(up_to, is_left)]
            }
            // The threshold is within zero, which goes left with what is less, or right.
            Missing::Zero if (-ZERO..=ZERO).contains(&most) => {
                let rule = if is_left { Rule::LessOrEqual(ZERO) } else { Rule::Less(-ZERO) };
                vec![Question::only(rule, is_left)]
            }
            // Zero is cut out of the side that it does not belong to.
            Missing::Zero if is_left => vec![
                question(up_to, is_left, Goal::Left, Goal::Next),
                question(Rule::Less(-ZERO), is_left, Goal::Right, Goal::Next),
                question(Rule::LessOrEqual(ZERO), is_left, Goal::Left, Goal::Right),
            ],
            Missing::Zero => vec![
                question(up_to, is_left, Goal::Next, Goal::Right),
                question(Rule::Less(-ZERO), is_left, Goal::Left, Goal::Next),
                question(Rule::LessOrEqual(ZERO), is_left, Goal::Right, Goal::Left),
            ],
        }
    }
}

fn question(rule: Rule, is_missing_yes: bool, yes: Goal, no: Goal) -> Question {
    Question { rule, is_missing_yes, yes, no }
}

/// The largest 32-bit float that is not above.
pub(super) fn floor(threshold: f64) -> f32 {
    let near = threshold as f32;
    if f64::from(near) > threshold { near.next_down() } else { near }
}
