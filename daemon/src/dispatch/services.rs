//! What a running plugin may ask for, answered from the store.

use std::sync::Arc;

use async_trait::async_trait;

use crate::host::{ServiceError, Services};
use crate::model::ids::{PluginId, StepId};
use crate::model::memory::{Expect, KvPut, KvValue, StepState};
use crate::store::{Store, StoreError};

/// Steps and key-value pairs on a store: durable before they answer, because the store is.
#[derive(Debug, Clone)]
pub struct StoreServices(pub Arc<dyn Store>);

#[async_trait]
impl Services for StoreServices {
    async fn step_begin(&self, step: StepId) -> Result<StepState, ServiceError> {
        self.0.step_begin(step).await.map_err(service_error)
    }

    async fn step_end(&self, step: StepId, memo: Vec<u8>) -> Result<(), ServiceError> {
        self.0.step_end(step, memo).await.map_err(service_error)
    }

    fn step_key(&self, step: &StepId) -> String {
        self.0.step_key(step)
    }

    async fn kv_get(&self, plugin: PluginId, key: Vec<u8>) -> Result<Option<KvValue>, ServiceError> {
        self.0.kv_get(plugin, key).await.map_err(service_error)
    }

    async fn kv_put(
        &self,
        plugin: PluginId,
        key: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> Result<KvPut, ServiceError> {
        self.0.kv_put(plugin, key, value, expect).await.map_err(service_error)
    }
}

fn service_error(error: StoreError) -> ServiceError {
    match error {
        StoreError::TooLarge { what, bytes, max } => ServiceError::TooLarge { what, bytes, max },
        other => ServiceError::Failed(other.to_string()),
    }
}
