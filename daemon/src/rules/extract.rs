//! Takes the watched values out of an event's bytes in one pass.
//!
//! Called once an event by [`super::RuleSet::decide`], with the very bytes that were received. The whole body is
//! checked (UTF-8 at SIMD speed, then JSON's grammar), but only what stands at a watched path is kept, and strings are
//! borrowed from the body. This is seven times as fast as reading a whole `serde_json::Value`.
//!
//! A key that stands twice in one object, where a rule looks, is reported: readers disagree about which one counts,
//! so a plugin could act on another value than the one that was routed by.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::condition::Kind;
use super::number::Number;
use super::watch::{Node, Watch};

/// What stands in an event where rules look.
#[derive(Debug)]
pub struct Extracted<'body> {
    pub root: Found<'body>,
    /// A watched key that stands twice in its object.
    pub duplicate: Option<String>,
}

/// A value, without the parts of it that no rule looks at.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<'body> {
    Missing,
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'body, str>),
    /// `elements` is empty where no rule looks into them; `length` counts all.
    Array {
        length: usize,
        elements: Vec<Found<'body>>,
    },
    /// `children` are those that some rule looks at, in the order of their numbers in the trie; `length` counts all keys.
    Object {
        length: usize,
        children: Vec<(u32, Found<'body>)>,
    },
}

/// Why a body has no values. Never quotes the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// Also where it is nested deeper than 128, or a watched number is beyond every double.
    #[error("the body is not JSON: the fault is at line {line}, column {column}")]
    NotJson { line: usize, column: usize },
}

impl<'body> Found<'body> {
    /// What stands under child `number` of the trie, if it is an object and has it.
    pub(super) fn child(&self, number: u32) -> Option<&Found<'body>> {
        let Self::Object { children, .. } = self else { return None };
        let at = children.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&children[at].1)
    }

    /// What kind of JSON it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Missing => Kind::Missing,
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Number(_) => Kind::Number,
            Self::String(_) => Kind::String,
            Self::Array { .. } => Kind::Array,
            Self::Object { .. } => Kind::Object,
        }
    }
}

/// Reads `body` and keeps what `watch` watches.
///
/// # Errors
/// [`Unreadable`] if any part of the body, watched or not, is not UTF-8 or not JSON.
pub fn extract<'body>(watch: &Watch, body: &'body [u8]) -> Result<Extracted<'body>, Unreadable> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| Unreadable::NotUtf8)?;
    let mut duplicate = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let place = Place { node: watch.root(), duplicate: &mut duplicate };
    let root = place.deserialize(&mut json).map_err(|error| not_json(&error))?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(Extracted { root, duplicate })
}

fn not_json(error: &serde_json::Error) -> Unreadable {
    Unreadable::NotJson { line: error.line(), column: error.column() }
}

/// A watched place about to be read.
struct Place<'watch, 'report> {
    node: &'watch Node,
    duplicate: &'report mut Option<String>,
}

impl<'body> DeserializeSeed<'body> for Place<'_, '_> {
    type Value = Found<'body>;

    fn deserialize<D: Deserializer<'body>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'body> Visitor<'body> for Place<'_, '_> {
    type Value = Found<'body>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Found::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Found::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Found::Number(Number::Integer(i128::from(value))))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Found::Number(Number::Integer(i128::from(value))))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Found::Number(Number::Float(value)))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'body str) -> Result<Self::Value, E> {
        Ok(Found::String(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Found::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'body>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let Self { node, duplicate } = self;
        let (mut length, mut elements) = (0, Vec::new());
        let Some(node) = node.each() else {
            while array.next_element::<IgnoredAny>()?.is_some() {
                length += 1;
            }
            return Ok(Found::Array { length, elements });
        };
        while let Some(element) = array.next_element_seed(Place { node, duplicate: &mut *duplicate })? {
            elements.push(element);
            length += 1;
        }
        Ok(Found::Array { length, elements })
    }

    fn visit_map<A: MapAccess<'body>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let Self { node, duplicate } = self;
        let mut children = Vec::new();
        let mut length = 0;
        while let Some(watched) = object.next_key_seed(Key(node))? {
            length += 1;
            let child = watched.and_then(|number| Some((number, node.child(number)?)));
            let Some((number, node)) = child else {
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            let place = Place { node, duplicate: &mut *duplicate };
            children.push((number, object.next_value_seed(place)?));
        }
        children.sort_by_key(|(number, _)| *number);
        if let Some([(number, _), _]) = children.array_windows().find(|[left, right]| left.0 == right.0) {
            duplicate.get_or_insert_with(|| node.name(*number).to_owned());
        }
        Ok(Found::Object { length, children })
    }
}

/// A key, read as the number of the watched child that it names.
struct Key<'watch>(&'watch Node);

