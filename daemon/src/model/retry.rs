//! When a failed delivery is tried again.

use std::time::Duration;

/// `[handler.x] retry`: the waits between attempts grow by `factor` from `first` up to `max`, and end after `attempts`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetrySchedule {
    /// The wait after the first attempt.
    pub first: Duration,
    pub factor: f64,
    /// No wait is longer, a handler's own `retry-after` included.
    pub max: Duration,
    /// How many attempts in all before the delivery is a dead letter. At least 1.
    pub attempts: u32,
    /// 0.2 spreads each wait over ±20 %, so that a thousand failures do not return in one moment.
    pub jitter: f64,
}

impl Default for RetrySchedule {
    /// About three days in all, as long as Stripe itself would try: 5 s, 15 s, 45 s … 6 h, 20 attempts.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(5),
            factor: 3.0,
            max: Duration::from_secs(6 * 60 * 60),
            attempts: 20,
            jitter: 0.2,
        }
    }
}

impl RetrySchedule {
    /// The wait after attempt number `attempt` (1 for the first), or `None` when it was the last.
    ///
    /// `spread` in `0.0..=1.0` chooses the place within the jitter; 0.5 is the middle. A handler's own wish (`after`)
    /// is honoured as a lower bound without jitter downwards, cut at `max`.
    pub fn wait(&self, attempt: u32, after: Option<Duration>, spread: f64) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        if let Some(after) = after {
            return Some(after.min(self.max));
        }
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = (self.first.as_secs_f64() * self.factor.powi(exponent)).min(self.max.as_secs_f64());
        let jittered = seconds * (1.0 + self.jitter * (2.0 * spread.clamp(0.0, 1.0) - 1.0));
        Some(Duration::try_from_secs_f64(jittered).unwrap_or(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_schedule_lasts_about_three_days() {
        let schedule = RetrySchedule::default();
        let total: Duration = (1..).map_while(|attempt| schedule.wait(attempt, None, 0.5)).sum();
        let days = total.as_secs_f64() / 86_400.0;
        assert!((2.5..3.5).contains(&days), "{days} days");
    }

    #[test]
    fn waits_grow_to_the_maximum_and_end() {
        let schedule =
            RetrySchedule { attempts: 5, max: Duration::from_secs(60), ..RetrySchedule::default() };
        let waits: Vec<u64> =
            (1..10).map_while(|n| schedule.wait(n, None, 0.5)).map(|wait| wait.as_secs()).collect();
        assert_eq!(waits, [5, 15, 45, 60]);
    }

    #[test]
    fn a_handlers_wish_is_honoured_up_to_the_maximum() {
        let schedule = RetrySchedule::default();
        assert_eq!(schedule.wait(1, Some(Duration::from_secs(90)), 0.0), Some(Duration::from_secs(90)));
        assert_eq!(schedule.wait(1, Some(Duration::from_secs(1 << 40)), 0.0), Some(schedule.max));
        assert_eq!(schedule.wait(20, Some(Duration::from_secs(1)), 0.0), None);
    }

    proptest::proptest! {
        #[test]
        fn jitter_stays_within_its_share(attempt in 1_u32..16, spread in 0.0_f64..=1.0) {
            let schedule = RetrySchedule::default();
            let (middle, jittered) = (schedule.wait(attempt, None, 0.5), schedule.wait(attempt, None, spread));
            if let (Some(middle), Some(jittered)) = (middle, jittered) {
                let share = jittered.as_secs_f64() / middle.as_secs_f64();
                proptest::prop_assert!((0.79..=1.21).contains(&share), "{share}");
            }
        }
    }
}
