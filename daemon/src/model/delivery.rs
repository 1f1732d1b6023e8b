//! A delivery (event × handler) and its state machine.
//!
//! ```text
//!  Pending{due} ──lease──► Leased{until, token} ──settle──► Delivered | Ignored | Dead | Pending{due later}
//!       ▲                        │ until passed
//!       └──────── taken back ◄───┘                  cancel: Pending ─► Cancelled
//! ```
//!
//! A lease only keeps two workers from the same work; at-least-once is the contract. Its token fences: an answer that
//! comes after the lease was taken back changes nothing.

use std::fmt;
use std::time::Duration;

use super::attempt::Outcome;
use super::clock::UnixMillis;
use super::ids::{DeliveryId, RuleName, SnapshotHash};
use super::retry::RetrySchedule;

/// The unit of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub id: DeliveryId,
    /// The rule that named the handler.
    pub rule: RuleName,
    /// The configuration that routed the event.
    pub snapshot: SnapshotHash,
    pub created: UnixMillis,
    /// Attempts begun so far.
    pub attempts: u32,
    pub state: DeliveryState,
}

/// Where a delivery stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryState {
    Pending { due: UnixMillis },
    Leased { until: UnixMillis, token: LeaseToken },
    Delivered { at: UnixMillis },
    Ignored { at: UnixMillis },
    Dead { at: UnixMillis, reason: DeadReason },
    Cancelled { at: UnixMillis },
}

/// Fences a lease: whoever settles must hold the token of the lease that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseToken(pub u64);

/// Why a delivery is a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadReason {
    /// The handler said that no retry can help.
    Rejected { code: String, message: String },
    /// The last attempt of the schedule failed too.
    Spent { attempts: u32, last: String },
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected { code, message } if message.is_empty() => write!(f, "rejected: {code}"),
            Self::Rejected { code, message } => write!(f, "rejected: {code}: {message}"),
            Self::Spent { attempts, last } => {
                write!(f, "gave up after {attempts} attempts; the last: {last}")
            }
        }
    }
}

impl DeliveryState {
    /// The state in one word, as shown and stored.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Leased { .. } => "leased",
            Self::Delivered { .. } => "delivered",
            Self::Ignored { .. } => "ignored",
            Self::Dead { .. } => "dead",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// When the delivery wants attention next: when it is due, or when its lease runs out. `None` once it is finished.
    pub fn wakes_at(&self) -> Option<UnixMillis> {
        match self {
            Self::Pending { due } => Some(*due),
            Self::Leased { until, .. } => Some(*until),
            Self::Delivered { .. } | Self::Ignored { .. } | Self::Dead { .. } | Self::Cancelled { .. } => {
                None
            }
        }
    }
}

impl Delivery {
    /// A fresh delivery, due at once.
    pub fn new(id: DeliveryId, rule: RuleName, snapshot: SnapshotHash, now: UnixMillis) -> Self {
        Self { id, rule, snapshot, created: now, attempts: 0, state: DeliveryState::Pending { due: now } }
    }

    /// Takes the delivery for one attempt, where it is due (or its lease has run out) at `now`.
    #[must_use]
    pub fn lease(&self, now: UnixMillis, until: UnixMillis, token: LeaseToken) -> Option<Self> {
        let due = self.state.wakes_at()?;
        (due <= now).then(|| Self {
            attempts: self.attempts.saturating_add(1),
            state: DeliveryState::Leased { until, token },
            ..self.clone()
        })
    }

    /// Whether `token` is the one that holds the delivery.
    pub fn is_held_by(&self, token: LeaseToken) -> bool {
        matches!(self.state, DeliveryState::Leased { token: held, .. } if held == token)
    }

    /// Where `outcome` leads. Pure; the store applies it if the lease still stands.
    pub fn after(
        &self,
        outcome: &Outcome,
        schedule: &RetrySchedule,
        spread: f64,
        now: UnixMillis,
    ) -> DeliveryState {
        match outcome {
            Outcome::Done(_) => DeliveryState::Delivered { at: now },
            Outcome::Ignore(_) => DeliveryState::Ignored { at: now },
            Outcome::Reject(detail) => DeliveryState::Dead {
                at: now,
                reason: DeadReason::Rejected { code: detail.code.clone(), message: detail.message.clone() },
            },
            Outcome::Retry { after, .. } => self.again(outcome, *after, schedule, spread, now),
            Outcome::TimedOut { .. } | Outcome::Crashed { .. } | Outcome::Interrupted => {
                self.again(outcome, None, schedule, spread, now)
            }
        }
    }

    fn again(
        &self,
        outcome: &Outcome,
        after: Option<Duration>,
        schedule: &RetrySchedule,
        spread: f64,
        now: UnixMillis,
    ) -> DeliveryState {
        match schedule.wait(self.attempts, after, spread) {
            Some(wait) => DeliveryState::Pending { due: now.plus(wait) },
            None => DeliveryState::Dead {
                at: now,
                reason: DeadReason::Spent {
                    attempts: self.attempts,
                    last: format!("{}: {}", outcome.word(), outcome.message()),
                },
            },
        }
    }
}
