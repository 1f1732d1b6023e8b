//! A delivery (event × handler) and its state machine.
//!
//! ```text
//!  Pending{due} ──lease──► Leased{until, token} ──settle──► Delivered | Ignored | Dead | Pending{due later}
//!       ▲                        │ until passed, or given back
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
    /// The plugin's process died with it, again and again.
    Crashed { crashes: u32, last: String },
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected { code, message } if message.is_empty() => write!(f, "rejected: {code}"),
            Self::Rejected { code, message } => write!(f, "rejected: {code}: {message}"),
            Self::Spent { attempts, last } => {
                write!(f, "gave up after {attempts} attempts; the last: {last}")
            }
            Self::Crashed { crashes, last } => {
                write!(f, "crashed plugin, {crashes} times in a row; the last: {last}")
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

    /// As it was before it was leased for an attempt that was never begun; due at once.
    #[must_use]
    pub fn given_back(&self, now: UnixMillis) -> Self {
        let attempts = self.attempts.saturating_sub(1);
        Self { attempts, state: DeliveryState::Pending { due: now }, ..self.clone() }
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
            Outcome::TimedOut { .. } | Outcome::Crashed { .. } => {
                self.again(outcome, None, schedule, spread, now)
            }
            // The daemon's own doing: neither a wait nor the end of the schedule follows from it.
            Outcome::Interrupted => DeliveryState::Pending { due: now },
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::attempt::Detail;
    use crate::model::ids::{EventId, HandlerName};

    fn delivery() -> Delivery {
        let id = DeliveryId { event: EventId::from_parts(1, 1), handler: HandlerName::new("sumo") };
        Delivery::new(id, RuleName::new("sumo purchase"), SnapshotHash::new("00"), UnixMillis(0))
    }

    fn outcomes() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Done(Detail::default())),
            Just(Outcome::Ignore(Detail::default())),
            Just(Outcome::Reject(Detail::default())),
            (0_u64..100_000).prop_map(|seconds| Outcome::Retry {
                after: (seconds % 2 == 0).then(|| Duration::from_secs(seconds)),
                detail: Detail::default()
            }),
            Just(Outcome::TimedOut { limit: Duration::from_secs(30) }),
            Just(Outcome::Crashed { what: "SIGSEGV".to_owned() }),
            Just(Outcome::Interrupted),
        ]
    }

    proptest! {
        #[test]
        fn every_life_ends_within_the_schedule_and_never_lives_on(
            outcomes in prop::collection::vec(outcomes(), 1..40),
            attempts in 1_u32..12,
        ) {
            let schedule = RetrySchedule { attempts, ..RetrySchedule::default() };
            let (mut delivery, mut now) = (delivery(), UnixMillis(0));
            for (round, outcome) in outcomes.iter().enumerate() {
                let token = LeaseToken(round as u64);
                let Some(due) = delivery.state.wakes_at() else {
                    prop_assert!(delivery.lease(UnixMillis(u64::MAX), UnixMillis(u64::MAX), token).is_none());
                    return Ok(());
                };
                if due > now {
                    prop_assert!(delivery.lease(now, now, token).is_none(), "leased before it was due");
                }
                now = now.max(due);
                delivery = delivery.lease(now, now.plus(Duration::from_secs(60)), token).expect("it is due");
                prop_assert!(delivery.is_held_by(token));
                prop_assert!(!delivery.is_held_by(LeaseToken(u64::MAX)));
                prop_assert_eq!(delivery.attempts as usize, round + 1);
                delivery.state = delivery.after(outcome, &schedule, 0.5, now);
                let finished = delivery.state.wakes_at().is_none();
                match outcome {
                    Outcome::Done(_) => prop_assert_eq!(delivery.state.word(), "delivered"),
                    Outcome::Ignore(_) => prop_assert_eq!(delivery.state.word(), "ignored"),
                    Outcome::Reject(_) => prop_assert_eq!(delivery.state.word(), "dead"),
                    Outcome::Interrupted => prop_assert_eq!(&delivery.state, &DeliveryState::Pending { due: now }),
                    _ => prop_assert_eq!(finished, delivery.attempts >= attempts, "dead exactly when spent"),
                }
            }
        }
    }

    #[test]
    fn a_lease_that_ran_out_can_be_taken_again() {
        let held = delivery().lease(UnixMillis(5), UnixMillis(10), LeaseToken(1)).expect("due");
        assert!(held.lease(UnixMillis(9), UnixMillis(20), LeaseToken(2)).is_none());
        let taken = held.lease(UnixMillis(10), UnixMillis(20), LeaseToken(2)).expect("the lease ran out");
        assert!(taken.is_held_by(LeaseToken(2)) && !taken.is_held_by(LeaseToken(1)));
        assert_eq!(taken.attempts, 2);
    }
}
