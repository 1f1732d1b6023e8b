//! What sled may hold: the applier says it before it writes, and whoever would look into sled asks here first.
//!
//! A look into sled waits for the batch that is being applied, since sled has one lock for the whole process. Most looks
//! are for rows that are not there: the key of a new event, a delivery that is about to be made, an inbox that is routed
//! up to the last event. Those are answered here, from memory:
//!
//! - rows that belong to an event are not in sled while nothing of that event, or of a later one, was given to it;
//! - an idempotency key is not where the filter has never seen it ([`KnownKeys`]);
//! - the inbox, and each handler's due rows up to a moment, are not while the applier has written none of them.
//!
//! "May hold" is never wrong about a row that is there; a row that is not there costs only the look. The order of a look
//! is front, horizon, sled: a row leaves the front only once sled has it, and sled has it only after the horizon was told.
//! All of this is memory; opening makes it anew.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sled::Tree;

use super::keys;
use super::known_keys::KnownKeys;
use crate::model::clock::UnixMillis;
use crate::model::ids::EventId;

/// What is due at any time.
const ALWAYS_DUE: UnixMillis = UnixMillis(0);
/// Every event is this one or an earlier one.
const LAST_EVENT: EventId = EventId::from_bytes([u8::MAX; 16]);

/// Asked by everybody, told by the applier.
#[derive(Debug)]
pub(super) struct Horizon(RwLock<Inner>);

#[derive(Debug)]
struct Inner {
    /// No row of a later event was ever given to sled.
    newest: EventId,
    /// By what their rows begin with: the inbox, and each handler's due rows. One that is not here is empty.
    queues: BTreeMap<Vec<u8>, Queue>,
    keys: KnownKeys,
}

/// What is known of rows that sled may hold.
#[derive(Debug, Clone, Copy, Default)]
struct Queue {
    /// None of them is due earlier; `None` where there is none at all. Rows of the inbox are always due.
    first: Option<UnixMillis>,
    /// How often the applier wrote some.
    turn: u64,
    /// It is at it.
    writing: bool,
}

impl Default for Horizon {
    /// Where nothing is known yet: sled may hold anything.
    fn default() -> Self {
        let anything = Queue { first: Some(ALWAYS_DUE), ..Queue::default() };
        let queues = [(vec![keys::INBOX], anything), (vec![keys::DUE], anything)].into();
        Self(RwLock::new(Inner { newest: LAST_EVENT, queues, keys: KnownKeys::default() }))
    }
}

impl Horizon {
    /// Looks at sled once, when it is open and before anything is given to it. The keys are learnt later
    /// ([`Self::learn_keys`]), for there may be millions.
    pub(super) fn survey(&self, tree: &Tree) -> Result<(), ::sled::Error> {
        let mut newest = EventId::from_bytes([0; 16]);
        for table in keys::OF_EVENTS {
            let last = tree.range(vec![table]..keys::after(&[table])).next_back().transpose()?;
            // Behind a key that names no event there may be any.
            newest = newest.max(last.map_or(newest, |(key, _)| keys::event_of(&key).unwrap_or(LAST_EVENT)));
        }
        let mut queues = BTreeMap::new();
        if let Some(first) = first_in(tree, &[keys::INBOX])? {
            queues.insert(vec![keys::INBOX], Queue { first: Some(first), ..Queue::default() });
        }
        let mut from = vec![keys::DUE];
        while let Some(key) = tree.range(from..keys::after(&[keys::DUE])).keys().next().transpose()? {
            let (prefix, at) = queue_of(&key).unwrap_or((&[keys::DUE], ALWAYS_DUE));
            queues.insert(prefix.to_vec(), Queue { first: Some(at), ..Queue::default() });
            from = keys::after(prefix);
        }
        let mut inner = self.write();
        (inner.newest, inner.queues) = (newest, queues);
        Ok(())
    }

