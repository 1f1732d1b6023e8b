//! The child's only look at the time: how much of a call's budget is left. The daemon's clock does not reach into this
//! process, and only the monotonic one is read here.

use std::time::{Duration, Instant};

/// The end of a call's budget.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    start: Instant,
    budget: Duration,
}

impl Deadline {
    /// The budget begins now.
    #[expect(clippy::disallowed_methods, reason = "the child's clock")]
    pub(crate) fn start(budget: Duration) -> Self {
        Self { start: Instant::now(), budget }
    }

    /// What is left of it.
    pub(crate) fn remaining(self) -> Duration {
        self.budget.saturating_sub(self.start.elapsed())
    }
}
