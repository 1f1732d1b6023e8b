//! A round: what one commit will change, seen as if it had happened already.
//!
//! The writer runs each command against a round; reads see all rows and this round's own writes over them. A command that
//! is refused half-way is rolled back alone. Nobody sees anything of a round until the writer has it in the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use sled::IVec;

use super::codec::{self, Totals};
use super::events::{Record, Scan, View};
use super::fault::Fault;
use super::keys;
use super::rows::Rows;
use crate::model::clock::UnixMillis;
use crate::model::ids::{EventId, HandlerName};
use crate::model::limits::CHUNK_BYTES_MAX;
use crate::store::StoreError;

/// What the writer carries from round to round.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    pub(super) totals: Totals,
    /// The highest id ever given: ids grow even where the clock does not.
    pub(super) last_id: Option<EventId>,
    /// Whether `route` is to be woken when this is on disk.
    pub(super) rings_events: bool,
    /// Whether `dispatch` is to be woken when this is on disk.
    pub(super) rings_deliveries: bool,
}

/// Free disk space, where there is too little of it for new events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shortage {
    pub(super) free_bytes: u64,
    pub(super) need_bytes: u64,
}

/// A row's new value, or its removal.
pub(super) type Write = Option<Vec<u8>>;

/// One commit in the making.
#[derive(Debug)]
pub(super) struct Round {
    rows: Rows,
    writes: BTreeMap<Vec<u8>, Write>,
    bytes: usize,
    begun: Savepoint,
    pub(super) standing: Standing,
    /// Handlers that have something due now, or later, that they had not before; some of them may have it no more.
    pub(super) rung: BTreeSet<HandlerName>,
    pub(super) now: UnixMillis,
    pub(super) shortage: Option<Shortage>,
    /// sled is not open yet, and the journal holds as much as it may without it.
    pub(super) backlog_full: bool,
}

/// Where a refused command's round goes back to.
#[derive(Debug, Default)]
struct Savepoint {
    undo: Vec<(Vec<u8>, Option<Write>)>,
    bytes: usize,
    standing: Standing,
}

impl View for Round {
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, ::sled::Error> {
        match self.writes.get(key) {
            Some(own) => Ok(own.as_deref().map(IVec::from)),
            None => self.rows.get(key),
        }
    }
}

impl Scan for Round {
    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, ::sled::Error> {
        Self::scan(self, prefix, from, limit)
    }
}

impl Round {
    pub(super) fn new(rows: Rows, standing: Standing, now: UnixMillis) -> Self {
        let standing = Standing { rings_events: false, rings_deliveries: false, ..standing };
        let begun = Savepoint { standing, ..Savepoint::default() };
        Self {
            rows,
            writes: BTreeMap::new(),
            bytes: 0,
            begun,
            standing,
            rung: BTreeSet::new(),
            now,
            shortage: None,
            backlog_full: false,
        }
    }

