//! Places: so many and no more, and who gives one up when all are taken. The door has two sets of them: one for
//! connections, one for requests in work.
//!
//! Whoever holds a place and could be spared offers it, under a rank; a newcomer who finds all places taken gets the place
//! of whoever is spared first. So nobody keeps others out by holding places: silent connections give way to the next
//! connection, bodies that trickle in give way to the next request, and what was verified is never touched. In memory only.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Who is spared: the first rank goes first, and within a rank who offered longest ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// Had its chance, and brought nothing that was verified.
    Stranger,
    /// Brought something that was verified, and is idle.
    Proven,
    /// Has only just come. Spared only where newcomers hold more than half of all places: they must not drive each other
    /// out when few places are left and each is gone before it could show anything.
    Newcomer,
}

/// A fixed number of places.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    state: Mutex<State>,
    /// A place was freed or offered.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Places held, without those of whoever had to leave and is not gone yet.
    taken: usize,
    next: u64,
    offered: BTreeMap<Offer, CancellationToken>,
    /// How many of those are offered as newcomers'.
    newcomers: usize,
}

type Offer = (Rank, u64);

/// One place, held. Dropping it frees it.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    /// Cancelled when the place went to somebody else.
    lost: CancellationToken,
    offer: Mutex<Option<Offer>>,
}

impl Places {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, state: Mutex::default(), changed: Notify::new() })
    }

    /// A free place, or the one of whoever is spared first; `None` where all are needed.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.state();
        if state.taken >= self.max && !state.dismiss(self.max) {
            return None;
        }
        state.taken += 1;
        drop(state);
        Some(Place { places: Arc::clone(self), lost: CancellationToken::new(), offer: Mutex::default() })
    }

    /// Takes its place from whoever is spared first, for nobody. `false` where all are needed.
    pub(super) fn dismiss(&self) -> bool {
        self.state().dismiss(self.max)
    }

    pub(super) fn is_full(&self) -> bool {
        self.state().taken >= self.max
    }

    /// Ends once a place was freed or offered since the last call ended. For one that waits.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn dismiss(&mut self, max: usize) -> bool {
        let Some((offer, _)) = self.offered.first_key_value() else { return false };
        let offer = *offer;
        if offer.0 == Rank::Newcomer && self.newcomers <= max / 2 {
            return false;
        }
        if let Some(lost) = self.withdraw(offer) {
            self.taken -= 1;
            lost.cancel();
        }
        true
    }

    fn withdraw(&mut self, offer: Offer) -> Option<CancellationToken> {
        let lost = self.offered.remove(&offer)?;
        self.newcomers -= usize::from(offer.0 == Rank::Newcomer);
        Some(lost)
    }
}

impl Place {
    /// Could be spared from now on.
    pub(super) fn offer(&self, rank: Rank) {
        let (mut state, mut offer) = (self.places.state(), self.my_offer());
        if self.lost.is_cancelled() {
            return;
        }
        if let Some(former) = offer.take() {
            state.withdraw(former);
        }
        state.next += 1;
        state.newcomers += usize::from(rank == Rank::Newcomer);
        *offer = Some((rank, state.next));
        let made = (rank, state.next);
        state.offered.insert(made, self.lost.clone());
        drop((state, offer));
        self.places.changed.notify_one();
    }

    /// Is needed from now on. One that was lost already stays lost; its holder decides what to finish.
    pub(super) fn keep(&self) {
        let mut state = self.places.state();
        if let Some(former) = self.my_offer().take() {
            state.withdraw(former);
        }
    }

    /// Under which rank it is offered.
    pub(super) fn offered_as(&self) -> Option<Rank> {
        self.my_offer().map(|(rank, _)| rank)
    }

    /// Ends when somebody else got the place.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    fn my_offer(&self) -> MutexGuard<'_, Option<Offer>> {
        self.offer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state();
        if let Some(offer) = self.my_offer().take() {
            state.withdraw(offer);
        }
        if !self.lost.is_cancelled() {
            state.taken -= 1;
        }
        drop(state);
        self.places.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(places: &[&Place]) -> Vec<bool> {
        places.iter().map(|place| place.lost.is_cancelled()).collect()
    }

    fn all_of(places: &Arc<Places>) -> Vec<Place> {
        std::iter::from_fn(|| places.take()).collect()
    }

    #[test]
    fn there_are_so_many_and_a_dropped_one_is_free_again() {
        let places = Places::new(2);
        let (first, second) = (places.take().unwrap(), places.take().unwrap());
        assert!(places.take().is_none() && places.is_full());
        drop(first);
        let third = places.take().unwrap();
        assert!(places.take().is_none());
        assert_eq!(lost(&[&second, &third]), [false, false]);
    }

    #[test]
    fn strangers_go_first_longest_ago_first_and_then_the_proven() {
        let places = Places::new(4);
        let held = all_of(&places);
        let [needed, proven, first, second] = &held[..] else { unreachable!() };
        proven.offer(Rank::Proven);
        first.offer(Rank::Stranger);
        second.offer(Rank::Stranger);
        for gone in [first, second, proven] {
            assert_eq!(lost(&[gone]), [false]);
            std::mem::forget(places.take().unwrap());
            assert_eq!(lost(&[gone]), [true]);
        }
        assert!(places.take().is_none());
        assert_eq!(lost(&[needed]), [false]);
    }

    #[test]
    fn newcomers_go_last_and_only_where_they_hold_more_than_half() {
        let places = Places::new(4);
        let held = all_of(&places);
        let [first, second, third, proven] = &held[..] else { unreachable!() };
        first.offer(Rank::Newcomer);
        second.offer(Rank::Newcomer);
        assert!(places.take().is_none(), "they hold half");
        proven.offer(Rank::Proven);
        third.offer(Rank::Newcomer);
        assert!(places.dismiss());
        assert_eq!(lost(&[first, second, third, proven]), [false, false, false, true]);
        assert!(places.dismiss());
        assert_eq!(lost(&[first, second, third]), [true, false, false]);
        assert!(!places.dismiss(), "they hold half again");
        third.offer(Rank::Stranger);
        assert!(places.dismiss());
        assert_eq!(lost(&[second, third]), [false, true]);
    }

    #[test]
    fn an_offer_is_taken_back_and_one_made_again_goes_to_the_end() {
        let places = Places::new(2);
        let (first, second) = (places.take().unwrap(), places.take().unwrap());
        for place in [&first, &second, &first] {
            place.offer(Rank::Stranger);
        }
        second.keep();
        assert!(places.dismiss());
        assert_eq!(lost(&[&first, &second]), [true, false]);
        assert!(!places.dismiss());
    }

    #[test]
    fn who_lost_a_place_frees_nothing_and_offers_nothing() {
        let places = Places::new(1);
        let first = places.take().unwrap();
        first.offer(Rank::Stranger);
        let second = places.take().unwrap();
        first.keep();
        first.offer(Rank::Stranger);
        assert!(places.take().is_none());
        drop(first);
        assert!(places.take().is_none() && !second.lost.is_cancelled());
        drop(second);
        assert!(places.take().is_some());
    }

    #[tokio::test]
    async fn who_waits_is_told_of_an_offer_and_of_a_free_place() {
        let places = Places::new(1);
        let first = places.take().unwrap();
        first.offer(Rank::Newcomer);
        places.changed().await;
        let second = places.take().unwrap();
        first.lost().await;
        drop(second);
        places.changed().await;
    }
}
