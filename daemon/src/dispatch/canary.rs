//! Two libraries of one handler side by side: which of them makes an attempt, and what is counted of both.
//!
//! `app` puts [`Sides`] in the place of a handler's host while a canary runs; the loop, the lane and the schedule are the
//! same. New events in the canary's share go to the new library, each attempt at them, and everything else to the one before.
//! What the new library rejects is no dead letter yet: the one before is asked, as the delivery's next attempt. So is the last
//! attempt of a schedule. Once its answers tell against the new library, or it dies, the one before gets everything, from
//! that moment on; `app` follows. Counts are in memory: after a restart they begin anew.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::Attempts;
use crate::host::{Company, Report};
use crate::model::attempt::{Detail, Outcome};
use crate::model::canary::{Share, Tally, tells_against};
use crate::model::clock::UnixMillis;
use crate::model::event::Event;
use crate::model::ids::{EventId, RuleName};
use crate::model::limits::CANARY_REJECTED_MAX;

/// What an attempt is told whose delivery the canary rejected.
const REJECTED_CODE: &str = "canary";

/// One library's trial, over every handler of its plugin.
#[derive(Debug)]
pub struct Trial {
    pub share: Share,
    /// Only events from then on are in the share.
    pub began: UnixMillis,
    /// So many deliveries that the new library was done with make it whole; without it somebody says so.
    pub promote_after: Option<u64>,
    counts: Mutex<Counts>,
    verdict: watch::Sender<Option<Verdict>>,
}

/// What both sides answered since the trial began, or the daemon started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub new: Tally,
    /// Of events that came in the same time.
    pub old: Tally,
}

/// What becomes of the new library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Promote,
    RollBack { why: String },
}

/// The two libraries of one handler.
#[derive(Debug)]
pub struct Sides {
    old: Arc<dyn Attempts>,
    new: Arc<dyn Attempts>,
    trial: Arc<Trial>,
    /// Of the handler's schedule.
    attempts_max: u32,
    /// Events that the new library rejected: the other one's from then on.
    rejected: Mutex<BTreeSet<EventId>>,
}

impl Trial {
    pub fn new(share: Share, began: UnixMillis, promote_after: Option<u64>) -> Arc<Self> {
        let verdict = watch::Sender::new(None);
        Arc::new(Self { share, began, promote_after, counts: Mutex::default(), verdict })
    }

    pub fn counts(&self) -> Counts {
        *self.lock()
    }

    /// Says what becomes of it. The first word counts: that is returned.
    pub fn decide(&self, verdict: Verdict) -> Verdict {
        let mut counts = verdict.clone();
        self.verdict.send_if_modified(|decided| match decided {
            Some(earlier) => {
                counts = earlier.clone();
                false
            }
            None => {
                *decided = Some(verdict);
                true
            }
        });
        counts
    }

    /// Waits until it is decided.
    pub async fn verdict(&self) -> Verdict {
        let mut verdict = self.verdict.subscribe();
        let decided = verdict.wait_for(Option::is_some).await;
        decided
            .ok()
            .and_then(|decided| decided.clone())
            .expect("the sender lives in self, and one was waited for")
    }

    fn is_given_up(&self) -> bool {
        matches!(*self.verdict.borrow(), Some(Verdict::RollBack { .. }))
    }

    fn is_new(&self, event: EventId) -> bool {
        event.millis() >= self.began.0
    }

    fn takes(&self, event: EventId) -> bool {
        self.is_new(event) && self.share.takes(event) && !self.is_given_up()
    }

    fn count_old(&self, outcome: &Outcome) {
        self.lock().old.count(outcome);
    }

