//! A rule's condition as a tree: what `parse` makes and `evaluate` asks.
//!
//! The tree holds fewer words than the language: `ne`, `not_in` and `present = false` are the complements of `eq`, `in`
//! and `present`, and stand here as [`Condition::Not`], so that they cannot come to mean anything else.

use super::glob::Glob;
use super::number::Number;
use super::path::Path;
use super::pattern::Pattern;
use super::watch::Watched;

/// True or false for every event; never anything else.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Holds if each of them does.
    All(Vec<Condition>),
    /// Holds if at least one of them does.
    Any(Vec<Condition>),
    /// The exact complement.
    Not(Box<Condition>),
    Test(Test),
}

/// One question about the values at one path.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// From the event's root, or from the element that `some` binds.
    pub path: Path,
    /// The same path in the trie that `extract` fills.
    pub at: Watched,
    pub check: Check,
}

/// The question. Each but `Is` is false where nothing stands at the path; over `[*]` it holds if it does for any element.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// `eq`, `in`: it is one of these. Never empty.
    In(Vec<Literal>),
    /// `lt`, `le`, `gt`, `ge`: a number on that side of this one.
    Order(Bound, Number),
    Prefix(Box<str>),
    Suffix(Box<str>),
    Contains(Box<str>),
    Glob(Glob),
    /// `ieq`: equal after each letter's lower case is taken (Unicode's simple mapping; `ß` is not `ss`).
    EqualsIgnoringCase(Box<str>),
    /// There, and not null.
    Present,
    /// Of one of these kinds; `Missing` holds where nothing stands at the path.
    Is(Vec<Kind>),
    /// The length lies within each bound: letters of a string, elements of an array, keys of an object.
    Length(Vec<(Bound, usize)>),
    /// The regular expression is found in it.
    Regex(Pattern),
    /// One element fits the whole of this.
    Some(Box<Condition>),
    /// There is an element, and each fits the whole of this.
    Every(Box<Condition>),
}

/// What a rule compares with.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    String(Box<str>),
    Bool(bool),
    Number(Number),
}

/// A side of a number. `eq` on a length is `Le` and `Ge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bound {
    Lt,
    Le,
    Gt,
    Ge,
}

impl Bound {
    /// Whether something that compares so with the bound lies on this side of it.
    pub fn admits(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Lt => ordering.is_lt(),
            Self::Le => ordering.is_le(),
            Self::Gt => ordering.is_gt(),
            Self::Ge => ordering.is_ge(),
        }
    }
}

/// The kinds of JSON, and that of what is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Missing,
    Null,
    Bool,
    Number,
    String,
    Object,
    Array,
}

impl Kind {
    /// Every kind under the word that `is` knows it by.
    pub const WORDS: [(&'static str, Self); 7] = [
        ("missing", Self::Missing),
        ("null", Self::Null),
        ("bool", Self::Bool),
        ("number", Self::Number),
        ("string", Self::String),
        ("object", Self::Object),
        ("array", Self::Array),
    ];
}

impl Condition {
    /// The exact complement.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// All of these; a single one stands for itself.
    pub fn all(mut conditions: Vec<Self>) -> Self {
        match conditions.pop() {
            Some(only) if conditions.is_empty() => only,
            Some(last) => {
                conditions.push(last);
                Self::All(conditions)
            }
            None => Self::All(conditions),
        }
    }
}
