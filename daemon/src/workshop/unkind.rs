//! A store that is unkind once: it fails one question, or never answers it, as the daemon's death would leave it. An HTTP
//! request counts as a question that is never answered, before it was made or after.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::Memory;
use crate::host::{ServiceError, Services};
use crate::model::ids::{PluginId, StepId};
use crate::model::memory::{Expect, KvPut, KvValue, StepState};

/// What happens to one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unkindness {
    /// It is refused: storing failed.
    Fails,
    /// No answer ever comes, and it had no effect.
    DiesBefore,
    /// No answer ever comes, and it had its effect.
    DiesAfter,
}

/// A memory, and the question (0 is the first) that is treated so.
#[derive(Debug)]
pub(super) struct Unkind {
    memory: Arc<Memory>,
    how: Unkindness,
    at: usize,
    asked: AtomicUsize,
    /// Told when the question was reached.
    pub(super) reached: Notify,
}

impl Unkind {
    pub(super) fn new(memory: &Arc<Memory>, how: Unkindness, at: usize) -> Arc<Self> {
        let asked = AtomicUsize::new(0);
        Arc::new(Self { memory: Arc::clone(memory), how, at, asked, reached: Notify::new() })
    }

    /// How many questions were asked.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Whether the question was asked.
    pub(super) fn was_reached(&self) -> bool {
        self.asked() > self.at
    }

    async fn ask<T>(&self, effect: impl Future<Output = Result<T, ServiceError>>) -> Result<T, ServiceError> {
        if self.asked.fetch_add(1, Ordering::SeqCst) != self.at {
            return effect.await;
        }
        match self.how {
            Unkindness::Fails => return Err(ServiceError::Failed("made to fail by the check".to_owned())),
            Unkindness::DiesBefore => {}
            Unkindness::DiesAfter => drop(effect.await),
        }
        self.reached.notify_one();
        pending().await
    }
}

#[async_trait]
impl Services for Unkind {
    async fn step_begin(&self, step: StepId) -> Result<StepState, ServiceError> {
        self.ask(self.memory.step_begin(step)).await
    }

    async fn step_end(&self, step: StepId, memo: Vec<u8>) -> Result<(), ServiceError> {
        self.ask(self.memory.step_end(step, memo)).await
    }

    fn step_key(&self, step: &StepId) -> String {
        self.memory.step_key(step)
    }

    async fn kv_get(&self, plugin: PluginId, key: Vec<u8>) -> Result<Option<KvValue>, ServiceError> {
        self.ask(self.memory.kv_get(plugin, key)).await
    }

    async fn kv_put(
        &self,
        plugin: PluginId,
        key: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> Result<KvPut, ServiceError> {
        self.ask(self.memory.kv_put(plugin, key, value, expect)).await
    }

    /// A request is a question to die around. It is none to fail: what its failure means is the plugin's to say.
    async fn around_http<'a>(&self, request: Pin<Box<dyn Future<Output = ()> + Send + 'a>>) {
        if self.how == Unkindness::Fails {
            return request.await;
        }
        let made = async {
            request.await;
            Ok(())
        };
        // It cannot fail: the store is not asked.
        drop(self.ask(made).await);
    }
}
