//! Records cut into chunks: events with their bodies, decisions, attempts.
//!
//! ```text
//!  chunk 0                                             chunk 1            chunk n
//!  [1][meta len][body len][meta crc][body crc] meta body… | body…        | …body
//! ```
//! No chunk is above 4 KiB, so that no leaf of sled ever grows into a blob file, which sled never syncs. Chunk 0 is what
//! makes a record visible: it is written in the last batch, and readers look at nothing without it.

use bytes::{Bytes, BytesMut};
use sled::IVec;

use super::codec;
use super::fault::Fault;
use super::keys;
use crate::model::event::{Envelope, Event};
use crate::model::ids::EventId;
use crate::model::limits::CHUNK_BYTES_MAX;

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 1 + 4 * 4;

/// Rows by key: as they stand, or as a round will leave them.
pub(super) trait View {
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, ::sled::Error>;
}

/// Rows in the order of their keys.
pub(super) trait Scan: View {
    /// The first `limit` keys from `from` on that begin with `prefix`.
    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, ::sled::Error>;
}

/// A record ready to be written.
#[derive(Debug)]
pub(super) struct Record {
    head: Vec<u8>,
    body: Bytes,
}

impl Record {
    /// An event's record: checksums are made here, on the caller's time rather than the writer's.
    pub(super) fn of_event(envelope: &Envelope) -> Self {
        Self::new(&codec::encode_meta(envelope), envelope.body.clone())
    }

    /// A record without a body.
    pub(super) fn plain(meta: &[u8]) -> Self {
        Self::new(meta, Bytes::new())
    }

    fn new(meta: &[u8], body: Bytes) -> Self {
        let mut head = Vec::with_capacity(HEADER_BYTES + meta.len());
        head.push(FORMAT);
        head.extend_from_slice(&length(meta).to_be_bytes());
        head.extend_from_slice(&length(&body).to_be_bytes());
        head.extend_from_slice(&crc32fast::hash(meta).to_be_bytes());
        head.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
        head.extend_from_slice(meta);
        Self { head, body }
    }

