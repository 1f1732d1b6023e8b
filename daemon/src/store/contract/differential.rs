//! The engine against the model: the same random commands to both, every answer compared, and at the end every row.
//!
//! Ids and tokens differ between the two; they are compared by the order in which they were given.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::bench::{Bench, body, decision, deliver, delivery_id, options, settlement, with_body};
use crate::model::attempt::Attempt;
use crate::model::delivery::{DeadReason, Delivery, DeliveryState};
use crate::model::event::{Appended, Envelope};
use crate::model::ids::{EventId, HandlerName, PluginId, RuleName, StepId};
use crate::model::memory::Expect;
use crate::model::retention::Retention;
use crate::model::verdict::{Decision, Verdict};
use crate::store::sled::SledStore;
use crate::store::{Counts, DeliveryQuery, EventQuery, Foresight, LeaseRequest, LeasedDelivery, Store};

const HANDLERS: [&str; 3] = ["a", "ab", "sumo"];

#[derive(Debug, Clone)]
enum Command {
    Append {
        key: u8,
        bytes: usize,
    },
    /// Routes up to `max` of those that wait.
    Route {
        max: usize,
        how: u8,
    },
    /// From here on each event is stored with this decision.
    Foresee {
        how: u8,
    },
    /// Routes unrouted events again, whichever of the first there are.
    Reroute {
        how: u8,
    },
    /// `except`: a bit for each of the first events.
    Lease {
        handler: usize,
        max: usize,
        seconds: u64,
        except: u8,
    },
    /// Gives the `nth` of all leases ever got back.
    GiveBack {
        nth: usize,
    },
    /// Settles the `nth` of all leases ever got, whether it still stands or not.
    Settle {
        nth: usize,
        how: u8,
    },
    /// Leases what is due of one handler and settles all of it.
    Work {
        handler: usize,
        how: u8,
    },
    TakeBack,
    StepBegin {
        event: usize,
        step: u8,
    },
    StepEnd {
        event: usize,
        step: u8,
        memo: u8,
    },
    KvPut {
        key: u8,
        value: u8,
        expect: u8,
    },
    KvGet {
        key: u8,
    },
    /// How many seconds each is kept.
    Prune {
        delivered: u64,
        dead: u64,
        keys: u64,
    },
    Advance {
        millis: u64,
    },
    Counts,
    /// Closes the engine and opens it again.
    Reopen,
}

fn command() -> impl Strategy<Value = Command> {
    let bytes = prop_oneof![20 => 0_usize..9000, 1 => Just(300_000_usize)];
    prop_oneof![
        6 => (0_u8..12, bytes).prop_map(|(key, bytes)| Command::Append { key, bytes }),
        4 => (0_usize..5, any::<u8>()).prop_map(|(max, how)| Command::Route { max, how }),
        1 => any::<u8>().prop_map(|how| Command::Foresee { how }),
        2 => any::<u8>().prop_map(|how| Command::Reroute { how }),
        6 => (0_usize..3, 0_usize..4, 0_u64..20, prop_oneof![Just(0), any::<u8>()])
            .prop_map(|(handler, max, seconds, except)| Command::Lease { handler, max, seconds, except }),
        8 => (prop_oneof![0_usize..6, 0_usize..30], any::<u8>())
            .prop_map(|(nth, how)| Command::Settle { nth, how }),
        1 => (0_usize..12).prop_map(|nth| Command::GiveBack { nth }),
        6 => (0_usize..3, any::<u8>()).prop_map(|(handler, how)| Command::Work { handler, how }),
        1 => Just(Command::TakeBack),
        2 => (0_usize..4, 0_u8..3).prop_map(|(event, step)| Command::StepBegin { event, step }),
        2 => (0_usize..4, 0_u8..3, any::<u8>())
            .prop_map(|(event, step, memo)| Command::StepEnd { event, step, memo }),
        2 => (0_u8..3, any::<u8>(), 0_u8..5)
            .prop_map(|(key, value, expect)| Command::KvPut { key, value, expect }),
        1 => (0_u8..3).prop_map(|key| Command::KvGet { key }),
        4 => (0_u64..6, 0_u64..9, 0_u64..40)
            .prop_map(|(delivered, dead, keys)| Command::Prune { delivered, dead, keys }),
        4 => (0_u64..15_000).prop_map(|millis| Command::Advance { millis }),
        1 => Just(Command::Counts),
        1 => Just(Command::Reopen),
    ]
}

/// A store under test and the names that it gave.
struct Side {
    store: Arc<dyn Store>,
    /// Events in the order in which they were new.
    events: Vec<EventId>,
    held: Vec<LeasedDelivery>,
    foreseen: Option<u8>,
}

/// Decides the same on every event.
#[derive(Debug)]
struct Always(u8);

impl Foresight for Always {
    fn decide(&self, _: &Envelope) -> Decision {
        decided(self.0)
    }

    fn decided(&self, _: EventId, _: &Decision) {}
}

/// An answer without ids of its own.
type Plain = String;

