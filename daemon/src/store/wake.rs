//! Wake-ups: "there is something to do", without saying what.
//!
//! A store gives them after each commit. `route` waits for the first; `retain` gives way to whoever either is for. A lease
//! that waits is the engine's to end, by the second or otherwise. A wake-up carries no data and a lost one is only a delay,
//! because each loop also looks by itself after [`crate::model::limits::IDLE_POLL`].

use tokio::sync::watch;

/// The two bells of a store.
#[derive(Debug)]
pub struct Wakes {
    events: watch::Sender<u64>,
    deliveries: watch::Sender<u64>,
}

impl Default for Wakes {
    fn default() -> Self {
        Self { events: watch::Sender::new(0), deliveries: watch::Sender::new(0) }
    }
}

impl Wakes {
    /// Rings for `route`: an event waits to be routed.
    pub fn events_changed(&self) {
        self.events.send_modify(|generation| *generation = generation.wrapping_add(1));
    }

    /// Rings for `dispatch`: a delivery may be due.
    pub fn deliveries_changed(&self) {
        self.deliveries.send_modify(|generation| *generation = generation.wrapping_add(1));
    }

    /// Hears each ring for `route` from now on; several rings may be heard as one.
    pub fn on_events(&self) -> watch::Receiver<u64> {
        self.events.subscribe()
    }

    /// Hears each ring for `dispatch` from now on; several rings may be heard as one.
    pub fn on_deliveries(&self) -> watch::Receiver<u64> {
        self.deliveries.subscribe()
    }
}
