//! A fast hash for tables whose keys the operator wrote.
//!
//! Unkeyed on purpose: an event's sender can look up anything, but never put anything in, so no text of theirs makes a
//! chain of a table longer than the operator's own rules did.

use std::hash::{BuildHasherDefault, Hasher};

pub(super) type BuildQuick = BuildHasherDefault<Quick>;

/// 64 bits of state, eight bytes a step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Quick(u64);

/// An odd number with as many ones as zeros, from the golden ratio.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

impl Quick {
    pub(super) fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(MIX);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let (words, _) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        // The length in the last word tells "a" from "a\0".
        self.word(last_word(bytes) ^ ((bytes.len() as u64) << 56));
    }

    fn write_u8(&mut self, byte: u8) {
        self.word(u64::from(byte));
    }

    fn write_u64(&mut self, word: u64) {
        self.word(word);
    }

    /// Tables take both ends of it: every bit of the state reaches both.
    fn finish(&self) -> u64 {
        let folded = (self.0 ^ (self.0 >> 32)).wrapping_mul(MIX);
        folded ^ (folded >> 29)
    }
}

/// The last eight bytes, or all where there are fewer: in one or two reads, since most keys are short.
fn last_word(bytes: &[u8]) -> u64 {
    if let Some(last) = bytes.last_chunk::<8>() {
        return u64::from_le_bytes(*last);
    }
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            let [first, last] = [first, last].map(|half| u64::from(u32::from_le_bytes(*half)));
            first | last << (8 * (bytes.len() - 4))
        }
        _ => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_holds_what_words_before_it_left() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        for length in 0..8 {
            let mut padded = [0; 8];
            padded[..length].copy_from_slice(&bytes[..length]);
            assert_eq!(last_word(&bytes[..length]), u64::from_le_bytes(padded), "{length} bytes");
        }
        assert_eq!(last_word(&bytes), u64::from_le_bytes([2, 3, 4, 5, 6, 7, 8, 9]));
    }
}