    fn count_new(&self, outcome: &Outcome) {
        let counts = {
            let mut counts = self.lock();
            counts.new.count(outcome);
            *counts
        };
        let died = matches!(outcome, Outcome::Crashed { .. } | Outcome::TimedOut { .. });
        if died {
            self.decide(Verdict::RollBack { why: outcome.message() });
        } else if let Some(why) = tells_against(&counts.new, &counts.old) {
            self.decide(Verdict::RollBack { why });
        } else if self.promote_after.is_some_and(|enough| counts.new.finished() >= enough) {
            self.decide(Verdict::Promote);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Attempts for Sides {
    async fn ready(&self) {
        self.old.ready().await;
    }

    async fn attempt(
        &self,
        event: &Arc<Event>,
        attempt: u32,
        rule: &RuleName,
        company: Company,
    ) -> Option<Report> {
        if !self.trial.takes(event.id) {
            let report = self.old.attempt(event, attempt, rule, company).await?;
            if self.trial.is_new(event.id) {
                self.trial.count_old(&report.outcome);
            }
            return Some(report);
        }
        // What the new library rejected, and a last attempt, would tell nothing of what the one before does with the rest.
        if attempt >= self.attempts_max || self.rejected().contains(&event.id) {
            return self.old.attempt(event, attempt, rule, company).await;
        }
        let report = self.new.attempt(event, attempt, rule, company).await?;
        self.trial.count_new(&report.outcome);
        Some(match report.outcome {
            Outcome::Reject(detail) => Report { outcome: self.ask_the_other(event.id, &detail), ..report },
            _ => report,
        })
    }
}

impl Sides {
    /// The library before and the new one, of a handler whose schedule has so many attempts.
    pub fn new(old: Arc<dyn Attempts>, new: Arc<dyn Attempts>, trial: Arc<Trial>, attempts_max: u32) -> Self {
        Self { old, new, trial, attempts_max, rejected: Mutex::default() }
    }

    fn ask_the_other(&self, event: EventId, said: &Detail) -> Outcome {
        let mut rejected = self.rejected();
        rejected.insert(event);
        if rejected.len() > CANARY_REJECTED_MAX {
            rejected.pop_first();
        }
        let words: Vec<&str> =
            [&*said.code, &*said.message].into_iter().filter(|it| !it.is_empty()).collect();
        let why = if words.is_empty() { "it said no why".to_owned() } else { words.join(": ") };
        let message = format!("the canary rejected it ({why}); the library before is asked");
        let detail = Detail { code: REJECTED_CODE.to_owned(), message, result: said.result.clone() };
        Outcome::Retry { after: Some(Duration::ZERO), detail }
    }

    fn rejected(&self) -> MutexGuard<'_, BTreeSet<EventId>> {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::model::event::Envelope;
    use crate::model::ids::{IdempotencyKey, SourceName};

    const BEGAN: UnixMillis = UnixMillis(1_800_000_000_000);
    const ATTEMPTS: u32 = 5;

    /// A library that always says the same; its log says which it is.
    #[derive(Debug)]
    struct Says(&'static str, Outcome);

    #[async_trait]
    impl Attempts for Says {
        async fn ready(&self) {}

        async fn attempt(&self, _: &Arc<Event>, _: u32, _: &RuleName, _: Company) -> Option<Report> {
            let (log, outcome) = (vec![self.0.to_owned()], self.1.clone());
            Some(Report { outcome, log, duration: Duration::ZERO })
        }
    }

    fn sides(new: Outcome, promote_after: Option<u64>) -> Sides {
        let (old, new) = (Says("old", Outcome::Done(Detail::default())), Says("new", new));
        let trial = Trial::new(Share::of(0.5).unwrap(), BEGAN, promote_after);
        Sides::new(Arc::new(old), Arc::new(new), trial, ATTEMPTS)
    }

    fn event(millis: u64, number: u128) -> Arc<Event> {
        let envelope = Envelope {
            source: SourceName::new("stripe"),
            idempotency_key: IdempotencyKey::new("key"),
            provider_id: "evt_1".to_owned(),
            event_type: "ping".to_owned(),
            account: None,
            livemode: None,
            content_type: String::new(),
            headers: Vec::new(),
            body: Bytes::new(),
            received: UnixMillis(millis),
        };
        Arc::new(Event { id: EventId::from_parts(millis, number), envelope })
    }

    /// Who made the attempt, and what came of it.
    async fn made(sides: &Sides, event: &Arc<Event>, attempt: u32) -> (String, Outcome) {
        let report = sides.attempt(event, attempt, &RuleName::new("a rule"), Company::Others).await.unwrap();
        (report.log.concat(), report.outcome)
    }

    /// Events that came once the trial had begun, by whether they are in the share.
    fn events(in_share: bool) -> impl Iterator<Item = Arc<Event>> {
        let share = Share::of(0.5).unwrap();
        (0..).map(|number| event(BEGAN.0 + 1, number)).filter(move |event| share.takes(event.id) == in_share)
    }

    #[tokio::test]
    async fn new_events_in_the_share_go_to_the_new_library_and_their_retries_too() {
        let sides = sides(Outcome::Done(Detail::default()), None);
        for (taken, others) in events(true).zip(events(false)).take(50) {
            for attempt in 1..ATTEMPTS {
                assert_eq!(made(&sides, &taken, attempt).await.0, "new");
                assert_eq!(made(&sides, &others, attempt).await.0, "old");
            }
            assert_eq!(made(&sides, &taken, ATTEMPTS).await.0, "old", "the last attempt is no experiment");
        }
        let Counts { new, old } = sides.trial.counts();
        assert_eq!((new.finished(), old.finished()), (200, 200));
        for number in 0..50 {
            assert_eq!(made(&sides, &event(BEGAN.0 - 1, number), 1).await.0, "old", "it came before");
        }
        assert_eq!(sides.trial.counts().old, old, "what came before is compared with nothing");
    }

    #[tokio::test]
    async fn what_the_new_library_rejects_the_other_one_answers() {
        let said = Detail { code: "no".to_owned(), message: "not ever".to_owned(), result: None };
        let sides = sides(Outcome::Reject(said), None);
        for other in events(false).take(100) {
            made(&sides, &other, 1).await;
        }
        for (number, taken) in (1..=3).zip(events(true)) {
            let (by, outcome) = made(&sides, &taken, 1).await;
            let Outcome::Retry { after: Some(Duration::ZERO), detail } = outcome else {
                panic!("{outcome:?}")
            };
            assert_eq!((&*by, &*detail.code), ("new", "canary"));
            assert_eq!(detail.message, "the canary rejected it (no: not ever); the library before is asked");
            assert_eq!(made(&sides, &taken, 2).await, ("old".to_owned(), Outcome::Done(Detail::default())));
            assert_eq!(sides.trial.is_given_up(), number == 3, "after {number}");
        }
        let Verdict::RollBack { why } = sides.trial.verdict().await else { panic!("it was promoted") };
        assert_eq!(why, "it rejected 3 of 3 deliveries, and the library before 0 of 100");
        let next = events(true).nth(10).unwrap();
        assert_eq!(made(&sides, &next, 1).await.0, "old", "from that moment on");
    }

    #[tokio::test]
    async fn a_death_or_a_hang_ends_it_at_once_and_the_first_word_counts() {
        for (outcome, words) in [
            (Outcome::Crashed { what: "killed by SIGSEGV".to_owned() }, "killed by SIGSEGV"),
            (
                Outcome::TimedOut { limit: Duration::from_secs(3) },
                "no answer within 3s; the host was stopped",
            ),
        ] {
            let sides = sides(outcome.clone(), None);
            let taken = events(true).next().unwrap();
            assert_eq!(made(&sides, &taken, 1).await, ("new".to_owned(), outcome));
            assert_eq!(made(&sides, &taken, 2).await.0, "old");
            let given_up = Verdict::RollBack { why: words.to_owned() };
            assert_eq!(sides.trial.decide(Verdict::Promote), given_up);
            assert_eq!(sides.trial.verdict().await, given_up);
        }
    }

    #[tokio::test]
    async fn enough_deliveries_that_it_is_done_with_promote_it() {
        let sides = sides(Outcome::Ignore(Detail::default()), Some(3));
        let mut taken = events(true);
        for number in 1..=3 {
            assert!(sides.trial.verdict.borrow().is_none(), "before {number}");
            made(&sides, &taken.next().unwrap(), 1).await;
        }
        assert_eq!(sides.trial.verdict().await, Verdict::Promote);
        assert_eq!(
            made(&sides, &taken.next().unwrap(), 1).await.0,
            "new",
            "it goes on until it has everything"
        );
    }
}
