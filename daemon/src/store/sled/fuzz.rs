//! What holds of rows whatever bytes a disk hands back. `tests/fuzz` calls this with made-up ones; only a build with the
//! feature `fuzzing` has it, so that the codec stays private to the engine.

use bytes::Bytes;

use super::codec;
use super::events;
use super::journal;
use super::keys;
use super::waiting;
use crate::model::ids::{DeliveryId, EventId, HandlerName};

/// How many kinds of values there are.
pub const KINDS: u8 = 11;

/// A kind of row by number, below [`KINDS`], and its bytes: read or refused; what was read is written again as a row that
/// reads the same. Kind 7 is what stands in a frame of the journal,
/// kind 9 the only chunk of a record.
///
/// # Panics
/// Where that does not hold.
pub fn value(kind: u8, row: &[u8]) {
    let id = || DeliveryId { event: EventId::from_bytes([1; 16]), handler: HandlerName::new("fuzz") };
    match kind {
        0 => again(row, |row| codec::decode_meta(row, Bytes::new()), codec::encode_meta),
        1 => again(row, codec::decode_decision, codec::encode_decision),
        2 => again(row, |row| codec::decode_delivery(id(), row), codec::encode_delivery),
        3 => again(row, codec::decode_attempt, codec::encode_attempt),
        4 => again(row, codec::decode_step, codec::encode_step),
        5 => again(row, codec::decode_pair, |pair| codec::encode_pair(&pair.value, pair.version)),
        6 => again(row, codec::decode_totals, codec::encode_totals),
        7 => journal::any_rows(row),
        8 => again(row, waiting::decode, |count| waiting::encode(*count)),
        9 => events::any_record(row),
        _ => {
            if let Err(why) = codec::decode_key_entry(row) {
                assert!(!why.is_empty());
            }
        }
    }
}

/// A whole key: what it is taken for, it is; byte for byte.
///
/// # Panics
/// Where that does not hold.
pub fn key(key: &[u8]) {
    let Some(table) = key.first().copied() else { return };
    if let Some(event) = keys::mark_in(key) {
        assert_eq!(keys::of_event(table, event), key);
    }
    if let Some(id) = keys::delivery_in(key) {
        assert_eq!(keys::delivery(table, &id), key);
        assert_eq!(keys::event_in(key), Some(id.event));
    }
    if let Some((id, at)) = keys::due_in(key) {
        let made = keys::due(&id, at);
        assert_eq!(made[1..], key[1..]);
        assert!(made.starts_with(&keys::due_prefix(&id.handler)));
    }
    if let Some(handler) = keys::waiting_in(key) {
        assert_eq!(keys::waiting(&handler)[1..], key[1..]);
    }
    if let Some((id, number, chunk)) = keys::attempt_in(key) {
        let made = keys::chunk(&keys::attempt(&id, number), chunk);
        assert_eq!(made[1..], key[1..]);
        assert!(made.starts_with(&keys::attempts_prefix(&id)));
    }
    assert!(*key < *keys::after(key) && key.len() < keys::aside(key).len());
}

/// Reads, writes and reads again. Texts are cut when they are written, so the second writing is what must stand still.
fn again<T>(row: &[u8], decode: impl Fn(&[u8]) -> Result<T, String>, encode: impl Fn(&T) -> Vec<u8>) {
    match decode(row) {
        Ok(value) => {
            let written = encode(&value);
            let read = decode(&written).expect("a row that we wrote can be read");
            assert_eq!(encode(&read), written);
        }
        Err(why) => assert!(!why.is_empty()),
    }
}
