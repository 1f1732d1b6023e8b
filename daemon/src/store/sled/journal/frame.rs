//! One commit as bytes: a header, then its rows; padded to whole blocks, so that no write touches a block twice.
//!
//! ```text
//!  [magic 4][crc 4][segment 4][rows 4][payload bytes 4][seq 8] ([key len 2][value len 4][key][value])…  0…
//! ```
//! The checksum runs over the journal's id and everything behind it, and the segment's number stands in the header: what
//! a segment file held in an earlier life never passes for a frame of this one. A value length of `u32::MAX` is a removal.

use std::ops::Range;

use crate::model::limits::JOURNAL_FRAME_BYTES_MAX;

/// Frames begin at multiples of this: the disk writes no smaller unit, so a torn write harms no frame before it.
pub(super) const BLOCK_BYTES: usize = 4096;

const MAGIC: [u8; 4] = *b"HYjf";
const HEADER_BYTES: usize = 28;
const ROW_HEADER_BYTES: usize = 6;
const REMOVED: u32 = u32::MAX;

/// What a frame takes on disk beyond its keys and values.
pub(super) fn overhead_bytes(rows: usize) -> usize {
    HEADER_BYTES + rows * ROW_HEADER_BYTES + BLOCK_BYTES
}

/// Builds frames, one after another, in one buffer.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    buffer: Vec<u8>,
    rows: u32,
}

impl Encoder {
    /// Begins a frame.
    pub(super) fn begin(&mut self) {
        self.buffer.clear();
        self.buffer.resize(HEADER_BYTES, 0);
        self.rows = 0;
    }

    /// Adds a row; `None` removes it. Returns where in the frame its value stands.
    pub(super) fn row(&mut self, key: &[u8], value: Option<&[u8]>) -> usize {
        let key_len = u16::try_from(key.len()).expect("keys are names and numbers, far below 64 KiB");
        let value_len = value.map_or(REMOVED, length);
        self.buffer.extend_from_slice(&key_len.to_le_bytes());
        self.buffer.extend_from_slice(&value_len.to_le_bytes());
        self.buffer.extend_from_slice(key);
        let at = self.buffer.len();
        self.buffer.extend_from_slice(value.unwrap_or_default());
        self.rows += 1;
        at
    }

    /// Ends the frame: whole blocks, ready to be written.
    pub(super) fn finish(&mut self, journal: u64, segment: u32, seq: u64) -> &[u8] {
        let payload = length(&self.buffer[HEADER_BYTES..]);
        self.buffer[..4].copy_from_slice(&MAGIC);
        self.buffer[8..12].copy_from_slice(&segment.to_le_bytes());
        self.buffer[12..16].copy_from_slice(&self.rows.to_le_bytes());
        self.buffer[16..20].copy_from_slice(&payload.to_le_bytes());
        self.buffer[20..28].copy_from_slice(&seq.to_le_bytes());
        let crc = checksum(journal, &self.buffer[8..]);
        self.buffer[4..8].copy_from_slice(&crc.to_le_bytes());
        self.buffer.resize(self.buffer.len().next_multiple_of(BLOCK_BYTES), 0);
        &self.buffer
    }
}

/// A frame that passed its checksum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) seq: u64,
    /// What it takes on disk, padding included.
    pub(super) bytes: usize,
    count: u32,
    payload: &'a [u8],
}

/// A row of a frame: its key, and where in the frame its value stands; `None` for a removal.
pub(super) type Row<'a> = (&'a [u8], Option<Range<usize>>);

impl<'a> Frame<'a> {
    /// The frame at the start of `bytes`, where one stands whole.
    pub(super) fn parse(bytes: &'a [u8], journal: u64, segment: u32) -> Option<Self> {
        let header = bytes.get(..HEADER_BYTES)?;
        let word = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        if header[..4] != MAGIC || word(8)? != segment {
            return None;
        }
        let payload_bytes =
            usize::try_from(word(16)?).ok().filter(|bytes| *bytes <= JOURNAL_FRAME_BYTES_MAX)?;
        let payload = bytes.get(HEADER_BYTES..HEADER_BYTES + payload_bytes)?;
        if word(4)? != checksum(journal, &bytes[8..HEADER_BYTES + payload_bytes]) {
            return None;
        }
        let seq = u64::from_le_bytes(header[20..28].try_into().ok()?);
        let bytes = (HEADER_BYTES + payload_bytes).next_multiple_of(BLOCK_BYTES);
        Some(Self { seq, bytes, count: word(12)?, payload })
    }

