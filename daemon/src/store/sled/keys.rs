//! The names of rows: one sled tree, one byte in front for each table.
//!
//! ```text
//!  e EventId chunk            an event: header, meta, body; 4 KiB a chunk     g EventId        it is being written or removed
//!  k hash(source, key) slot   idempotency key -> EventId                      m word           schema, store key, totals, position
//!  i EventId                  inbox: to be routed                             r EventId chunk  the decision
//!  u EventId                  unrouted                                        x EventId        dropped
//!  d EventId handler          a delivery; mostly its decision and first attempt, too                                      l EventId handler  it is dead
//!  q |handler| due EventId    when a delivery wants attention (due, or its lease runs out)
//!  w |handler|                how many rows of `q` the handler has
//!  a EventId |handler| number chunk   an attempt
//!  s EventId |handler| step   a step          v |plugin| key   a key-value pair
//!  p hash(source, key) slot   taken while sled was not open: EventId, its key not yet looked up
//!  y EventId  an event that turned out to be another one: the first one's EventId
//!  o key      a row that leads nowhere, out of the way (`aside.rs`): its whole key and its value
//!  t EventId  a tombstone (`prune.rs`): the event is gone, its idempotency key is not; the key's hash
//! ```
//! Numbers are big endian, so that rows sort as they do. `|name|` has its length in front: a name may hold any byte.

use sha2::{Digest, Sha256};

use crate::model::clock::UnixMillis;
use crate::model::ids::{DeliveryId, EventId, HandlerName, IdempotencyKey, PluginId, SourceName, StepId};

/// Tables by their first byte.
pub(super) const EVENTS: u8 = b'e';
pub(super) const STAGED: u8 = b'g';
pub(super) const IDEMPOTENCY: u8 = b'k';
pub(super) const INBOX: u8 = b'i';
pub(super) const DECISIONS: u8 = b'r';
pub(super) const UNROUTED: u8 = b'u';
pub(super) const DROPPED: u8 = b'x';
pub(super) const DELIVERIES: u8 = b'd';
pub(super) const DEAD: u8 = b'l';
pub(super) const DUE: u8 = b'q';
pub(super) const WAITING: u8 = b'w';
pub(super) const ATTEMPTS: u8 = b'a';
pub(super) const STEPS: u8 = b's';
pub(super) const PAIRS: u8 = b'v';
pub(super) const META: u8 = b'm';
pub(super) const PROVISIONAL: u8 = b'p';
pub(super) const ALIASES: u8 = b'y';
pub(super) const ASIDE: u8 = b'o';
pub(super) const TOMBSTONES: u8 = b't';

/// Which format the rows are in.
pub(super) const SCHEMA: &[u8] = b"mschema";
/// The secret behind step keys.
pub(super) const STORE_KEY: &[u8] = b"mstore-key";
/// How many of what there are.
pub(super) const TOTALS: &[u8] = b"mtotals";
/// A repair was begun and has not ended.
pub(super) const REPAIRING: &[u8] = b"mrepairing";
/// How far of the journal sled has come. Never in the journal itself.
pub(super) const JOURNAL: &[u8] = b"mjournal";

const ID_BYTES: usize = 16;
/// More than a key takes that names an event, a moment and a handler with a name of usual length.
const USUAL_BYTES: usize = 64;
/// Half of a SHA-256.
pub(super) const HASH_BYTES: usize = 16;

/// Tables that say nothing of their own: each row follows from an event, a decision or a delivery. All but one: a key whose
/// event is gone is all that is left to tell a duplicate by.
pub(super) const DERIVED: [u8; 7] = [IDEMPOTENCY, INBOX, UNROUTED, DROPPED, DEAD, DUE, WAITING];

/// Tables whose rows each begin with the event that they belong to.
pub(super) const OF_EVENTS: [u8; 12] = [
    EVENTS, STAGED, INBOX, DECISIONS, UNROUTED, DROPPED, DELIVERIES, DEAD, ATTEMPTS, STEPS, ALIASES,
    TOMBSTONES,
];

/// A row of a table that holds one for each event (`i`, `u`, `x`, `g`, `t`), or what all rows of an event begin with.
pub(super) fn of_event(table: u8, id: EventId) -> Vec<u8> {
    let mut key = begun(table);
    key.extend_from_slice(&id.to_bytes());
    key
}

/// One chunk of the record whose rows begin with `prefix`.
pub(super) fn chunk(prefix: &[u8], number: u16) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + 2);
    key.extend_from_slice(prefix);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// SHA-256 over source and key. Its first half names the row and its second half stands in it: together they tell keys
/// apart for good. Should two share the first half, the row's slot tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyHash {
    pub(super) row: [u8; HASH_BYTES],
    pub(super) rest: [u8; HASH_BYTES],
}

