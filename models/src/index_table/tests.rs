//! The table of embeddings against a plain map, and its bound.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Place, Table};

proptest! {
    /// Rows are found by their keys whatever came and went; one given away is the longest idle of
    /// those the hand saw, and never one that the row being learned needs.
    #[test]
    fn it_is_a_map_that_forgets(
        keys in prop::collection::vec(0_u32..90, 1..400), max in 8_usize..40,
    ) {
        let mut table = Table::new(max);
        // Keys to rows and when they were last needed.
        let mut map: BTreeMap<u32, (usize, u64)> = BTreeMap::new();
        let mut expired = 0;
        for (now, row_keys) in (1..).zip(keys.chunks(2)) {
            for key in row_keys {
                let Place { row, is_new, before } = table.admit(*key, now);
                prop_assert_eq!(is_new, !map.contains_key(key));
                let had = map.iter().find(|(_, (own, _))| *own == row);
                let had = had.map(|(key, (_, seen))| (*key, *seen));
                prop_assert_eq!(before, had);
                if let (true, Some((gone, seen))) = (is_new, had) {
                    prop_assert!(map.len() == max && seen < now);
                    map.remove(&gone);
                    expired += 1;
                }
                prop_assert!(row < max && table.key(row) == *key);
                map.entry(*key).or_insert((row, now));
                map.get_mut(key).expect("it was put there").1 = now;
            }
            prop_assert_eq!((table.len(), table.expired()), (map.len(), expired));
            for key in 0..90 {
                prop_assert_eq!(table.find(key), map.get(&key).map(|(row, _)| *row));
            }
        }
    }
}

/// Keys that are needed often stay while others pass through.
#[test]
fn what_is_needed_stays() {
    let mut table = Table::new(64);
    let mut lost = 0;
    for clock in 1..20_000_u64 {
        for key in [(clock % 16) as u32, 1000 + clock as u32] {
            if clock > 100 && key < 16 {
                lost += u32::from(table.admit(key, clock).is_new);
            } else {
                table.admit(key, clock);
            }
        }
    }
    assert_eq!((table.len(), lost), (64, 0));
    assert!(table.expired() > 19_000);
}
