//! The stages of a repair, in their order: first goes what is wrong, then comes what is missing, and the counting is last.

use crate::store::sled::keys;

/// What a repair is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Begin,
    /// One of the tables whose rows are held against what they lead to.
    Wrong(u8),
    Aside,
    Events,
    Deliveries,
    Count(u8),
    Totals,
}

impl Stage {
    /// The stage after this one; `None` at the end.
    pub(super) fn next(self) -> Option<Self> {
        Some(match self {
            Self::Begin => Self::Wrong(keys::IDEMPOTENCY),
            Self::Wrong(keys::IDEMPOTENCY) => Self::Wrong(keys::INBOX),
            Self::Wrong(keys::INBOX) => Self::Wrong(keys::UNROUTED),
            Self::Wrong(keys::UNROUTED) => Self::Wrong(keys::DROPPED),
            Self::Wrong(keys::DROPPED) => Self::Wrong(keys::DUE),
            Self::Wrong(keys::DUE) => Self::Wrong(keys::DEAD),
            Self::Wrong(keys::DEAD) => Self::Wrong(keys::TOMBSTONES),
            Self::Wrong(keys::WAITING) => Self::Totals,
            Self::Wrong(_) => Self::Aside,
            Self::Aside => Self::Events,
            Self::Events => Self::Deliveries,
            Self::Deliveries => Self::Count(keys::INBOX),
            Self::Count(keys::INBOX) => Self::Count(keys::UNROUTED),
            Self::Count(keys::UNROUTED) => Self::Count(keys::DROPPED),
            Self::Count(keys::DROPPED) => Self::Count(keys::DUE),
            // Held against what was counted just before.
            Self::Count(_) => Self::Wrong(keys::WAITING),
            Self::Totals => return None,
        })
    }

    /// The table that the stage goes through.
    pub(super) fn table(self) -> Option<u8> {
        match self {
            Self::Wrong(table) | Self::Count(table) => Some(table),
            Self::Aside => Some(keys::ASIDE),
            Self::Events => Some(keys::EVENTS),
            Self::Deliveries => Some(keys::DELIVERIES),
            Self::Begin | Self::Totals => None,
        }
    }
}