    /// Runs a command, and takes back what it wrote where it is refused. An error is sled's own. Within another command: that
    /// one must not be refused any more.
    pub(super) fn run<T>(
        &mut self,
        command: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<Result<T, StoreError>, ::sled::Error> {
        self.begin();
        match command(self) {
            Ok(value) => Ok(Ok(value)),
            Err(Fault::Refused(why)) => {
                self.rollback();
                Ok(Err(why))
            }
            Err(Fault::Engine(error)) => Err(error),
        }
    }

    /// Marks the place that [`Self::rollback`] returns to.
    fn begin(&mut self) {
        self.begun = Savepoint { undo: Vec::new(), bytes: self.bytes, standing: self.standing };
    }

    /// Takes back everything since [`Self::begin`].
    fn rollback(&mut self) {
        let begun = std::mem::take(&mut self.begun);
        for (key, before) in begun.undo.into_iter().rev() {
            match before {
                Some(write) => self.writes.insert(key, write),
                None => self.writes.remove(&key),
            };
        }
        self.bytes = begun.bytes;
        self.standing = begun.standing;
    }

    /// Writes a row. The one gate where a value beyond a chunk is stopped: sled would make a file of it and never sync it.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        if value.len() > CHUNK_BYTES_MAX {
            return Err(StoreError::TooLarge { what: "a row", bytes: value.len(), max: CHUNK_BYTES_MAX });
        }
        self.bytes += key.len() + value.len();
        self.write(key, Some(value));
        Ok(())
    }

    /// Removes a row, where there is one.
    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.bytes += key.len();
        self.write(key, None);
    }

    /// Removes up to `max` rows that begin with `prefix`; says how many.
    pub(super) fn remove_within(&mut self, prefix: &[u8], max: usize) -> Result<usize, ::sled::Error> {
        let rows = self.scan(prefix, prefix, max)?;
        let count = rows.len();
        rows.into_iter().for_each(|key| self.remove(key));
        Ok(count)
    }

    /// Writes all chunks of a record.
    pub(super) fn put_record(&mut self, prefix: &[u8], record: &Record) -> Result<(), StoreError> {
        for number in 0..record.chunks() {
            self.put(keys::chunk(prefix, number), record.chunk(number))?;
        }
        Ok(())
    }

    /// The first `limit` keys from `from` on that begin with `prefix`, in order.
    pub(super) fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, ::sled::Error> {
        self.scan_within(from.to_vec()..keys::after(prefix), limit)
    }

    /// The first `limit` keys in the range, in order.
    pub(super) fn scan_within(
        &self,
        range: Range<Vec<u8>>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, ::sled::Error> {
        if range.start >= range.end {
            return Ok(Vec::new());
        }
        let own = self.writes.range(range.clone()).filter(|(_, write)| write.is_some());
        let mut found: Vec<Vec<u8>> = own.map(|(key, _)| key.clone()).take(limit).collect();
        let stored = self.rows.keys(range).about(limit).filter(|key| match key {
            Ok(key) => !self.writes.contains_key(key),
            Err(_) => true,
        });
        for key in stored.take(limit) {
            found.push(key?);
        }
        found.sort_unstable();
        found.truncate(limit);
        Ok(found)
    }

    /// The first `limit` keys of a handler's due rows before `end`, in order.
    pub(super) fn scan_due(
        &self,
        queue: &[u8],
        end: &[u8],
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, ::sled::Error> {
        let head = self.rows.heads.of(queue);
        let found = self.scan_within(head.clone()..end.to_vec(), limit)?;
        let first = found.first().cloned().unwrap_or_else(|| head.max(end.to_vec()));
        self.rows.heads.move_on(queue, &first);
        Ok(found)
    }

    /// Where a queue begins in sled, which has more rows of it, may be known better now.
    pub(super) fn look_again(&self, queue: &[u8]) -> Result<(), ::sled::Error> {
        self.rows.look_again(queue)
    }

    /// Refuses a new event where the disk is nearly full, or the journal is while sled is not open.
    pub(super) fn refuse_if_full(&self) -> Result<(), StoreError> {
        if self.backlog_full {
            return Err(StoreError::Loading);
        }
        match self.shortage {
            Some(Shortage { free_bytes, need_bytes }) => Err(StoreError::Full { free_bytes, need_bytes }),
            None => Ok(()),
        }
    }

    /// A fresh event id: of this moment, and above every id given before. A system that gives no randomness ends the store.
    pub(super) fn next_id(&mut self) -> EventId {
        let fresh = EventId::from_parts(self.now.0, rand::random());
        let id = match self.standing.last_id {
            Some(last) if fresh <= last => {
                last.next().unwrap_or_else(|| EventId::from_parts(last.millis().saturating_add(1), 0))
            }
            Some(_) | None => fresh,
        };
        self.standing.last_id = Some(id);
        id
    }

    /// Something is to be delivered to this handler, now or later.
    pub(super) fn ring(&mut self, handler: &HandlerName) {
        self.standing.rings_deliveries = true;
        if !self.rung.contains(handler) {
            self.rung.insert(handler.clone());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// What the round will write, keys and values together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether sled is not open yet, so that what it holds is not known.
    pub(super) fn is_loading(&self) -> bool {
        self.rows.tree.is_none()
    }

    /// What the round changes, with the totals that belong to it, where they are known.
    pub(super) fn into_rows(self) -> BTreeMap<Vec<u8>, Write> {
        let mut rows = self.writes;
        if self.rows.tree.is_some() {
            rows.insert(keys::TOTALS.to_vec(), Some(codec::encode_totals(&self.standing.totals)));
        }
        rows
    }

    fn write(&mut self, key: Vec<u8>, write: Write) {
        // What comes and goes within a round, and stood nowhere before, need not be told to anybody.
        let gone = write.is_none() && self.writes.contains_key(&key) && !self.rows.may_hold(&key);
        if write.is_some() {
            self.rows.heads.put(&key);
        }
        let before = if gone { self.writes.remove(&key) } else { self.writes.insert(key.clone(), write) };
        self.begun.undo.push((key, before));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn round(stored: &[(&str, &str)]) -> Round {
        let db = ::sled::Config::new().temporary(true).cache_capacity(1 << 20).open().unwrap();
        for (key, value) in stored {
            db.insert(key, *value).unwrap();
        }
        let rows = Rows {
            front: Arc::default(),
            tree: Some((*db).clone()),
            horizon: Arc::default(),
            heads: Arc::default(),
        };
        Round::new(rows, Standing::default(), UnixMillis(1000))
    }

    fn keys_of(round: &Round, from: &str, limit: usize) -> Vec<String> {
        let keys = round.scan(b"a", from.as_bytes(), limit).unwrap();
        keys.into_iter().map(|key| String::from_utf8(key).unwrap()).collect()
    }

    #[test]
    fn a_scan_sees_the_tree_under_the_rounds_own_writes() {
        let mut round = round(&[("a1", "old"), ("a2", "old"), ("a4", "old"), ("b", "other table")]);
        round.put(b"a3".to_vec(), b"new".to_vec()).unwrap();
        round.put(b"a4".to_vec(), b"new".to_vec()).unwrap();
        round.remove(b"a1".to_vec());
        assert_eq!(keys_of(&round, "a", 10), ["a2", "a3", "a4"]);
        assert_eq!(keys_of(&round, "a", 2), ["a2", "a3"]);
        assert_eq!(keys_of(&round, "a3", 10), ["a3", "a4"]);
        assert_eq!(View::get(&round, b"a4").unwrap().unwrap(), b"new");
        assert_eq!(View::get(&round, b"a1").unwrap(), None);
    }

    #[test]
    fn a_refused_command_leaves_the_others_writes() {
        let mut round = round(&[("a1", "old")]);
        round.begin();
        round.put(b"a1".to_vec(), b"first".to_vec()).unwrap();
        let (bytes, counts) = (round.bytes(), round.standing.totals);
        round.begin();
        round.put(b"a1".to_vec(), b"second".to_vec()).unwrap();
        round.put(b"a2".to_vec(), b"second".to_vec()).unwrap();
        round.remove(b"a1".to_vec());
        round.standing.totals.counts.events += 1;
        round.rollback();
        assert_eq!(View::get(&round, b"a1").unwrap().unwrap(), b"first");
        assert_eq!(keys_of(&round, "a", 10), ["a1"]);
        assert_eq!((round.bytes(), round.standing.totals), (bytes, counts));
    }

    #[test]
    fn what_comes_and_goes_within_a_round_is_written_only_where_it_stood_before() {
        let mut round = round(&[("a1", "old")]);
        let tree = round.rows.tree.clone().unwrap();
        round.rows.horizon.survey(&tree).unwrap();
        let (stored, fresh) = (b"a1".to_vec(), keys::of_event(keys::INBOX, EventId::from_bytes([7; 16])));
        for key in [&stored, &fresh] {
            round.put(key.clone(), b"new".to_vec()).unwrap();
        }
        round.begin();
        for key in [&stored, &fresh] {
            round.remove(key.clone());
            assert_eq!(View::get(&round, key).unwrap(), None);
        }
        assert_eq!(
            round.writes,
            BTreeMap::from([(stored.clone(), None)]),
            "sled has it, and is to remove it"
        );
        round.rollback();
        assert!(View::get(&round, &stored).unwrap().is_some());
        assert!(View::get(&round, &fresh).unwrap().is_some(), "a refused removal never was");
    }

    #[test]
    fn a_value_beyond_a_chunk_is_refused() {
        let mut round = round(&[]);
        round.put(b"a".to_vec(), vec![0; CHUNK_BYTES_MAX]).unwrap();
        let told = round.put(b"b".to_vec(), vec![0; CHUNK_BYTES_MAX + 1]).unwrap_err();
        assert!(matches!(told, StoreError::TooLarge { bytes: 4097, .. }), "{told}");
    }

    #[test]
    fn ids_grow_though_the_clock_steps_back() {
        let mut round = round(&[]);
        let first = round.next_id();
        round.now = UnixMillis(10);
        let second = round.next_id();
        assert_eq!(first.next(), Some(second));
        round.standing.last_id = Some(EventId::from_parts(2000, u128::MAX));
        let third = round.next_id();
        assert_eq!(third.millis(), 2001);
        assert!(third > EventId::from_parts(2000, u128::MAX));
    }
}
