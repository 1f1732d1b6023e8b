//! The rows that the journal holds and sled does not have yet: where each stands in the journal.
//!
//! The writer puts a commit's rows in once it is on disk; the applier takes a row out once sled has it, on disk too. Every
//! look goes through [`super::rows::Rows`], which asks here first and sled second: in that order, because a row that leaves
//! between the two is in sled by then. Values stay in the journal's files and are read from there, so the front costs some
//! hundred bytes a row, whatever the row holds. A crash takes it away; opening makes it anew from the journal.
//!
//! A row that comes and goes before the applier has begun with it (an inbox mark, a due time) leaves no trace here, and
//! none in sled: most of what a delivery does to the indexes costs sled nothing.

use std::collections::{BTreeMap, btree_map};
use std::fs::File;
use std::io;
use std::ops::{Bound, Range};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sled::IVec;
use smallvec::SmallVec;

/// What the front says of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Value(IVec),
    Removed,
    /// Not here: sled knows.
    NotHere,
}

/// A row's place in the journal; `None` is a removal.
pub(super) type Place = Option<Span>;

/// Bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) segment: u32,
    pub(super) offset: u32,
    /// A row's value is at most one chunk.
    pub(super) bytes: u16,
}

/// Rows by key, and the files that they stand in.
#[derive(Debug, Default)]
pub(super) struct Front(RwLock<Inner>);

/// In place, but for those of handlers with long names: a look passes many keys on its way, and while each stood elsewhere
/// in memory, looks were a quarter of the writer's work.
type Key = SmallVec<[u8; 40]>;

#[derive(Debug, Default)]
struct Inner {
    rows: BTreeMap<Key, Entry>,
    files: BTreeMap<u32, Arc<File>>,
    /// The applier is at work on the commits up to this one, or done with them.
    begun: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    seq: u64,
    /// The first of the commits since which the row stands here: any from there on may be on its way to sled.
    since: u64,
    place: Place,
}

impl Front {
    /// Names the file of a segment. Before any row that stands in it.
    pub(super) fn add_segment(&self, number: u32, file: Arc<File>) {
        self.write().files.insert(number, file);
    }

    /// Lets go of a segment that no row stands in any more.
    pub(super) fn drop_segment(&self, number: u32) {
        self.write().files.remove(&number);
    }

    /// The file of a segment.
    pub(super) fn file(&self, number: u32) -> Option<Arc<File>> {
        self.read().files.get(&number).cloned()
    }

