//! What a sync costs on this disk, and whether something stands between the daemon and the disk that leaves syncs out.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Check, mount};
use crate::model::clock::Stopwatch;

const NAME: &str = "fdatasync";
const PRELOAD: &str = "preload";
/// What the kernel preloads into every process.
const PRELOAD_FILE: &str = "/etc/ld.so.preload";

const BLOCK_BYTES: usize = 4096;
/// Blocks that are written over in turn, so that not one alone is worn: 1 MB.
const BLOCKS: u64 = 256;
/// Enough for a p99 that is one.
const SYNCS_MAX: usize = 400;
/// On a slow disk fewer tell as much.
const MEASURE_MAX: Duration = Duration::from_secs(5);
/// Below this no write has reached any device: the way through the kernel and over the bus alone takes as long.
const PLAUSIBLE_MIN: Duration = Duration::from_micros(10);
/// Above this Stripe, and everybody else who waits for an answer, notices.
const SLOW: Duration = Duration::from_millis(100);

/// Libraries whose purpose it is to leave syncs out.
const SYNC_EATERS: [&str; 3] = ["eatmydata", "nosync", "fsync"];

/// What was measured, the shortest first. Never empty.
#[derive(Debug)]
struct Syncs(Vec<Duration>);

/// Measures the disk in the store's directory, or where that will be.
pub(super) fn check(store: &Path) -> Vec<Check> {
    let directory = mount::existing(store);
    match measure(directory) {
        Ok(syncs) => vec![judge(&syncs, directory)],
        Err(error) => vec![Check::fault(
            NAME,
            format!("a file in {} cannot be written and synced: {error}", directory.display()),
            "run this as the user that runs the daemon; if it is that one, make the directory writable for it",
        )],
    }
}

