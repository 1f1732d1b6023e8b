//! A process with a store under load, made to be killed: the crash tests run it, cut it down, and hold what it said
//! against what they find.
//!
//! `store_load DIRECTORY SEED` opens the store and then appends, routes, leases, takes steps, writes pairs and settles
//! until it dies. `store_load DIRECTORY SEED idle` only opens it. Each thing that the store acknowledged is one line on
//! stdout, written at once and ended by ` .`, so that a line cut short is known as such:
//!
//! ```text
//!  open .                                  event KEY ID BYTES SHA256 .       routed ID HANDLER… .
//!  step ID HANDLER STEP MEMO .             pair KEY VERSION VALUE .          settled ID HANDLER NUMBER STATE .
//! ```
//! When the store fails it says `failed WHY .` and exits with 3.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookyard::model::attempt::{Attempt, Detail, Outcome};
use hookyard::model::clock::{Clock, SystemClock, UnixMillis};
use hookyard::model::delivery::{DeadReason, DeliveryState};
use hookyard::model::event::Envelope;
use hookyard::model::ids::{
    EventId, HandlerName, IdempotencyKey, PluginId, RuleName, SnapshotHash, SourceName, StepId,
};
use hookyard::model::memory::{Expect, KvPut, StepState};
use hookyard::model::verdict::{Assignment, Decision, Verdict};
use hookyard::store::sled::{SledOptions, SledStore};
use hookyard::store::{Foresight, LeaseRequest, LeasedDelivery, Settled, Settlement, Store, StoreError};
use sha2::{Digest, Sha256};

const APPENDERS: u64 = 12;
const HANDLERS: [&str; 2] = ["direct", "sumo"];
const LEASE: Duration = Duration::from_millis(300);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, seed, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: store_load DIRECTORY SEED [idle]");
        return ExitCode::from(64);
    };
    let seed: u64 = seed.parse().unwrap_or(1);
    let mut options = SledOptions::new(directory);
    options.cache_bytes = 16 << 20;
    options.free_bytes_min = 64 << 20;
    // Small, so that segments are switched and used again all the time.
    options.segment_bytes = 4 << 20;
    let store = match SledStore::open(&options, Arc::new(SystemClock)) {
        Ok(store) => Arc::new(store),
        Err(error) => {
            say(&format!("refused {error}"));
            return ExitCode::from(2);
        }
    };
    if rest.is_empty() {
        let taken_back = store.take_back_leases().await;
        say(if taken_back.is_ok() { "open" } else { "failed to take leases back" });
        let why = run(store, seed).await;
        say(&format!("failed {why}"));
        return ExitCode::from(3);
    }
    say("open");
    std::future::pending().await
}

/// Works until the store fails; says why.
async fn run(store: Arc<SledStore>, seed: u64) -> String {
    // One life in two routes events as they come, the other one later.
    if seed % 2 == 1 {
        store.foresee(Arc::new(Foreseen));
    }
    let mut loops = tokio::task::JoinSet::new();
    for number in 0..APPENDERS {
        loops.spawn(append(store.clone(), Dice::new(seed * 100 + number), format!("{seed}-{number}")));
    }
    loops.spawn(route(store.clone()));
    for (number, handler) in HANDLERS.into_iter().enumerate() {
        loops.spawn(dispatch(store.clone(), Dice::new(seed * 100 + 50 + number as u64), handler));
    }
    match loops.join_next().await {
        Some(Ok(Err(error))) => error.to_string(),
        other => format!("a loop ended: {other:?}"),
    }
}

