//! Every row as it stands: what the journal holds in front, sled behind it.
//!
//! Readers and rounds look at rows only through this. The front is always asked first: a row that leaves it in between is
//! in sled by then, so nothing is ever missed. sled itself is asked only where the horizon says that it may know. For the writer the view is exact, since nobody else changes rows; a reader
//! beside it may see parts of a later commit, as it may with sled alone.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use sled::{IVec, Tree};

use super::events::{Scan, View};
use super::front::{Found, Front};
use super::heads::Heads;
use super::horizon::Horizon;
use super::keys;

/// Keys that a walk looks ahead at first; it doubles up to the next.
const AHEAD_FIRST: usize = 1;
/// Keys that a long walk looks ahead.
const AHEAD_MAX: usize = 256;

/// All rows.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub(super) front: Arc<Front>,
    /// None while sled is not open yet: then only what the journal holds is seen.
    pub(super) tree: Option<Tree>,
    pub(super) horizon: Arc<Horizon>,
    pub(super) heads: Arc<Heads>,
}

impl View for Rows {
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, ::sled::Error> {
        match self.front.get(key).map_err(journal_unread)? {
            Found::Value(value) => Ok(Some(value)),
            Found::Removed => Ok(None),
            Found::NotHere if self.horizon.may_hold(key) => {
                self.tree.as_ref().map_or(Ok(None), |tree| tree.get(key))
            }
            Found::NotHere => Ok(None),
        }
    }
}

impl Scan for Rows {
    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, ::sled::Error> {
        let end = keys::after(prefix);
        if from >= end.as_slice() {
            return Ok(Vec::new());
        }
        self.keys(from.max(prefix).to_vec()..end).take(limit).collect()
    }
}

impl Rows {
    /// Whether there may be such a row, or its removal may be on its way to sled.
    pub(super) fn may_hold(&self, key: &[u8]) -> bool {
        self.front.holds(key) || self.horizon.may_hold(key)
    }

    /// The keys in the range, first to last.
    pub(super) fn keys(&self, range: Range<Vec<u8>>) -> Keys {
        Keys::new(self.clone(), range, false)
    }

    /// The keys in the range, last to first.
    pub(super) fn keys_back(&self, range: Range<Vec<u8>>) -> Keys {
        Keys::new(self.clone(), range, true)
    }

    /// Has the horizon look at where a queue begins in sled, once all of it that is due has been walked over.
    pub(super) fn look_again(&self, queue: &[u8]) -> Result<(), ::sled::Error> {
        self.tree.as_ref().map_or(Ok(()), |tree| self.horizon.look_again(tree, queue))
    }

    /// The keys that begin with `prefix`, first to last.
    pub(super) fn with_prefix(&self, prefix: &[u8]) -> Keys {
        self.keys(prefix.to_vec()..keys::after(prefix))
    }
}

/// A walk over keys. Looks ahead a little, and only as far as it is walked.
#[derive(Debug)]
pub(super) struct Keys {
    rows: Rows,
    /// What is not looked at yet.
    left: Range<Vec<u8>>,
    backwards: bool,
    ahead: VecDeque<Vec<u8>>,
    ahead_max: usize,
}

impl Keys {
    fn new(rows: Rows, range: Range<Vec<u8>>, backwards: bool) -> Self {
        Self { rows, left: range, backwards, ahead: VecDeque::new(), ahead_max: AHEAD_FIRST }
    }

    /// The same walk, by somebody who wants about so many.
    pub(super) fn about(self, keys: usize) -> Self {
        Self { ahead_max: keys.clamp(AHEAD_FIRST, AHEAD_MAX), ..self }
    }

