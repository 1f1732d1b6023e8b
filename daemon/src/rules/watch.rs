//! The trie of every path that a rule looks at, so that one pass over an event finds just these.
//!
//! Grown by `parse`, one path at a time; read by `extract` for each event. A path is known to a test as a list of
//! child numbers ([`Watched`]), so that nothing compares keys once an event is taken apart.

use std::collections::BTreeMap;

use super::path::{Path, Step};

/// The watched paths of one rule set.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    root: Node,
}

/// A path's way through the trie, from the root or from the element that `some` binds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watched(Vec<WatchedStep>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WatchedStep {
    /// The child with this number.
    Child(usize),
    /// Every element.
    Each,
}

/// One place in an event.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    names: BTreeMap<Box<str>, usize>,
    children: Vec<Node>,
    each: Option<Box<Node>>,
}

impl Watch {
    /// Watches `path`, which starts at the element at `outer` (empty for the event's root), and says where it is.
    pub fn add(&mut self, outer: &[Step], path: &Path) -> Watched {
        let mut node = &mut self.root;
        let mut watched = Vec::with_capacity(path.steps().len());
        for (index, step) in outer.iter().chain(path.steps()).enumerate() {
            let (taken, below) = node.enter(step);
            if index >= outer.len() {
                watched.push(taken);
            }
            node = below;
        }
        Watched(watched)
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }
}

impl Watched {
    pub(super) fn steps(&self) -> &[WatchedStep] {
        &self.0
    }
}

impl Node {
    pub(super) fn child_number(&self, key: &str) -> Option<usize> {
        self.names.get(key).copied()
    }

    pub(super) fn children(&self) -> &[Node] {
        &self.children
    }

    pub(super) fn each(&self) -> Option<&Node> {
        self.each.as_deref()
    }

    /// The key of child `number`, for a message.
    pub(super) fn name(&self, number: usize) -> &str {
        self.names.iter().find(|(_, at)| **at == number).map_or("", |(name, _)| name)
    }

    fn enter(&mut self, step: &Step) -> (WatchedStep, &mut Self) {
        match step {
            Step::Each => (WatchedStep::Each, self.each.get_or_insert_default()),
            Step::Key(key) => {
                let number = *self.names.entry(key.clone()).or_insert_with(|| {
                    self.children.push(Self::default());
                    self.children.len() - 1
                });
                (WatchedStep::Child(number), &mut self.children[number])
            }
        }
    }
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
        assert_eq!(watch.root().children().len(), 1);
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
