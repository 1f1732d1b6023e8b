//! A canary: a new library on trial beside the one before. Which events it gets, and when its answers tell against it.
//!
//! Pure: `dispatch` counts the answers of both sides, `app` acts on what is said here.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::attempt::Outcome;
use super::ids::EventId;
use super::limits::{CANARY_FAILED_MIN, CANARY_SHARE_MAX, CANARY_SHARE_MIN, CANARY_SIGMAS};

/// The share of new events that a library on trial gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Of a million.
    parts: u32,
}

const WHOLE: u32 = 1_000_000;

/// The text or number was no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a canary takes a share from {} to {}, such as 5% or 0.05",
    percent(CANARY_SHARE_MIN),
    percent(CANARY_SHARE_MAX)
)]
pub struct NoShare;

/// How many of the answers of one side were which, since the trial began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Calls that the plugin answered, whatever it said.
    pub answered: u64,
    /// It rejected the delivery.
    pub rejected: u64,
    /// It asked to try again.
    pub retried: u64,
}

impl Share {
    /// What may be asked for.
    pub const RANGE: RangeInclusive<f64> = CANARY_SHARE_MIN..=CANARY_SHARE_MAX;

    /// Of a number in [`Self::RANGE`].
    pub fn of(fraction: f64) -> Result<Self, NoShare> {
        if !Self::RANGE.contains(&fraction) {
            return Err(NoShare);
        }
        // In range, so it is no more than a million.
        Ok(Self { parts: (fraction * f64::from(WHOLE)).round() as u32 })
    }

    /// As a number.
    pub fn fraction(self) -> f64 {
        f64::from(self.parts) / f64::from(WHOLE)
    }

    /// Whether the event is in the share. A hash of its id, so each attempt at it is answered alike, after a restart too.
    pub fn takes(self, event: EventId) -> bool {
        let hash: [u8; 32] =
            Sha256::new().chain_update(b"canary").chain_update(event.to_bytes()).finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = hash;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) % u64::from(WHOLE) < u64::from(self.parts)
    }
}

impl FromStr for Share {
    type Err = NoShare;

    /// `5%` or `0.05`.
    fn from_str(text: &str) -> Result<Self, NoShare> {
        let (number, unit) = match text.strip_suffix('%') {
            Some(number) => (number, 100.0),
            None => (text, 1.0),
        };
        let number: f64 = number.trim().parse().map_err(|_| NoShare)?;
        Self::of(number / unit)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&percent(self.fraction()))
    }
}

impl Tally {
    /// Counts what came of an attempt, where the plugin answered.
    pub fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Done(_) | Outcome::Ignore(_) => {}
            Outcome::Reject(_) => self.rejected += 1,
            Outcome::Retry { .. } => self.retried += 1,
            Outcome::TimedOut { .. } | Outcome::Crashed { .. } | Outcome::Interrupted => return,
        }
        self.answered += 1;
    }

    /// Deliveries that it was done with.
    pub fn finished(&self) -> u64 {
        self.answered - self.rejected - self.retried
    }
}

/// Why the new library's answers tell against it, where they do.
pub fn tells_against(new: &Tally, old: &Tally) -> Option<String> {
    let kinds = [("rejected", new.rejected, old.rejected), ("asked to try again", new.retried, old.retried)];
    let (word, failed, before) = kinds
        .into_iter()
        .find(|(_, failed, before)| is_worse((*failed, new.answered), (*before, old.answered)))?;
    let (of, of_before) = (new.answered, old.answered);
    Some(format!("it {word} {failed} of {of} deliveries, and the library before {before} of {of_before}"))
}

/// Whether so many failed of so many that chance does not explain it, beside what failed on the other side: the lowest
/// rate that the one's numbers allow is above the highest that the other's allow.
pub fn is_worse((failed, of): (u64, u64), (failed_before, of_before): (u64, u64)) -> bool {
    failed >= CANARY_FAILED_MIN && rates(failed, of).0 > rates(failed_before, of_before).1
}

/// The rates that `failed` of `of` allow, lowest and highest: Wilson's interval, which holds for small numbers too.
fn rates(failed: u64, of: u64) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    // Counts are far below 2^53.
    let (n, square) = (of as f64, CANARY_SIGMAS * CANARY_SIGMAS);
    let rate = failed as f64 / n;
    let middle = rate + square / (2.0 * n);
    let reach = CANARY_SIGMAS * (rate * (1.0 - rate) / n + square / (4.0 * n * n)).sqrt();
    let scale = 1.0 + square / n;
    ((middle - reach) / scale, (middle + reach) / scale)
}

