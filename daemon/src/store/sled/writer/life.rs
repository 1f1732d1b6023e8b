//! The writer's two great moments: sled is open, and the end.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::super::engine::panic_words;
use super::super::fault::Fault;
use super::super::journal::Sled;
use super::super::leftovers;
use super::super::load::{Loaded, SCHEMA_VERSION};
use super::super::provisional;
use super::super::round::{Round, Standing};
use super::{End, LoadEnd, Writer};
use crate::store::Health;

impl Writer {
    /// sled is open: what a crash left half-written is removed, what was taken meanwhile is settled, and everybody may
    /// come in.
    pub(super) fn loaded(&mut self, end: LoadEnd) -> Result<(), End> {
        let (loaded, opener) = end.map_err(End::Failed)?;
        let Loaded { engine, file, totals, last_id, applied, store_key } = loaded;
        let failed = |error: io::Error| End::Failed(format!("the store cannot be loaded: {error}"));
        let sled = Sled {
            engine: Arc::clone(&engine),
            file: file.try_clone().map_err(failed)?,
            sync: self.sync_sled.take().ok_or_else(|| failed(io::Error::other("it was loaded before")))?,
            applied,
        };
        let last_id = self.standing.last_id.max(last_id);
        self.standing = Standing { totals, last_id, ..Standing::default() };
        self.engine = Some((Arc::clone(&engine), file));
        self.journal.give(sled);
        self.repeat(leftovers::remove_some)?;
        self.repeat(provisional::settle_some)?;
        self.shared.set_store_key(store_key);
        self.shared.set_loaded(engine);
        self.shared.wakes.events_changed();
        // Nobody waits where loading took long.
        let _opener_left = opener.send(Ok(()));
        Ok(())
    }

    /// Runs rounds of one kind until there is no more to do.
    fn repeat(&mut self, some: impl Fn(&mut Round) -> Result<bool, Fault>) -> Result<(), End> {
        loop {
            let mut round = self.new_round();
            let more = some(&mut round).map_err(|fault| End::Failed(fault.into_store_error().to_string()))?;
            self.commit(round)?;
            if !more {
                return Ok(());
            }
        }
    }

    /// The last of an orderly life: sled is brought up to date and synced, and the count of events noted.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        self.journal.close(&mut self.sync).map_err(|error| error.to_string())?;
        self.journal.drain();
        let ended: Result<Vec<()>, _> = self.behind.drain(..).map(JoinHandle::join).collect();
        if let Health::Failed { why } = self.shared.health() {
            return Err(why);
        }
        if let Err(panic) = ended {
            return Err(format!("a thread of the journal panicked: {}", panic_words(&*panic)));
        }
        let Some((engine, file)) = &self.engine else { return Ok(()) };
        engine.db.flush().map_err(|error| format!("the last flush failed: {error}"))?;
        file.sync_data().map_err(|error| format!("the last sync failed: {error}"))?;
        let appended = self.standing.totals.appended;
        if appended == 0 {
            return Ok(());
        }
        if let Err(error) = self.high_water.prepare_again() {
            tracing::warn!(dir = %self.dir.display(), %error, "cannot open `high-water.new`; the count noted before stands");
            return Ok(());
        }
        self.high_water
            .write(SCHEMA_VERSION, appended)
            .map_err(|error| format!("cannot write `high-water`: {error}"))
    }

    pub(super) fn note(&mut self, appended: u64) -> Result<(), End> {
        self.high_water
            .write(SCHEMA_VERSION, appended)
            .map_err(|error| End::Failed(format!("cannot write `high-water`: {error}")))
    }
}
