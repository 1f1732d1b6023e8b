//! The clock: Stripe's signatures carry a time, and one that is too far from ours is refused.
//!
//! Nobody is asked over the network. What this machine knows by itself is looked at: the newest event that is stored, the
//! hardware clock, and what the services that set the clock leave behind.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Check;
use crate::config::{Scheme, Snapshot, TOLERANCE_DEFAULT};
use crate::model::clock::{Clock, SystemClock, UnixMillis};

const NAME: &str = "clock";
const SYNC: &str = "clock sync";
/// Clocks of one machine are read one after the other, and the hardware's shows whole seconds.
const SLACK: Duration = Duration::from_secs(2);
/// A hardware clock drifts seconds a day.
const HARDWARE_SLACK: Duration = Duration::from_secs(60);
const HARDWARE: &str = "/sys/class/rtc/rtc0/since_epoch";
/// Made by systemd-timesyncd once it has set the clock.
const TIMESYNCD: &str = "/run/systemd/timesync/synchronized";
/// Services that set the clock and say elsewhere how well: (what is there while they run, how to ask).
const SERVICES: [(&str, &str); 4] = [
    ("/run/chrony/chronyd.pid", "chronyc tracking"),
    ("/run/chrony/chronyd.sock", "chronyc tracking"),
    ("/run/ntpd.pid", "ntpq -p"),
    ("/run/ntpd-rs/observe", "ntp-ctl status"),
];

/// The clock against the newest event and the hardware, and whether anything sets it.
pub(super) fn check(snapshot: &Snapshot, newest: Option<UnixMillis>) -> Vec<Check> {
    let tolerances = snapshot.sources.iter().map(|source| {
        let Scheme::Stripe { tolerance, .. } = &source.scheme;
        *tolerance
    });
    let tolerance = tolerances.min().unwrap_or(TOLERANCE_DEFAULT);
    let now = SystemClock.now();
    let mut checks = vec![against_newest(now, newest, tolerance)];
    let hardware = fs::read_to_string(HARDWARE).ok().and_then(|text| text.trim().parse::<u64>().ok());
    checks.extend(hardware.and_then(|seconds| against_hardware(now, seconds, tolerance)));
    checks.push(synchronised(Path::new("/")));
    checks
}

fn against_newest(now: UnixMillis, newest: Option<UnixMillis>, tolerance: Duration) -> Check {
    let Some(newest) = newest else {
        return Check::skipped(
            NAME,
            "no stored event is known whose time it could be held against",
            "run this again once events came in",
        );
    };
    let behind = newest.since(now);
    let next = "set the clock, and see what set it wrong (timedatectl)";
    let words = format!("it stands {} before the newest stored event: it was set back", shown(behind));
    match behind {
        behind if behind > tolerance => Check::fault(
            NAME,
            format!("{words} by more than the signatures' tolerance of {}", shown(tolerance)),
            next,
        ),
        behind if behind > SLACK => Check::warn(NAME, words, next),
        _ => Check::ok(
            NAME,
            format!(
                "the newest stored event came {} ago; signatures may be {} old",
                shown(now.since(newest)),
                shown(tolerance)
            ),
        ),
    }
}

/// Only where the two are apart: a hardware clock proves nothing by agreeing.
fn against_hardware(now: UnixMillis, hardware_seconds: u64, tolerance: Duration) -> Option<Check> {
    let hardware = UnixMillis(hardware_seconds.saturating_mul(1000));
    let apart = now.since(hardware).max(hardware.since(now));
    (apart > HARDWARE_SLACK).then(|| {
        let words = format!(
            "it and the hardware clock are {} apart, and signatures may be {} old: one of them is wrong, or the hardware's keeps local time",
            shown(apart),
            shown(tolerance)
        );
        Check::warn(NAME, words, "compare with another machine (date -u), and see `timedatectl`")
    })
}

/// Whether something keeps the clock right, as far as files tell.
fn synchronised(root: &Path) -> Check {
    let at = |path: &str| root.join(path.trim_start_matches('/'));
    if at(TIMESYNCD).exists() {
        return Check::ok(SYNC, "systemd-timesyncd has set it");
    }
    match SERVICES.into_iter().find(|(path, _)| at(path).exists()) {
        Some((path, ask)) => Check::skipped(
            SYNC,
            format!("unknown: a service sets it ({path}) and says elsewhere how well"),
            format!("`{ask}`"),
        ),
        None => Check::skipped(
            SYNC,
            "unknown: neither systemd-timesyncd nor chrony nor ntpd was found to set it",
            "see that the machine, or its host, sets the clock (timedatectl); Stripe's signatures bear 5 minutes",
        ),
    }
}

fn shown(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const TOLERANCE: Duration = Duration::from_secs(300);

    #[test]
    fn a_clock_that_was_set_back_is_told() {
        let verdict = |ahead: u64| {
            let newest = NOW.plus(Duration::from_secs(ahead));
            against_newest(NOW, Some(newest), TOLERANCE).verdict
        };
        assert_eq!(verdict(0), Verdict::Ok);
        assert_eq!(verdict(2), Verdict::Ok);
        assert_eq!(verdict(3), Verdict::Warn);
        assert_eq!(verdict(300), Verdict::Warn);
        assert_eq!(verdict(301), Verdict::Fault);
        assert_eq!(against_newest(NOW, None, TOLERANCE).verdict, Verdict::Skipped);
        let old = against_newest(NOW, Some(UnixMillis(NOW.0 - 3 * 86_400_000)), TOLERANCE);
        assert_eq!((old.verdict, old.words.contains("3 days ago")), (Verdict::Ok, true), "{old:?}");
    }

    #[test]
    fn a_hardware_clock_that_is_far_off_is_told() {
        let seconds = NOW.0 / 1000;
        assert_eq!(against_hardware(NOW, seconds - 60, TOLERANCE), None);
        for apart in [seconds - 61, seconds + 7200] {
            assert_eq!(against_hardware(NOW, apart, TOLERANCE).unwrap().verdict, Verdict::Warn);
        }
    }

    #[test]
    fn what_sets_the_clock_is_found_by_its_files() {
        let root = tempfile::tempdir().unwrap();
        assert!(synchronised(root.path()).words.starts_with("unknown"));
        fs::create_dir_all(root.path().join("run/chrony")).unwrap();
        fs::write(root.path().join("run/chrony/chronyd.pid"), "1").unwrap();
        assert!(synchronised(root.path()).next.unwrap().contains("chronyc"));
        fs::create_dir_all(root.path().join("run/systemd/timesync")).unwrap();
        fs::write(root.path().join("run/systemd/timesync/synchronized"), "").unwrap();
        assert_eq!(synchronised(root.path()).verdict, Verdict::Ok);
    }
}
