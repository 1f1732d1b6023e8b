//! The children of one handler, as calls find them: which takes the next call, and which is kept for one call alone.
//!
//! Each child sits in a seat; when it dies the next one sits there. A call goes to the least busy child that takes calls, so
//! while all are up each has its even share, and while one is down the others take its share. A call that is to be alone
//! claims a seat: no other begins there, and it begins once those before it have ended. Where there are several seats one is
//! never claimed by suspects, so the others go on. Each seat has its circuit: a child that keeps dying rests, and closes
//! none but its own seat; once it is up again one call alone tries it.
//!
//! `call` takes places, `supervise` tells who sits where. Everything is in memory: a daemon that starts again begins anew.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::Company;
use super::child::Child;
use super::circuit::Circuit;

/// The seats of one handler.
#[derive(Debug)]
pub(super) struct Pool {
    state: Mutex<State>,
    /// Rung at every change that a waiting call may have waited for.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    seats: Vec<Seat>,
    /// Calls at once in one child.
    workers: usize,
    stopped: bool,
}

#[derive(Debug)]
struct Seat {
    sits: Sits,
    calls: usize,
    /// Calls inside the daemon that nobody can end: each keeps its worker, and nobody waits for it.
    hanging: usize,
    /// Kept for one call alone, which waits for it or has it.
    claimed: bool,
    circuit: Circuit,
}

#[derive(Debug)]
enum Sits {
    Child(Arc<Child>),
    /// Nobody, and why.
    Nobody(Arc<str>),
}

/// Why there is no place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// Every seat rests: the call may come again later.
    AllRest,
    Stopped,
}

/// A call's place in a child; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) child: Arc<Child>,
    seat: usize,
    hangs: bool,
    pool: Arc<Pool>,
    _claim: Option<Claim>,
}

/// What a call that looks for a place does next.
#[derive(Debug)]
enum Look {
    Begin {
        seat: usize,
        child: Arc<Child>,
        alone: bool,
    },
    /// The seat is kept for it from now on.
    Claimed {
        seat: usize,
    },
    /// The child in the seat that was kept for it is gone: it looks elsewhere.
    LetGo,
    Wait,
}

/// A seat that is kept for one call.
#[derive(Debug)]
struct Claim {
    seat: usize,
    pool: Arc<Pool>,
}

/// How a seat is now.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) child: Option<Arc<Child>>,
    pub(super) calls: usize,
    pub(super) hanging: usize,
    pub(super) circuit_open: bool,
    pub(super) why_down: Option<String>,
}

