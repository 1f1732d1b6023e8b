//! What a setting's text can be: one file a kind of value, each with its table of valid and invalid texts.
//!
//! Pure: from a string to a checked value, or to a sentence and a help.

pub(super) mod address;
pub(super) mod duration;
pub(super) mod http_path;
pub(super) mod isolation;
pub(super) mod key;
pub(super) mod name;
pub(super) mod origin;
pub(super) mod pin;
pub(super) mod secret;
pub(super) mod size;

/// Why a text is not such a value, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) message: String,
    pub(super) help: String,
}

impl Invalid {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// A whole number and the unit right after it: `30s`, `1MiB`.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    Some((digits.parse().ok()?, unit.trim_start()))
}
