//! What the next request is: a fresh event, one that was accepted before, or one with a signature that does not hold.

use std::collections::VecDeque;

/// Accepted events that may be sent again: enough that a duplicate is not always of the newest.
const REMEMBERED_MAX: usize = 4096;

/// Shares of what is sent, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    pub duplicates: f64,
    pub bad_signatures: f64,
}

/// One request to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Which event.
    pub number: u64,
    /// Whether its signature is wrong.
    pub forged: bool,
}

/// Chooses request after request. The same seed chooses alike.
#[derive(Debug)]
pub struct Mix {
    shares: Shares,
    dice: u64,
    next: u64,
    accepted: VecDeque<u64>,
}

impl Mix {
    pub fn new(shares: Shares, seed: u64) -> Self {
        Self {
            shares,
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            next: 0,
            accepted: VecDeque::new(),
        }
    }

    /// The next request. A duplicate is only ever of an event that was accepted: as long as there is none, it is fresh.
    pub fn choose(&mut self) -> Request {
        let throw = self.throw();
        if throw < self.shares.bad_signatures {
            return Request { number: self.fresh(), forged: true };
        }
        let duplicate = throw < self.shares.bad_signatures + self.shares.duplicates;
        if duplicate && !self.accepted.is_empty() {
            let place = (self.throw() * self.accepted.len() as f64) as usize;
            return Request { number: self.accepted[place], forged: false };
        }
        Request { number: self.fresh(), forged: false }
    }

    /// This event was accepted, so it may be sent again.
    pub fn accepted(&mut self, number: u64) {
        if self.shares.duplicates == 0.0 {
            return;
        }
        if self.accepted.len() == REMEMBERED_MAX {
            self.accepted.pop_front();
        }
        self.accepted.push_back(number);
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// From 0 up to 1.
    fn throw(&mut self) -> f64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept_and_duplicates_are_of_accepted_events() {
        let mut mix = Mix::new(Shares { duplicates: 0.1, bad_signatures: 0.2 }, 1);
        let (mut forged, mut again) = (0, 0);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10_000 {
            let request = mix.choose();
            if request.forged {
                forged += 1;
                assert!(seen.insert(request.number), "a forged request is of an event of its own");
            } else if seen.insert(request.number) {
                mix.accepted(request.number);
            } else {
                again += 1;
            }
        }
        assert!((1_800..2_200).contains(&forged), "{forged}");
        assert!((900..1_100).contains(&again), "{again}");
    }

    #[test]
    fn without_shares_every_event_is_fresh() {
        let mut mix = Mix::new(Shares { duplicates: 0.0, bad_signatures: 0.0 }, 1);
        let numbers: Vec<u64> = (0..100).map(|_| mix.choose().number).collect();
        assert_eq!(numbers, (0..100).collect::<Vec<u64>>());
    }
}