impl Pool {
    /// So many seats for children that take so many calls at once each; nobody sits in one yet.
    pub(super) fn new(seats: usize, workers: usize) -> Arc<Self> {
        let seat = || Seat {
            sits: Sits::Nobody(Arc::from("it is starting")),
            calls: 0,
            hanging: 0,
            claimed: false,
            circuit: Circuit::new(),
        };
        let seats = (0..seats).map(|_| seat()).collect();
        let state = State { seats, workers, stopped: false };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new() })
    }

    /// Each child takes one call at a time from now on.
    pub(super) fn make_serial(&self) {
        self.lock().workers = 1;
    }

    /// Waits for a place in a child that takes calls.
    pub(super) async fn place(self: &Arc<Self>, company: Company) -> Result<Place, NoPlace> {
        let mut claim = None;
        loop {
            let changed = self.changed.notified();
            let claimed = claim.as_ref().map(|claim: &Claim| claim.seat);
            // Not in the match's head: a claim that is dropped takes the lock.
            let look = self.lock().look(company, claimed)?;
            match look {
                Look::Begin { seat, child, alone } => {
                    let claim = claim.or_else(|| alone.then(|| self.claim(seat)));
                    return Ok(Place { child, seat, hangs: false, pool: Arc::clone(self), _claim: claim });
                }
                Look::Claimed { seat } => claim = Some(self.claim(seat)),
                Look::LetGo => claim = None,
                Look::Wait => changed.await,
            }
        }
    }

    /// Waits until a child takes calls, or none ever will.
    pub(super) async fn ready(&self) {
        loop {
            let changed = self.changed.notified();
            let is_ready = {
                let state = self.lock();
                state.stopped || state.seats.iter().any(|seat| matches!(seat.sits, Sits::Child(_)))
            };
            if is_ready {
                return;
            }
            changed.await;
        }
    }

    /// The child takes calls from now on.
    pub(super) fn up(&self, seat: usize, child: &Arc<Child>) {
        self.change(|state| state.seats[seat].sits = Sits::Child(Arc::clone(child)));
    }

    /// Nobody sits there for now.
    pub(super) fn down(&self, seat: usize, why: &str) {
        self.change(|state| state.seats[seat].sits = Sits::Nobody(Arc::from(why)));
    }

    /// The child died by itself, or did not start. `true` where this opens the seat's circuit.
    pub(super) fn died(&self, seat: usize, now: Duration) -> bool {
        self.change(|state| {
            let circuit = &mut state.seats[seat].circuit;
            let was_open = circuit.is_open();
            circuit.died(now);
            circuit.is_open() && !was_open
        })
    }

    /// The child returned its first call. `true` where this closes the seat's circuit.
    pub(super) fn answered(&self, seat: usize) -> bool {
        self.change(|state| state.seats[seat].circuit.answered())
    }

    pub(super) fn is_circuit_open(&self, seat: usize) -> bool {
        self.lock().seats[seat].circuit.is_open()
    }

    /// How long to wait before the seat's next child is started.
    pub(super) fn next_wait(&self, seat: usize) -> Duration {
        self.lock().seats[seat].circuit.next_wait()
    }

    /// Takes no more calls for good.
    pub(super) fn stop(&self) {
        self.change(|state| state.stopped = true);
    }

    /// The children that are up.
    pub(super) fn children(&self) -> Vec<Arc<Child>> {
        self.lock().seats.iter().filter_map(|seat| seat.child().cloned()).collect()
    }

    /// How each seat is, in their order.
    pub(super) fn standings(&self) -> Vec<Standing> {
        let state = self.lock();
        let stopped = state.stopped;
        let standing = |seat: &Seat| Standing {
            child: seat.child().filter(|_| !stopped).cloned(),
            calls: seat.calls,
            hanging: seat.hanging,
            circuit_open: seat.circuit.is_open(),
            why_down: match &seat.sits {
                _ if stopped => Some("it is stopped".to_owned()),
                Sits::Child(_) => None,
                Sits::Nobody(why) => Some(why.to_string()),
            },
        };
        state.seats.iter().map(standing).collect()
    }

    fn claim(self: &Arc<Self>, seat: usize) -> Claim {
        Claim { seat, pool: Arc::clone(self) }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_waiters();
        changed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn look(&mut self, company: Company, claimed: Option<usize>) -> Result<Look, NoPlace> {
        if self.stopped {
            return Err(NoPlace::Stopped);
        }
        if let Some(seat) = claimed {
            return Ok(match self.seats[seat].open_child().cloned() {
                None => Look::LetGo,
                Some(_) if self.seats[seat].calls > 0 => Look::Wait,
                Some(child) => self.begin(seat, child, true),
            });
        }
        if self.seats.iter().all(|seat| seat.child().is_none() && seat.circuit.is_open()) {
            return Err(NoPlace::AllRest);
        }
        let Some((seat, child)) = self.least_busy(company) else { return Ok(Look::Wait) };
        let tries = self.seats[seat].circuit.is_open();
        if company == Company::Nobody || tries {
            self.seats[seat].claimed = true;
        }
        Ok(match company {
            Company::Nobody => Look::Claimed { seat },
            Company::Others => self.begin(seat, child, tries),
        })
    }

    /// The seat for the next call, where there is one. Of two that are alike, the one that is to be tried.
    fn least_busy(&self, company: Company) -> Option<(usize, Arc<Child>)> {
        let claims = self.seats.iter().filter(|seat| seat.claimed).count();
        if company == Company::Nobody && claims >= self.seats.len().saturating_sub(1).max(1) {
            return None;
        }
        let may = |seat: &Seat| match company {
            Company::Nobody => true,
            Company::Others if seat.circuit.is_open() => seat.calls == 0 && seat.hanging < self.workers,
            Company::Others => seat.calls + seat.hanging < self.workers,
        };
        let free = self.seats.iter().enumerate().filter(|(_, seat)| !seat.claimed && may(seat));
        let open = free.filter_map(|(number, seat)| Some((number, seat, seat.open_child()?)));
        let (number, _, child) = open.min_by_key(|(_, seat, _)| (seat.calls, !seat.circuit.is_open()))?;
        Some((number, Arc::clone(child)))
    }

    fn begin(&mut self, seat: usize, child: Arc<Child>, alone: bool) -> Look {
        self.seats[seat].calls += 1;
        Look::Begin { seat, child, alone }
    }
}

impl Seat {
    fn child(&self) -> Option<&Arc<Child>> {
        match &self.sits {
            Sits::Child(child) => Some(child),
            Sits::Nobody(_) => None,
        }
    }

    /// The child, where it takes new calls.
    fn open_child(&self) -> Option<&Arc<Child>> {
        self.child().filter(|child| child.is_open())
    }
}

impl Place {
    /// The call hangs, and nobody can end it: it keeps its worker, and is counted apart.
    pub(super) fn hang(&mut self) {
        self.hangs = true;
        self.pool.change(|state| {
            let seat = &mut state.seats[self.seat];
            seat.calls -= 1;
            seat.hanging += 1;
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pool.change(|state| {
            let seat = &mut state.seats[self.seat];
            let counted = if self.hangs { &mut seat.hanging } else { &mut seat.calls };
            *counted -= 1;
        });
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.pool.change(|state| state.seats[self.seat].claimed = false);
    }
}
