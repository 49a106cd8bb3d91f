//! The fates of labels, counted.

/// What has happened to labels so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JoinCounts {
    /// Labels that found their event and are learned.
    pub joined: u64,
    /// Second labels of an event that say the same.
    pub duplicates: u64,
    /// Second labels of an event that say otherwise; the first one holds.
    pub contradictions: u64,
    /// Labels that came before their event.
    pub orphans: u64,
    /// Orphans whose event never came in time.
    pub orphans_expired: u64,
    /// Events whose horizon passed without a label and that were dropped.
    pub unlabelled: u64,
    /// Events whose horizon passed without a label and that were assumed negative.
    pub assumed: u64,
    /// Assumed labels that the true one confirmed.
    pub confirmed: u64,
    /// Assumed labels that the true one corrected.
    pub corrected: u64,
    /// Events given up early because too many were waiting.
    pub evicted: u64,
    /// Labels put aside because something was wrong when they came.
    pub quarantined: u64,
    /// Of these, labels that came again.
    pub returned: u64,
}