    /// All bytes that the record takes, keys left out.
    pub(super) fn bytes(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// How many chunks there are; at least one.
    pub(super) fn chunks(&self) -> u16 {
        u16::try_from(self.bytes().div_ceil(CHUNK_BYTES_MAX)).expect("bodies are below EVENT_BODY_BYTES_MAX")
    }

    /// Chunk `number`, counted from 0.
    pub(super) fn chunk(&self, number: u16) -> Vec<u8> {
        let start = usize::from(number) * CHUNK_BYTES_MAX;
        let end = (start + CHUNK_BYTES_MAX).min(self.bytes());
        let head = self.head.len();
        let mut chunk = Vec::with_capacity(end.saturating_sub(start));
        if start < head {
            chunk.extend_from_slice(&self.head[start..end.min(head)]);
        }
        if end > head {
            chunk.extend_from_slice(&self.body[start.max(head) - head..end - head]);
        }
        chunk
    }
}

/// The event, or `None` where there is none by that id. Its body is left empty, and unread, where `with_body` is false.
pub(super) fn read_event(view: &impl View, id: EventId, with_body: bool) -> Result<Option<Event>, Fault> {
    let prefix = keys::of_event(keys::EVENTS, id);
    let what = || format!("event {id}");
    let Some((meta, body)) = read_record(view, &prefix, with_body, what)? else { return Ok(None) };
    let envelope =
        codec::decode_meta(&meta, body).map_err(|why| Fault::corrupt(format!("event {id}: {why}")))?;
    Ok(Some(Event { id, envelope }))
}

/// Meta and body of the record whose rows begin with `prefix`; checked against their checksums.
pub(super) fn read_record(
    view: &impl View,
    prefix: &[u8],
    with_body: bool,
    what: impl Fn() -> String,
) -> Result<Option<(Bytes, Bytes)>, Fault> {
    let damaged = |why: &str| Fault::corrupt(format!("{}: {why}", what()));
    let Some(first) = view.get(&keys::chunk(prefix, 0))? else { return Ok(None) };
    let header = Header::parse(&first).ok_or_else(|| damaged("its first chunk has no readable header"))?;
    let wanted = HEADER_BYTES + header.meta_bytes + if with_body { header.body_bytes } else { 0 };
    let mut all = BytesMut::with_capacity(wanted);
    all.extend_from_slice(&first);
    let mut number = 0_u16;
    while all.len() < wanted {
        number = number.checked_add(1).ok_or_else(|| damaged("it has more chunks than there can be"))?;
        let chunk = view.get(&keys::chunk(prefix, number))?;
        let chunk = chunk.ok_or_else(|| damaged(&format!("chunk {number} is missing")))?;
        all.extend_from_slice(&chunk);
    }
    let all = all.freeze();
    let meta = all.slice(HEADER_BYTES..HEADER_BYTES + header.meta_bytes);
    if crc32fast::hash(&meta) != header.meta_crc {
        return Err(damaged("the checksum of its meta does not match"));
    }
    if !with_body {
        return Ok(Some((meta, Bytes::new())));
    }
    let body = all.slice(HEADER_BYTES + header.meta_bytes..wanted);
    if crc32fast::hash(&body) != header.body_crc {
        return Err(damaged("the checksum of its body does not match"));
    }
    Ok(Some((meta, body)))
}

/// How many chunks the record has that begins with this one; `None` where its header cannot be read.
pub(super) fn chunks_after(first: &[u8]) -> Option<usize> {
    let header = Header::parse(first)?;
    Some((HEADER_BYTES + header.meta_bytes + header.body_bytes).div_ceil(CHUNK_BYTES_MAX))
}

struct Header {
    meta_bytes: usize,
    body_bytes: usize,
    meta_crc: u32,
    body_crc: u32,
}

impl Header {
    fn parse(chunk: &[u8]) -> Option<Self> {
        let (format, rest) = chunk.split_first()?;
        let word = |n: usize| Some(u32::from_be_bytes(rest.get(n * 4..n * 4 + 4)?.try_into().ok()?));
        (*format == FORMAT).then_some(())?;
        Some(Self {
            meta_bytes: usize::try_from(word(0)?).ok()?,
            body_bytes: usize::try_from(word(1)?).ok()?,
            meta_crc: word(2)?,
            body_crc: word(3)?,
        })
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("bodies are below EVENT_BODY_BYTES_MAX")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Rows(BTreeMap<Vec<u8>, Vec<u8>>);

    impl View for Rows {
        fn get(&self, key: &[u8]) -> Result<Option<IVec>, ::sled::Error> {
            Ok(self.0.get(key).map(|value| IVec::from(value.as_slice())))
        }
    }

    fn written(meta: &[u8], body: &[u8]) -> Rows {
        let record = Record::new(meta, Bytes::copy_from_slice(body));
        Rows((0..record.chunks()).map(|n| (keys::chunk(b"p", n), record.chunk(n))).collect())
    }

    fn read(rows: &Rows, with_body: bool) -> Result<Option<(Bytes, Bytes)>, Fault> {
        read_record(rows, b"p", with_body, || "p".to_owned())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_goes_in_comes_out(meta in 0_usize..9000, body in 0_usize..20_000) {
            let (meta, body) = (vec![3; meta], vec![5; body]);
            let rows = written(&meta, &body);
            prop_assert!(rows.0.values().all(|chunk| (1..=CHUNK_BYTES_MAX).contains(&chunk.len())));
            let (read_meta, read_body) = read(&rows, true).unwrap().unwrap();
            prop_assert_eq!(&read_meta[..], &meta[..]);
            prop_assert_eq!(&read_body[..], &body[..]);
            let (read_meta, none) = read(&rows, false).unwrap().unwrap();
            prop_assert_eq!(&read_meta[..], &meta[..]);
            prop_assert!(none.is_empty());
        }

        #[test]
        fn any_flipped_bit_is_found(at in 0_usize..9000, bit in 0_u8..8) {
            let mut rows = written(&[3; 500], &[5; 8000]);
            let chunks: Vec<_> = rows.0.values_mut().collect();
            let total: usize = chunks.iter().map(|chunk| chunk.len()).sum();
            let mut at = at % total;
            for chunk in chunks {
                if at < chunk.len() {
                    chunk[at] ^= 1 << bit;
                    break;
                }
                at -= chunk.len();
            }
            prop_assert!(read(&rows, true).is_err());
        }
    }

    #[test]
    fn a_missing_chunk_is_told() {
        let mut rows = written(b"meta", &[5; 10_000]);
        rows.0.remove(&keys::chunk(b"p", 1));
        let told = read(&rows, true).unwrap_err().into_store_error().to_string();
        assert!(told.contains("chunk 1 is missing"), "{told}");
    }
}
