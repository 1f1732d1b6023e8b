//! Values taken out of a body by the paths of its source.
//!
//! What stands at such a path, and all below it, is replaced leaf by leaf: a string by `"[redacted]"`, a number and a
//! boolean by `null` (a zero would be an amount), `null` stays. Objects and arrays keep their shape, so that what reads the
//! body still can.

use std::ops::Range;

use super::leaves::{At, each_leaf};

/// What a string becomes.
pub(super) const REDACTED: &str = "\"[redacted]\"";
const NULL: &str = "null";

/// The paths of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redaction(Vec<(String, Vec<At<'static>>)>);

/// A body without what was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted {
    pub body: Vec<u8>,
    /// The paths at which something was replaced, as they were written.
    pub paths: Vec<String>,
}

impl Redaction {
    /// These paths, each with how it is written.
    pub fn new(paths: Vec<(String, Vec<At<'static>>)>) -> Self {
        Self(paths)
    }

    /// The body without what stands at the paths; `None` where nothing does.
    pub fn apply(&self, body: &[u8]) -> Option<Redacted> {
        if self.0.is_empty() {
            return None;
        }
        let text = std::str::from_utf8(body).ok()?;
        let (mut replaced, mut hit) = (Vec::new(), vec![false; self.0.len()]);
        each_leaf(text, |at, span| {
            let Some(replacement) = replacement(&text[span.clone()]) else { return };
            let mut taken = false;
            for ((_, path), hit) in self.0.iter().zip(&mut hit) {
                if at.starts_with(path) {
                    (*hit, taken) = (true, true);
                }
            }
            if taken {
                replaced.push((span, replacement));
            }
        });
        if replaced.is_empty() {
            return None;
        }
        let paths = self.0.iter().zip(hit).filter(|(_, hit)| *hit).map(|((written, _), _)| written.clone());
        Some(Redacted { body: spliced(text, &replaced), paths: paths.collect() })
    }
}

/// What a leaf becomes; `None` where it stays.
pub(super) fn replacement(leaf: &str) -> Option<&'static str> {
    match leaf {
        NULL | REDACTED => None,
        string if string.starts_with('"') => Some(REDACTED),
        _ => Some(NULL),
    }
}

/// The text with other text at these places, which are in order.
pub(super) fn spliced(text: &str, replaced: &[(Range<usize>, &str)]) -> Vec<u8> {
    let mut spliced = Vec::with_capacity(text.len());
    let mut end = 0;
    for (span, replacement) in replaced {
        spliced.extend_from_slice(&text.as_bytes()[end..span.start]);
        spliced.extend_from_slice(replacement.as_bytes());
        end = span.end;
    }
    spliced.extend_from_slice(&text.as_bytes()[end..]);
    spliced
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::leaves::tests::{json, written};
    use super::*;

    /// `a.b.*`: an element is written `*`.
    fn redaction(paths: &[&str]) -> Redaction {
        let step = |word: &str| match word {
            "*" => At::Element,
            key => At::Key(Cow::Owned(key.to_owned())),
        };
        let path = |path: &&str| ((*path).to_owned(), path.split('.').map(step).collect());
        Redaction::new(paths.iter().map(path).collect())
    }

    fn redacted(paths: &[&str], body: &str) -> Option<(String, Vec<String>)> {
        let redacted = redaction(paths).apply(body.as_bytes())?;
        Some((String::from_utf8(redacted.body).unwrap(), redacted.paths))
    }

    #[test]
    fn what_stands_at_the_paths_is_replaced_and_all_else_keeps_its_bytes() {
        let body = "{ \"id\":\"evt_1\",\n\"data\": {\"phone\" : \"+49 \\\"1\\\"\", \"n\": 1.50, \
                    \"address\": {\"city\":\"K\u{f6}ln\", \"lines\":[\"a\", null, 2, true]}, \"phone\":\"twice\"} }\r\n";
        assert_eq!(
            redacted(&["data.phone", "data.address", "data.none"], body),
            Some((
                "{ \"id\":\"evt_1\",\n\"data\": {\"phone\" : \"[redacted]\", \"n\": 1.50, \
                 \"address\": {\"city\":\"[redacted]\", \"lines\":[\"[redacted]\", null, null, null]}, \
                 \"phone\":\"[redacted]\"} }\r\n"
                    .to_owned(),
                vec!["data.phone".to_owned(), "data.address".to_owned()],
            )),
        );
        assert_eq!(redacted(&["data.address.lines.*"], "{\"data\":{\"address\":{\"lines\":null}}}"), None);
        assert_eq!(
            redacted(&["d\u{e4}ta"], "{\"d\\u00e4ta\":\"x\"}").unwrap().0,
            "{\"d\\u00e4ta\":\"[redacted]\"}"
        );
        assert_eq!(redacted(&[], body), None);
    }

    /// The plain model: the same on a tree.
    fn model(value: &mut Value, steps: &[&str]) {
        match (steps, value) {
            ([], Value::Object(members)) => members.values_mut().for_each(|value| model(value, &[])),
            ([], Value::Array(elements)) => elements.iter_mut().for_each(|value| model(value, &[])),
            ([], Value::Null) => {}
            ([], value @ Value::String(_)) => *value = json!("[redacted]"),
            ([], value) => *value = Value::Null,
            (["*", rest @ ..], Value::Array(elements)) => {
                elements.iter_mut().for_each(|value| model(value, rest));
            }
            ([key, rest @ ..], Value::Object(members)) => {
                if let Some(value) = members.get_mut(*key) {
                    model(value, rest);
                }
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn it_does_what_the_model_does_and_does_it_once(body in json(), pretty: bool, escaped: bool) {
            let paths = ["a.b", "b", "c.*.a", "a.*", "c.a.b.c"];
            let mut expected = body.clone();
            for path in paths {
                model(&mut expected, &path.split('.').collect::<Vec<_>>());
            }
            let text = written(&body, pretty, escaped);
            let after = redacted(&paths, &text).map_or(text, |(after, _)| after);
            prop_assert_eq!(serde_json::from_str::<Value>(&after).unwrap(), expected);
            prop_assert_eq!(redacted(&paths, &after), None);
        }
    }
}
