//! The store through power cuts. A kill leaves the page cache; a cut does not, and that is where sled alone loses events.
//!
//! The cut: a file system on a loop device is shut down under load (`FS_IOC_SHUTDOWN` without flushing its log), so that
//! what was never synced is gone; then it is mounted again, as after a reboot, and everything acknowledged must be there.
//! Needs root and loop devices, and says so loudly where it has none. `HOOKYARD_POWER_CUTS=N` makes more cuts.
//! A disk of its own is also where a full one is tried.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::store_kill::ledger::Ledger;
use crate::store_kill::load::{Load, random_below};

const CUTS: u64 = 30;
/// Cuts after which a new, empty store is made, so that young ones are cut too.
const CUTS_A_STORE: u64 = 6;
/// Lines that the load has said when it is cut down, at most: it says some hundred in a second, here.
const LINES_BEFORE_CUT_MAX: u64 = 2000;
/// `_IOR('X', 125, __u32)` with `FSOP_GOING_FLAGS_NOLOGFLUSH`.
const SHUT_DOWN: &str = "import fcntl, os, struct, sys\n\
    fd = os.open(sys.argv[1], os.O_RDONLY)\n\
    fcntl.ioctl(fd, 0x8004587D, struct.pack('I', 2))\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_takes_nothing_that_was_acknowledged() {
    let Some(disk) = Disk::make(2 << 30) else { return };
    let asked = std::env::var("HOOKYARD_POWER_CUTS").ok();
    let cuts = asked.map_or(CUTS, |cuts| cuts.parse().expect("HOOKYARD_POWER_CUTS is a number"));
    let (mut ledger, mut events) = (Ledger::default(), 0);
    for cut in 0..cuts {
        let store = disk.mount.join(format!("store-{}", cut / CUTS_A_STORE));
        if cut % CUTS_A_STORE == 0 {
            events += ledger.events();
            ledger = Ledger::default();
            disk.clear();
        }
        let load = Load::start(&store, cut + 1, &[]);
        load.wait_open();
        load.wait_said(random_below(LINES_BEFORE_CUT_MAX));
        disk.cut();
        let ended = load.wait_failed(Duration::from_secs(20));
        let failure = ended.failure.expect("a store without a disk says that it failed");
        assert!(failure.contains("takes no more writes until a restart"), "cut {cut}: {failure}");
        ledger.take(&ended.lines);
        disk.mount_again();
        ledger.check(&store, &format!("after cut {cut}")).await;
    }
    eprintln!("{cuts} power cuts: {} events in stores before; the last: {}", events, ledger.summary());
    assert!(events + ledger.events() > 1000, "the load is one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_and_the_store_opens_on_it() {
    let Some(disk) = Disk::make(400 << 20) else { return };
    let store = disk.mount.join("store");
    let mut ledger = Ledger::default();
    let load = Load::start(&store, 1, &[]);
    load.wait_open();
    load.wait_said(500);
    // Somebody else takes all that is left, faster than the store looks.
    disk.fill();
    let ended = load.wait_failed(Duration::from_secs(30));
    let failure = ended.failure.expect("a write that found no room is told");
    let told = ["No space left on device", "the disk is nearly full"];
    assert!(told.iter().any(|words| failure.contains(words)), "{failure}");
    ledger.take(&ended.lines);
    assert!(ledger.events() > 50, "the load is one: {}", ledger.summary());
    disk.fill();
    ledger.check(&store, "on the full disk").await;
    assert!(!store.join("ballast").exists(), "the ballast was given up, so that the store could open");
    std::fs::remove_file(disk.mount.join("other")).unwrap();
    ledger.check(&store, "with room again").await;
}

/// A file system of its own, on a file; unmounted and removed when dropped.
pub(crate) struct Disk {
    _dir: tempfile::TempDir,
    pub(crate) image: PathBuf,
    pub(crate) mount: PathBuf,
}

impl Disk {
    /// `None`, and a loud word, where this user cannot have one.
    pub(crate) fn make(bytes: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
        std::fs::create_dir(&mount).unwrap();
        std::fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        let disk = Self { _dir: dir, image, mount };
        let made =
            run("mkfs.ext4", &["-q", "-F", "-m", "0", path(&disk.image)]).and_then(|()| disk.try_mount());
        match made {
            Ok(()) => Some(disk),
            Err(why) => {
                eprintln!(
                    "SKIPPED the tests of power cuts and full disks: they need root, loop devices and ext4: {why}"
                );
                None
            }
        }
    }

    fn try_mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", path(&self.image), path(&self.mount)])
    }

    /// From here on nothing reaches the disk, and what had not is gone.
    pub(crate) fn cut(&self) {
        run("python3", &["-c", SHUT_DOWN, path(&self.mount)]).unwrap();
    }

    /// Leaves not a block free, at once.
    pub(crate) fn fill(&self) {
        let other =
            std::fs::File::options().create(true).append(true).open(self.mount.join("other")).unwrap();
        loop {
            let free = statvfs(&self.mount).unwrap();
            let at = other.metadata().unwrap().len();
            // Some of it the file system keeps for its own tables.
            let some = (1..8).map(|part| free.f_bavail * free.f_frsize / part).find(|bytes| {
                *bytes >= 4096 && fallocate(&other, FallocateFlags::empty(), at, *bytes).is_ok()
            });
            if some.is_none() {
                return;
            }
        }
    }

    /// As after a reboot: the page cache is gone, the file system's own log is replayed.
    pub(crate) fn mount_again(&self) {
        run("umount", &[path(&self.mount)]).unwrap();
        self.try_mount().unwrap();
    }

    fn clear(&self) {
        for entry in std::fs::read_dir(&self.mount).unwrap() {
            let entry = entry.unwrap().path();
            if entry.file_name().is_some_and(|name| name != "lost+found") {
                std::fs::remove_dir_all(entry).unwrap();
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that a failed test left behind may still stand in it.
        let _was_not_mounted = run("umount", &["--lazy", path(&self.mount)]);
    }
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let said = |output: Output| {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(()) } else { Err(format!("{program}: {}: {words}", output.status)) }
    };
    Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))
        .and_then(said)
}
