//! File descriptors: every connection takes one, and so does the store. Where the door could take them all, the store could
//! not look at its own disk, so the door gets fewer.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// What the store, the hosts, the operator listener and the runtime need together, with room to spare.
pub const KEPT_FREE: u64 = 200;

/// How many connections the door may hold: what was asked for, or less where the system gives fewer descriptors. Raises
/// this process's own limit as far as it may first.
pub(super) fn connections_max(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // A refusal leaves the limit as it was, which is then what counts.
    let descriptors = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let room = descriptors
        .map_or(usize::MAX, |most| usize::try_from(most.saturating_sub(KEPT_FREE)).unwrap_or(usize::MAX));
    if room < wanted {
        warn!(
            wanted,
            room,
            "the system gives too few file descriptors for `connections_max` (ulimit -n): fewer are held"
        );
    }
    wanted.min(room)
}
