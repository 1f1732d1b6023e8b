//! Paths into an event's JSON, as rules write them.
//!
//! | written | means |
//! |---|---|
//! | `type`, `data.object.id` | keys, one after the other |
//! | `data.object.metadata["utm.source"]` | a key with dots or other signs in it, as a quoted segment |
//! | `data.object.items.data[*].price.id` | every element of an array; a test holds if it holds for any of them |
//! | `metadata.x`, `obj.x`, `prev.x` | aliases (of the Stripe scheme here), only as a path's first word |
//! | `$.metadata.x` | the whole path from the event's root, without aliases |
//!
//! Called by [`super::Parser`] with the text of one TOML key.

use std::fmt;
use std::sync::Arc;

/// One step down into JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Into an object, by this key.
    Key(Box<str>),
    /// Into every element of an array.
    Each,
}

/// Steps from the event's root, or from the element that `some` binds. May be empty there: the element itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<[Step]>);

impl Path {
    /// A path of these steps.
    pub fn new(steps: Vec<Step>) -> Self {
        Self(steps.into())
    }

    /// The path that `text` writes, from the event's root and without aliases.
    ///
    /// # Errors
    /// [`PathFault`] says which sign cannot stand where it does.
    pub fn whole(text: &str) -> Result<Self, PathFault> {
        parse(text).map(|written| Self::new(written.steps))
    }

    /// The steps, outermost first.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl fmt::Display for Path {
    /// As a rule would write it, from the root and without aliases.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Each => f.write_str("[*]")?,
                Step::Key(key) if key.is_empty() || !key.chars().all(is_plain) => {
                    write!(f, "[\"{}\"]", key.replace('\\', "\\\\").replace('"', "\\\""))?;
                }
                Step::Key(key) if index == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a path: {why}")]
pub struct PathFault {
    text: String,
    why: &'static str,
}

/// A key's text, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) steps: Vec<Step>,
    /// It began with `$.`: no alias, and not below another path.
    pub(super) from_root: bool,
}

/// Takes the text of a key apart.
///
/// # Errors
/// [`PathFault`] says which sign cannot stand where it does.
pub(super) fn parse(text: &str) -> Result<Written, PathFault> {
    let fault = |why| PathFault { text: text.to_owned(), why };
    let (mut rest, from_root) = match text.strip_prefix("$.") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let mut steps = Vec::new();
    loop {
        let (step, after) = if rest.starts_with('[') {
            bracketed(rest).map_err(fault)?
        } else {
            plain(rest).map_err(fault)?
        };
        steps.push(step);
        rest = match after.chars().next() {
            None => return Ok(Written { steps, from_root }),
            Some('.') => &after[1..],
            Some('[') => after,
            Some(_) => return Err(fault("after `]` comes `.`, `[` or the end")),
        };
        if rest.starts_with('[') && after.starts_with('.') {
            return Err(fault("before `[` stands no `.`"));
        }
    }
}

fn is_plain(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '-'
}

fn plain(rest: &str) -> Result<(Step, &str), &'static str> {
    let end = rest.find(|letter| !is_plain(letter)).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    match after.chars().next() {
        _ if word.is_empty() => Err("a step is empty, or begins with a sign that needs [\"quotes\"]"),
        None | Some('.' | '[') => Ok((Step::Key(Box::from(word)), after)),
        Some('*') => Err("`*` stands only in `[*]`"),
        Some(_) => Err("a step of other signs than letters, digits, `_` and `-` is written [\"so\"]"),
    }
}

fn bracketed(rest: &str) -> Result<(Step, &str), &'static str> {
    if let Some(after) = rest.strip_prefix("[*]") {
        return Ok((Step::Each, after));
    }
    let Some(quoted) = rest.strip_prefix("[\"") else {
        return Err("in brackets stands `*` or a quoted key; one element by its number cannot be named");
    };
    let mut key = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some((_, escaped @ ('\\' | '"'))) => key.push(escaped),
                _ => return Err("in a quoted key, `\\` stands before `\"` or `\\`"),
            },
            '"' => {
                let after = &quoted[at + 1..];
                let after = after.strip_prefix(']').ok_or("after a quoted key comes `]`")?;
                return Ok((Step::Key(key.into()), after));
            }
            other => key.push(other),
        }
    }
    Err("a quoted key does not end")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Aliases;

    #[test]
    fn known_paths() {
        for (text, shown) in [
            ("type", "type"),
            ("data.object.id", "data.object.id"),
            ("metadata.sumo_campaign_id", "data.object.metadata.sumo_campaign_id"),
            ("obj.mode", "data.object.mode"),
            ("obj", "data.object"),
            ("prev.status", "data.previous_attributes.status"),
            ("$.metadata.exists", "metadata.exists"),
            ("data.obj", "data.obj"),
            (r#"data.object.metadata["utm.source"]"#, r#"data.object.metadata["utm.source"]"#),
            (r#"metadata["a\"b\\c"]"#, r#"data.object.metadata["a\"b\\c"]"#),
            (r#"["obj"].x"#, "data.object.x"),
            ("obj.custom_fields[*]", "data.object.custom_fields[*]"),
            ("obj.items.data[*].price.id", "data.object.items.data[*].price.id"),
            ("a[*][*].b", "a[*][*].b"),
            ("größe.x-y", "größe.x-y"),
        ] {
            let written = parse(text).unwrap();
            let steps =
                if written.from_root { Ok(written.steps) } else { Aliases::stripe().replace(written.steps) };
            assert_eq!(Path::new(steps.unwrap()).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_again_as_the_same() {
        for text in ["a.b", r#"a["x.y"].c"#, "a[*].b", r#"a["\"\\"]"#, r#"["$"]"#] {
            let steps = parse(text).unwrap().steps;
            assert_eq!(parse(&Path::new(steps.clone()).to_string()).unwrap().steps, steps);
        }
    }

    #[test]
    fn refused_paths() {
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "$",
            "$.",
            "a b",
            "a[0]",
            "a[",
            "a[*",
            "a.[*]",
            "a*",
            "a[\"x",
            "a[\"x\"",
            "a[\"x\"]b",
            "a[\"\\n\"]",
            "a.$.b",
        ] {
            let fault = parse(text).unwrap_err().to_string();
            assert!(fault.starts_with(&format!("`{text}` is not a path: ")), "{fault}");
        }
    }
}
