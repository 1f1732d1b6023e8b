//! Every value of a JSON text that is no object and no array, with where it stands in the text and in the tree.
//!
//! One pass and no recursion. The text is JSON already (the door has checked it); of any other the walk says something
//! or nothing, and never fails.

use std::borrow::Cow;
use std::ops::Range;

/// One step down into JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At<'text> {
    /// Into an object, by this key.
    Key(Cow<'text, str>),
    /// Into an element of an array, whichever.
    Element,
}

/// Calls `seen` for each leaf with its path and its place in the text; strings with their quotes.
pub(super) fn each_leaf<'text>(text: &'text str, mut seen: impl FnMut(&[At<'text>], Range<usize>)) {
    let bytes = text.as_bytes();
    let mut walk = Walk { path: Vec::new(), objects: Vec::new(), key_next: false };
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => walk.open(*byte == b'{'),
            b'}' | b']' => walk.close(),
            b',' => walk.key_next = walk.in_object(),
            b'"' => {
                let end = string_end(bytes, at);
                if walk.key_next {
                    walk.path.push(At::Key(decoded(&text[at..end])));
                    walk.key_next = false;
                } else {
                    seen(&walk.path, at..end);
                    walk.value_ended();
                }
                at = end;
                continue;
            }
            b':' | b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => {
                let end = word_end(bytes, at);
                seen(&walk.path, at..end);
                walk.value_ended();
                at = end;
                continue;
            }
        }
        at += 1;
    }
}

/// A string with its quotes, as what it says. What is no string is said as it stands.
pub(super) fn decoded(quoted: &str) -> Cow<'_, str> {
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
        _ => serde_json::from_str(quoted).map_or(Cow::Borrowed(quoted), Cow::Owned),
    }
}

struct Walk<'text> {
    path: Vec<At<'text>>,
    /// For each object or array that is open: is it an object?
    objects: Vec<bool>,
    key_next: bool,
}

impl Walk<'_> {
    fn in_object(&self) -> bool {
        self.objects.last() == Some(&true)
    }

    fn open(&mut self, object: bool) {
        self.objects.push(object);
        self.key_next = object;
        if !object {
            self.path.push(At::Element);
        }
    }

    fn close(&mut self) {
        if self.objects.pop() == Some(false) {
            self.path.pop();
        }
        self.value_ended();
    }

    fn value_ended(&mut self) {
        self.key_next = false;
        if self.in_object() {
            self.path.pop();
        }
    }
}

/// Behind the closing quote of the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Behind the number, `true`, `false` or `null` that begins at `start`. Other text ends at a character's end too.
fn word_end(bytes: &[u8], start: usize) -> usize {
    let ends = |byte: &u8| {
        matches!(byte, b',' | b'}' | b']' | b'{' | b'[' | b'"' | b':') || byte.is_ascii_whitespace()
    };
    bytes[start..].iter().position(ends).map_or(bytes.len(), |length| start + length)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// JSON of all kinds, with keys that need quoting.
    pub(in crate::privacy) fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c@.\"\\\\\u{e4}\u{1f980}\n{}\\[\\],: ]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c]|\\PC{0,3}|[\"\\\\]{1,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// As a person would write the value: spaces, line ends, and some characters as escapes.
    pub(in crate::privacy) fn written(value: &Value, pretty: bool, escaped: bool) -> String {
        let text = if pretty { serde_json::to_string_pretty(value).unwrap() } else { value.to_string() };
        let escape = |c: char| if escaped && c == 'a' { "\\u0061".to_owned() } else { c.to_string() };
        // Only within strings: `a` stands in `false` and `null` has none.
        let text = text.replace("false", "\u{1}").chars().map(escape).collect::<String>();
        text.replace('\u{1}', "false")
    }

    fn model(value: &Value, path: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, Value)>) {
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    path.push(format!("key {key}"));
                    model(value, path, leaves);
                    path.pop();
                }
            }
            Value::Array(elements) => {
                for value in elements {
                    path.push("element".to_owned());
                    model(value, path, leaves);
                    path.pop();
                }
            }
            leaf => leaves.push((path.clone(), leaf.clone())),
        }
    }

    proptest! {
        #[test]
        fn it_sees_what_serde_sees(value in json(), pretty: bool) {
            let text = written(&value, pretty, false);
            let (mut expected, mut seen) = (Vec::new(), Vec::new());
            model(&value, &mut Vec::new(), &mut expected);
            each_leaf(&text, |path, span| {
                let path = path.iter().map(|step| match step {
                    At::Key(key) => format!("key {key}"),
                    At::Element => "element".to_owned(),
                });
                seen.push((path.collect::<Vec<_>>(), serde_json::from_str::<Value>(&text[span]).unwrap()));
            });
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn no_text_makes_it_fail(text in "[{}\\[\\],:\"\\\\a1 \u{e4}]{0,60}|\\PC{0,40}") {
            each_leaf(&text, |_, span| assert!(text.get(span).is_some()));
        }
    }
}
