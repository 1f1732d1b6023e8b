//! What is looked up where a value stands.

use super::entry::Facet;

/// The kinds of keys that rules have at one place.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// Bit `n - 1` stands for beginnings of `n` bytes.
    prefixes: u32,
    suffixes: u32,
    pieces: u32,
    /// Bits of the facets that have no length.
    whole: u16,
    /// Numbers of the place's spans, of values and of lengths, among those of the index; 0 for none.
    pub(super) values: u32,
    pub(super) lengths: u32,
}

impl Place {
    pub(super) fn add(&mut self, facet: Facet) {
        match facet {
            Facet::Prefix(length) => self.prefixes |= length_bit(length),
            Facet::Suffix(length) => self.suffixes |= length_bit(length),
            Facet::Piece(length) => self.pieces |= length_bit(length),
            other => self.whole |= bit(other),
        }
    }

    /// Whether there are keys of a facet that has no length.
    pub(super) fn has(self, facet: Facet) -> bool {
        self.whole & bit(facet) != 0
    }

    pub(super) fn prefixes(self) -> impl Iterator<Item = u8> {
        lengths(self.prefixes)
    }

    pub(super) fn suffixes(self) -> impl Iterator<Item = u8> {
        lengths(self.suffixes)
    }

    pub(super) fn pieces(self) -> impl Iterator<Item = u8> {
        lengths(self.pieces)
    }
}

fn bit(facet: Facet) -> u16 {
    1 << facet.number()
}

/// Lengths are from 1 to 32: see `AFFIX_BYTES_MAX` in `access`.
fn length_bit(length: u8) -> u32 {
    1 << (length - 1)
}

fn lengths(mut bits: u32) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let length = u8::try_from(bits.trailing_zeros()).ok().filter(|length| *length < 32)? + 1;
        bits &= bits - 1;
        Some(length)
    })
}