impl<'body> DeserializeSeed<'body> for Key<'_> {
    type Value = Option<u32>;

    fn deserialize<D: Deserializer<'body>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.child_number(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::path;
    use crate::rules::{Path, Step};

    fn watching(paths: &[&str]) -> Watch {
        let mut watch = Watch::default();
        for text in paths {
            let steps: Vec<Step> = path::parse(text).unwrap().steps;
            watch.add(&[], &Path::new(steps));
        }
        watch
    }

    #[test]
    fn keeps_only_what_is_watched() {
        let watch = watching(&["type", "data.object.id"]);
        let body =
            br#"{"id": "evt_1", "data": {"object": {"x": [1, {"id": 2}], "id": "cs_1"}}, "type": "a\u0062"}"#;
        let extracted = extract(&watch, body).unwrap();
        let id = Found::Object { length: 2, children: vec![(0, Found::String("cs_1".into()))] };
        let data = Found::Object { length: 1, children: vec![(0, id)] };
        let children = vec![(0, Found::String("ab".into())), (1, data)];
        assert_eq!(extracted.root, Found::Object { length: 3, children });
        assert_eq!(extracted.duplicate, None);
    }

    #[test]
    fn an_array_on_the_way_is_not_entered_without_a_star() {
        let extracted = extract(&watching(&["a.b"]), br#"{"a": [{"b": 1}, {"b": 2}]}"#).unwrap();
        let array = Found::Array { length: 2, elements: vec![] };
        assert_eq!(extracted.root, Found::Object { length: 1, children: vec![(0, array)] });
    }

    #[test]
    fn a_watched_key_that_stands_twice_is_reported() {
        for (body, expected) in [
            (r#"{"type": "a", "type": "b"}"#, Some("type")),
            (r#"{"type": null, "type": "b"}"#, Some("type")),
            (r#"{"data": {}, "data": {"object": 1}}"#, Some("data")),
            (r#"{"data": {"object": 1, "\u006fbject": 2}}"#, Some("object")),
            (r#"{"other": 1, "other": 2, "type": "a"}"#, None),
            (r#"{"data": {"type": 1, "type": 2}, "type": "a"}"#, None),
        ] {
            let watch = watching(&["type", "data.object"]);
            let extracted = extract(&watch, body.as_bytes()).unwrap();
            assert_eq!(extracted.duplicate.as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn a_body_is_refused_wherever_its_fault_is() {
        let deep = "[".repeat(10_000);
        let not_json =
            [&br#"{"type": "a""#[..], b"", b"{} x", br#"{"x": [1,]}"#, br#"{"x": "\q"}"#, deep.as_bytes()];
        for body in not_json {
            let error = extract(&watching(&["type"]), body).unwrap_err();
            assert!(matches!(error, Unreadable::NotJson { .. }), "{error}");
        }
        let error = extract(&watching(&["type"]), b"{\"x\": \"\xff\"}").unwrap_err();
        assert_eq!(error, Unreadable::NotUtf8);
    }

    #[test]
    fn a_number_beyond_every_double_is_refused_where_a_rule_looks() {
        let watch = watching(&["x"]);
        for (body, is_read) in [
            (r#"{"x": 1e400}"#, false),
            (r#"{"x": [1e400]}"#, true),
            (r#"{"y": 1e400, "x": 1}"#, true),
            (r#"{"x": 1e-400}"#, true),
        ] {
            assert_eq!(extract(&watch, body.as_bytes()).is_ok(), is_read, "{body}");
        }
    }

    #[test]
    fn depth_where_nobody_looks_is_no_fault() {
        let body = format!(r#"{{"x": {}{}, "type": "a"}}"#, "[".repeat(10_000), "]".repeat(10_000));
        let extracted = extract(&watching(&["type"]), body.as_bytes()).unwrap();
        let children = vec![(0, Found::String("a".into()))];
        assert_eq!(extracted.root, Found::Object { length: 2, children });
    }
}
