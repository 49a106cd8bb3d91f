//! Which checkpoints are kept: pure, told what there is, it says what can go.

/// A checkpoint as its store lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its number; later ones are higher.
    pub sequence: u64,
    /// When it was written, milliseconds since the epoch.
    pub written_ms: i64,
}

/// How many and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// So many of the newest stay, at least 1.
    pub count: usize,
    /// Older ones go, the newest apart; 0 = whatever their age.
    pub age_ms: i64,
}

impl Retention {
    /// The sequences that can go, `good` being the newest that is known to be whole: it always
    /// stays, and so do those after it, which may still turn out to be whole.
    #[must_use]
    pub fn expired(&self, held: &[Held], good: u64, now_ms: i64) -> Vec<u64> {
        let mut newest_first = held.to_vec();
        newest_first.sort_unstable_by_key(|held| std::cmp::Reverse(held.sequence));
        let is_old =
            |held: &Held| self.age_ms > 0 && now_ms.saturating_sub(held.written_ms) > self.age_ms;
        let candidates = newest_first.iter().enumerate();
        candidates
            .filter(|(rank, held)| held.sequence < good && (*rank >= self.count || is_old(held)))
            .map(|(_, held)| held.sequence)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(sequences: &[u64]) -> Vec<Held> {
        let written = |&sequence| Held { sequence, written_ms: sequence as i64 * 1000 };
        sequences.iter().map(written).collect()
    }

    #[test]
    fn the_newest_stay_by_count() {
        let retention = Retention { count: 2, age_ms: 0 };
        assert_eq!(retention.expired(&held(&[1, 2, 3, 4]), 4, 1 << 40), [2, 1]);
        assert_eq!(retention.expired(&held(&[4]), 4, 1 << 40), [0_u64; 0]);
    }

    #[test]
    fn old_ones_go_by_age_but_never_the_last_good_one() {
        let retention = Retention { count: 9, age_ms: 1500 };
        assert_eq!(retention.expired(&held(&[1, 2, 3, 4]), 4, 4000), [2, 1]);
        assert_eq!(retention.expired(&held(&[1, 2, 3, 4]), 4, 1 << 40), [3, 2, 1]);
    }

    #[test]
    fn a_good_one_stays_however_many_torn_ones_follow() {
        let retention = Retention { count: 1, age_ms: 1 };
        assert_eq!(retention.expired(&held(&[1, 2, 3, 4, 5]), 2, 1 << 40), [1]);
    }
}