    /// Its rows, in the order of their keys; `None` where the payload is not what the encoder makes.
    pub(super) fn rows(&self) -> Option<Vec<Row<'a>>> {
        let mut rows = Vec::new();
        let mut at = 0;
        for _ in 0..self.count {
            let header = self.payload.get(at..at + ROW_HEADER_BYTES)?;
            let key_len = usize::from(u16::from_le_bytes(header[..2].try_into().ok()?));
            let value_len = u32::from_le_bytes(header[2..].try_into().ok()?);
            let key_at = at + ROW_HEADER_BYTES;
            let value_at = key_at + key_len;
            let key = self.payload.get(key_at..value_at)?;
            if value_len == REMOVED {
                rows.push((key, None));
                at = value_at;
                continue;
            }
            at = value_at + usize::try_from(value_len).ok()?;
            self.payload.get(value_at..at)?;
            rows.push((key, Some(HEADER_BYTES + value_at..HEADER_BYTES + at)));
        }
        (at == self.payload.len()).then_some(rows)
    }
}

/// Whatever rows a frame's payload says it has: read or refused, and what was read is what the encoder makes.
///
/// # Panics
/// Where that does not hold.
#[cfg(feature = "fuzzing")]
pub(in crate::store::sled) fn any_rows(payload: &[u8]) {
    let Some((count, payload)) = payload.split_first() else { return };
    let frame = Frame { seq: 1, bytes: 0, count: u32::from(*count), payload };
    let Some(rows) = frame.rows() else { return };
    let mut encoder = Encoder::default();
    encoder.begin();
    for (key, value) in rows {
        encoder.row(key, value.map(|at| &payload[at.start - HEADER_BYTES..at.end - HEADER_BYTES]));
    }
    let frame = encoder.finish(7, 3, 1);
    assert_eq!(&frame[HEADER_BYTES..HEADER_BYTES + payload.len()], payload);
    assert!(Frame::parse(frame, 7, 3).is_some_and(|read| read.count == u32::from(*count)));
}

fn checksum(journal: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&journal.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a frame is below JOURNAL_FRAME_BYTES_MAX")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Rows = Vec<(Vec<u8>, Option<Vec<u8>>)>;

    fn encoded(rows: &Rows) -> Vec<u8> {
        let mut encoder = Encoder::default();
        encoder.begin();
        for (key, value) in rows {
            encoder.row(key, value.as_deref());
        }
        encoder.finish(7, 3, 42).to_vec()
    }

    fn decoded(bytes: &[u8]) -> Option<Rows> {
        let frame = Frame::parse(bytes, 7, 3)?;
        assert_eq!(frame.seq, 42);
        let rows = frame.rows()?;
        Some(
            rows.into_iter()
                .map(|(key, value)| (key.to_vec(), value.map(|range| bytes[range].to_vec())))
                .collect(),
        )
    }

    fn any_rows() -> impl Strategy<Value = Rows> {
        let bytes = |max| proptest::collection::vec(any::<u8>(), 0..max);
        proptest::collection::vec((bytes(60), proptest::option::of(bytes(5000))), 0..12)
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(rows in any_rows()) {
            let bytes = encoded(&rows);
            prop_assert_eq!(bytes.len() % BLOCK_BYTES, 0);
            prop_assert_eq!(decoded(&bytes), Some(rows));
        }

        #[test]
        fn a_flipped_bit_or_a_cut_is_no_frame(rows in any_rows(), at: proptest::sample::Index, bit in 0_u8..8) {
            let mut bytes = encoded(&rows);
            let used = HEADER_BYTES + rows.iter().map(|(key, value)| ROW_HEADER_BYTES + key.len() + value.as_ref().map_or(0, Vec::len)).sum::<usize>();
            let cut = at.index(used);
            prop_assert!(Frame::parse(&bytes[..cut], 7, 3).is_none());
            bytes[cut] ^= 1 << bit;
            prop_assert!(Frame::parse(&bytes, 7, 3).is_none());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..9000)) {
            if let Some(frame) = Frame::parse(&bytes, 7, 3) {
                let _rows = frame.rows();
            }
        }
    }

    #[test]
    fn a_frame_of_another_segment_or_journal_is_none_of_ours() {
        let bytes = encoded(&vec![(b"k".to_vec(), Some(b"v".to_vec()))]);
        assert!(Frame::parse(&bytes, 7, 3).is_some());
        assert!(Frame::parse(&bytes, 7, 4).is_none());
        assert!(Frame::parse(&bytes, 8, 3).is_none());
    }
}