/// The hash of an idempotency key.
pub(super) fn idempotency_hash(source: &SourceName, key: &IdempotencyKey) -> KeyHash {
    let digest =
        Sha256::new().chain_update(source.as_str()).chain_update([0]).chain_update(key.as_str()).finalize();
    let mut hash = KeyHash { row: [0; HASH_BYTES], rest: [0; HASH_BYTES] };
    hash.row.copy_from_slice(&digest[..HASH_BYTES]);
    hash.rest.copy_from_slice(&digest[HASH_BYTES..]);
    hash
}

/// The row of an idempotency key in table `k` or `p`: `slot` is 0 but for keys that share the first half of a hash.
pub(super) fn idempotency(table: u8, row: [u8; HASH_BYTES], slot: u8) -> Vec<u8> {
    let mut key = begun(table);
    key.extend_from_slice(&row);
    key.push(slot);
    key
}

/// The hash and the slot that a row of table `k` stands for.
pub(super) fn idempotency_in(key: &[u8]) -> Option<([u8; 16], u8)> {
    let (slot, hash) = key.get(1..)?.split_last()?;
    Some((hash.try_into().ok()?, *slot))
}

/// The event and the chunk that a row of table `e` or `r` stands for.
pub(super) fn chunk_in(key: &[u8]) -> Option<(EventId, u16)> {
    let chunk = key.get(1 + ID_BYTES..)?.try_into().ok()?;
    Some((event_in(key)?, u16::from_be_bytes(chunk)))
}

/// A delivery's row in table `d` or `l`.
pub(super) fn delivery(table: u8, id: &DeliveryId) -> Vec<u8> {
    let mut key = of_event(table, id.event);
    key.extend_from_slice(id.handler.as_str().as_bytes());
    key
}

/// Where the row by that key is kept once it is out of the way.
pub(super) fn aside(key: &[u8]) -> Vec<u8> {
    [&[ASIDE], key].concat()
}

/// What every row of a handler in table `q` begins with.
pub(super) fn due_prefix(handler: &HandlerName) -> Vec<u8> {
    let mut key = begun(DUE);
    push_name(&mut key, handler.as_str());
    key
}

/// Behind everything of the handler that is due at that moment or earlier.
pub(super) fn due_after(handler: &HandlerName, at: UnixMillis) -> Vec<u8> {
    let mut key = due_prefix(handler);
    key.extend_from_slice(&at.0.saturating_add(1).to_be_bytes());
    key
}

/// When a delivery wants attention.
pub(super) fn due(id: &DeliveryId, at: UnixMillis) -> Vec<u8> {
    let mut key = due_prefix(&id.handler);
    key.extend_from_slice(&at.0.to_be_bytes());
    key.extend_from_slice(&id.event.to_bytes());
    key
}

/// How many deliveries wait for a handler.
pub(super) fn waiting(handler: &HandlerName) -> Vec<u8> {
    let mut key = begun(WAITING);
    push_name(&mut key, handler.as_str());
    key
}

/// The handler that a row of table `w` stands for.
pub(super) fn waiting_in(key: &[u8]) -> Option<HandlerName> {
    let (handler, rest) = take_name(key.get(1..)?)?;
    rest.is_empty().then_some(handler)
}

/// What all attempts at a delivery begin with.
pub(super) fn attempts_prefix(id: &DeliveryId) -> Vec<u8> {
    let mut key = of_event(ATTEMPTS, id.event);
    push_name(&mut key, id.handler.as_str());
    key
}

