//! Records that will not be scored, and why: what becomes a dead letter.
//!
//! Every stage that refuses a record leaves a [`Reject`] in the slot; emit writes it out. The names
//! of the [`Reason`]s are an interface: metrics and dead letters carry them.

use std::sync::Arc;

use super::Position;

/// Why a record was not scored. The name is a metric label and a field of the dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Not a record of the expected format.
    Unparsable,
    /// Larger than the limit for one record.
    TooLarge,
    /// No id, or one that identifies nothing.
    MissingId,
    /// No time, or one that is no time.
    BadTime,
    /// A field holds a value of another type.
    WrongType,
    /// A number outside its declared range.
    OutOfRange,
    /// A required value is missing.
    MissingValue,
    /// An id that was seen before.
    Duplicate,
    /// Later than the allowed lateness.
    Late,
    /// Further ahead of the stream than is believed.
    Ahead,
    /// A label that means nothing for this task.
    BadLabel,
}

impl Reason {
    /// Every reason, in the order of the metrics page.
    pub const ALL: [Reason; 11] = [
        Reason::Unparsable,
        Reason::TooLarge,
        Reason::MissingId,
        Reason::BadTime,
        Reason::WrongType,
        Reason::OutOfRange,
        Reason::MissingValue,
        Reason::Duplicate,
        Reason::Late,
        Reason::Ahead,
        Reason::BadLabel,
    ];

    /// The reason as it is written in metrics and dead letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reason::Unparsable => "unparsable",
            Reason::TooLarge => "too_large",
            Reason::MissingId => "missing_id",
            Reason::BadTime => "bad_time",
            Reason::WrongType => "wrong_type",
            Reason::OutOfRange => "out_of_range",
            Reason::MissingValue => "missing_value",
            Reason::Duplicate => "duplicate",
            Reason::Late => "late",
            Reason::Ahead => "ahead",
            Reason::BadLabel => "bad_label",
        }
    }
}

/// A record that will not be scored, with all that is needed to find and repair it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Why.
    pub reason: Reason,
    /// The field that was wrong, when one was.
    pub field: Option<Arc<str>>,
    /// Where it was read.
    pub position: Position,
    /// Whether it was a label record rather than an event.
    pub is_label: bool,
    /// The original bytes (for formats without a text of their own: the row as JSON).
    pub bytes: Vec<u8>,
}
