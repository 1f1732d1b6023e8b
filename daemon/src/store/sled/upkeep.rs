//! What `doctor` asks of the engine: a look at every row, and the repair of those that follow from others.

use std::sync::Arc;

use async_trait::async_trait;

use super::SledStore;
use super::calls::read_panicked;
use super::engine::Engine;
use super::fault::Fault;
use super::open::blob_files;
use super::repair::{self, Progress, STEP_BYTES, Step};
use super::verify;
use crate::store::{Repaired, StoreError, Upkeep};

impl SledStore {
    /// Looks at every row and says what does not fit together; empty where all is well. Reads the whole store. Meaningful
    /// only while nothing is written.
    pub async fn verify(&self) -> Result<Vec<String>, StoreError> {
        let engine = self.shared.engine().await?;
        let found = tokio::task::spawn_blocking(move || look(&engine)).await;
        found.map_err(|error| read_panicked(&error))?.map_err(Fault::into_store_error)
    }
}

#[async_trait]
impl Upkeep for SledStore {
    async fn verify(&self) -> Result<Vec<String>, StoreError> {
        Self::verify(self).await
    }

    async fn repair(&self) -> Result<Repaired, StoreError> {
        let mut progress = Progress::begin();
        loop {
            match self.write(STEP_BYTES, move |round| repair::step(round, progress)).await? {
                Step::More(further) => progress = further,
                Step::Done(repaired) => return Ok(repaired),
            }
        }
    }
}

fn look(engine: &Arc<Engine>) -> Result<Vec<String>, Fault> {
    let mut findings = verify::verify(&engine.rows)?;
    match blob_files(&engine.dir) {
        Ok(0) => {}
        Ok(count) => findings.push(format!("sled made {count} files in `blobs/`")),
        Err(error) => findings.push(format!("cannot list `blobs/`: {error}")),
    }
    Ok(findings)
}
