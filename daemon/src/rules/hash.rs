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
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // The length in the last word tells "a" from "a\0".
        self.word(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
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
