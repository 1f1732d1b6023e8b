//! Leases that found nothing and wait: each is granted in the very commit that makes something due for it.
//!
//! Asked only after that commit, it would take another one, and two wake-ups more. The writer holds those that wait, and
//! ends one when something of its handler's is due or will be, granted or not: its caller then hears when to look again. One
//! ends too when its caller has waited long enough. Memory only: a kill takes nothing.

use tokio::sync::oneshot;

use super::SledStore;
use super::commands::{self, Taken};
use super::fault::Fault;
use super::round::Round;
use super::writer::{Job, Reply};
use crate::model::limits::{COMMIT_BYTES_MAX, LEASE_MAX};
use crate::store::{LeaseRequest, StoreError};

/// About what one delivery's lease writes.
const LEASE_BYTES: usize = 512;
/// About what any lease writes at the most.
pub(super) const LEASE_BYTES_MAX: usize = LEASE_MAX * LEASE_BYTES;

/// A lease on its way through the writer.
#[derive(Debug)]
pub(super) struct Lease {
    ticket: u64,
    request: LeaseRequest,
    answer: oneshot::Sender<Result<Taken, StoreError>>,
}

/// The leases that wait; at most one for each loop of dispatch.
#[derive(Debug, Default)]
pub(super) struct Patience(Vec<Lease>);

impl Lease {
    /// About what it will write.
    pub(super) fn bytes(&self) -> usize {
        self.request.max.min(LEASE_MAX) * LEASE_BYTES
    }

    fn take(&self, round: &mut Round) -> Result<Result<Taken, StoreError>, ::sled::Error> {
        round.begin();
        match commands::lease(round, &self.request) {
            Ok(taken) => Ok(Ok(taken)),
            Err(Fault::Refused(why)) => {
                round.rollback();
                Ok(Err(why))
            }
            Err(Fault::Engine(error)) => Err(error),
        }
    }

    fn reply(self, taken: Result<Taken, StoreError>) -> Reply {
        Box::new(move || {
            let _caller_left = self.answer.send(taken);
        })
    }
}

impl Patience {
    /// Takes what is due. Where that is nothing, the lease waits, if it may.
    pub(super) fn ask(&mut self, round: &mut Round, lease: Lease) -> Result<Option<Reply>, ::sled::Error> {
        match lease.take(round)? {
            Ok((none, _)) if none.is_empty() && !lease.request.wait.is_zero() => {
                self.0.push(lease);
                Ok(None)
            }
            taken => Ok(Some(lease.reply(taken))),
        }
    }

    /// The lease waits no longer: it takes what is due by now. Nothing happens where it was ended before.
    pub(super) fn end(&mut self, round: &mut Round, ticket: u64) -> Result<Option<Reply>, ::sled::Error> {
        let Some(place) = self.0.iter().position(|lease| lease.ticket == ticket) else { return Ok(None) };
        let lease = self.0.swap_remove(place);
        let taken = lease.take(round)?;
        Ok(Some(lease.reply(taken)))
    }

    /// Ends the leases for whose handlers the round has changed something. One that the round has no room for hears that
    /// something is due now.
    pub(super) fn grant(&mut self, round: &mut Round) -> Result<Vec<Reply>, ::sled::Error> {
        let rung = std::mem::take(&mut round.rung);
        let ends = |lease: &mut Lease| rung.contains(&lease.request.handler);
        let ended: Vec<Lease> = self.0.extract_if(.., ends).collect();
        let reply = |lease: Lease| {
            let fits = round.bytes() + lease.bytes() <= COMMIT_BYTES_MAX;
            let taken = if fits { lease.take(round)? } else { Ok((Vec::new(), Some(round.now))) };
            Ok(lease.reply(taken))
        };
        ended.into_iter().map(reply).collect()
    }
}

/// Asks the writer for a lease, and waits as long as the request may.
pub(super) async fn lease(store: &SledStore, request: LeaseRequest) -> Result<Taken, StoreError> {
    store.shared.engine().await?;
    let (wait, until) = (request.wait, request.until.clone());
    let (answer, answered) = oneshot::channel();
    let ticket = store.next_ticket();
    store.send(Job::Lease(Lease { ticket, request, answer })).await?;
    let mut answered = std::pin::pin!(store.answered(answered));
    if !wait.is_zero() {
        tokio::select! {
            taken = &mut answered => return taken,
            () = tokio::time::sleep(wait) => {}
            () = until.cancelled() => {}
        }
        store.send(Job::EndLease { ticket }).await?;
    }
    answered.await
}
