//! Short names for the beginnings of paths: `metadata.x` for `data.object.metadata.x`.
//!
//! A source has those of its scheme and what its `alias` says; a rule has what all the sources that it sees agree on, so
//! that a path means one thing in a rule.

use std::collections::BTreeMap;

use super::path::{self, PathFault, Step};

/// What the first word of a path may stand for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aliases(BTreeMap<Box<str>, Meaning>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    Path(Vec<Step>),
    /// Not the same in every source that the rule sees.
    Disputed,
}

/// An alias that does not mean one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disputed;

/// The built-in aliases of the Stripe scheme.
const STRIPE: [(&str, &str); 3] =
    [("metadata", "data.object.metadata"), ("obj", "data.object"), ("prev", "data.previous_attributes")];

impl Aliases {
    /// Those of the Stripe scheme.
    pub fn stripe() -> Self {
        let mut aliases = Self::default();
        for (alias, meaning) in STRIPE {
            aliases.set(alias, meaning).expect("the scheme's aliases are paths");
        }
        aliases
    }

    /// Lets `alias` stand for the path `meaning` from the event's root, whatever it stood for before.
    ///
    /// # Errors
    /// [`PathFault`] if `meaning` is no path.
    pub fn set(&mut self, alias: &str, meaning: &str) -> Result<(), PathFault> {
        let steps = path::parse(meaning)?.steps;
        self.0.insert(Box::from(alias), Meaning::Path(steps));
        Ok(())
    }

    /// What all of these agree on. What only some know, or know otherwise, is refused where a rule uses it.
    pub fn common<'all>(all: impl IntoIterator<Item = &'all Self>) -> Self {
        let mut all = all.into_iter();
        let mut common = all.next().cloned().unwrap_or_default();
        for aliases in all {
            for (alias, meaning) in &aliases.0 {
                let same = common.0.get(alias) == Some(meaning);
                common.0.insert(alias.clone(), if same { meaning.clone() } else { Meaning::Disputed });
            }
            for (alias, meaning) in &mut common.0 {
                if !aliases.0.contains_key(alias) {
                    *meaning = Meaning::Disputed;
                }
            }
        }
        common
    }

    /// The aliases themselves.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    /// The steps with an alias in the first place replaced by what it stands for.
    pub(super) fn replace(&self, mut steps: Vec<Step>) -> Result<Vec<Step>, Disputed> {
        let meaning = match steps.first() {
            Some(Step::Key(first)) => self.0.get(first),
            _ => None,
        };
        match meaning {
            None => {}
            Some(Meaning::Disputed) => return Err(Disputed),
            Some(Meaning::Path(meaning)) => {
                steps.splice(0..1, meaning.iter().cloned());
            }
        }
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sources_do_not_agree_on_is_disputed() {
        let steps = |text: &str| path::parse(text).unwrap().steps;
        let mut shop = Aliases::stripe();
        shop.set("tier", "data.object.metadata.tier").unwrap();
        let mut other = shop.clone();
        assert_eq!(Aliases::common([&shop, &other]), shop);
        other.set("tier", "tier").unwrap();
        let plain = Aliases::stripe();
        for disagreeing in [[&shop, &other], [&shop, &plain], [&plain, &shop]] {
            let common = Aliases::common(disagreeing);
            assert_eq!(common.replace(steps("tier.x")), Err(Disputed));
            assert_eq!(common.replace(steps("obj.x")), Ok(steps("data.object.x")));
            assert_eq!(common.replace(steps("x.tier")), Ok(steps("x.tier")));
        }
    }
}
