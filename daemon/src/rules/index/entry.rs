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
    pub(super) fn is_piece(self) -> bool {
        matches!(self, Self::Piece(_))
    }

    fn seed(self) -> u64 {
        let (facet, length) = match self {
            Self::Whole => (0, 0),
            Self::Folded => (1, 0),
            Self::Prefix(length) => (2, length),
            Self::Suffix(length) => (3, length),
            Self::Piece(length) => (4, length),
            Self::Number => (5, 0),
            Self::Bool => (6, 0),
            Self::Kind => (7, 0),
            Self::Present => (8, 0),
            Self::Absent => (9, 0),
        };
        facet << 8 | u64::from(length)
    }
}

/// The key of some bytes.
pub(super) fn hash(facet: Facet, bytes: &[u8]) -> u64 {
    let mut hasher = Quick::default();
    hasher.word(facet.seed());
    hasher.write(bytes);
    hasher.finish()
}

/// The key of every text that is this one but for upper and lower case.
pub(super) fn hash_folded(text: &str) -> u64 {
    let mut hasher = Quick::default();
    hasher.word(Facet::Folded.seed());
    for letter in lower(text) {
        hasher.word(u64::from(letter));
    }
    hasher.finish()
}

/// One key for every way to write a number.
pub(super) fn hash_number(number: Number) -> u64 {
    // Minus zero is zero.
    hash(Facet::Number, &(number.rounded() + 0.0).to_le_bytes())
}