    /// Puts in the rows of commit `seq`, over those of the commits before it. `stored`: whether sled may have the key.
    pub(super) fn insert<K: AsRef<[u8]>>(
        &self,
        seq: u64,
        rows: impl Iterator<Item = (K, Place)>,
        stored: impl Fn(&[u8]) -> bool,
    ) {
        let mut inner = self.write();
        let Inner { rows: known, begun, .. } = &mut *inner;
        for (key, place) in rows {
            match known.entry(Key::from_slice(key.as_ref())) {
                btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(Entry { seq, since: seq, place });
                }
                btree_map::Entry::Occupied(before)
                    if place.is_none() && before.get().since > *begun && !stored(key.as_ref()) =>
                {
                    before.remove();
                }
                btree_map::Entry::Occupied(mut before) => {
                    let since = before.get().since;
                    before.insert(Entry { seq, since, place });
                }
            }
        }
    }

    /// The applier begins with the commits up to `seq`: from here on each row of theirs is either written by it or
    /// written over by a later commit.
    pub(super) fn begin(&self, seq: u64) {
        self.write().begun = seq;
    }

    /// Which of the rows of commit `seq` are the latest of their keys.
    pub(super) fn latest<'a>(&self, seq: u64, keys: impl Iterator<Item = &'a [u8]>) -> Vec<bool> {
        let inner = self.read();
        keys.map(|key| inner.rows.get(key).is_some_and(|entry| entry.seq == seq)).collect()
    }

    /// Takes out those of `keys` that no commit after `seq` has written: sled has them.
    pub(super) fn remove<'a>(&self, keys: impl Iterator<Item = &'a [u8]>, seq: u64) {
        let mut inner = self.write();
        for key in keys {
            if inner.rows.get(key).is_some_and(|entry| entry.seq <= seq) {
                inner.rows.remove(key);
            }
        }
    }

    /// Takes out every row that no commit after `seq` has written.
    pub(super) fn remove_all(&self, seq: u64) {
        let mut inner = self.write();
        inner.begun = inner.begun.max(seq);
        inner.rows.retain(|_, entry| entry.seq > seq);
    }

    /// Whether anything is known of the key.
    pub(super) fn holds(&self, key: &[u8]) -> bool {
        self.read().rows.contains_key(key)
    }

    /// What is known of the key.
    pub(super) fn get(&self, key: &[u8]) -> io::Result<Found> {
        loop {
            let (entry, file) = {
                let inner = self.read();
                let Some(entry) = inner.rows.get(key).copied() else { return Ok(Found::NotHere) };
                let Some(span) = entry.place else { return Ok(Found::Removed) };
                (entry, inner.files.get(&span.segment).cloned())
            };
            let value = read(entry.place, file.as_deref());
            // Its segment may have been let go and written over meanwhile, but never while the row stood here.
            let still = self.read().rows.get(key).is_some_and(|now| now.seq == entry.seq);
            if still {
                return value.map(Found::Value);
            }
        }
    }

    /// The first `limit` keys in the range, or the last ones, last first, and whether each is there or removed.
    pub(super) fn keys(&self, range: &Range<Vec<u8>>, backwards: bool, limit: usize) -> Vec<(Vec<u8>, bool)> {
        if range.start >= range.end {
            return Vec::new();
        }
        let bounds = (Bound::Included(range.start.as_slice()), Bound::Excluded(range.end.as_slice()));
        let inner = self.read();
        let seen =
            inner.rows.range::<[u8], _>(bounds).map(|(key, entry)| (key.to_vec(), entry.place.is_some()));
        if backwards { seen.rev().take(limit).collect() } else { seen.take(limit).collect() }
    }

    /// How many rows there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.read().rows.len()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(place: Place, file: Option<&File>) -> io::Result<IVec> {
    let (Some(span), Some(file)) = (place, file) else {
        return Err(io::Error::other("the journal's segment of a row is not open"));
    };
    let mut value = vec![0; usize::from(span.bytes)];
    file.read_exact_at(&mut value, u64::from(span.offset))?;
    Ok(IVec::from(value))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn span(offset: u32, bytes: u16) -> Place {
        Some(Span { segment: 1, offset, bytes })
    }

    fn front(content: &[u8]) -> Front {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let front = Front::default();
        front.add_segment(1, Arc::new(file));
        front
    }

    /// Puts rows in; sled has `b` and nothing else.
    fn insert(front: &Front, seq: u64, rows: &[(&str, Place)]) {
        let rows = rows.iter().map(|(key, place)| (*key, *place));
        front.insert(seq, rows, |key| key == b"b");
    }

    #[test]
    fn the_latest_commit_is_what_counts() {
        let front = front(b"oldnew");
        insert(&front, 1, &[("a", span(0, 3)), ("b", span(0, 3))]);
        insert(&front, 2, &[("a", span(3, 3)), ("b", None)]);
        assert_eq!(front.get(b"a").unwrap(), Found::Value(IVec::from("new")));
        assert_eq!(front.get(b"b").unwrap(), Found::Removed);
        assert_eq!(front.get(b"c").unwrap(), Found::NotHere);
        let all = b"a".to_vec()..b"z".to_vec();
        assert_eq!(front.keys(&all, false, 9), [(b"a".to_vec(), true), (b"b".to_vec(), false)]);
        assert_eq!(front.keys(&all, true, 1), [(b"b".to_vec(), false)]);
        assert_eq!(front.latest(1, [b"a".as_slice(), b"b"].into_iter()), [false, false]);
        assert_eq!(front.latest(2, [b"a".as_slice(), b"b"].into_iter()), [true, true]);
    }

    #[test]
    fn a_row_stays_until_sled_has_its_latest_commit() {
        let front = front(b"oldnew");
        insert(&front, 1, &[("a", span(0, 3)), ("b", span(0, 3))]);
        insert(&front, 2, &[("a", span(3, 3))]);
        front.remove([b"a".as_slice(), b"b"].into_iter(), 1);
        assert_eq!(front.len(), 1);
        assert_eq!(front.get(b"a").unwrap(), Found::Value(IVec::from("new")));
        front.remove_all(2);
        assert_eq!(front.get(b"a").unwrap(), Found::NotHere);
    }

    #[test]
    fn a_row_that_sled_never_saw_goes_without_a_trace() {
        let front = front(b"value");
        insert(&front, 1, &[("a", span(0, 5)), ("b", span(0, 5)), ("c", span(0, 5))]);
        insert(&front, 2, &[("a", None)]);
        assert_eq!(front.get(b"a").unwrap(), Found::NotHere);
        insert(&front, 3, &[("b", None)]);
        assert_eq!(front.get(b"b").unwrap(), Found::Removed, "sled has it");
        insert(&front, 4, &[("d", span(0, 5))]);
        front.begin(4);
        insert(&front, 5, &[("c", None), ("d", span(0, 5))]);
        insert(&front, 6, &[("d", None)]);
        assert_eq!(front.get(b"c").unwrap(), Found::Removed, "the applier may be writing it just now");
        assert_eq!(front.get(b"d").unwrap(), Found::Removed, "the applier may be writing what was before");
    }

    /// What happens to three keys, in any order: commits, and the applier at any point of its work.
    #[derive(Debug, Clone, Copy)]
    enum Happens {
        Put(u8),
        Remove(u8),
        /// The applier begins with all there is, unless it is at work.
        Begins,
        /// Its batch lands in sled.
        Lands,
        /// It tells the front.
        Ends,
    }

    fn anything() -> impl Strategy<Value = Happens> {
        prop_oneof![
            3 => (0_u8..3).prop_map(Happens::Put),
            3 => (0_u8..3).prop_map(Happens::Remove),
            1 => Just(Happens::Begins),
            1 => Just(Happens::Lands),
            1 => Just(Happens::Ends),
        ]
    }

    /// The applier's batch: the last commit in it, its rows, and whether it has landed.
    type Batch = (u64, BTreeMap<u8, Option<u64>>, bool);

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn front_and_sled_together_are_what_was_committed(happenings in proptest::collection::vec(anything(), 0..40)) {
            let front = front(&[0; 64]);
            let (mut model, mut sled) = (BTreeMap::new(), BTreeMap::<u8, u64>::new());
            let mut commits: Vec<(u64, u8, Option<u64>)> = Vec::new();
            let (mut seq, mut batch): (u64, Option<Batch>) = (0, None);
            for happening in happenings {
                match happening {
                    Happens::Put(key) | Happens::Remove(key) => {
                        seq += 1;
                        let value = matches!(happening, Happens::Put(_)).then_some(seq);
                        let place = value.map(|_| Span { segment: 1, offset: 0, bytes: 1 });
                        let stored = |key: &[u8]| sled.contains_key(&key[0]);
                        front.insert(seq, [([key], place)].into_iter(), stored);
                        commits.push((seq, key, value));
                        match value {
                            Some(value) => model.insert(key, value),
                            None => model.remove(&key),
                        };
                    }
                    Happens::Begins if batch.is_none() => {
                        front.begin(seq);
                        let mut rows = BTreeMap::new();
                        for (seq, key, value) in commits.drain(..) {
                            if front.latest(seq, [[key].as_slice()].into_iter())[0] {
                                rows.insert(key, value);
                            }
                        }
                        batch = Some((seq, rows, false));
                    }
                    Happens::Lands => {
                        if let Some((_, rows, landed)) = &mut batch {
                            for (key, value) in rows {
                                match value {
                                    Some(value) => sled.insert(*key, *value),
                                    None => sled.remove(key),
                                };
                            }
                            *landed = true;
                        }
                    }
                    Happens::Ends if batch.as_ref().is_some_and(|(_, _, landed)| *landed) => {
                        let (last, rows, _) = batch.take().unwrap();
                        let keys: Vec<[u8; 1]> = rows.keys().map(|key| [*key]).collect();
                        front.remove(keys.iter().map(<[u8; 1]>::as_slice), last);
                    }
                    Happens::Begins | Happens::Ends => {}
                }
                for key in 0..3 {
                    let seen = match front.get(&[key]).unwrap() {
                        // What the front holds is the latest by construction: only that it is there counts.
                        Found::Value(_) => model.get(&key).copied(),
                        Found::Removed => None,
                        Found::NotHere => sled.get(&key).copied(),
                    };
                    prop_assert_eq!(seen, model.get(&key).copied(), "key {} after {:?}", key, happening);
                }
            }
        }
    }
}
