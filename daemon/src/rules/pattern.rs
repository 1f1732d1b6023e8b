//! `regex`: a regular expression that is found anywhere in a text; `^` and `$` bind it to the ends.
//!
//! No back-references and no looking around, so matching takes time linear in the text, whatever the text is.

use regex::RegexBuilder;
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};

/// What one may take when compiled: enough for some hundred letters with Unicode classes; a repetition of a repetition
/// is soon beyond it.
const COMPILED_BYTES_MAX: usize = 256 * 1024;
/// More alternatives than this are not looked up one by one.
const LITERALS_MAX: usize = 16;
/// Shorter literals stand in nearly every text.
const LITERAL_BYTES_MIN: usize = 2;

/// A compiled regular expression.
#[derive(Debug, Clone)]
pub struct Pattern(regex::Regex);

/// Why a text is no regular expression that rules may use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternFault {
    #[error("this is no regular expression: {0}")]
    Syntax(String),
    #[error("this regular expression is too costly: compiled it takes more than {} KB", COMPILED_BYTES_MAX / 1024)]
    TooCostly,
}

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// [`PatternFault`] if it is no regular expression, or one that takes too much.
    pub fn new(text: &str) -> Result<Self, PatternFault> {
        RegexBuilder::new(text).size_limit(COMPILED_BYTES_MAX).build().map(Self).map_err(
            |error| match error {
                regex::Error::CompiledTooBig(_) => PatternFault::TooCostly,
                other => PatternFault::Syntax(last_line(&other.to_string())),
            },
        )
    }

    /// Whether it is found anywhere in `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Pieces of which at least one stands in every text that fits; empty where none are known.
    pub(super) fn literals(&self) -> Vec<Vec<u8>> {
        let Ok(hir) = regex_syntax::parse(self.as_str()) else { return Vec::new() };
        let found = [ExtractKind::Prefix, ExtractKind::Suffix].map(|kind| {
            let mut extractor = Extractor::new();
            extractor.kind(kind).limit_total(LITERALS_MAX);
            extractor.extract(&hir)
        });
        let best =
            found.iter().max_by_key(|seq| shortest(seq)).filter(|seq| shortest(seq) >= LITERAL_BYTES_MIN);
        let literals = best.and_then(Seq::literals).unwrap_or_default();
        literals.iter().map(|literal| literal.as_bytes().to_vec()).collect()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

fn shortest(seq: &Seq) -> usize {
    seq.min_literal_len().unwrap_or_default()
}

/// The crate draws the place over several lines; what is wrong stands in the last one.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or_default();
    line.trim().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        for (pattern, text, expected) in [
            ("a.c", "xabcx", true),
            ("^a.c$", "xabcx", false),
            ("^a.c$", "abc", true),
            ("(?i)^EUR$", "eur", true),
            ("EUR", "eur", false),
            (r"^\p{Lu}", "Österreich", true),
            ("", "", true),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().matches(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn what_is_refused() {
        let refused = |pattern: &str| Pattern::new(pattern).unwrap_err().to_string();
        assert_eq!(refused("a("), "this is no regular expression: unclosed group");
        assert!(refused(r"(a)\1").contains("backreferences are not supported"));
        assert!(refused("(?=a)").contains("look-around"));
        assert_eq!(
            refused("((a{100}){100}){100}"),
            "this regular expression is too costly: compiled it takes more than 256 KB"
        );
    }

    #[test]
    fn literals_are_those_that_every_match_has() {
        let literals = |pattern: &str| {
            let literals = Pattern::new(pattern).unwrap().literals();
            literals.into_iter().map(|literal| String::from_utf8(literal).unwrap()).collect::<Vec<String>>()
        };
        assert_eq!(literals(r"^sub_\w+$"), ["sub_"]);
        assert_eq!(literals("(news|mail)letter"), ["newsletter", "mailletter"]);
        assert_eq!(literals(r"\w+_eur$"), ["_eur"]);
        assert_eq!(literals("a|bc"), [] as [&str; 0]);
        assert_eq!(literals(".*"), [] as [&str; 0]);
    }
}