    /// Keys that were there when sled was opened.
    pub(super) fn learn_keys<'a>(&self, learnt: impl Iterator<Item = &'a [u8]>) {
        let mut inner = self.write();
        learnt.for_each(|key| inner.keys.insert(key));
    }

    /// All of them were learnt: from here on the filter knows.
    pub(super) fn keys_learnt(&self) {
        self.write().keys.complete();
    }

    /// The applier is about to put these rows into sled. It tells of each before.
    pub(super) fn giving<'a>(&self, rows: impl Iterator<Item = &'a [u8]>) {
        let mut inner = self.write();
        for key in rows {
            if key.first() == Some(&keys::IDEMPOTENCY) {
                inner.keys.insert(key);
            }
            if let Some((prefix, at)) = queue_of(key) {
                inner.put_into_queue(prefix, at);
            }
            inner.newest = inner.newest.max(keys::event_of(key).unwrap_or(inner.newest));
        }
    }

    /// What it was about to put is in sled.
    pub(super) fn given(&self) {
        self.write().queues.values_mut().for_each(|queue| queue.writing = false);
    }

    /// Whether sled may hold the row.
    pub(super) fn may_hold(&self, key: &[u8]) -> bool {
        let inner = self.read();
        if key.first() == Some(&keys::IDEMPOTENCY) {
            return inner.keys.may_hold(key);
        }
        if let Some((prefix, at)) = queue_of(key) {
            return inner.first_in(prefix).is_some_and(|first| first <= at);
        }
        keys::event_of(key).is_none_or(|event| event <= inner.newest)
    }

    /// Whether sled may hold rows in the range.
    pub(super) fn may_hold_within(&self, range: &Range<Vec<u8>>) -> bool {
        let inner = self.read();
        if let Some(prefix) = queue_prefix_of(&range.start).filter(|prefix| range.end <= keys::after(prefix))
        {
            let Some(first) = inner.first_in(prefix) else { return false };
            return match range.end.strip_prefix(prefix).and_then(|rest| rest.split_first_chunk()) {
                Some((until, [])) => first < UnixMillis(u64::from_be_bytes(*until)),
                Some((until, _)) => first <= UnixMillis(u64::from_be_bytes(*until)),
                None => true,
            };
        }
        one_event(range).is_none_or(|event| event <= inner.newest)
    }

    /// Looks into sled at where the queue begins now, where it may have moved on. Not while the applier writes to it.
    pub(super) fn look_again(&self, tree: &Tree, queue: &[u8]) -> Result<(), ::sled::Error> {
        let before = self.read().queues.get(queue).copied().unwrap_or_default();
        if before.writing || before.first.is_none() {
            return Ok(());
        }
        let first = first_in(tree, queue)?;
        let mut inner = self.write();
        if let Some(now) = inner.queues.get_mut(queue).filter(|now| now.turn == before.turn) {
            now.first = first;
        }
        Ok(())
    }

    /// As though nothing were known: rows were changed behind its back.
    #[cfg(test)]
    pub(super) fn forget(&self) {
        let nothing = Self::default().0.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.write() = nothing;
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn put_into_queue(&mut self, prefix: &[u8], at: UnixMillis) {
        let queue = match self.queues.get_mut(prefix) {
            Some(queue) => queue,
            None => self.queues.entry(prefix.to_vec()).or_default(),
        };
        queue.first = Some(queue.first.map_or(at, |first| first.min(at)));
        queue.turn += u64::from(!queue.writing);
        queue.writing = true;
    }

    fn first_in(&self, prefix: &[u8]) -> Option<UnixMillis> {
        // A due row that names no handler may stand anywhere among those that do.
        let nobodys = self.queues.get(&[keys::DUE][..]);
        let queue = nobodys.or_else(|| self.queues.get(prefix))?;
        queue.first
    }
}

/// The event that everything in the range belongs to.
fn one_event(range: &Range<Vec<u8>>) -> Option<EventId> {
    let table = range.start.first().filter(|table| keys::OF_EVENTS.contains(table))?;
    let event = keys::event_in(&range.start)?;
    (range.end <= keys::after(&keys::of_event(*table, event))).then_some(event)
}

/// What the rows of a key's queue begin with.
fn queue_prefix_of(key: &[u8]) -> Option<&[u8]> {
    if key.first() == Some(&keys::INBOX) { Some(&key[..1]) } else { keys::due_prefix_in(key) }
}

/// The queue that a row stands in, and when the row is due.
fn queue_of(key: &[u8]) -> Option<(&[u8], UnixMillis)> {
    let prefix = match key.first() {
        Some(&keys::INBOX) => return Some((&key[..1], ALWAYS_DUE)),
        Some(&keys::DUE) => keys::due_prefix_in(key).unwrap_or(&key[..1]),
        _ => return None,
    };
    let at = key[prefix.len()..].first_chunk().map_or(ALWAYS_DUE, |at| UnixMillis(u64::from_be_bytes(*at)));
    Some((prefix, at))
}

