//! Dispatch against the memory store, a scripted handler and a clock that the test moves.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::model::attempt::{Detail, Outcome};
use crate::model::clock::ManualClock;
use crate::model::delivery::{DeadReason, DeliveryState};
use crate::model::event::Envelope;
use crate::model::ids::{DeliveryId, EventId, IdempotencyKey, SnapshotHash, SourceName};
use crate::model::verdict::{Assignment, Decision, Verdict};
use crate::store::memory::MemoryStore;
use crate::store::{Counts, DeliveryQuery};

/// Answers with what the script says, then with done; counts how many attempts run at once.
#[derive(Debug, Default)]
struct Script {
    answers: Mutex<VecDeque<Outcome>>,
    at_once: AtomicUsize,
    at_once_max: AtomicUsize,
    made: AtomicUsize,
    companies: Mutex<Vec<Company>>,
    /// While it is so, nothing is begun.
    down: watch::Sender<bool>,
    /// While set, attempts wait.
    hold: Mutex<Option<Arc<Semaphore>>>,
}

#[async_trait]
impl Attempts for Script {
    async fn ready(&self) {
        let mut down = self.down.subscribe();
        down.wait_for(|down| !down).await.expect("the sender lives in self");
    }

    async fn attempt(&self, _: &Arc<Event>, _: u32, _: &RuleName, company: Company) -> Option<Report> {
        if *self.down.borrow() {
            return None;
        }
        self.companies.lock().unwrap().push(company);
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.at_once_max.fetch_max(now, Ordering::SeqCst);
        let hold = self.hold.lock().unwrap().clone();
        if let Some(hold) = hold {
            hold.acquire().await.unwrap().forget();
        }
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        self.made.fetch_add(1, Ordering::SeqCst);
        let outcome = self.answers.lock().unwrap().pop_front().unwrap_or(Outcome::Done(Detail::default()));
        Some(Report { outcome, log: vec!["a line".to_owned()], duration: Duration::from_millis(3) })
    }
}

struct Bench {
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
    script: Arc<Script>,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Bench {
    fn start(answers: impl IntoIterator<Item = Outcome>) -> Self {
        Self::with(Script { answers: Mutex::new(answers.into_iter().collect()), ..Script::default() })
    }

    fn with(script: Script) -> Self {
        let clock = Arc::new(ManualClock::at(UnixMillis(1_800_000_000_000)));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock) as Arc<dyn Clock>));
        let script = Arc::new(script);
        let shutdown = CancellationToken::new();
        let handler = HandlerLoop {
            name: HandlerName::new("sumo"),
            attempts: Arc::clone(&script) as Arc<dyn Attempts>,
            lane: Lane::new(3),
            timeout: Duration::from_secs(30),
            retry: RetrySchedule { attempts: 3, jitter: 0.0, ..RetrySchedule::default() },
            store: Arc::clone(&store) as Arc<dyn Store>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            settling: Arc::new(Semaphore::new(1)),
        };
        let running = tokio::spawn(handler.run(shutdown.clone()));
        Self { clock, store, script, shutdown, running }
    }

    async fn deliver(&self, provider_id: &str) -> DeliveryId {
        let envelope = Envelope {
            source: SourceName::new("stripe"),
            idempotency_key: IdempotencyKey::new(provider_id),
            provider_id: provider_id.to_owned(),
            event_type: "checkout.session.completed".to_owned(),
            account: None,
            livemode: Some(true),
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            body: Bytes::from_static(b"{}"),
            received: self.clock.now(),
        };
        let event: EventId = self.store.append(envelope).await.unwrap().event();
        let handler = HandlerName::new("sumo");
        let assignment = Assignment { handler: handler.clone(), rule: RuleName::new("sumo purchase") };
        let verdict = Verdict::Deliver(vec![assignment]);
        let decision =
            Decision { snapshot: SnapshotHash::new("0011223344556677"), verdict, shadows: Vec::new() };
        self.store.route(vec![(event, decision)]).await.unwrap();
        DeliveryId { event, handler }
    }

    async fn wait_for(&self, reached: impl Fn(Counts) -> bool) {
        for _ in 0..2_000 {
            if reached(self.store.counts().await.unwrap()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("not reached: {:?}", self.store.counts().await.unwrap());
    }

    async fn wait_for_attempts(&self, id: &DeliveryId, count: usize) {
        for _ in 0..2_000 {
            if self.store.attempts(id.clone()).await.unwrap().len() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("attempts: {:?}", self.store.attempts(id.clone()).await.unwrap());
    }

    async fn state(&self, id: &DeliveryId) -> DeliveryState {
        let query = DeliveryQuery { event: Some(id.event), ..DeliveryQuery::default() };
        self.store.deliveries(query).await.unwrap().rows.remove(0).state
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
    }
}

fn retry(after: Option<Duration>) -> Outcome {
    Outcome::Retry { after, detail: Detail { code: "busy".to_owned(), ..Detail::default() } }
}

#[tokio::test]
async fn a_done_delivery_is_delivered_and_its_attempt_is_kept() {
    let bench = Bench::start([]);
    let id = bench.deliver("evt_1").await;
    bench.wait_for(|counts| counts.delivered == 1).await;
    let attempts = bench.store.attempts(id).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].number, attempts[0].outcome.word()), (1, "done"));
    assert_eq!(attempts[0].log, ["a line"]);
    bench.end().await;
}