impl Side {
    fn new(store: Arc<dyn Store>) -> Self {
        Self { store, events: Vec::new(), held: Vec::new(), foreseen: None }
    }

    /// Said anew to a store that was opened again.
    fn foresee(&self) {
        if let Some(how) = self.foreseen {
            self.store.foresee(Arc::new(Always(how)));
        }
    }

    fn number(&self, id: EventId) -> usize {
        self.events.iter().position(|known| *known == id).expect("every id was given by append")
    }

    fn event(&self, nth: usize) -> EventId {
        self.events.get(nth).copied().unwrap_or_else(|| EventId::from_bytes([0; 16]))
    }

    fn plain_delivery(&self, delivery: &Delivery) -> Plain {
        let state = match &delivery.state {
            DeliveryState::Leased { until, .. } => format!("leased until {until:?}"),
            other => format!("{other:?}"),
        };
        let event = self.number(delivery.id.event);
        let Delivery { id, rule, snapshot, created, attempts, state: _ } = delivery;
        format!("{event}/{} {rule} {snapshot} {created:?} {attempts} {state}", id.handler)
    }

    async fn run(&mut self, command: &Command, now: crate::model::clock::UnixMillis) -> Plain {
        match command {
            Command::Append { key, bytes } => {
                let appended = self.store.append(sent(*key, *bytes)).await.unwrap();
                if let Appended::New(id) = appended {
                    self.events.push(id);
                }
                format!("{} {}", matches!(appended, Appended::New(_)), self.number(appended.event()))
            }
            Command::Route { max, how } => {
                let waiting = self.store.to_route(*max).await.unwrap();
                let plain: Vec<_> = waiting.iter().map(|event| self.number(event.id)).collect();
                let decisions = waiting.iter().map(|event| (event.id, decided(*how))).collect();
                self.store.route(decisions).await.unwrap();
                format!("{plain:?}")
            }
            Command::Foresee { how } => {
                self.foreseen = Some(*how);
                self.foresee();
                String::new()
            }
            Command::Reroute { how } => {
                let decisions = self.events.iter().take(5).map(|id| (*id, decided(*how))).collect();
                format!("{}", self.store.route_unrouted(decisions).await.unwrap())
            }
            Command::Lease { handler, max, seconds, except } => {
                let handler = HandlerName::new(HANDLERS[*handler]);
                let lease = Duration::from_secs(*seconds);
                let except = (0..8).filter(|bit| except & (1 << bit) != 0).map(|nth| self.event(nth));
                let request =
                    LeaseRequest { except: except.collect(), ..LeaseRequest::at_once(handler, *max, lease) };
                let leased = self.store.lease(request).await.unwrap();
                let got: Vec<_> =
                    leased.deliveries.iter().map(|held| self.plain_delivery(&held.delivery)).collect();
                let bodies: Vec<_> =
                    leased.deliveries.iter().map(|held| held.event.envelope.body.len()).collect();
                self.held.extend(leased.deliveries);
                format!("{got:?} {bodies:?} {:?}", leased.next_due)
            }
            Command::Settle { nth, how } => {
                let Some(held) = self.held.get(*nth) else { return String::new() };
                let settlement = settlement(held, next_state(*how, now));
                format!("{:?}", self.store.settle(settlement).await.unwrap())
            }
            Command::GiveBack { nth } => {
                let Some(held) = self.held.get(*nth) else { return String::new() };
                format!("{:?}", self.store.give_back(held.delivery.id.clone(), held.token).await.unwrap())
            }
            Command::Work { handler, how } => self.work(HANDLERS[*handler], next_state(*how, now)).await,
            Command::TakeBack => format!("{}", self.store.take_back_leases().await.unwrap()),
            Command::StepBegin { event, step } => {
                format!("{:?}", self.store.step_begin(self.step(*event, *step)).await.unwrap())
            }
            Command::StepEnd { event, step, memo } => {
                self.store.step_end(self.step(*event, *step), vec![*memo]).await.unwrap();
                String::new()
            }
            Command::KvPut { key, value, expect } => {
                let expect = match expect {
                    0 => Expect::Absent,
                    1 => Expect::Anything,
                    version => Expect::Version(u64::from(*version) - 1),
                };
                let put = self.store.kv_put(PluginId::new("p"), vec![*key], vec![*value], expect).await;
                format!("{:?}", put.unwrap())
            }
            Command::KvGet { key } => {
                format!("{:?}", self.store.kv_get(PluginId::new("p"), vec![*key]).await.unwrap())
            }
            Command::Prune { delivered, dead, keys } => {
                let [delivered, dead, keys] = [delivered, dead, keys].map(|kept| Duration::from_secs(*kept));
                self.prune(Retention { delivered, dead, keys }).await
            }
            Command::Counts => format!("{:?}", self.store.counts().await.unwrap()),
            Command::Advance { .. } | Command::Reopen => String::new(),
        }
    }

