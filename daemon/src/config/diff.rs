//! What two snapshots differ in: rules, handlers, plugins, sources, settings, and secrets behind unchanged references.
//!
//! A reload shows it in its answer and in the log, and reads off it what may change only with a restart.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::snapshot::{Scheme, Snapshot, Source};

/// What kind of part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Server,
    Store,
    Source,
    /// `[plugins]`: what holds for all of them.
    Plugins,
    Plugin,
    Handler,
    Rule,
    Default,
}

/// How it differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Added,
    Removed,
    Changed,
    /// The same rule at another place among those that both have.
    Moved,
    /// The files say the same, and the secret that they refer to is another.
    SecretRolled,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub part: Part,
    /// Empty for [`Part::Default`].
    pub name: String,
    pub how: How,
}

impl Part {
    /// The word that the files have for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Store => "store",
            Self::Source => "source",
            Self::Plugins => "plugins",
            Self::Plugin => "plugin",
            Self::Handler => "handler",
            Self::Rule => "rule",
            Self::Default => "default",
        }
    }
}

impl How {
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Moved => "moved",
            Self::SecretRolled => "secret rolled",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.part.word();
        match self.part {
            Part::Server | Part::Store | Part::Plugins => write!(f, "{word}.{}", self.name)?,
            Part::Default => f.write_str(word)?,
            Part::Rule => write!(f, "{word} \"{}\"", self.name)?,
            Part::Source | Part::Plugin | Part::Handler => write!(f, "{word} {}", self.name)?,
        }
        write!(f, " {}", self.how.word())
    }
}

/// Everything that `new` has otherwise than `old`: settings, sources, plugins, handlers, rules, the default.
pub fn between(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let mut changes = parts(old, new);
    changes.extend(rules(&old.outline.rules, &new.outline.rules));
    changes.extend(rolled(old, new));
    changes.sort_by_key(|change| change.part);
    changes
}

fn parts(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let (old, new) = (&old.outline.parts, &new.outline.parts);
    let change = |(part, name): &(Part, String), how| Change { part: *part, name: name.clone(), how };
    let mut changes = Vec::new();
    for (key, print) in old {
        match new.get(key) {
            None => changes.push(change(key, How::Removed)),
            Some(other) if other != print => changes.push(change(key, How::Changed)),
            Some(_) => {}
        }
    }
    changes.extend(new.keys().filter(|key| !old.contains_key(*key)).map(|key| change(key, How::Added)));
    changes.sort_by(|one, other| (one.part, &one.name).cmp(&(other.part, &other.name)));
    changes
}

/// Rules in the order of the new files; those that are gone come last.
fn rules<P: PartialEq>(old: &[(String, P)], new: &[(String, P)]) -> Vec<Change> {
    let places: BTreeMap<&str, usize> =
        old.iter().enumerate().map(|(place, (name, _))| (name.as_str(), place)).collect();
    let kept: Vec<usize> = new.iter().filter_map(|(name, _)| places.get(name.as_str()).copied()).collect();
    let stayed = longest_ascent(&kept);
    let change = |name: &str, how| Change { part: Part::Rule, name: name.to_owned(), how };
    let mut changes = Vec::new();
    for (name, print) in new {
        match places.get(name.as_str()) {
            None => changes.push(change(name, How::Added)),
            Some(place) if old[*place].1 != *print => changes.push(change(name, How::Changed)),
            Some(place) if stayed.binary_search(place).is_err() => changes.push(change(name, How::Moved)),
            Some(_) => {}
        }
    }
    let names: std::collections::BTreeSet<&str> = new.iter().map(|(name, _)| name.as_str()).collect();
    let gone = old.iter().filter(|(name, _)| !names.contains(name.as_str()));
    changes.extend(gone.map(|(name, _)| change(name, How::Removed)));
    changes
}

