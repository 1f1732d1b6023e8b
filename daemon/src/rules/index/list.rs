//! A sorted list of rules, in eight bytes.

/// Rules, by their numbers: a part of what all lists share; or just one rule, as most lists are, at no further place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct List {
    start: u32,
    end: u32,
}

/// The end of a list that has no place: its start is the rule. No shared part ends so far out.
const ONE: u32 = u32::MAX;

impl List {
    /// This rule alone.
    pub(super) fn one(rule: u32) -> Self {
        Self { start: rule, end: ONE }
    }

    /// These rules, in order, at no place where there is but one.
    pub(super) fn keep(rules: &[u32], shared: &mut Vec<u32>) -> Self {
        match rules {
            [rule] => Self::one(*rule),
            rules => Self::share(rules, shared),
        }
    }

    /// These rules, in order, added to `shared`.
    pub(super) fn share(rules: &[u32], shared: &mut Vec<u32>) -> Self {
        let start = shared.len();
        shared.extend(rules);
        let number = |length: usize| u32::try_from(length).ok().filter(|length| *length != ONE);
        let bounds = number(start).zip(number(shared.len()));
        let (start, end) = bounds.expect("a configuration file is smaller than 4 GB");
        Self { start, end }
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The first rule, and what is left without it.
    pub(super) fn split(self, shared: &[u32]) -> Option<(u32, Self)> {
        match self {
            Self { start, end } if start == end => None,
            Self { start, end: ONE } => Some((start, Self::default())),
            Self { start, end } => Some((*shared.get(start as usize)?, Self { start: start + 1, end })),
        }
    }

    /// Its part of what all share; nothing for a rule that stands alone.
    pub(super) fn part(self, shared: &[u32]) -> &[u32] {
        shared.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}