    async fn work(&self, handler: &str, next: DeliveryState) -> Plain {
        let lease = Duration::from_secs(5);
        let request = LeaseRequest::at_once(HandlerName::new(handler), 9, lease);
        let leased = self.store.lease(request).await.unwrap();
        let mut settled = Vec::new();
        for held in leased.deliveries {
            let done = self.store.settle(settlement(&held, next.clone())).await.unwrap();
            settled.push((self.plain_delivery(&held.delivery), done));
        }
        format!("{settled:?}")
    }

    async fn prune(&self, retention: Retention) -> Plain {
        let (mut events, mut keys, mut oldest, mut after) = (0, 0, None, None);
        loop {
            let pruned = self.store.prune(retention, after).await.unwrap();
            events += pruned.events;
            keys += pruned.keys;
            oldest = oldest.or(pruned.oldest.map(|id| self.number(id)));
            after = pruned.reached;
            if !pruned.more {
                return format!("{events} {keys} {oldest:?} {}", pruned.unreadable);
            }
        }
    }

    fn step(&self, event: usize, step: u8) -> StepId {
        StepId { delivery: delivery_id(self.event(event), "sumo"), step: step.to_string().into() }
    }

    /// Everything that can be read.
    async fn dump(&self) -> Dump {
        let query = EventQuery { bodies: true, ..EventQuery::default() };
        let events = self.store.events(query).await.unwrap().rows;
        let mut decisions = Vec::new();
        for event in &events {
            decisions.push(self.store.decision(event.id).await.unwrap());
        }
        let deliveries = self.store.deliveries(DeliveryQuery::default()).await.unwrap().rows;
        let mut attempts = HashMap::new();
        for delivery in &deliveries {
            let found = self.store.attempts(delivery.id.clone()).await.unwrap();
            attempts.insert((self.number(delivery.id.event), delivery.id.handler.clone()), found);
        }
        Dump {
            events: events.iter().map(|event| (self.number(event.id), event.envelope.clone())).collect(),
            decisions,
            deliveries: deliveries.iter().map(|delivery| self.plain_delivery(delivery)).collect(),
            attempts,
            waiting: self.store.waiting_by_handler().await.unwrap(),
            counts: self.store.counts().await.unwrap(),
        }
    }
}

#[derive(Debug, PartialEq)]
struct Dump {
    events: Vec<(usize, Envelope)>,
    decisions: Vec<Option<Decision>>,
    deliveries: Vec<Plain>,
    attempts: HashMap<(usize, HandlerName), Vec<Attempt>>,
    waiting: Vec<(HandlerName, u64)>,
    counts: Counts,
}

fn sent(key: u8, bytes: usize) -> Envelope {
    with_body(&key.to_string(), body(bytes))
}

fn decided(how: u8) -> Decision {
    match how % 8 {
        0 => decision(Verdict::Unrouted { reason: "none".to_owned() }),
        1 => decision(Verdict::Dropped { rule: RuleName::new("r"), reason: "why".to_owned() }),
        2 => deliver(&HANDLERS),
        3 => Decision { shadows: vec![RuleName::new("s")], ..deliver(&HANDLERS) },
        other => deliver(&[HANDLERS[usize::from(other % 3)]]),
    }
}

fn next_state(how: u8, now: crate::model::clock::UnixMillis) -> DeliveryState {
    match how % 6 {
        0 => DeliveryState::Delivered { at: now },
        1 => DeliveryState::Ignored { at: now },
        2 => DeliveryState::Dead {
            at: now,
            reason: DeadReason::Spent { attempts: 3, last: "retry: no".to_owned() },
        },
        3 => DeliveryState::Cancelled { at: now },
        later => DeliveryState::Pending { due: now.plus(Duration::from_secs(u64::from(later) * 3)) },
    }
}

async fn run_both(commands: &[Command]) -> Result<(), TestCaseError> {
    let bench = Bench::sled();
    let (first, dir) = bench.sled.expect("the bench is sled's");
    drop(bench.store);
    let mut sled = first;
    let mut engine = Side::new(sled.clone());
    let mut model = Side::new(Arc::new(crate::store::memory::MemoryStore::new(bench.clock.clone())));
    for command in commands {
        match command {
            Command::Advance { millis } => bench.clock.advance(Duration::from_millis(*millis)),
            Command::Reopen => {
                let key = sled.step_key(&engine.step(0, 0));
                sled.close().await.unwrap();
                sled = Arc::new(SledStore::open(&options(&dir), bench.clock.clone()).unwrap());
                prop_assert_eq!(sled.step_key(&engine.step(0, 0)), key, "the store key outlives the process");
                engine.store = sled.clone();
                engine.foresee();
            }
            other => {
                let now = crate::model::clock::Clock::now(&*bench.clock);
                let (ours, theirs) = (engine.run(other, now).await, model.run(other, now).await);
                prop_assert_eq!(ours, theirs, "after {:?}", other);
            }
        }
    }
    prop_assert_eq!(engine.dump().await, model.dump().await);
    prop_assert_eq!(sled.verify().await.unwrap(), Vec::<String>::new());
    sled.close().await.unwrap();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, ..ProptestConfig::default() })]
    #[test]
    fn engine_and_model_always_agree(commands in proptest::collection::vec(command(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run_both(&commands))?;
    }
}