/// A longest ascending part of `places`: the fewest moves explain the rest.
fn longest_ascent(places: &[usize]) -> Vec<usize> {
    // `ends[n]` is where the best ascent of n + 1 places ends; `before` leads back from each place.
    let (mut ends, mut before): (Vec<usize>, Vec<Option<usize>>) = (Vec::new(), Vec::new());
    for (index, place) in places.iter().enumerate() {
        let length = ends.partition_point(|end| places[*end] < *place);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        ends.truncate(length.max(ends.len()));
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut ascent = Vec::new();
    let mut at = ends.last().copied();
    while let Some(index) = at {
        ascent.push(places[index]);
        at = before[index];
    }
    ascent.reverse();
    ascent
}

/// Secrets that are others behind references that stayed.
fn rolled(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let unchanged = |part: Part, name: &str| {
        let key = (part, name.to_owned());
        old.outline.parts.contains_key(&key) && old.outline.parts.get(&key) == new.outline.parts.get(&key)
    };
    let change = |part, name: &str| Change { part, name: name.to_owned(), how: How::SecretRolled };
    let mut changes = Vec::new();
    if let (Some(before), Some(after)) = (&old.server.admin, &new.server.admin)
        && unchanged(Part::Server, "admin")
        && !same(&before.token, &after.token)
    {
        changes.push(change(Part::Server, "admin"));
    }
    for source in &new.sources {
        let before = old.sources.iter().find(|before| before.name == source.name);
        if unchanged(Part::Source, source.name.as_str()) && before.is_some_and(|it| !same_secrets(it, source))
        {
            changes.push(change(Part::Source, source.name.as_str()));
        }
    }
    for (name, handler) in &new.handlers {
        let before = old.handlers.get(name);
        let differs = before.is_some_and(|before| !same_named(&before.secrets, &handler.secrets));
        if unchanged(Part::Handler, name.as_str()) && differs {
            changes.push(change(Part::Handler, name.as_str()));
        }
    }
    changes
}

fn same_secrets(one: &Source, other: &Source) -> bool {
    let (Scheme::Stripe { secrets: one, .. }, Scheme::Stripe { secrets: other, .. }) =
        (&one.scheme, &other.scheme);
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
}

/// Whether two sets of named secrets hold the same.
pub fn same_named(one: &BTreeMap<String, SecretString>, other: &BTreeMap<String, SecretString>) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|((name, one), (other_name, other))| name == other_name && same(one, other))
}

fn same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &[(&str, u8)], new: &[(&str, u8)]) -> Vec<String> {
        let owned = |rules: &[(&str, u8)]| -> Vec<(String, u8)> {
            rules.iter().map(|(name, print)| ((*name).to_owned(), *print)).collect()
        };
        rules(&owned(old), &owned(new)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rules_are_told_with_as_few_moves_as_explain_the_order() {
        let old = [("a", 0), ("b", 0), ("c", 0), ("d", 0)];
        assert_eq!(told(&old, &old), [""; 0]);
        assert_eq!(told(&old, &[("d", 0), ("a", 0), ("b", 0), ("c", 0)]), ["rule \"d\" moved"]);
        assert_eq!(told(&old, &[("b", 0), ("c", 0), ("d", 0), ("a", 0)]), ["rule \"a\" moved"]);
        let new = [("a", 1), ("x", 0), ("d", 0), ("c", 0)];
        let expected = ["rule \"a\" changed", "rule \"x\" added", "rule \"d\" moved", "rule \"b\" removed"];
        assert_eq!(told(&old, &new), expected);
    }

    #[test]
    fn an_ascent_is_ascending_and_none_is_longer() {
        for (places, length) in [
            (&[][..], 0),
            (&[3], 1),
            (&[0, 1, 2], 3),
            (&[2, 1, 0], 1),
            (&[1, 0, 3, 2, 4], 3),
            (&[4, 0, 1, 2, 3], 4),
        ] {
            let ascent = longest_ascent(places);
            assert_eq!(ascent.len(), length, "{places:?}");
            assert!(ascent.is_sorted(), "{ascent:?}");
        }
    }
}
