//! Leases that found nothing and wait: each is granted in the very commit that makes something due for it.
//!
//! Asked only after that commit, it would take another one, and two wake-ups more. The writer holds those that wait, and
//! ends one when something of its handler's is due or will be, granted or not: its caller then hears when to look again. One
//! ends too when its caller has waited long enough, and takes nothing then: what it excepts was said when it began to wait.
//! Memory only: a kill takes nothing.

use tokio::sync::oneshot;

use super::calls::reply;
use super::commands::{self, Taken};
use super::round::Round;
use super::writer::{Job, Reply};
use super::{MOVE_BYTES, SledStore};
use crate::model::clock::UnixMillis;
use crate::model::limits::{COMMIT_BYTES_MAX, LEASE_MAX};
use crate::store::{LeaseRequest, StoreError};

/// A lease on its way through the writer.
#[derive(Debug)]
struct Lease {
    ticket: u64,
    request: LeaseRequest,
    /// Whether its caller ends it in time. The round's clock may be behind the caller's, and does not tell.
    waits: bool,
    answer: oneshot::Sender<Result<Taken, StoreError>>,
}

/// The leases that wait; at most one for each loop of dispatch.
#[derive(Debug, Default)]
pub(super) struct Patience(Vec<Lease>);

impl Lease {
    /// About what it will write.
    fn bytes(&self) -> usize {
        self.request.max.min(LEASE_MAX) * MOVE_BYTES / 2
    }

    fn take(&self, round: &mut Round) -> Result<Result<Taken, StoreError>, ::sled::Error> {
        round.run(|round| commands::lease(round, &self.request))
    }
}

impl Patience {
    /// Takes what is due. Where that is nothing, the lease waits, if it may.
    fn ask(&mut self, round: &mut Round, lease: Lease) -> Result<Option<Reply>, ::sled::Error> {
        let until = lease.request.wait_until;
        match lease.take(round)? {
            // What is due before could have been put there since its caller looked: nobody would ring for it again.
            Ok((none, next_due))
                if none.is_empty() && lease.waits && next_due.is_none_or(|due| due >= until) =>
            {
                self.0.push(lease);
                Ok(None)
            }
            taken => Ok(Some(reply(lease.answer, taken))),
        }
    }

    /// The lease waits no longer; its caller is to look again. Nothing happens where it was ended before.
    fn end(&mut self, ticket: u64, now: UnixMillis) -> Option<Reply> {
        let place = self.0.iter().position(|lease| lease.ticket == ticket)?;
        Some(reply(self.0.swap_remove(place).answer, Ok((Vec::new(), Some(now)))))
    }

    /// Ends the leases for whose handlers the round has changed something. One that the round has no room for hears that
    /// something is due now.
    pub(super) fn grant(&mut self, round: &mut Round) -> Result<Vec<Reply>, ::sled::Error> {
        let rung = std::mem::take(&mut round.rung);
        let ends = |lease: &mut Lease| rung.contains(&lease.request.handler);
        let ended: Vec<Lease> = self.0.extract_if(.., ends).collect();
        let end = |lease: Lease| {
            let fits = round.bytes() + lease.bytes() <= COMMIT_BYTES_MAX;
            let taken = if fits { lease.take(round)? } else { Ok((Vec::new(), Some(round.now))) };
            Ok(reply(lease.answer, taken))
        };
        ended.into_iter().map(end).collect()
    }
}

/// Asks the writer for a lease, and waits as long as the request may.
pub(super) async fn lease(store: &SledStore, request: LeaseRequest) -> Result<Taken, StoreError> {
    store.shared.engine().await?;
    let (wait, cancel) = (request.wait_until.since(store.clock.now()), request.cancel.clone());
    let (answer, answered) = oneshot::channel();
    let ticket = store.next_ticket();
    let lease = Lease { ticket, request, waits: !wait.is_zero(), answer };
    let bytes = lease.bytes();
    let work = Box::new(move |round: &mut Round, patience: &mut Patience| patience.ask(round, lease));
    store.send(Job::Write { bytes, work }).await?;
    let mut answered = std::pin::pin!(store.answered(answered));
    if wait.is_zero() {
        return answered.await;
    }
    tokio::select! {
        taken = &mut answered => return taken,
        () = tokio::time::sleep(wait) => {}
        () = cancel.cancelled() => {}
    }
    let ended = async {
        // Where the writer is gone, it may have granted the lease before it went.
        let work =
            Box::new(move |round: &mut Round, patience: &mut Patience| Ok(patience.end(ticket, round.now)));
        let _gone = store.send(Job::Write { bytes: 0, work }).await;
        answered.await
    };
    // A writer that hangs would be waited for at a stop too.
    tokio::select! {
        biased;
        taken = ended => taken,
        refused = store.shared.refusal() => Err(refused),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::round::Standing;
    use super::super::rows::Rows;
    use super::*;
    use crate::model::ids::HandlerName;
    use crate::model::limits::CHUNK_BYTES_MAX;

    fn round() -> Round {
        let rows = Rows { front: Arc::default(), tree: None, horizon: Arc::default(), heads: Arc::default() };
        Round::new(rows, Standing::default(), UnixMillis(1000))
    }

    #[test]
    fn a_lease_that_nobody_will_end_never_waits_though_its_round_began_before_its_time() {
        let mut round = round();
        let at_once = LeaseRequest::at_once(HandlerName::new("sumo"), 1, Duration::from_secs(9));
        let request = LeaseRequest { wait_until: UnixMillis(1001), ..at_once };
        let lease = Lease { ticket: 1, request, waits: false, answer: oneshot::channel().0 };
        assert!(Patience::default().ask(&mut round, lease).unwrap().is_some());
    }

    #[test]
    fn a_lease_that_its_round_has_no_room_for_hears_that_something_is_due() {
        let mut round = round();
        let handler = HandlerName::new("sumo");
        let at_once = LeaseRequest::at_once(handler.clone(), LEASE_MAX, Duration::from_secs(9));
        let request = LeaseRequest { wait_until: UnixMillis(9000), ..at_once };
        let (answer, mut answered) = oneshot::channel();
        let mut patience = Patience::default();
        assert!(
            patience.ask(&mut round, Lease { ticket: 1, request, waits: true, answer }).unwrap().is_none()
        );
        assert!(patience.grant(&mut round).unwrap().is_empty(), "nothing rang");
        for number in 0..COMMIT_BYTES_MAX / CHUNK_BYTES_MAX {
            round.put(number.to_be_bytes().to_vec(), vec![0; CHUNK_BYTES_MAX]).unwrap();
        }
        round.ring(&handler);
        let before = round.bytes();
        let [reply] = patience.grant(&mut round).unwrap().try_into().ok().unwrap();
        reply();
        let (taken, next_due) = answered.try_recv().unwrap().unwrap();
        assert_eq!((taken.len(), next_due, round.bytes()), (0, Some(UnixMillis(1000)), before));
        assert!(patience.end(1, UnixMillis(1000)).is_none(), "it was ended");
    }
}
