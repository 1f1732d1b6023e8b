//! When a child that died is started again: soon after the first death, later after each that follows. Too many deaths in
//! a short time open the circuit: events then wait in the store, no attempt is spent on them, and once the wait is over one
//! call alone tries the plugin. An answer closes the circuit.
//!
//! `supervise` tells it of deaths, `drive` of answers. It reads no clock: the time is told, as it was since the host began.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::limits::{
    HOST_CIRCUIT_WAIT, HOST_DEATHS_MAX, HOST_DEATHS_WITHIN, HOST_RESTART_FIRST, HOST_RESTART_MAX,
};

/// One host's deaths.
#[derive(Debug)]
pub(super) struct Circuit {
    recent: VecDeque<Duration>,
    /// Before the next start.
    wait: Duration,
    open: bool,
}

impl Circuit {
    /// Closed.
    pub(super) fn new() -> Self {
        Self { recent: VecDeque::new(), wait: HOST_RESTART_FIRST, open: false }
    }

    /// Whether events wait, but for the one that tries the plugin.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// The child died by itself, or did not start.
    pub(super) fn died(&mut self, now: Duration) {
        while self.recent.front().is_some_and(|death| now.saturating_sub(*death) > HOST_DEATHS_WITHIN) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        if self.recent.len() > HOST_DEATHS_MAX {
            self.recent.pop_front();
            self.open = true;
        }
    }

    /// A call was answered. `true` where this closes the circuit.
    pub(super) fn answered(&mut self) -> bool {
        self.wait = HOST_RESTART_FIRST;
        let was_open = std::mem::take(&mut self.open);
        if was_open {
            self.recent.clear();
        }
        was_open
    }

    /// How long to wait before the next start; the next time longer.
    pub(super) fn next_wait(&mut self) -> Duration {
        let least = if self.open { HOST_CIRCUIT_WAIT } else { HOST_RESTART_FIRST };
        let wait = self.wait.max(least);
        self.wait = (wait * 2).min(HOST_RESTART_MAX);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_death_too_many_in_a_minute_opens_it_and_an_answer_closes_it() {
        let mut circuit = Circuit::new();
        for death in 0..5 {
            circuit.died(death * SECOND);
            assert!(!circuit.is_open(), "{death}");
        }
        circuit.died(5 * SECOND);
        assert!(circuit.is_open());
        assert!(circuit.answered());
        assert!(!circuit.is_open() && !circuit.answered());
        circuit.died(6 * SECOND);
        assert!(!circuit.is_open(), "an answer is a new beginning");
    }

    #[test]
    fn deaths_that_lie_apart_leave_it_closed() {
        let mut circuit = Circuit::new();
        for death in 0..100 {
            circuit.died(death * 13 * SECOND);
            assert!(!circuit.is_open(), "{death}");
        }
    }

    #[test]
    fn waits_double_begin_later_where_it_is_open_and_have_an_end() {
        let mut circuit = Circuit::new();
        let millis = |circuit: &mut Circuit| circuit.next_wait().as_millis();
        assert_eq!([100, 200, 400], [(); 3].map(|()| millis(&mut circuit)));
        (0..6).for_each(|_| circuit.died(SECOND));
        assert_eq!([5_000, 10_000, 20_000, 40_000, 60_000, 60_000], [(); 6].map(|()| millis(&mut circuit)));
        circuit.answered();
        assert_eq!(millis(&mut circuit), 100);
    }
}