/// What the chunks of one attempt begin with.
pub(super) fn attempt(id: &DeliveryId, number: u32) -> Vec<u8> {
    let mut key = attempts_prefix(id);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// What the rows of a delivery's steps begin with; the step's name is the rest of each.
pub(super) fn steps_prefix(id: &DeliveryId) -> Vec<u8> {
    let mut key = of_event(STEPS, id.event);
    push_name(&mut key, id.handler.as_str());
    key
}

/// A step's row.
pub(super) fn step(step: &StepId) -> Vec<u8> {
    let mut key = steps_prefix(&step.delivery);
    key.extend_from_slice(step.step.as_bytes());
    key
}

/// A key-value pair's row.
pub(super) fn pair(plugin: &PluginId, name: &[u8]) -> Vec<u8> {
    let mut key = begun(PAIRS);
    push_name(&mut key, plugin.as_str());
    key.extend_from_slice(name);
    key
}

/// The event that a row of a table keyed by event belongs to.
pub(super) fn event_in(key: &[u8]) -> Option<EventId> {
    let bytes: [u8; ID_BYTES] = key.get(1..1 + ID_BYTES)?.try_into().ok()?;
    Some(EventId::from_bytes(bytes))
}

/// The event that a row belongs to, whatever its table; `None` where it belongs to none.
pub(super) fn event_of(key: &[u8]) -> Option<EventId> {
    match key.first()? {
        table if OF_EVENTS.contains(table) => event_in(key),
        &DUE => {
            let event = key.get(due_prefix_in(key)?.len() + 8..)?.try_into().ok()?;
            Some(EventId::from_bytes(event))
        }
        _ => None,
    }
}

/// What every row of the handler of a row in table `q` begins with.
pub(super) fn due_prefix_in(key: &[u8]) -> Option<&[u8]> {
    let length = key.strip_prefix(&[DUE])?.first_chunk()?;
    key.get(..3 + usize::from(u16::from_be_bytes(*length)))
}

/// The event that a mark (a row of table `i`, `u`, `x`, `g` or `t`) names; `None` where its key is anything else.
pub(super) fn mark_in(key: &[u8]) -> Option<EventId> {
    if key.len() == 1 + ID_BYTES { event_in(key) } else { None }
}

/// The delivery that a row of table `d` or `l` belongs to.
pub(super) fn delivery_in(key: &[u8]) -> Option<DeliveryId> {
    let handler = std::str::from_utf8(key.get(1 + ID_BYTES..)?).ok()?;
    Some(DeliveryId { event: event_in(key)?, handler: HandlerName::new(handler) })
}

/// The delivery and the moment that a row of table `q` stands for.
pub(super) fn due_in(key: &[u8]) -> Option<(DeliveryId, UnixMillis)> {
    let (handler, rest) = take_name(key.get(1..)?)?;
    let due = u64::from_be_bytes(rest.get(..8)?.try_into().ok()?);
    let event: [u8; ID_BYTES] = rest.get(8..)?.try_into().ok()?;
    Some((DeliveryId { event: EventId::from_bytes(event), handler }, UnixMillis(due)))
}

/// The delivery, attempt number and chunk that a row of table `a` stands for.
pub(super) fn attempt_in(key: &[u8]) -> Option<(DeliveryId, u32, u16)> {
    let event = event_in(key)?;
    let (handler, rest) = take_name(key.get(1 + ID_BYTES..)?)?;
    let number = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?);
    let chunk = u16::from_be_bytes(rest.get(4..)?.try_into().ok()?);
    Some((DeliveryId { event, handler }, number, chunk))
}

/// The smallest key after every key that begins with `prefix`.
pub(super) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![u8::MAX; prefix.len() + 1]
}

/// A key of that table, with room for what most keys become.
fn begun(table: u8) -> Vec<u8> {
    let mut key = Vec::with_capacity(USUAL_BYTES);
    key.push(table);
    key
}

fn push_name(key: &mut Vec<u8>, name: &str) {
    let length = u16::try_from(name.len()).expect("names are checked against KEY_BYTES_MAX");
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(name.as_bytes());
}

fn take_name(bytes: &[u8]) -> Option<(HandlerName, &[u8])> {
    let (length, rest) = bytes.split_at_checked(2)?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(length.try_into().ok()?)))?;
    Some((HandlerName::new(std::str::from_utf8(name).ok()?), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(event: u128, handler: &str) -> DeliveryId {
        DeliveryId { event: EventId::from_bytes(event.to_be_bytes()), handler: HandlerName::new(handler) }
    }

    proptest! {
        #[test]
        fn keys_give_back_what_they_stand_for(event: u128, handler in "\\PC{1,40}", due_ms: u64, number: u32, part: u16) {
            let id = id(event, &handler);
            prop_assert_eq!(delivery_in(&delivery(DELIVERIES, &id)), Some(id.clone()));
            prop_assert_eq!(due_in(&due(&id, UnixMillis(due_ms))), Some((id.clone(), UnixMillis(due_ms))));
            prop_assert_eq!(waiting_in(&waiting(&id.handler)), Some(id.handler.clone()));
            prop_assert_eq!(attempt_in(&chunk(&attempt(&id, number), part)), Some((id, number, part)));
        }

        #[test]
        fn due_rows_sort_by_time_then_event(a: (u64, u128), b: (u64, u128)) {
            let key = |(at, event): (u64, u128)| due(&id(event, "h"), UnixMillis(at));
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
        }

        #[test]
        fn after_ends_a_prefix(prefix in proptest::collection::vec(any::<u8>(), 1..5), more in proptest::collection::vec(any::<u8>(), 0..5)) {
            let within: Vec<u8> = prefix.iter().chain(&more).copied().collect();
            if prefix.iter().any(|byte| *byte != u8::MAX) {
                prop_assert!(within < after(&prefix));
            }
            prop_assert!(prefix < after(&prefix));
        }
    }

    #[test]
    fn one_handlers_rows_never_stand_among_anothers() {
        let (short, long) = (HandlerName::new("a"), HandlerName::new("ab"));
        assert!(!due(&id(1, "ab"), UnixMillis(0)).starts_with(&due_prefix(&short)));
        assert!(!due(&id(1, "a"), UnixMillis(u64::MAX)).starts_with(&due_prefix(&long)));
    }
}