fn percent(fraction: f64) -> String {
    // To the share's own precision, so that 0.07 is not shown as 7.000000000000001%.
    format!("{}%", (fraction * 1_000_000.0).round() / 10_000.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(number: u64) -> EventId {
        EventId::from_parts(1_794_830_461_000, number.into())
    }

    #[test]
    fn a_share_is_read_and_shown_in_percent() {
        for (written, shown) in [
            ("5%", "5%"),
            ("0.05", "5%"),
            ("0.01 %", "0.01%"),
            ("50%", "50%"),
            ("7%", "7%"),
            ("0.123", "12.3%"),
        ] {
            assert_eq!(written.parse::<Share>().unwrap().to_string(), shown);
        }
        for wrong in ["", "5", "0", "51%", "-1%", "nan", "half", "0.00001"] {
            assert_eq!(wrong.parse::<Share>(), Err(NoShare), "{wrong}");
        }
        assert_eq!(NoShare.to_string(), "a canary takes a share from 0.01% to 50%, such as 5% or 0.05");
    }

    #[test]
    fn a_share_takes_so_many_and_always_the_same() {
        let share = Share::of(0.05).unwrap();
        let taken: Vec<u64> = (0..20_000).filter(|number| share.takes(event(*number))).collect();
        assert!((900..1100).contains(&taken.len()), "{}", taken.len());
        assert!(
            taken.iter().all(|number| Share::of(0.2).unwrap().takes(event(*number))),
            "a larger one takes them too"
        );
    }

    #[test]
    fn a_jump_is_seen_and_what_chance_explains_is_not() {
        for (new, old, worse) in [
            ((3, 3), (0, 60), true),
            ((3, 60), (0, 1140), true),
            ((10, 10), (0, 10), true),
            ((20, 100), (100, 1900), true),
            // Too few, or nothing to compare with.
            ((2, 2), (0, 1000), false),
            ((5, 5), (0, 0), false),
            ((3, 3), (0, 5), false),
            // Both alike, or the new one better.
            ((7, 100), (95, 1900), false),
            ((50, 100), (950, 1900), false),
            ((60, 60), (1140, 1140), false),
            ((3, 100), (1000, 1900), false),
        ] {
            assert_eq!(is_worse(new, old), worse, "{new:?} beside {old:?}");
        }
        let (new, old) = (
            Tally { answered: 12, rejected: 0, retried: 9 },
            Tally { answered: 240, rejected: 1, retried: 3 },
        );
        assert_eq!(
            tells_against(&new, &old).as_deref(),
            Some("it asked to try again 9 of 12 deliveries, and the library before 3 of 240")
        );
        assert_eq!(tells_against(&old, &new), None);
        assert_eq!((new.finished(), old.finished()), (3, 236));
    }

    /// Looks after each answer, as the daemon does: how many of the answers it took until the new side was given up.
    fn given_up_after(share: Share, rates: (f64, f64), answers: u64, seed: u64) -> Option<u64> {
        let (mut new, mut old) = ((0, 0), (0, 0));
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut chance = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..answers).find(|_| {
            let (side, rate) = match chance() < share.fraction() {
                true => (&mut new, rates.0),
                false => (&mut old, rates.1),
            };
            side.1 += 1;
            side.0 += u64::from(chance() < rate);
            is_worse(new, old)
        })
    }

    #[test]
    fn a_library_that_is_as_good_is_hardly_ever_given_up_and_a_bad_one_soon_is() {
        const TRIALS: u64 = 300;
        for share in ["5%", "50%"].map(|share| share.parse().unwrap()) {
            for rate in [0.01, 0.1, 0.5] {
                let wrong =
                    (0..TRIALS).filter(|seed| given_up_after(share, (rate, rate), 5_000, *seed).is_some());
                let wrong = wrong.count();
                assert!(
                    wrong <= 6,
                    "{share}, {rate}: {wrong} of {TRIALS} as good as the other were given up"
                );
            }
            for (new, old) in [(1.0, 0.01), (0.3, 0.01), (0.5, 0.1)] {
                let late =
                    (0..TRIALS).filter(|seed| given_up_after(share, (new, old), 5_000, *seed).is_none());
                assert_eq!(late.count(), 0, "{share}: {new} beside {old} is seen");
            }
            let slowest =
                (0..TRIALS).filter_map(|seed| given_up_after(share, (1.0, 0.01), 5_000, seed)).max();
            assert!(slowest < Some(300), "one that rejects all is seen soon: {slowest:?}");
        }
    }

    proptest! {
        #[test]
        fn more_failures_never_speak_for_the_new_library(
            failed in 0_u64..200, sound in 0_u64..200, failed_before in 0_u64..2000, sound_before in 0_u64..2000,
        ) {
            let (of, before) = (failed + sound, (failed_before, failed_before + sound_before));
            if is_worse((failed, of), before) {
                prop_assert!(is_worse((failed + 1, of + 1), before));
                prop_assert!(failed * before.1 > failed_before * of, "its rate is the higher one");
                prop_assert!(!is_worse(before, (failed, of)));
            } else {
                prop_assert!(!is_worse((failed, of), (before.0 + 1, before.1 + 1)));
            }
            let (least, most) = rates(failed, of.max(failed));
            prop_assert!(least >= -1e-9 && least <= most && most <= 1.0 + 1e-9);
        }
    }
}
