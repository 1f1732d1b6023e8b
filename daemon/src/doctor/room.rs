//! What may run out: disk space, names on the disk, file descriptors.

use std::fs;
use std::path::Path;

use rustix::fs::{StatVfs, statvfs};
use rustix::process::{Resource, getrlimit};

use super::{Check, mount};
use crate::app::descriptors::KEPT_FREE;

const NAME: &str = "free space";
const DESCRIPTORS: &str = "descriptors";
/// The store keeps some ten files and makes a few at each start.
const INODES_MIN: u64 = 1000;

/// Free space and inodes under the store.
pub(super) fn check(store: &Path, free_bytes_min: u64) -> Vec<Check> {
    let directory = mount::existing(store);
    match statvfs(directory) {
        Ok(stat) => judge(&stat, directory, free_bytes_min),
        Err(error) => {
            let words = format!("{} cannot be asked for its free space: {error}", directory.display());
            vec![Check::fault(NAME, words, "see what is wrong with its file system")]
        }
    }
}

fn judge(stat: &StatVfs, directory: &Path, free_bytes_min: u64) -> Vec<Check> {
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let words = format!(
        "{} has {} free, and below {} (`store.free_bytes_min`) the store takes no new events",
        directory.display(),
        shown(free),
        shown(free_bytes_min)
    );
    let next = "free some space, or move the store to a larger disk";
    let mut checks = vec![if free < free_bytes_min {
        Check::fault(NAME, words, next)
    } else if free < free_bytes_min.saturating_mul(2) {
        Check::warn(NAME, words, next)
    } else {
        Check::ok(NAME, words)
    }];
    // A file system without a fixed number of inodes says that it has none.
    if stat.f_files > 0 && stat.f_favail < INODES_MIN {
        let words = format!("{} has {} inodes left", directory.display(), stat.f_favail);
        checks.push(match stat.f_favail {
            0 => Check::fault(NAME, words, "remove files: not one more can be made"),
            _ => Check::warn(NAME, words, "remove files before none can be made"),
        });
    }
    checks
}

fn shown(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if bytes >= 1024 * MIB { format!("{} GiB", bytes / (1024 * MIB)) } else { format!("{} MiB", bytes / MIB) }
}

/// The limit of open files, of the running daemon or else of this shell, against the connections that are wanted.
pub(super) fn descriptors(connections_max: usize, daemon: Option<u32>) -> Vec<Check> {
    let of_daemon = daemon.and_then(|pid| {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        Some((hard_limit(&limits)?, format!("the daemon (process {pid})")))
    });
    let (limit, whose) =
        of_daemon.unwrap_or_else(|| (getrlimit(Resource::Nofile).maximum, "this shell".to_owned()));
    vec![enough(limit, &whose, connections_max)]
}

/// `None` within: no limit.
fn hard_limit(limits: &str) -> Option<Option<u64>> {
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    let hard = line.split_whitespace().nth(4)?;
    if hard == "unlimited" { Some(None) } else { hard.parse().ok().map(Some) }
}

fn enough(limit: Option<u64>, whose: &str, connections_max: usize) -> Check {
    let need = connections_max as u64 + KEPT_FREE;
    match limit {
        Some(limit) if limit < need => Check::warn(
            DESCRIPTORS,
            format!(
                "{whose} may open {limit} files, and {connections_max} connections need {need}: the door holds fewer"
            ),
            format!(
                "raise the limit for the daemon (LimitNOFILE={need} in its unit, ulimit -n), or lower `server.connections_max`"
            ),
        ),
        Some(limit) => Check::ok(
            DESCRIPTORS,
            format!("{whose} may open {limit} files; {connections_max} connections need {need}"),
        ),
        None => Check::ok(DESCRIPTORS, format!("{whose} may open any number of files")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn too_little_of_anything_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let real = statvfs(dir.path()).unwrap();
        let verdicts = |bavail: u64, favail: u64| {
            let stat = StatVfs { f_bavail: bavail, f_frsize: 1, f_favail: favail, f_files: 1, ..real };
            judge(&stat, dir.path(), 100).iter().map(|check| check.verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts(200, 5000), [Verdict::Ok]);
        assert_eq!(verdicts(199, 5000), [Verdict::Warn]);
        assert_eq!(verdicts(99, 5000), [Verdict::Fault]);
        assert_eq!(verdicts(200, 10), [Verdict::Ok, Verdict::Warn]);
        assert_eq!(verdicts(200, 0), [Verdict::Ok, Verdict::Fault]);
    }

    #[test]
    fn descriptors_are_held_against_connections() {
        assert_eq!(enough(Some(999), "x", 800).verdict, Verdict::Warn);
        assert_eq!(enough(Some(1000), "x", 800).verdict, Verdict::Ok);
        assert_eq!(enough(None, "x", 800).verdict, Verdict::Ok);
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(hard_limit(limits), Some(Some(524_288)));
        assert_eq!(hard_limit(&limits.replace("524288", "unlimited")), Some(None));
        assert_eq!(hard_limit("Max cpu time unlimited"), None);
        let own = fs::read_to_string("/proc/self/limits").unwrap();
        assert_eq!(hard_limit(&own), Some(getrlimit(Resource::Nofile).maximum));
    }
}