#[tokio::test]
async fn a_retry_waits_for_its_schedule_and_the_last_one_makes_a_dead_letter() {
    let bench = Bench::start([retry(None), retry(None), retry(None)]);
    let id = bench.deliver("evt_1").await;
    bench.wait_for_attempts(&id, 1).await;
    let due = bench.clock.now().plus(Duration::from_secs(5));
    assert_eq!(bench.state(&id).await, DeliveryState::Pending { due });

    bench.clock.advance(Duration::from_secs(5));
    bench.wait_for_attempts(&id, 2).await;
    bench.clock.advance(Duration::from_secs(15));
    bench.wait_for(|counts| counts.dead == 1).await;
    let DeliveryState::Dead { reason, .. } = bench.state(&id).await else { panic!("not dead") };
    assert_eq!(reason, DeadReason::Spent { attempts: 3, last: "retry: ".to_owned() });
    bench.end().await;
}

#[tokio::test]
async fn a_handlers_own_wish_moves_the_next_attempt() {
    let bench = Bench::start([retry(Some(Duration::from_secs(77)))]);
    let id = bench.deliver("evt_1").await;
    bench.wait_for_attempts(&id, 1).await;
    let due = bench.clock.now().plus(Duration::from_secs(77));
    assert_eq!(bench.state(&id).await, DeliveryState::Pending { due });
    bench.clock.advance(Duration::from_secs(77));
    bench.wait_for(|counts| counts.delivered == 1).await;
    bench.end().await;
}

#[tokio::test]
async fn a_reject_is_a_dead_letter_at_once() {
    let detail = Detail { code: "email_missing".to_owned(), message: "no e-mail".to_owned(), result: None };
    let bench = Bench::start([Outcome::Reject(detail)]);
    let id = bench.deliver("evt_1").await;
    bench.wait_for(|counts| counts.dead == 1).await;
    let DeliveryState::Dead { reason, .. } = bench.state(&id).await else { panic!("not dead") };
    assert_eq!(reason.to_string(), "rejected: email_missing: no e-mail");
    bench.end().await;
}

#[tokio::test]
async fn crashes_and_time_outs_are_retried_like_any_failure() {
    let crashed = Outcome::Crashed { what: "killed by SIGSEGV".to_owned() };
    let timed_out = Outcome::TimedOut { limit: Duration::from_secs(30) };
    let bench = Bench::start([crashed, timed_out]);
    let id = bench.deliver("evt_1").await;
    bench.wait_for_attempts(&id, 1).await;
    bench.clock.advance(Duration::from_secs(5));
    bench.wait_for_attempts(&id, 2).await;
    bench.clock.advance(Duration::from_secs(15));
    bench.wait_for(|counts| counts.delivered == 1).await;
    bench.end().await;
}

