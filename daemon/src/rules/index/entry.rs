//! What a rule is filed under, and what an event's value is looked up by: the same hashes, made here for both.

use std::hash::Hasher;

use crate::rules::evaluate::lower;
use crate::rules::hash::Quick;
use crate::rules::number::Number;

/// One thing that must be so at one place, or the rule cannot match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    pub(super) place: u32,
    pub(super) at: At,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum At {
    Key(Facet, u64),
    /// From the first to the second, both included.
    Span(Measure, f64, f64),
}

/// Which side of a value a key is of. Lengths are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Facet {
    /// A string as it is.
    Whole,
    /// A string in lower case.
    Folded,
    Prefix(u8),
    Suffix(u8),
    /// Any so many bytes of a string.
    Piece(u8),
    Number,
    Bool,
    Kind,
    /// Not null.
    Present,
    /// Nothing stands there.
    Absent,
}

/// What a span is a span of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Measure {
    Value,
    Length,
}

impl Facet {
    fn seed(self) -> u64 {
        let length = match self {
            Self::Prefix(length) | Self::Suffix(length) | Self::Piece(length) => length,
            _ => 0,
        };
        u64::from(self.number()) << 8 | u64::from(length)
    }

    /// Another one for each side of a value, below 16.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Whole => 0,
            Self::Folded => 1,
            Self::Prefix(_) => 2,
            Self::Suffix(_) => 3,
            Self::Piece(_) => 4,
            Self::Number => 5,
            Self::Bool => 6,
            Self::Kind => 7,
            Self::Present => 8,
            Self::Absent => 9,
        }
    }
}

/// The key of some bytes at a place.
pub(super) fn hash(place: u32, facet: Facet, bytes: &[u8]) -> u64 {
    let mut hasher = seeded(place, facet);
    hasher.write(bytes);
    hasher.finish()
}

/// The key of every text that is this one but for upper and lower case.
pub(super) fn hash_folded(place: u32, text: &str) -> u64 {
    let mut hasher = seeded(place, Facet::Folded);
    for letter in lower(text) {
        hasher.word(u64::from(letter));
    }
    hasher.finish()
}

/// One key for every way to write a number.
pub(super) fn hash_number(place: u32, number: Number) -> u64 {
    // Minus zero is zero.
    hash(place, Facet::Number, &(number.rounded() + 0.0).to_le_bytes())
}

fn seeded(place: u32, facet: Facet) -> Quick {
    let mut hasher = Quick::default();
    hasher.word(u64::from(place) << 16 | facet.seed());
    hasher
}
