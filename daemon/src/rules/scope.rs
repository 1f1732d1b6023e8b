//! Where in an event a condition stands, and how the paths that rules write lead there.
//!
//! Used by `parse` and `operators`. A set of rules writes few different paths, each many times: [`Paths`] works each out
//! once.

use std::collections::HashMap;

use super::alias::Aliases;
use super::hash::BuildQuick;
use super::path::{self, Path, PathFault, Step};

/// What one set of rules writes as paths, with the aliases that those rules share.
#[derive(Debug, Clone)]
pub struct Paths {
    aliases: Aliases,
    /// By the number of the scope that they stand in, as written. The first scope is the event's root.
    known: Vec<HashMap<Box<str>, Scope, BuildQuick>>,
}

/// Where in the event a table stands.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// In [`Paths::known`]; `None` for what is not kept there.
    number: Option<usize>,
    /// The way to the element that the nearest `some` binds; empty outside one.
    element: Path,
    /// The way from there (or from the root) to here.
    path: Path,
    in_element: bool,
}

/// Why a written path leads nowhere.
#[derive(Debug)]
pub(super) enum Astray {
    NoPath(PathFault),
    /// `$.` stands below another path.
    RootBelow,
    /// It begins with an alias that means several things.
    Disputed,
}

impl Paths {
    /// Paths with these aliases.
    pub fn new(aliases: Aliases) -> Self {
        Self { aliases, known: vec![HashMap::default()] }
    }

    /// Paths with the Stripe scheme's aliases.
    pub fn stripe() -> Self {
        Self::new(Aliases::stripe())
    }

    pub(super) fn aliases(&self) -> &Aliases {
        &self.aliases
    }

    /// Where `text` leads from this scope, if [`Self::remember`] was told.
    pub(super) fn recall(&self, scope: &Scope, text: &str) -> Option<Scope> {
        self.known[scope.number?].get(text).cloned()
    }

    /// Keeps where `text` leads from this scope, which nothing is to be said about.
    pub(super) fn remember(&mut self, scope: &Scope, text: &str, entered: Scope) -> Scope {
        let Some(above) = scope.number else { return entered };
        let numbered = Scope { number: Some(self.known.len()), ..entered };
        self.known.push(HashMap::default());
        self.known[above].insert(Box::from(text), numbered.clone());
        numbered
    }
}

impl Scope {
    /// The event's root.
    pub(super) fn root() -> Self {
        Self { number: Some(0), element: Path::default(), path: Path::default(), in_element: false }
    }

    /// The scope at the end of the path `text`, which stands in this one; and the steps as they were written, if they went
    /// on from here.
    pub(super) fn enter(&self, text: &str, aliases: &Aliases) -> Result<(Self, Option<Vec<Step>>), Astray> {
        let written = path::parse(text).map_err(Astray::NoPath)?;
        let outermost = self.is_outermost();
        if written.from_root {
            return match outermost {
                true => Ok((self.below(written.steps), None)),
                false => Err(Astray::RootBelow),
            };
        }
        let steps = match outermost {
            true => aliases.replace(written.steps.clone()).map_err(|_| Astray::Disputed)?,
            false => written.steps.clone(),
        };
        Ok((self.below(steps), Some(written.steps)))
    }

    /// The scope of the conditions inside `some`, which start at the element.
    pub(super) fn inside_element(&self) -> Self {
        let element = Path::new(self.whole_path());
        Self { number: None, element, path: Path::default(), in_element: true }
    }

    /// The way to the element that binds this scope; empty outside one.
    pub(super) fn element(&self) -> &[Step] {
        self.element.steps()
    }

    /// The way from the root, or from the element.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its paths start at the element that `some` or `every` binds.
    pub(super) fn in_element(&self) -> bool {
        self.in_element
    }

    /// Whether it is the event's root.
    pub(super) fn is_outermost(&self) -> bool {
        self.path.steps().is_empty() && !self.in_element
    }

    /// The steps from the root, whatever binds an element on the way.
    pub(super) fn whole_path(&self) -> Vec<Step> {
        self.element().iter().chain(self.path.steps()).cloned().collect()
    }

    fn below(&self, steps: Vec<Step>) -> Self {
        let path = match self.path.steps() {
            [] => Path::new(steps),
            above => Path::new(above.iter().cloned().chain(steps).collect()),
        };
        Self { number: None, path, ..self.clone() }
    }
}