/// When the first of a queue's rows in sled is due.
fn first_in(tree: &Tree, queue: &[u8]) -> Result<Option<UnixMillis>, ::sled::Error> {
    let first = tree.scan_prefix(queue).keys().next().transpose()?;
    Ok(first.map(|key| queue_of(&key).map_or(ALWAYS_DUE, |(_, at)| at)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::ids::{DeliveryId, HandlerName};

    /// Rows of every kind that the horizon knows something of, and one that it does not.
    fn key(kind: u8, event: u8, due: u8) -> Vec<u8> {
        let id = EventId::from_bytes([event; 16]);
        let delivery = |handler: &str| DeliveryId { event: id, handler: HandlerName::new(handler) };
        match kind {
            0 => keys::of_event(keys::INBOX, id),
            1 => keys::due(&delivery("one"), UnixMillis(due.into())),
            2 => keys::due(&delivery("two"), UnixMillis(due.into())),
            3 => keys::idempotency(keys::IDEMPOTENCY, [event; 16], 0),
            4 => keys::chunk(&keys::of_event(keys::EVENTS, id), 0),
            5 => keys::TOTALS.to_vec(),
            _ => [&[keys::DUE, 0, 9], &[event][..]].concat(),
        }
    }

    fn queue(kind: u8) -> Vec<u8> {
        match kind % 3 {
            0 => vec![keys::INBOX],
            1 => keys::due_prefix(&HandlerName::new("one")),
            _ => keys::due_prefix(&HandlerName::new("two")),
        }
    }

    #[derive(Debug, Clone)]
    enum Happens {
        /// The applier tells of rows, which land, or are removed, when it next ends.
        Gives(Vec<(Vec<u8>, bool)>),
        Ends,
        LooksAgain(u8),
        /// The store is closed and opened.
        Opens,
    }

    fn anything() -> impl Strategy<Value = Happens> {
        // A row that names no handler takes what is known of all queues away, so it must be rare.
        let kinds = prop_oneof![60 => 0_u8..6, 1 => Just(6_u8)];
        let row = (kinds, 0_u8..4, 0_u8..4, any::<bool>()).prop_map(|(k, e, d, put)| (key(k, e, d), put));
        prop_oneof![
            6 => proptest::collection::vec(row, 1..4).prop_map(Happens::Gives),
            6 => Just(Happens::Ends),
            3 => (0_u8..3).prop_map(Happens::LooksAgain),
            1 => Just(Happens::Opens),
        ]
    }

    fn assert_never_wrong(horizon: &Horizon, db: &sled::Db) {
        for row in db.iter().keys() {
            let row = row.unwrap().to_vec();
            assert!(horizon.may_hold(&row), "{row:?}");
            assert!(horizon.may_hold_within(&(row.clone()..[row.as_slice(), &[0]].concat())), "{row:?}");
            let prefix =
                if row[0] == keys::DUE { keys::due_prefix_in(&row).unwrap_or(&row[..1]) } else { &row[..1] };
            assert!(horizon.may_hold_within(&(prefix.to_vec()..keys::after(prefix))), "{row:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_never_denies_a_row_that_sled_has(happenings in proptest::collection::vec(anything(), 0..30)) {
            let db = sled::Config::new().temporary(true).cache_capacity(1 << 20).open().unwrap();
            let mut horizon = Horizon::default();
            let mut given: Vec<(Vec<u8>, bool)> = Vec::new();
            horizon.survey(&db).unwrap();
            horizon.keys_learnt();
            for happening in happenings {
                match happening {
                    Happens::Gives(rows) => {
                        horizon.giving(rows.iter().filter(|(_, put)| *put).map(|(key, _)| key.as_slice()));
                        given.extend(rows);
                    }
                    Happens::Ends => {
                        for (key, put) in given.drain(..) {
                            if put { db.insert(key, b"").unwrap() } else { db.remove(key).unwrap() };
                        }
                        horizon.given();
                    }
                    Happens::LooksAgain(kind) => horizon.look_again(&db, &queue(kind)).unwrap(),
                    Happens::Opens => {
                        given.clear();
                        horizon = Horizon::default();
                        assert_never_wrong(&horizon, &db);
                        horizon.survey(&db).unwrap();
                        let keys: Vec<_> = db.scan_prefix([keys::IDEMPOTENCY]).keys().map(Result::unwrap).collect();
                        horizon.learn_keys(keys.iter().map(AsRef::as_ref));
                        horizon.keys_learnt();
                    }
                }
                assert_never_wrong(&horizon, &db);
            }
        }
    }

    #[test]
    fn what_was_never_given_is_denied() {
        let db = sled::Config::new().temporary(true).cache_capacity(1 << 20).open().unwrap();
        let horizon = Horizon::default();
        horizon.survey(&db).unwrap();
        let (inbox, due) = (queue(0), queue(1));
        let due_until = |at| due.clone()..keys::due_after(&HandlerName::new("one"), UnixMillis(at));
        assert!(!horizon.may_hold_within(&(inbox.clone()..keys::after(&inbox))));
        assert!(horizon.may_hold(&key(3, 1, 0)), "the keys are not learnt yet");
        horizon.keys_learnt();
        assert!(!horizon.may_hold(&key(3, 1, 0)));
        horizon.giving([key(3, 2, 0), key(1, 1, 9), key(0, 1, 0)].iter().map(Vec::as_slice));
        assert!(horizon.may_hold(&key(3, 2, 0)) && !horizon.may_hold(&key(3, 1, 0)));
        assert!(horizon.may_hold(&key(4, 1, 0)) && !horizon.may_hold(&key(4, 2, 0)), "a later event");
        assert!(horizon.may_hold_within(&due_until(9)) && !horizon.may_hold_within(&due_until(8)));
        assert!(!horizon.may_hold_within(&(queue(2)..keys::after(&queue(2)))), "another handler");
        horizon.look_again(&db, &inbox).unwrap();
        assert!(
            horizon.may_hold_within(&(inbox.clone()..keys::after(&inbox))),
            "it is being written just now"
        );
        horizon.given();
        horizon.look_again(&db, &inbox).unwrap();
        assert!(!horizon.may_hold_within(&(inbox.clone()..keys::after(&inbox))));
    }
}