async fn append(store: Arc<SledStore>, mut dice: Dice, name: String) -> Result<(), StoreError> {
    for count in 0_u64.. {
        let bytes = match dice.below(60) {
            0 => 100_000 + dice.below(500_000),
            1..=5 => dice.below(30_000),
            _ => 1 + dice.below(5_000),
        };
        let key = format!("{name}-{count}");
        let body = dice.bytes(bytes);
        let digest = hex::encode(Sha256::digest(&body));
        let envelope = envelope(&key, body);
        match store.append(envelope).await {
            Ok(appended) => say(&format!("event {key} {} {bytes} {digest}", appended.event())),
            Err(StoreError::Busy { .. }) => tokio::time::sleep(LEASE).await,
            // What handlers remember is taken still, until the journal is full too.
            Err(StoreError::Full { .. }) => {
                let value = dice.bytes(2048);
                store
                    .kv_put(
                        PluginId::new("load"),
                        name.clone().into_bytes(),
                        value.to_vec(),
                        Expect::Anything,
                    )
                    .await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn envelope(key: &str, body: Bytes) -> Envelope {
    Envelope {
        source: SourceName::new("stripe"),
        idempotency_key: IdempotencyKey::new(key),
        provider_id: key.to_owned(),
        event_type: "checkout.session.completed".to_owned(),
        account: None,
        livemode: Some(true),
        content_type: "application/json".to_owned(),
        headers: vec![("user-agent".to_owned(), "load".to_owned())],
        body,
        received: SystemClock.now(),
    }
}

/// Decides as [`route`] does, on events as they come.
#[derive(Debug)]
struct Foreseen;

impl Foresight for Foreseen {
    fn decide(&self, envelope: &Envelope) -> Decision {
        decision(envelope.body.len())
    }

    fn decided(&self, event: EventId, decision: &Decision) {
        say(&format!("routed {event} {}", handlers_of(decision).join(" ")));
    }
}

async fn route(store: Arc<SledStore>) -> Result<(), StoreError> {
    let mut bell = store.wakes().on_events();
    loop {
        let waiting = store.to_route(64).await?;
        if waiting.is_empty() {
            let _rang_or_not = tokio::time::timeout(LEASE, bell.changed()).await;
            continue;
        }
        let decisions: Vec<_> =
            waiting.iter().map(|event| (event.id, decision(event.envelope.body.len()))).collect();
        store.route(decisions.clone()).await?;
        for (id, decision) in decisions {
            say(&format!("routed {id} {}", handlers_of(&decision).join(" ")));
        }
    }
}

/// Most events go to one handler or both, some to none.
fn decision(bytes: usize) -> Decision {
    let to = |names: &[&str]| {
        let one = |name: &&str| Assignment { handler: HandlerName::new(name), rule: RuleName::new("load") };
        Verdict::Deliver(names.iter().map(one).collect())
    };
    let verdict = match bytes % 5 {
        0 => Verdict::Unrouted { reason: "of no interest".to_owned() },
        1 => Verdict::Dropped { rule: RuleName::new("load"), reason: "noise".to_owned() },
        2 => to(&HANDLERS),
        3 => to(&HANDLERS[..1]),
        _ => to(&HANDLERS[1..]),
    };
    Decision { snapshot: SnapshotHash::new("0000000000000000"), verdict, shadows: Vec::new() }
}

fn handlers_of(decision: &Decision) -> Vec<String> {
    match &decision.verdict {
        Verdict::Deliver(to) => to.iter().map(|one| one.handler.to_string()).collect(),
        Verdict::Unrouted { .. } | Verdict::Dropped { .. } => Vec::new(),
    }
}

async fn dispatch(store: Arc<SledStore>, mut dice: Dice, handler: &'static str) -> Result<(), StoreError> {
    loop {
        let at_once = LeaseRequest::at_once(HandlerName::new(handler), 8, LEASE);
        let wait_until = SystemClock.now().plus(LEASE);
        let leased = store.lease(LeaseRequest { wait_until, ..at_once }).await?.deliveries;
        let mut working = tokio::task::JoinSet::new();
        for held in leased {
            let (store, dice) = (store.clone(), Dice::new(dice.next()));
            working.spawn(async move { work(&store, dice, held).await });
        }
        while let Some(done) = working.join_next().await {
            match done {
                Ok(worked) => worked?,
                // The program is ending because another loop met the failure first.
                Err(error) if error.is_cancelled() => {}
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
    }
}

/// One attempt: a step, a pair, a settlement; now and then it forgets to settle.
async fn work(store: &SledStore, mut dice: Dice, held: LeasedDelivery) -> Result<(), StoreError> {
    let id = &held.delivery.id;
    let step = StepId { delivery: id.clone(), step: "user".into() };
    if store.step_begin(step.clone()).await? != StepState::Run || dice.below(4) > 0 {
        let memo = format!("memo-{}", dice.below(1000));
        store.step_end(step.clone(), memo.clone().into_bytes()).await?;
        if let StepState::Done(first) = store.step_begin(step).await? {
            say(&format!("step {} {} user {}", id.event, id.handler, String::from_utf8_lossy(&first)));
        }
    }
    let (key, value) = (format!("pair-{}", dice.below(20)), dice.below(100_000).to_string());
    let plugin = PluginId::new(id.handler.as_str());
    let put =
        store.kv_put(plugin, key.clone().into_bytes(), value.clone().into_bytes(), Expect::Anything).await?;
    if let KvPut::Written(version) = put {
        say(&format!("pair {}/{key} {version} {value}", id.handler));
    }
    if dice.below(20) == 0 {
        return Ok(());
    }
    let next = next_state(&mut dice, SystemClock.now());
    let (number, word) = (held.delivery.attempts, next.word());
    let attempt = Attempt {
        number,
        started: SystemClock.now(),
        duration: Duration::from_millis(1),
        outcome: Outcome::Done(Detail { code: word.to_owned(), ..Detail::default() }),
        log: vec!["worked".to_owned()],
    };
    let settlement = Settlement { delivery: id.clone(), token: held.token, attempt, next };
    if store.settle(settlement).await? == Settled::Applied {
        say(&format!("settled {} {} {number} {word}", id.event, id.handler));
    }
    Ok(())
}

fn next_state(dice: &mut Dice, now: UnixMillis) -> DeliveryState {
    match dice.below(10) {
        0 => DeliveryState::Pending { due: now.plus(Duration::from_millis(dice.below(500) as u64)) },
        1 => DeliveryState::Ignored { at: now },
        2 => {
            let reason = DeadReason::Rejected { code: "no".to_owned(), message: "never".to_owned() };
            DeliveryState::Dead { at: now, reason }
        }
        _ => DeliveryState::Delivered { at: now },
    }
}

/// One line, whole and at once: the reader counts it as acknowledged.
fn say(words: &str) {
    let line = format!("{words} .\n");
    let mut out = std::io::stdout().lock();
    if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
        // Nobody listens any more.
        std::process::exit(0);
    }
}

/// Random numbers that a seed repeats.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        let mut x = self.0;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0 = x;
        x
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or(0)
    }

    fn bytes(&mut self, count: usize) -> Bytes {
        (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(count).collect()
    }
}
