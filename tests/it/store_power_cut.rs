//! The store through power cuts. A kill leaves the page cache; a cut does not, and that is where sled alone loses events.
//!
//! The cut: a file system on a loop device is shut down under load (`FS_IOC_SHUTDOWN` without flushing its log), so that
//! what was never synced is gone; then it is mounted again, as after a reboot, and everything acknowledged must be there.
//! Needs root and loop devices, and says so loudly where it has none. `HOOKYARD_POWER_CUTS=N` makes more cuts.
//! A disk of its own is also where a full one is tried.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

use std::time::Duration;

use tokio::task::JoinSet;

use crate::disk::{Disk, say};
use crate::store_kill::ledger::Ledger;
use crate::store_kill::load::{Load, random_below};

const CUTS: u64 = 200;
/// Disks that are cut side by side: while one waits for its disk, another works.
pub(crate) const LANES: u64 = 2;
const DISK_BYTES: u64 = 2 << 30;
/// Cuts after which a new, empty store is made, so that young ones are cut too.
const CUTS_A_STORE: u64 = 6;
/// Lines that the load has said when it is cut down, at most: a third of a second, and sled gets what is older than a fifth.
const LINES_BEFORE_CUT_MAX: u64 = 2500;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_power_cut_takes_nothing_that_was_acknowledged() {
    let Some(disks) = disks() else { return };
    let cuts = cuts_asked().unwrap_or(CUTS);
    let mut lanes = JoinSet::new();
    for (lane, disk) in (0..).zip(disks) {
        lanes.spawn(async move { cut_and_check(&disk, (lane..cuts).step_by(LANES as usize)).await });
    }
    let events: usize = lanes.join_all().await.into_iter().sum();
    say(&format!("{cuts} power cuts of the store: {events} events acknowledged, none lost"));
    assert!(events as u64 > 30 * cuts, "the load is one: {events} events");
}

/// A disk for each lane; none where this user cannot have them.
pub(crate) fn disks() -> Option<Vec<Disk>> {
    (0..LANES).map(|_| Disk::make(DISK_BYTES)).collect()
}

/// How many cuts the environment asks for.
pub(crate) fn cuts_asked() -> Option<u64> {
    let asked = std::env::var("HOOKYARD_POWER_CUTS").ok()?;
    Some(asked.parse().expect("HOOKYARD_POWER_CUTS is a number"))
}

/// Makes these cuts one after the other. Gives how many events were acknowledged.
async fn cut_and_check(disk: &Disk, cuts: impl Iterator<Item = u64>) -> usize {
    let (mut ledger, mut events) = (Ledger::default(), 0);
    for (nth, cut) in (0..).zip(cuts) {
        let store = disk.mount.join(format!("store-{}", nth / CUTS_A_STORE));
        if nth % CUTS_A_STORE == 0 {
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
    events + ledger.events()
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
    let ended = load.wait_failed(Duration::from_secs(60));
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
