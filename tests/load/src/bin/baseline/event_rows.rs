//! The bytes that the store writes for one accepted event, made without the store: record, idempotency key, inbox mark.
//!
//! Keys and values are as long as those of `daemon/src/store/sled` (`keys.rs`, `events.rs`, `codec.rs`); the test below
//! holds them against a store that took the same event.

use hookyard::model::limits::CHUNK_BYTES_MAX;
use sha2::{Digest, Sha256};

const SOURCE: &str = "stripe";
const EVENT_TYPE: &str = "checkout.session.completed";
const CONTENT_TYPE: &str = "application/json; charset=utf-8";
/// What the load generator sends and the door keeps.
const HEADERS: [(&str, &str); 6] = [
    ("host", "127.0.0.1:8080"),
    ("content-type", CONTENT_TYPE),
    ("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)"),
    ("cache-control", "no-cache"),
    ("stripe-signature", "t=1794830461,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7"),
    ("content-length", "4096"),
];
/// The record's header: format, two lengths, two checksums, and how long the body is before it is packed.
const HEADER_BYTES: usize = 21;
/// An idempotency key's entry: version, event id, six bytes of milliseconds, the rest of the hash.
const ENTRY_BYTES: usize = 39;
/// The keys of a chunk, and of what an event has one of each: its idempotency key and its inbox mark.
const CHUNK_KEY_BYTES: usize = 19;
const ROW_KEYS_BYTES: usize = 18 + 17;

/// One event, ready to be written.
#[derive(Debug)]
pub(super) struct EventRows {
    hash: [u8; 16],
    record: Vec<u8>,
}

impl EventRows {
    pub(super) fn new(number: u64, body: &[u8]) -> Self {
        let provider_id = format!("evt_1T{number:022}");
        let digest =
            Sha256::new().chain_update(SOURCE).chain_update([0]).chain_update(&provider_id).finalize();
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        let mut record = vec![0; HEADER_BYTES];
        push_meta(&mut record, &provider_id);
        record.extend_from_slice(&lz4_flex::block::compress(body));
        Self { hash, record }
    }

    /// The record alone, as a log would hold it.
    pub(super) fn record(&self) -> &[u8] {
        &self.record
    }

    /// All that is written, keys too.
    pub(super) fn bytes(&self) -> usize {
        let chunks = self.record.len().div_ceil(CHUNK_BYTES_MAX);
        self.record.len() + chunks * CHUNK_KEY_BYTES + ENTRY_BYTES + ROW_KEYS_BYTES
    }

    /// The row that says whether the event is there already.
    pub(super) fn idempotency_key(&self) -> Vec<u8> {
        [&b"k"[..], &self.hash, &[0]].concat()
    }

    /// The rows of the event under this id.
    pub(super) fn rows(&self, id: u128) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let id = id.to_be_bytes();
        let chunks =
            self.record.chunks(CHUNK_BYTES_MAX).zip(0_u16..).map(move |(chunk, number)| {
                ([&b"e"[..], &id, &number.to_be_bytes()].concat(), chunk.to_vec())
            });
        let entry = (self.idempotency_key(), [&id[..], &[0; ENTRY_BYTES - 16]].concat());
        let inbox = ([&b"i"[..], &id].concat(), Vec::new());
        chunks.chain([entry, inbox])
    }
}

/// Everything of the event but its body.
fn push_meta(record: &mut Vec<u8>, provider_id: &str) {
    record.push(1);
    for text in [SOURCE, provider_id, provider_id, EVENT_TYPE] {
        push_text(record, text);
    }
    // No account; livemode.
    record.extend_from_slice(&[0, 1, 1]);
    push_text(record, CONTENT_TYPE);
    record.push(HEADERS.len() as u8);
    for (name, value) in HEADERS {
        push_text(record, name);
        push_text(record, value);
    }
    // When it was received, in milliseconds.
    record.extend_from_slice(&[0x80; 6]);
}

fn push_text(record: &mut Vec<u8>, text: &str) {
    record.push(u8::try_from(text.len()).expect("the texts above are short"));
    record.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookyard::model::clock::{ManualClock, UnixMillis};
    use hookyard::model::event::Envelope;
    use hookyard::model::ids::{IdempotencyKey, SourceName};
    use hookyard::store::Store;
    use hookyard::store::sled::{SledOptions, SledStore};
    use hookyard_load::event::{Size, Template};
    use std::sync::Arc;

    /// The lengths of keys and values, by table.
    type Shape = Vec<(char, usize, usize)>;

    fn shape(rows: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> Shape {
        let of_an_event = rows.filter(|(key, _)| b"eki".contains(&key[0]));
        let mut shape: Shape =
            of_an_event.map(|(key, value)| (char::from(key[0]), key.len(), value.len())).collect();
        shape.sort_unstable();
        shape
    }

    #[tokio::test]
    async fn the_rows_are_as_many_and_as_long_as_the_stores() {
        let body = Template::new(Size::K4, 7).body(7);
        let ours = EventRows::new(7, &body);
        let dir = tempfile::tempdir().unwrap();
        let options = SledOptions { free_bytes_min: 0, ..SledOptions::new(dir.path()) };
        let now = UnixMillis(1_794_830_461_000);
        let store = SledStore::open(&options, Arc::new(ManualClock::at(now))).unwrap();
        let provider_id = format!("evt_1T{:022}", 7);
        let envelope = Envelope {
            source: SourceName::new(SOURCE),
            idempotency_key: IdempotencyKey::new(&provider_id),
            provider_id,
            event_type: EVENT_TYPE.to_owned(),
            account: None,
            livemode: Some(true),
            content_type: CONTENT_TYPE.to_owned(),
            headers: HEADERS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body,
            received: now,
        };
        store.append(envelope).await.unwrap();
        store.close().await.unwrap();
        let tree = sled::Config::new().path(dir.path()).open().unwrap();
        let rows = tree.iter().map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec())).unwrap());
        let theirs = shape(rows);
        assert_eq!(shape(ours.rows(1)), theirs);
        let bytes: usize = theirs.iter().map(|(_, key, value)| key + value).sum();
        assert_eq!(ours.bytes(), bytes);
    }
}
