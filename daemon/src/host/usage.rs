//! What children use of the machine, as the kernel tells at the moment.

use std::time::Duration;

/// Memory and time of one process, or of several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub resident_bytes: u64,
    /// In the program and in the kernel for it, since it began.
    pub cpu: Duration,
}

impl Usage {
    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        let resident_bytes = self.resident_bytes + other.resident_bytes;
        Self { resident_bytes, cpu: self.cpu + other.cpu }
    }
}

/// Where the fields stand behind the process's name, counted from its state on.
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const RESIDENT_PAGES: usize = 21;

/// Of this process; `None` where it is gone, or the system does not tell.
pub(super) fn of(pid: u32) -> Option<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything, a parenthesis too.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks = number(USER_TICKS)? + number(SYSTEM_TICKS)?;
    let millis = ticks * 1000 / rustix::param::clock_ticks_per_second().max(1);
    Some(Usage {
        resident_bytes: number(RESIDENT_PAGES)? * rustix::param::page_size() as u64,
        cpu: Duration::from_millis(millis),
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_memory_and_one_that_is_gone_uses_nothing() {
        let own = of(std::process::id()).unwrap();
        assert!(own.resident_bytes > 100_000, "{own:?}");
        assert_eq!(of(u32::MAX), None);
    }
}