#[tokio::test]
async fn what_the_host_died_with_is_alone_the_next_time_and_dead_after_the_third() {
    let crashed = || Outcome::Crashed { what: "killed by SIGSEGV".to_owned() };
    let bench = Bench::start([crashed(), crashed(), crashed()]);
    let id = bench.deliver("evt_1").await;
    for (attempts, wait) in [(1, 5), (2, 15)] {
        bench.wait_for_attempts(&id, attempts).await;
        bench.clock.advance(Duration::from_secs(wait));
    }
    bench.wait_for(|counts| counts.dead == 1).await;
    let DeliveryState::Dead { reason, .. } = bench.state(&id).await else { panic!("not dead") };
    let last = "killed by SIGSEGV; it had logged: a line".to_owned();
    assert_eq!(reason, DeadReason::Crashed { crashes: 3, last });
    bench.deliver("evt_2").await;
    bench.wait_for(|counts| counts.delivered == 1).await;
    let companies = bench.script.companies.lock().unwrap().clone();
    assert_eq!(companies, [Company::Others, Company::Nobody, Company::Nobody, Company::Others]);
    bench.end().await;
}

#[tokio::test]
async fn while_the_host_is_down_events_wait_and_no_attempt_is_spent() {
    let hold = Arc::new(Semaphore::new(0));
    let bench = Bench::with(Script { hold: Mutex::new(Some(Arc::clone(&hold))), ..Script::default() });
    let under_way = bench.deliver("evt_1").await;
    bench.wait_for(|counts| counts.leased == 1).await;
    bench.script.down.send_replace(true);
    let waiting = bench.deliver("evt_2").await;
    hold.add_permits(2);
    bench.wait_for(|counts| counts.delivered == 1 && counts.pending == 1).await;
    assert!(bench.store.attempts(waiting.clone()).await.unwrap().is_empty());
    bench.script.down.send_replace(false);
    bench.wait_for(|counts| counts.delivered == 2).await;
    for id in [under_way, waiting] {
        let attempts = bench.store.attempts(id).await.unwrap();
        assert_eq!(attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1]);
    }
    bench.end().await;
}

#[tokio::test]
async fn no_more_attempts_run_at_once_than_the_handler_allows() {
    let hold = Arc::new(Semaphore::new(0));
    let bench = Bench::with(Script { hold: Mutex::new(Some(Arc::clone(&hold))), ..Script::default() });
    for n in 0..20 {
        bench.deliver(&format!("evt_{n}")).await;
    }
    bench.wait_for(|counts| counts.leased == 3).await;
    hold.add_permits(20);
    bench.wait_for(|counts| counts.delivered == 20).await;
    assert_eq!(bench.script.at_once_max.load(Ordering::SeqCst), 3);
    assert_eq!(bench.script.made.load(Ordering::SeqCst), 20);
    bench.end().await;
}

#[tokio::test]
async fn a_clock_that_steps_forward_runs_no_delivery_twice_at_once() {
    let hold = Arc::new(Semaphore::new(0));
    let bench = Bench::with(Script { hold: Mutex::new(Some(Arc::clone(&hold))), ..Script::default() });
    let id = bench.deliver("evt_1").await;
    bench.wait_for(|counts| counts.leased == 1).await;
    bench.clock.advance(Duration::from_secs(24 * 60 * 60));
    // A second delivery shows that the loop has leased again since the step.
    bench.deliver("evt_2").await;
    bench.wait_for(|counts| counts.leased == 2).await;
    hold.add_permits(2);
    bench.wait_for(|counts| counts.delivered == 2).await;
    assert_eq!(bench.store.attempts(id).await.unwrap().len(), 1);
    assert_eq!(bench.script.made.load(Ordering::SeqCst), 2);
    bench.end().await;
}

#[tokio::test]
async fn shutdown_waits_for_attempts_under_way_and_takes_no_new_ones() {
    let hold = Arc::new(Semaphore::new(0));
    let bench = Bench::with(Script { hold: Mutex::new(Some(Arc::clone(&hold))), ..Script::default() });
    bench.deliver("evt_1").await;
    bench.wait_for(|counts| counts.leased == 1).await;
    bench.shutdown.cancel();
    bench.deliver("evt_2").await;
    hold.add_permits(1);
    let Bench { store, running, .. } = bench;
    running.await.unwrap();
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.delivered, counts.pending), (1, 1));
}
