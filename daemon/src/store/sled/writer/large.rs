//! Events that are larger than one commit may be: their chunks in several commits under a mark, then, in the last, what makes
//! them visible. A kill in between leaves chunks that nobody sees; the next start removes them (`leftovers.rs`).

use tokio::sync::oneshot;

use super::super::commands::{self, Known, Prepared};
use super::super::fault::Fault;
use super::super::keys;
use super::{End, Writer, sled_failed};
use crate::model::event::Appended;
use crate::model::limits::{CHUNK_BYTES_MAX, COMMIT_BYTES_MAX};
use crate::store::StoreError;

impl Writer {
    /// Stores an event that is larger than one commit may be: its chunks in several rounds under a mark, then, in the
    /// last, what makes it visible. Other jobs wait meanwhile, so that ids stay in the order in which events appear.
    pub(super) fn append_large(
        &mut self,
        event: &Prepared,
        answer: oneshot::Sender<Result<Appended, StoreError>>,
    ) -> Result<(), End> {
        let result = match self.try_append_large(event) {
            Ok(appended) => Ok(appended),
            Err(LargeFault::Refused(error)) => Err(error),
            Err(LargeFault::End(end)) => return Err(end),
        };
        let _caller_left = answer.send(result);
        Ok(())
    }

    fn try_append_large(&mut self, event: &Prepared) -> Result<Appended, LargeFault> {
        if self.engine.is_none() {
            return Err(StoreError::Loading.into());
        }
        let mut round = self.new_round();
        if let Known::Event(id) = commands::lookup(&round, keys::IDEMPOTENCY, event)? {
            return Ok(Appended::Duplicate(id));
        }
        round.refuse_if_full()?;
        let id = round.next_id();
        let mark = keys::of_event(keys::STAGED, id);
        let prefix = keys::of_event(keys::EVENTS, id);
        round.put(mark.clone(), Vec::new())?;
        for number in 1..event.record.chunks() {
            if round.bytes() + CHUNK_BYTES_MAX + prefix.len() + 2 > COMMIT_BYTES_MAX {
                self.commit(round)?;
                round = self.new_round();
            }
            round.put(keys::chunk(&prefix, number), event.record.chunk(number))?;
        }
        self.commit(round)?;
        let mut last = self.new_round();
        let Known::Slot(slot) = commands::lookup(&last, keys::IDEMPOTENCY, event)? else {
            return Err(
                StoreError::Corrupt { what: format!("event {id} appeared while it was written") }.into()
            );
        };
        last.remove(mark);
        commands::make_visible(&mut last, event, id, slot)?;
        let rings = self.commit(last)?;
        self.ring(rings);
        Ok(Appended::New(id))
    }
}

/// Why a large event was not stored.
enum LargeFault {
    Refused(StoreError),
    End(End),
}

impl From<Fault> for LargeFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(error) => Self::Refused(error),
            Fault::Engine(error) => Self::End(sled_failed(&error)),
        }
    }
}

impl From<StoreError> for LargeFault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<End> for LargeFault {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}
