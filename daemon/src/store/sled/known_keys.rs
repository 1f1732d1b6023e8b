//! The idempotency keys that sled may hold: a filter that grows.
//!
//! Part of the horizon, which says when it may be asked. It never denies a key that was put in; of a thousand that were
//! not, it denies all but some. Nothing is ever taken out: a key that retention removed costs a look into sled, until the next
//! start.

use fastbloom::BloomFilter;

use crate::model::limits::KEY_FILTER_KEYS_MIN;

/// How many of the keys that are not there the filter takes for such that may be: each costs a look into sled.
const FALSE_POSITIVES: f64 = 0.001;

/// The idempotency keys that sled may hold. Filters, each twice as large as the one before.
#[derive(Debug)]
pub(super) struct KnownKeys {
    filters: Vec<BloomFilter>,
    /// Random, so that nobody can choose keys that look alike to the filter.
    seed: u128,
    /// How many more the last filter is made for.
    room: usize,
    /// Every key that was in sled when it was opened has been put in.
    complete: bool,
}

impl Default for KnownKeys {
    fn default() -> Self {
        // Without randomness the filter is as right as ever.
        let seed = getrandom::u64().map_or(0, u128::from);
        Self { filters: Vec::new(), seed, room: 0, complete: false }
    }
}

impl KnownKeys {
    /// Puts a key in.
    pub(super) fn insert(&mut self, key: &[u8]) {
        if self.room == 0 {
            let expected = KEY_FILTER_KEYS_MIN << self.filters.len();
            let filter =
                BloomFilter::with_false_pos(FALSE_POSITIVES).seed(&self.seed).expected_items(expected);
            self.filters.push(filter);
            self.room = expected;
        }
        if let Some(filter) = self.filters.last_mut() {
            filter.insert(key);
            self.room -= 1;
        }
    }

    /// Every key that was in sled when it was opened has been put in.
    pub(super) fn complete(&mut self) {
        self.complete = true;
    }

    /// Whether the key may be there; anything may, until all are known.
    pub(super) fn may_hold(&self, key: &[u8]) -> bool {
        !self.complete || self.filters.iter().any(|filter| filter.contains(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_grows_and_forgets_nothing() {
        let mut filter = KnownKeys { complete: true, ..KnownKeys::default() };
        let key = |number: usize| number.to_be_bytes();
        let many = 4 * KEY_FILTER_KEYS_MIN;
        (0..many).for_each(|number| filter.insert(&key(number)));
        assert_eq!(filter.filters.len(), 3);
        assert!((0..many).all(|number| filter.may_hold(&key(number))));
        let wrong = (many..2 * many).filter(|number| filter.may_hold(&key(*number))).count();
        assert!(wrong < many / 100, "{wrong} of {many}");
    }
}
