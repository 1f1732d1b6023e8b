//! Every key of an index in one flat table, behind a filter.
//!
//! Most of what an event's values ask for is in no rule: each length of a beginning is one more look-up. Those end at
//! the filter, which stays in the processor's caches where the table does not.

use super::List;

/// Keys by open addressing, the next free slot after their own. Keys are hashes, so they are their own place.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Two bits of one word for each key.
    filter: Vec<u64>,
    /// A power of two of them; an empty list marks a free one.
    slots: Vec<(u64, List)>,
}

/// Bits of the filter for each key, at least: two in a hundred of absent keys pass.
const FILTER_BITS_PER_KEY: usize = 12;

impl Table {
    /// A table with room for so many keys.
    pub(super) fn with_room_for(keys: usize) -> Self {
        let words = (keys * FILTER_BITS_PER_KEY).div_ceil(64).next_power_of_two();
        // At most three of four slots are taken, so that a search is short, and ends.
        let slots = (keys + keys / 3 + 1).next_power_of_two();
        Self { filter: vec![0; words], slots: vec![(0, List::default()); slots] }
    }

    /// `key` has no list so far, and `list` is not empty.
    pub(super) fn insert(&mut self, key: u64, list: List) {
        let word = self.word(key);
        self.filter[word] |= bits(key);
        let free = self.slots_from(key).find(|slot| self.slots[*slot].1.is_empty());
        let free = free.expect("there is room for as many keys as were announced, and more");
        self.slots[free] = (key, list);
    }

    pub(super) fn get(&self, key: u64) -> Option<List> {
        if self.filter[self.word(key)] & bits(key) != bits(key) {
            return None;
        }
        let taken =
            self.slots_from(key).map(|slot| self.slots[slot]).take_while(|(_, list)| !list.is_empty());
        taken.into_iter().find(|(taken, _)| *taken == key).map(|(_, list)| list)
    }

    fn word(&self, key: u64) -> usize {
        (key >> 32) as usize & (self.filter.len() - 1)
    }

    fn slots_from(&self, key: u64) -> impl Iterator<Item = usize> + use<> {
        let (first, mask) = (key as usize, self.slots.len() - 1);
        (0..=mask).map(move |step| first.wrapping_add(step) & mask)
    }
}

fn bits(key: u64) -> u64 {
    1 << (key >> 26 & 63) | 1 << (key >> 20 & 63)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    proptest::proptest! {
        /// Keys that share all but a few bits meet in the filter and in the slots.
        #[test]
        fn finds_what_was_put_in_and_nothing_else(
            keys in proptest::collection::btree_map((0_u64..4, 0_u64..4, 0_u64..8), 0_u32..9, 0..60),
            asked in proptest::collection::vec((0_u64..4, 0_u64..4, 0_u64..8), 60),
        ) {
            let key = |(high, middle, low)| high << 62 | middle << 31 | low;
            let keys: BTreeMap<u64, List> =
                keys.into_iter().map(|(parts, rule)| (key(parts), List::one(rule))).collect();
            let mut table = Table::with_room_for(keys.len());
            keys.iter().for_each(|(key, list)| table.insert(*key, *list));
            for asked in keys.keys().copied().chain(asked.into_iter().map(key)) {
                proptest::prop_assert_eq!(table.get(asked), keys.get(&asked).copied());
            }
        }
    }
}
