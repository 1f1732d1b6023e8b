//! Records cut into chunks: events with their bodies, decisions, attempts.
//!
//! ```text
//!  chunk 0                                                          chunk 1     chunk n
//!  [1][meta len][body len][meta crc][body crc] meta body…           | body…   | …body
//!  [2][meta len][packed len][meta crc][body crc][body len] meta packed…
//! ```
//! A body is packed (LZ4) where that makes it an eighth smaller or more: most of what a row costs sled are its bytes and its
//! chunks. Its checksum is always that of the body itself, so that a body comes back as it came or not at all.
//! No chunk is above 4 KiB, so that no leaf of sled ever grows into a blob file, which sled never syncs. Chunk 0 is what
//! makes a record visible: it is written in the last batch, and readers look at nothing without it.

use bytes::{Bytes, BytesMut};
use sled::IVec;

use super::codec;
use super::fault::Fault;
use super::keys;
use crate::model::event::{Envelope, Event};
use crate::model::ids::EventId;
use crate::model::limits::{CHUNK_BYTES_MAX, PACK_BYTES_MAX, PACK_BYTES_MIN};

/// The body as it is. Formats 1 and 2 stand side by side.
const PLAIN: u8 = 1;
const PLAIN_HEADER_BYTES: usize = 1 + 4 * 4;
/// The body packed.
const PACKED: u8 = 2;
const PACKED_HEADER_BYTES: usize = PLAIN_HEADER_BYTES + 4;

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
    /// An event's record: it is packed and checksums are made here, on the caller's time rather than the writer's.
    pub(super) fn of_event(envelope: &Envelope) -> Self {
        Self::new(&codec::encode_meta(envelope), envelope.body.clone())
    }

    /// A record without a body.
    pub(super) fn plain(meta: &[u8]) -> Self {
        Self::new(meta, Bytes::new())
    }

    fn new(meta: &[u8], body: Bytes) -> Self {
        let packed = pack(&body);
        let stored = packed.as_ref().unwrap_or(&body);
        let mut head = Vec::with_capacity(PACKED_HEADER_BYTES + meta.len());
        head.push(if packed.is_some() { PACKED } else { PLAIN });
        head.extend_from_slice(&length(meta).to_be_bytes());
        head.extend_from_slice(&length(stored).to_be_bytes());
        head.extend_from_slice(&crc32fast::hash(meta).to_be_bytes());
        head.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
        if packed.is_some() {
            head.extend_from_slice(&length(&body).to_be_bytes());
        }
        head.extend_from_slice(meta);
        Self { head, body: packed.unwrap_or(body) }
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
    let meta_end = header.bytes + header.meta_bytes;
    let wanted = meta_end + if with_body { header.stored_bytes } else { 0 };
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
    let meta = all.slice(header.bytes..meta_end);
    if crc32fast::hash(&meta) != header.meta_crc {
        return Err(damaged("the checksum of its meta does not match"));
    }
    if !with_body {
        return Ok(Some((meta, Bytes::new())));
    }
    let stored = all.slice(meta_end..wanted);
    let body = match header.unpacked_bytes {
        Some(bytes) => unpack(&stored, bytes),
        None => Some(stored),
    };
    match body.filter(|body| crc32fast::hash(body) == header.body_crc) {
        Some(body) => Ok(Some((meta, body))),
        None => Err(damaged("the checksum of its body does not match")),
    }
}

/// The body packed; `None` where that gains too little.
fn pack(body: &[u8]) -> Option<Bytes> {
    if !(PACK_BYTES_MIN..=PACK_BYTES_MAX).contains(&body.len()) {
        return None;
    }
    let packed = lz4_flex::block::compress(body);
    (packed.len() <= body.len() - body.len() / 8).then(|| Bytes::from(packed))
}

/// What was packed, where it is whole.
fn unpack(packed: &[u8], bytes: usize) -> Option<Bytes> {
    let body = lz4_flex::block::decompress(packed, bytes).ok()?;
    (body.len() == bytes).then(|| Bytes::from(body))
}

/// How many chunks the record has that begins with this one; `None` where its header cannot be read.
pub(super) fn chunks_after(first: &[u8]) -> Option<usize> {
    let header = Header::parse(first)?;
    Some((header.bytes + header.meta_bytes + header.stored_bytes).div_ceil(CHUNK_BYTES_MAX))
}

struct Header {
    /// What it takes itself.
    bytes: usize,
    meta_bytes: usize,
    stored_bytes: usize,
    meta_crc: u32,
    body_crc: u32,
    /// How long the body is, where it is packed.
    unpacked_bytes: Option<usize>,
}

impl Header {
    fn parse(chunk: &[u8]) -> Option<Self> {
        let (format, rest) = chunk.split_first()?;
        let word = |n: usize| Some(u32::from_be_bytes(rest.get(n * 4..n * 4 + 4)?.try_into().ok()?));
        let size = |n| usize::try_from(word(n)?).ok();
        let (bytes, unpacked_bytes) = match *format {
            PLAIN => (PLAIN_HEADER_BYTES, None),
            PACKED => (PACKED_HEADER_BYTES, Some(size(4).filter(|bytes| *bytes <= PACK_BYTES_MAX)?)),
            _ => return None,
        };
        Some(Self {
            bytes,
            meta_bytes: size(0)?,
            stored_bytes: size(1)?,
            meta_crc: word(2)?,
            body_crc: word(3)?,
            unpacked_bytes,
        })
    }
}

