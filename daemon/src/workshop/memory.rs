//! The store's part in memory, for a plugin that is tried out: steps and key-value pairs as the store keeps them, and what
//! was asked of them. Gone with the process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::host::{ServiceError, Services};
use crate::model::ids::{EventId, PluginId, StepId};
use crate::model::limits::MEMO_BYTES_MAX;
use crate::model::memory::{Expect, KvPut, KvValue, StepState};

/// Steps and pairs in memory.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    kept: Kept,
    seen: Vec<StepSeen>,
}

/// What outlives an attempt.
#[derive(Debug, Default, Clone)]
pub(super) struct Kept {
    steps: HashMap<StepId, Option<Vec<u8>>>,
    kv: HashMap<(PluginId, Vec<u8>), KvValue>,
}

/// A step that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepSeen {
    pub id: StepId,
    /// How it stood.
    pub before: StepState,
    /// What was recorded at its end, by this attempt.
    pub recorded: Option<Vec<u8>>,
}

impl Memory {
    /// The steps of the event that were begun since this was asked last, in that order.
    pub(super) fn take_seen(&self, event: EventId) -> Vec<StepSeen> {
        self.inner().seen.extract_if(.., |seen| seen.id.delivery.event == event).collect()
    }

    /// Leaves the step as a crash between its work and its record would.
    pub(super) fn make_unsure(&self, step: StepId) {
        self.inner().kept.steps.insert(step, None);
    }

    /// Whether the step was ended, ever.
    pub(super) fn is_ended(&self, step: &StepId) -> bool {
        matches!(self.inner().kept.steps.get(step), Some(Some(_)))
    }

    /// The pair of that key, of the one plugin that is tried.
    pub(super) fn pair(&self, key: &[u8]) -> Option<KvValue> {
        self.inner().kept.kv.iter().find(|((_, own), _)| own == key).map(|(_, value)| value.clone())
    }

    /// A copy of what is kept now.
    pub(super) fn kept(&self) -> Kept {
        self.inner().kept.clone()
    }

    /// Goes back to what was kept then.
    pub(super) fn restore(&self, kept: &Kept) {
        self.inner().kept = kept.clone();
    }

    /// Lets go of the steps of an event that is never delivered again.
    pub(super) fn forget(&self, event: EventId) {
        let mut inner = self.inner();
        inner.kept.steps.retain(|id, _| id.delivery.event != event);
        inner.seen.retain(|seen| seen.id.delivery.event != event);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Services for Memory {
    async fn step_begin(&self, id: StepId) -> Result<StepState, ServiceError> {
        let mut inner = self.inner();
        let before = match inner.kept.steps.get(&id) {
            None => StepState::Run,
            Some(None) => StepState::Unsure,
            Some(Some(memo)) => StepState::Done(memo.clone()),
        };
        inner.kept.steps.entry(id.clone()).or_default();
        inner.seen.push(StepSeen { id, before: before.clone(), recorded: None });
        Ok(before)
    }

    async fn step_end(&self, id: StepId, memo: Vec<u8>) -> Result<(), ServiceError> {
        fits("a step's result", memo.len(), MEMO_BYTES_MAX)?;
        let mut inner = self.inner();
        if let Some(seen) = inner.seen.iter_mut().rev().find(|seen| seen.id == id) {
            seen.recorded = Some(memo.clone());
        }
        inner.kept.steps.insert(id, Some(memo));
        Ok(())
    }

    fn step_key(&self, id: &StepId) -> String {
        hex::encode(Sha256::digest(format!("{} {}", id.delivery, id.step)))
    }

    async fn kv_get(&self, plugin: PluginId, key: Vec<u8>) -> Result<Option<KvValue>, ServiceError> {
        Ok(self.inner().kept.kv.get(&(plugin, key)).cloned())
    }

    async fn kv_put(
        &self,
        plugin: PluginId,
        key: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> Result<KvPut, ServiceError> {
        fits("a value", value.len(), MEMO_BYTES_MAX)?;
        let mut inner = self.inner();
        let version = inner.kept.kv.get(&(plugin.clone(), key.clone())).map_or(0, |found| found.version);
        let as_expected = match expect {
            Expect::Absent => version == 0,
            Expect::Version(expected) => version == expected,
            Expect::Anything => true,
        };
        if !as_expected {
            return Ok(KvPut::Conflict);
        }
        inner.kept.kv.insert((plugin, key), KvValue { value, version: version + 1 });
        Ok(KvPut::Written(version + 1))
    }
}

fn fits(what: &'static str, bytes: usize, max: usize) -> Result<(), ServiceError> {
    if bytes > max { Err(ServiceError::TooLarge { what, bytes, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{DeliveryId, HandlerName};

    #[tokio::test]
    async fn what_is_forgotten_takes_no_room_and_other_events_keep_theirs() {
        let memory = Memory::default();
        let step = |event: u128| StepId {
            delivery: DeliveryId { event: EventId::from_parts(1, event), handler: HandlerName::new("h") },
            step: "charge".into(),
        };
        for event in 1..=2 {
            memory.step_begin(step(event)).await.unwrap();
            memory.step_end(step(event), b"42".to_vec()).await.unwrap();
        }
        memory.forget(step(1).delivery.event);
        assert_eq!(memory.inner().kept.steps.len(), 1);
        let seen = memory.take_seen(step(2).delivery.event);
        assert_eq!(seen.iter().map(|seen| &seen.id).collect::<Vec<_>>(), [&step(2)]);
        assert_eq!(memory.step_begin(step(2)).await.unwrap(), StepState::Done(b"42".to_vec()));
    }
}
