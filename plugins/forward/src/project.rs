//! What is left of a body where the settings name the paths that a receiver may see.
//!
//! Values keep their bytes (numbers included), and the object around them is made anew.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The paths, as a tree: an empty node takes the whole value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection(Vec<(String, Projection)>);

/// Why paths cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PathError {
    /// Nothing would be sent.
    #[error("`body` names no path: leave it out to send the whole body")]
    None,
    /// `a..b`, or nothing at all.
    #[error("the path `{0}` of `body` has an empty part")]
    EmptyPart(String),
    /// One holds the other.
    #[error("the path `{0}` of `body` is within another one, or stands there twice")]
    Overlaps(String),
}

/// The body is no JSON object: its bytes will never change.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the body is not a JSON object, so no paths of it can be sent")]
pub struct NotAnObject;

#[derive(Deserialize)]
#[serde(transparent)]
struct Object<'a>(#[serde(borrow)] BTreeMap<Cow<'a, str>, &'a RawValue>);

impl Projection {
    /// Reads paths such as `data.object.id`.
    pub fn parse(paths: &[String]) -> Result<Self, PathError> {
        if paths.is_empty() {
            return Err(PathError::None);
        }
        let mut root = Self::default();
        for path in paths {
            root.add(path)?;
        }
        Ok(root)
    }

    fn add(&mut self, path: &str) -> Result<(), PathError> {
        let mut node = self;
        let mut made = false;
        for (depth, part) in path.split('.').enumerate() {
            if part.is_empty() {
                return Err(PathError::EmptyPart(path.to_owned()));
            }
            // An end of another path, which takes all below it.
            if depth > 0 && !made && node.0.is_empty() {
                return Err(PathError::Overlaps(path.to_owned()));
            }
            let found = node.0.iter().position(|(name, _)| name == part);
            made = found.is_none();
            let place = found.unwrap_or_else(|| {
                node.0.push((part.to_owned(), Self::default()));
                node.0.len() - 1
            });
            node = &mut node.0[place].1;
        }
        if made { Ok(()) } else { Err(PathError::Overlaps(path.to_owned())) }
    }

    /// What is left of the body. A path that it does not have is left out.
    pub fn apply(&self, body: &[u8]) -> Result<Vec<u8>, NotAnObject> {
        let text = std::str::from_utf8(body).map_err(|_| NotAnObject)?;
        let object: Object<'_> = serde_json::from_str(text).map_err(|_| NotAnObject)?;
        let mut left = String::with_capacity(body.len().min(1024));
        self.write(&object, &mut left).map_err(|_| NotAnObject)?;
        Ok(left.into_bytes())
    }

    fn write(&self, object: &Object<'_>, left: &mut String) -> fmt::Result {
        let mut between = '{';
        for (name, below) in &self.0 {
            let Some(value) = object.0.get(name.as_str()) else { continue };
            if below.0.is_empty() {
                key(left, between, name);
                left.push_str(value.get());
            } else {
                // What is no object has none of the paths below.
                let Ok(inner) = serde_json::from_str::<Object<'_>>(value.get()) else { continue };
                key(left, between, name);
                below.write(&inner, left)?;
            }
            between = ',';
        }
        if between == '{' {
            left.push('{');
        }
        left.push('}');
        Ok(())
    }
}

fn key(left: &mut String, between: char, name: &str) {
    left.push(between);
    left.push_str(&serde_json::Value::from(name).to_string());
    left.push(':');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn projection(paths: &[&str]) -> Result<Projection, PathError> {
        Projection::parse(&paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>())
    }

    fn left(paths: &[&str], body: &str) -> String {
        String::from_utf8(projection(paths).unwrap().apply(body.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn only_the_paths_are_left_and_values_keep_their_bytes() {
        let body = r#"{"id":"evt_1","type":"a.b","data":{"object":{"id":"cs_1","amount": 1.50,"email":"a@b.c","n":12345678901234567890123}}}"#;
        assert_eq!(
            left(&["type", "data.object.amount", "data.object.n", "id", "data.missing", "gone.deep"], body),
            r#"{"type":"a.b","data":{"object":{"amount":1.50,"n":12345678901234567890123}},"id":"evt_1"}"#,
        );
        assert_eq!(left(&["data.object.id.deeper"], body), r#"{"data":{"object":{}}}"#);
        assert_eq!(left(&["none"], body), "{}");
        assert_eq!(left(&["wh\u{f6}"], r#"{"wh\u00f6": [1, 2]}"#), "{\"wh\u{f6}\":[1, 2]}");
    }

    #[test]
    fn what_is_no_object_is_said_to_be_none() {
        for body in ["", "[]", "1", "null", "{", "\u{feff}{}", r#""id""#] {
            assert_eq!(projection(&["id"]).unwrap().apply(body.as_bytes()), Err(NotAnObject), "{body}");
        }
        assert_eq!(projection(&["id"]).unwrap().apply(b"{\"id\":\"\xff\"}"), Err(NotAnObject));
    }

    #[test]
    fn paths_that_say_nothing_or_the_same_twice_are_faults() {
        assert_eq!(projection(&[]), Err(PathError::None));
        for path in ["", "a..b", ".a", "a."] {
            assert_eq!(projection(&[path]), Err(PathError::EmptyPart(path.to_owned())), "{path}");
        }
        for (paths, told) in
            [(["a", "a"], "a"), (["a.b", "a.b"], "a.b"), (["a", "a.b"], "a.b"), (["a.b", "a"], "a")]
        {
            assert_eq!(projection(&paths), Err(PathError::Overlaps(told.to_owned())), "{paths:?}");
        }
        assert!(projection(&["a.b", "a.c", "d"]).is_ok());
    }

    /// The plain model: pick the value at each path and set it in an empty object.
    fn model(paths: &[&str], body: &Value) -> Value {
        let mut left = json!({});
        for path in paths {
            let parts: Vec<&str> = path.split('.').collect();
            let mut from = body;
            let mut to = &mut left;
            for (depth, part) in parts.iter().enumerate() {
                let Some(inner) = from.as_object().and_then(|object| object.get(*part)) else { break };
                let last = depth + 1 == parts.len();
                if !last && !inner.is_object() {
                    break;
                }
                let empty = if last { inner.clone() } else { json!({}) };
                to = to.as_object_mut().unwrap().entry((*part).to_owned()).or_insert(empty);
                from = inner;
            }
        }
        left
    }

    fn objects() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i64>().prop_map(Value::from), "[a-c\"\\\\]{0,3}".prop_map(Value::from)];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop::collection::btree_map("[abc]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect()))
        })
    }

    proptest! {
        #[test]
        fn it_does_what_the_model_does(body in objects()) {
            prop_assume!(body.is_object());
            let paths = ["a.b.c", "b", "c.a", "c.b", "a.c"];
            let left: Value = serde_json::from_str(&left(&paths, &body.to_string())).unwrap();
            prop_assert_eq!(left, model(&paths, &body));
        }
    }
}