    /// Looks at the next part of what is left, which moves on by at least one key.
    fn look_ahead(&mut self) -> Result<(), ::sled::Error> {
        let max = self.ahead_max;
        self.ahead_max = (max * 2).min(AHEAD_MAX);
        let front = self.rows.front.keys(&self.left, self.backwards, max);
        // Beyond the front's last key the front may hold more: sled is looked at only so far.
        let mut part = self.left.clone();
        if front.len() == max
            && let Some((last, _)) = front.last()
        {
            if self.backwards { part.start = last.clone() } else { part.end = next_key(last) }
        }
        let mut found = Vec::with_capacity(max);
        for key in self.stored(&part).take(max + front.len()) {
            found.push(key?.to_vec());
            if found.len() == max + front.len()
                && let Some(last) = found.last()
            {
                if self.backwards { part.start = last.clone() } else { part.end = next_key(last) }
            }
        }
        let hidden = |key: &Vec<u8>| {
            let place = front.binary_search_by(
                |(there, _)| {
                    if self.backwards { key.cmp(there) } else { there.cmp(key) }
                },
            );
            place.is_ok()
        };
        found.retain(|key| !hidden(key));
        let live = front.into_iter().filter(|(key, there)| *there && part.contains(key));
        found.extend(live.map(|(key, _)| key));
        found.sort_unstable();
        if self.backwards {
            found.reverse();
            self.left.end = part.start;
        } else {
            self.left.start = part.end;
        }
        self.ahead = found.into();
        Ok(())
    }

    fn stored(&self, part: &Range<Vec<u8>>) -> Box<dyn Iterator<Item = Result<IVec, ::sled::Error>>> {
        let tree = self.rows.tree.as_ref().filter(|_| self.rows.horizon.may_hold_within(part));
        let Some(tree) = tree else { return Box::new(std::iter::empty()) };
        let keys = tree.range(part.clone()).keys();
        if self.backwards { Box::new(keys.rev()) } else { Box::new(keys) }
    }
}

impl Iterator for Keys {
    type Item = Result<Vec<u8>, ::sled::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ahead.is_empty() && self.left.start < self.left.end {
            if let Err(error) = self.look_ahead() {
                self.left.start = self.left.end.clone();
                return Some(Err(error));
            }
        }
        self.ahead.pop_front().map(Ok)
    }
}

/// The smallest key above `key`.
fn next_key(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of `map_err`")]
fn journal_unread(error: std::io::Error) -> ::sled::Error {
    ::sled::Error::Io(std::io::Error::new(
        error.kind(),
        format!("a row could not be read from the journal: {error}"),
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::front::Span;
    use super::*;

    /// A front of removals and one-byte values over a tree.
    fn rows(stored: &BTreeMap<Vec<u8>, u8>, front: &BTreeMap<Vec<u8>, Option<u8>>) -> Rows {
        let db = ::sled::Config::new().temporary(true).cache_capacity(1 << 20).open().unwrap();
        for (key, value) in stored {
            db.insert(key, &[*value]).unwrap();
        }
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &(0..=255).collect::<Vec<u8>>(), 0).unwrap();
        let made = Front::default();
        made.add_segment(1, Arc::new(file));
        let places = front.iter().map(|(key, value)| {
            let span = value.map(|value| Span { segment: 1, offset: u32::from(value), bytes: 1 });
            (key, span)
        });
        made.insert(1, places, |_| true);
        Rows {
            front: Arc::new(made),
            tree: Some((*db).clone()),
            horizon: Arc::default(),
            heads: Arc::default(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_walk_sees_what_a_plain_map_would_hold(
            stored in proptest::collection::btree_map(proptest::collection::vec(0_u8..6, 0..4), any::<u8>(), 0..60),
            front in proptest::collection::btree_map(proptest::collection::vec(0_u8..6, 0..4), any::<Option<u8>>(), 0..60),
            start in proptest::collection::vec(0_u8..6, 0..3),
            end in proptest::collection::vec(0_u8..7, 0..3),
        ) {
            let rows = rows(&stored, &front);
            let mut model = stored.clone();
            for (key, value) in &front {
                match value {
                    Some(value) => model.insert(key.clone(), *value),
                    None => model.remove(key),
                };
            }
            for key in stored.keys().chain(front.keys()) {
                let got = rows.get(key).unwrap().map(|value| value[0]);
                prop_assert_eq!(got, model.get(key).copied());
            }
            let range = start..end;
            let wanted: Vec<Vec<u8>> =
                model.keys().filter(|key| range.contains(*key)).cloned().collect();
            let walked: Vec<Vec<u8>> = rows.keys(range.clone()).map(Result::unwrap).collect();
            prop_assert_eq!(&walked, &wanted);
            let mut back: Vec<Vec<u8>> = rows.keys_back(range).map(Result::unwrap).collect();
            back.reverse();
            prop_assert_eq!(back, wanted);
        }
    }
}