/// Whatever record one chunk says it is: read or refused, and what was read is written as a record that reads the same.
///
/// # Panics
/// Where that does not hold.
#[cfg(feature = "fuzzing")]
pub(super) fn any_record(chunk: &[u8]) {
    struct One(std::collections::BTreeMap<Vec<u8>, Vec<u8>>);
    impl View for One {
        fn get(&self, key: &[u8]) -> Result<Option<IVec>, ::sled::Error> {
            Ok(self.0.get(key).map(|value| IVec::from(value.as_slice())))
        }
    }
    let read = |rows| read_record(&One(rows), b"p", true, || "p".to_owned()).ok().flatten();
    let Some((meta, body)) = read([(keys::chunk(b"p", 0), chunk.to_vec())].into()) else { return };
    let record = Record::new(&meta, body.clone());
    let rows = (0..record.chunks()).map(|number| (keys::chunk(b"p", number), record.chunk(number)));
    assert_eq!(read(rows.collect()), Some((meta, body)));
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("bodies are below EVENT_BODY_BYTES_MAX")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::store::contract::bench::body as incompressible;

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
        fn what_goes_in_comes_out(meta in 0_usize..9000, noise in 0_usize..20_000, same in 0_usize..20_000) {
            let meta = vec![3; meta];
            let body = [&incompressible(noise)[..], &vec![5; same]].concat();
            let rows = written(&meta, &body);
            prop_assert!(rows.0.values().all(|chunk| (1..=CHUNK_BYTES_MAX).contains(&chunk.len())));
            prop_assert_eq!(chunks_after(&rows.0[&keys::chunk(b"p", 0)]), Some(rows.0.len()));
            let (read_meta, read_body) = read(&rows, true).unwrap().unwrap();
            prop_assert_eq!(&read_meta[..], &meta[..]);
            prop_assert_eq!(&read_body[..], &body[..]);
            let (read_meta, none) = read(&rows, false).unwrap().unwrap();
            prop_assert_eq!(&read_meta[..], &meta[..]);
            prop_assert!(none.is_empty());
        }

        #[test]
        fn any_flipped_bit_is_found(at: proptest::sample::Index, bit in 0_u8..8) {
            let mut rows = written(&[3; 500], &incompressible(8000));
            flip(&mut rows, at, bit);
            prop_assert!(read(&rows, true).is_err());
        }

        /// Two packed texts may stand for one body: then nothing is lost.
        #[test]
        fn a_flipped_bit_of_a_packed_body_never_changes_it(at: proptest::sample::Index, bit in 0_u8..8) {
            let body: Vec<u8> = (0..800).flat_map(|n: u32| format!("\"note_{n}\":\"the same\",").into_bytes()).collect();
            let mut rows = written(&[3; 50], &body);
            prop_assert!(rows.0.values().map(Vec::len).sum::<usize>() < body.len());
            flip(&mut rows, at, bit);
            if let Ok(Some((_, read))) = read(&rows, true) {
                prop_assert_eq!(&read[..], &body[..]);
            }
        }
    }

    fn flip(rows: &mut Rows, at: proptest::sample::Index, bit: u8) {
        let total = rows.0.values().map(Vec::len).sum();
        let byte = rows.0.values_mut().flatten().nth(at.index(total)).unwrap();
        *byte ^= 1 << bit;
    }

    /// What was packed once must be read for ever, whatever packs today.
    #[test]
    fn records_of_both_formats_are_read() {
        let body = [&b"{\"a\":1}"[..], &[b' '; 600]].concat();
        for (row, body) in [
            ("010000000400000004d7f21435dba80bb26d657461626f6479", &b"body"[..]),
            (
                "020000000400000015d7f21435cdfc72b60000025f6d6574618f7b2261223a317d200100ffff4060202020202020",
                &body,
            ),
        ] {
            let rows = Rows([(keys::chunk(b"p", 0), hex::decode(row).unwrap())].into());
            let (read_meta, read_body) = read(&rows, true).unwrap().unwrap();
            assert_eq!((&read_meta[..], &read_body[..]), (&b"meta"[..], body));
        }
    }

    #[test]
    fn what_gains_nothing_is_stored_as_it_came() {
        let format = |body: &[u8]| written(b"meta", body).0[&keys::chunk(b"p", 0)][0];
        assert_eq!(format(&[5; PACK_BYTES_MIN]), PACKED);
        assert_eq!(format(&[5; PACK_BYTES_MIN - 1]), PLAIN);
        assert_eq!(format(&vec![5; PACK_BYTES_MAX]), PACKED);
        assert_eq!(format(&vec![5; PACK_BYTES_MAX + 1]), PLAIN);
        assert_eq!(format(&incompressible(4096)), PLAIN);
    }

    #[test]
    fn a_missing_chunk_is_told() {
        let mut rows = written(b"meta", &incompressible(10_000));
        rows.0.remove(&keys::chunk(b"p", 1));
        let told = read(&rows, true).unwrap_err().into_store_error().to_string();
        assert!(told.contains("chunk 1 is missing"), "{told}");
    }
}