/// Writes over blocks of a file that has no name any more and syncs each: nothing of it outlives this process.
fn measure(directory: &Path) -> io::Result<Syncs> {
    let path = directory.join(format!(".hookyard-doctor-{}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    let block = [0x5a; BLOCK_BYTES];
    for number in 0..BLOCKS {
        file.write_all_at(&block, number * BLOCK_BYTES as u64)?;
    }
    file.sync_all()?;
    let (whole, mut syncs) = (Stopwatch::start(), Vec::with_capacity(SYNCS_MAX));
    while syncs.len() < SYNCS_MAX && (syncs.is_empty() || whole.elapsed() < MEASURE_MAX) {
        syncs.push(one_sync(&file, &block, syncs.len() as u64 % BLOCKS)?);
    }
    syncs.sort_unstable();
    Ok(Syncs(syncs))
}

fn one_sync(file: &File, block: &[u8], number: u64) -> io::Result<Duration> {
    let watch = Stopwatch::start();
    file.write_all_at(block, number * BLOCK_BYTES as u64)?;
    file.sync_data()?;
    Ok(watch.elapsed())
}

impl Syncs {
    fn quantile(&self, percent: usize) -> Duration {
        let at = self.0.len() * percent / 100;
        self.0[at.min(self.0.len() - 1)]
    }
}

fn judge(syncs: &Syncs, directory: &Path) -> Check {
    let (half, most, longest) = (syncs.quantile(50), syncs.quantile(99), syncs.quantile(100));
    let words = format!(
        "4 KB written and synced in {}: p50 {}, p99 {}, max {} ({} measured)",
        directory.display(),
        shown(half),
        shown(most),
        shown(longest),
        syncs.0.len()
    );
    if half < PLAUSIBLE_MIN {
        let words = format!("{words}: no device is that fast, so these syncs end in memory");
        return Check::warn(
            NAME,
            words,
            "find out what leaves them out: the file system, a preloaded library, the hypervisor's cache mode",
        );
    }
    if most >= SLOW {
        let words = format!("{words}: every answer waits that long");
        return Check::warn(
            NAME,
            words,
            "set `store.path` to a faster disk, or see what else writes to this one",
        );
    }
    Check::ok(NAME, words)
}

fn shown(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}

/// Libraries that are loaded into every process before its own, here and in the running daemon.
pub(super) fn preloads(daemon: Option<u32>) -> Vec<Check> {
    let mut named = Vec::new();
    named.extend(fs::read_to_string(PRELOAD_FILE).ok().map(|text| (PRELOAD_FILE.to_owned(), text)));
    named.extend(std::env::var("LD_PRELOAD").ok().map(|text| ("LD_PRELOAD".to_owned(), text)));
    if let Some(pid) = daemon {
        let environment = fs::read(PathBuf::from(format!("/proc/{pid}/environ"))).unwrap_or_default();
        named.extend(
            preload_of(&environment).map(|text| (format!("LD_PRELOAD of the daemon (process {pid})"), text)),
        );
    }
    let mut checks: Vec<Check> = named.iter().filter_map(|(place, text)| preloaded(place, text)).collect();
    if checks.is_empty() {
        checks.push(Check::ok(PRELOAD, "no library stands between the daemon and its syncs"));
    }
    checks
}

fn preload_of(environment: &[u8]) -> Option<String> {
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(b"LD_PRELOAD="))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn preloaded(place: &str, text: &str) -> Option<Check> {
    let libraries: Vec<&str> =
        text.split([':', ' ', '\n', '\t']).filter(|library| !library.is_empty()).collect();
    let eater = libraries.iter().find(|library| {
        let file = library.rsplit('/').next().unwrap_or(library);
        SYNC_EATERS.iter().any(|eater| file.contains(eater))
    });
    match (eater, libraries.first()) {
        (Some(eater), _) => {
            let words = format!("{place} names {eater}, which leaves syncs out: a 2xx promises nothing");
            Some(Check::fault(PRELOAD, words, "start the daemon without it"))
        }
        (None, Some(first)) => {
            let words = format!("{place} names {first}: what it changes hookyard cannot know");
            Some(Check::warn(PRELOAD, words, "see that it leaves syncs and the clock alone"))
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn syncs(micros: &[u64]) -> Check {
        let mut times: Vec<Duration> = micros.iter().map(|micros| Duration::from_micros(*micros)).collect();
        times.sort_unstable();
        judge(&Syncs(times), Path::new("/srv"))
    }

    #[test]
    fn figures_are_shown_and_what_no_device_can_do_is_told() {
        let sound = syncs(&[130; 100]);
        assert_eq!(sound.verdict, Verdict::Ok);
        assert!(
            sound.words.contains("p50 0.130 ms, p99 0.130 ms, max 0.130 ms (100 measured)"),
            "{}",
            sound.words
        );
        let lies = syncs(&[1; 100]);
        assert_eq!(lies.verdict, Verdict::Warn);
        assert!(lies.words.contains("no device is that fast"), "{}", lies.words);
        let mut slow = vec![900; 98];
        slow.extend([200_000; 2]);
        assert_eq!(syncs(&slow).verdict, Verdict::Warn);
        assert_eq!(syncs(&[900]).verdict, Verdict::Ok, "one is enough on a very slow disk");
    }

    #[test]
    fn measuring_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let syncs = measure(dir.path()).unwrap();
        assert!(!syncs.0.is_empty());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn libraries_that_eat_syncs_are_told_from_others() {
        let verdict = |text: &str| preloaded("LD_PRELOAD", text).map(|check| check.verdict);
        assert_eq!(verdict("libeatmydata.so"), Some(Verdict::Fault));
        assert_eq!(
            verdict("/usr/lib/libjemalloc.so:/usr/lib/x86_64/libeatmydata.so.1"),
            Some(Verdict::Fault)
        );
        assert_eq!(verdict("/opt/nosync/libjemalloc.so"), Some(Verdict::Warn));
        assert_eq!(verdict(" \n"), None);
        assert_eq!(preload_of(b"A=b\0LD_PRELOAD=x.so\0C=d").as_deref(), Some("x.so"));
        assert_eq!(preload_of(b"A=LD_PRELOAD=x.so\0"), None);
    }
}
