//! Everything that stores acknowledged before they were cut down, and the look at what is left of it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use hookyard::model::clock::SystemClock;
use hookyard::model::delivery::DeliveryState;
use hookyard::model::ids::{DeliveryId, EventId, HandlerName, PluginId, StepId};
use hookyard::model::memory::StepState;
use hookyard::model::verdict::Verdict;
use hookyard::store::sled::{SledOptions, SledStore};
use hookyard::store::{DeliveryQuery, Store};
use sha2::{Digest, Sha256};

#[derive(Default)]
pub(crate) struct Ledger {
    /// Id, size and SHA-256 by key.
    events: HashMap<String, (EventId, usize, String)>,
    routed: HashMap<EventId, Vec<String>>,
    /// The last attempt settled, and the state that it led to.
    settled: HashMap<DeliveryId, (u32, String)>,
    steps: HashMap<DeliveryId, String>,
    /// The highest version acknowledged, and its value.
    pairs: HashMap<(String, String), (u64, String)>,
}

impl Ledger {
    /// Adds what one run acknowledged.
    pub(crate) fn take(&mut self, lines: &[String]) {
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["open"] => {}
                ["event", key, id, bytes, digest] => {
                    let event = (id.parse().unwrap(), bytes.parse().unwrap(), (*digest).to_owned());
                    let before = self.events.insert((*key).to_owned(), event);
                    assert_eq!(before, None, "{key} was acknowledged once");
                }
                ["routed", id, handlers @ ..] => {
                    let handlers = handlers.iter().filter(|name| !name.is_empty());
                    self.routed.insert(id.parse().unwrap(), handlers.map(|&name| name.to_owned()).collect());
                }
                ["settled", event, handler, number, state] => {
                    let settled = (number.parse().unwrap(), (*state).to_owned());
                    self.settled.insert(delivery(event, handler), settled);
                }
                ["step", event, handler, "user", memo] => {
                    let first = self.steps.entry(delivery(event, handler)).or_insert((*memo).to_owned());
                    assert_eq!(first, memo, "a finished step keeps its memo");
                }
                ["pair", key, version, value] => {
                    let (plugin, key) = key.split_once('/').unwrap();
                    let written = (version.parse().unwrap(), (*value).to_owned());
                    self.pairs.insert((plugin.to_owned(), key.to_owned()), written);
                }
                _ => panic!("the load said `{line}`"),
            }
        }
    }

    pub(crate) fn events(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn summary(&self) -> String {
        let Self { events, routed, settled, steps, pairs } = self;
        let bytes: usize = events.values().map(|(_, bytes, _)| bytes).sum();
        format!(
            "{} events ({} MB), {} routed, {} settled, {} steps, {} pairs acknowledged, none lost",
            events.len(),
            bytes / 1_000_000,
            routed.len(),
            settled.len(),
            steps.len(),
            pairs.len()
        )
    }

    /// Opens the store in `directory` and finds everything in it, whole and fitting together.
    pub(crate) async fn check(&self, directory: &Path, when: &str) {
        let mut options = SledOptions::new(directory);
        options.cache_bytes = 16 << 20;
        options.free_bytes_min = 64 << 20;
        let store = match SledStore::open(&options, Arc::new(SystemClock)) {
            Ok(store) => store,
            Err(refused) => panic!("{when}: {refused}"),
        };
        let losses = self.losses(&store).await;
        assert!(
            losses.is_empty(),
            "{when}: {} things are lost: {:#?}",
            losses.len(),
            &losses[..losses.len().min(20)]
        );
        assert_eq!(store.verify().await.unwrap(), Vec::<String>::new(), "{when}");
        store.close().await.unwrap();
    }

    async fn losses(&self, store: &SledStore) -> Vec<String> {
        let mut lost = Vec::new();
        for (key, (id, bytes, digest)) in &self.events {
            let whole = match store.event(*id).await {
                Ok(Some(event)) => {
                    let body = &event.envelope.body;
                    event.envelope.provider_id == *key
                        && body.len() == *bytes
                        && hex::encode(Sha256::digest(body)) == *digest
                }
                Ok(None) | Err(_) => false,
            };
            if !whole {
                lost.push(format!("event {key} {id} of {bytes} bytes"));
            }
        }
        self.lost_work(store, &mut lost).await;
        self.lost_memories(store, &mut lost).await;
        lost
    }

    async fn lost_work(&self, store: &SledStore, lost: &mut Vec<String>) {
        for (id, handlers) in &self.routed {
            let found = match store.decision(*id).await {
                Ok(Some(decision)) => match decision.verdict {
                    Verdict::Deliver(to) => to.iter().map(|one| one.handler.to_string()).collect(),
                    Verdict::Unrouted { .. } | Verdict::Dropped { .. } => Vec::new(),
                },
                Ok(None) | Err(_) => vec!["no decision".to_owned()],
            };
            if found != *handlers {
                lost.push(format!("the decision on {id}: {handlers:?}, found {found:?}"));
            }
        }
        for (id, (number, state)) in &self.settled {
            let attempts = store.attempts(id.clone()).await.unwrap_or_default();
            let query = DeliveryQuery { event: Some(id.event), ..DeliveryQuery::default() };
            let rows = store.deliveries(query).await.map(|page| page.rows).unwrap_or_default();
            let stands = rows.iter().any(|row| {
                // A retry may have been leased again before the end, without a word.
                let went_on = state == "pending" && matches!(row.state, DeliveryState::Leased { .. });
                row.id == *id && (row.state.word() == state || went_on || row.attempts > *number)
            });
            let attempt = attempts.iter().find(|attempt| attempt.number == *number);
            let told =
                attempt.and_then(|attempt| attempt.outcome.detail()).map(|detail| detail.code.as_str());
            if !stands || told != Some(state) {
                lost.push(format!("settlement {number} of {id}: {state}, attempt {told:?}, rows {rows:?}"));
            }
        }
    }

    async fn lost_memories(&self, store: &SledStore, lost: &mut Vec<String>) {
        for (id, memo) in &self.steps {
            let step = StepId { delivery: id.clone(), step: "user".into() };
            let found = store.step_begin(step).await.unwrap();
            if found != StepState::Done(memo.clone().into_bytes()) {
                lost.push(format!("the step of {id}: {memo}, found {found:?}"));
            }
        }
        for ((plugin, key), (version, value)) in &self.pairs {
            let found = store.kv_get(PluginId::new(plugin), key.clone().into_bytes()).await.unwrap();
            // A later version may have been written without being acknowledged.
            let stands = found.as_ref().is_some_and(|found| {
                found.version > *version || (found.version == *version && found.value == value.as_bytes())
            });
            if !stands {
                lost.push(format!("the pair {plugin}/{key}: {value} in version {version}, found {found:?}"));
            }
        }
    }
}

fn delivery(event: &str, handler: &str) -> DeliveryId {
    DeliveryId { event: event.parse().unwrap(), handler: HandlerName::new(handler) }
}
