//! The trie of every path that a rule looks at, so that one pass over an event finds just these.
//!
//! Grown by `parse`, one path at a time; read by `extract` for each event. A path is known to a test as a list of
//! child numbers ([`Watched`]), so that nothing compares keys once an event is taken apart. Equal paths are kept once,
//! however many rules look there.

use std::collections::HashMap;
use std::sync::Arc;

use smol_str::SmolStr;

use super::hash::BuildQuick;
use super::path::{Path, Step};

/// The watched paths of one rule set.
#[derive(Debug, Clone)]
pub struct Watch {
    root: Node,
    nodes: usize,
    /// By the element where they start, then by themselves.
    known: HashMap<Vec<Step>, HashMap<Path, Watched, BuildQuick>, BuildQuick>,
}

/// A path's way through the trie, from the root or from the element that `some` binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched(Arc<[WatchedStep]>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WatchedStep {
    /// The child with this number.
    Child(u32),
    /// Every element.
    Each,
}

/// One place in an event.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    number: usize,
    /// A short name stands in the table itself.
    names: HashMap<SmolStr, u32, BuildQuick>,
    /// The signs of all names, and their lengths: most keys of an event are told by theirs to be none of these.
    name_signs: u64,
    name_lengths: u64,
    children: Vec<Node>,
    each: Option<Box<Node>>,
}

impl Default for Watch {
    fn default() -> Self {
        Self { root: Node::default(), nodes: 1, known: HashMap::default() }
    }
}

impl Watch {
    /// Watches `path`, which starts at the element at `outer` (empty for the event's root), and says where it is.
    pub fn add(&mut self, outer: &[Step], path: &Path) -> Watched {
        self.place(outer, path).1
    }

    /// As [`Self::add`], with the one copy of the path that is kept.
    pub(super) fn place(&mut self, outer: &[Step], path: &Path) -> (Path, Watched) {
        if let Some((path, at)) = self.known.get(outer).and_then(|paths| paths.get_key_value(path)) {
            return (path.clone(), at.clone());
        }
        let at = self.grow(outer, path);
        self.known.entry(outer.to_vec()).or_default().insert(path.clone(), at.clone());
        (path.clone(), at)
    }

    fn grow(&mut self, outer: &[Step], path: &Path) -> Watched {
        let mut node = &mut self.root;
        let mut watched = Vec::with_capacity(path.steps().len());
        for (index, step) in outer.iter().chain(path.steps()).enumerate() {
            let (taken, below) = node.enter(step, &mut self.nodes);
            if index >= outer.len() {
                watched.push(taken);
            }
            node = below;
        }
        Watched(watched.into())
    }

    /// Numbers the places anew, each before those below it and after those that stand left of it: a walk over an event meets
    /// growing numbers.
    pub(super) fn number_in_order(&mut self) {
        let mut next = 0;
        self.root.number_in_order(&mut next);
    }

    /// Every path that some rule looks at, from the event's root.
    pub(super) fn paths(&self) -> impl Iterator<Item = Path> + '_ {
        let whole =
            |outer: &Vec<Step>, path: &Path| Path::new(outer.iter().chain(path.steps()).cloned().collect());
        self.known.iter().flat_map(move |(outer, paths)| paths.keys().map(move |path| whole(outer, path)))
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }

    /// How many places there are; each has a number below it.
    pub(super) fn nodes(&self) -> usize {
        self.nodes
    }
}

impl Watched {
    pub(super) fn steps(&self) -> &[WatchedStep] {
        &self.0
    }

    /// Whether at most one value stands there.
    pub(super) fn is_single(&self) -> bool {
        !self.0.contains(&WatchedStep::Each)
    }
}

impl Node {
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Its number, as indexes and asks keep it.
    pub(super) fn place(&self) -> u32 {
        u32::try_from(self.number).expect("a configuration file is smaller than 4 GB")
    }

    // Asked for every key of every object that is looked into.
    #[inline]
    pub(super) fn child_number(&self, key: &str) -> Option<u32> {
        if self.name_signs & sign(key) == 0 || self.name_lengths & length_bit(key) == 0 {
            return None;
        }
        self.names.get(key).copied()
    }

    pub(super) fn child(&self, number: u32) -> Option<&Self> {
        self.children.get(number as usize)
    }

    pub(super) fn each(&self) -> Option<&Self> {
        self.each.as_deref()
    }

    /// The place at the end of `steps`.
    pub(super) fn descend(&self, steps: &[WatchedStep]) -> Option<&Self> {
        steps.iter().try_fold(self, |node, step| match step {
            WatchedStep::Child(number) => node.child(*number),
            WatchedStep::Each => node.each(),
        })
    }

    /// The key of child `number`, for a message.
    pub(super) fn name(&self, number: u32) -> &str {
        self.names.iter().find(|(_, at)| **at == number).map_or("", |(name, _)| name)
    }

    fn number_in_order(&mut self, next: &mut usize) {
        self.number = *next;
        *next += 1;
        for below in self.children.iter_mut().chain(self.each.as_deref_mut()) {
            below.number_in_order(next);
        }
    }

    fn enter(&mut self, step: &Step, nodes: &mut usize) -> (WatchedStep, &mut Self) {
        let mut grown = || {
            let number = *nodes;
            *nodes += 1;
            Self { number, ..Self::default() }
        };
        match step {
            Step::Each => (WatchedStep::Each, self.each.get_or_insert_with(|| Box::new(grown()))),
            Step::Key(key) => {
                self.name_signs |= sign(key);
                self.name_lengths |= length_bit(key);
                let next =
                    u32::try_from(self.children.len()).expect("a configuration file is smaller than 4 GB");
                let number = *self.names.entry(SmolStr::new(key)).or_insert(next);
                if number == next {
                    self.children.push(grown());
                }
                (WatchedStep::Child(number), &mut self.children[number as usize])
            }
        }
    }
}

/// One bit for a key, by its length and its ends.
#[inline]
fn sign(key: &str) -> u64 {
    let end = |byte: Option<&u8>| byte.map_or(0, |byte| usize::from(*byte));
    let bytes = key.as_bytes();
    1 << ((bytes.len() + 5 * end(bytes.first()) + 11 * end(bytes.last())) % 64)
}

/// One bit for the length of a key.
#[inline]
fn length_bit(key: &str) -> u64 {
    1 << (key.len() % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::path;

    fn path(text: &str) -> Path {
        Path::new(path::parse(text).unwrap().steps)
    }

    #[test]
    fn one_place_for_one_path_however_often_it_is_watched() {
        let mut watch = Watch::default();
        let first = watch.add(&[], &path("data.object.id"));
        watch.add(&[], &path("data.object.mode"));
        assert_eq!(watch.add(&[], &path("data.object.id")), first);
        assert_eq!(watch.nodes(), 5);
    }

    #[test]
    fn a_path_inside_an_element_starts_there() {
        let mut watch = Watch::default();
        let outer = path("data.lines[*]");
        let inner = watch.add(outer.steps(), &path("price.id"));
        let whole = watch.add(&[], &path("data.lines[*].price.id"));
        assert_eq!(inner.steps(), &whole.steps()[3..]);
    }
}
