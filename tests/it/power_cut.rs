//! The real daemon through power cuts, under real load: events of every size are accepted, routed and fulfilled, old ones
//! removed, segments of the journal switched and used again, when the disk under the store is gone at once.
//!
//! Only the store stands on that disk. The database and the mails of the plugins are elsewhere and keep what was done, as
//! the rest of the world does: so a step that is forgotten by a cut and done again would show as a second purchase or a
//! second mail. `HOOKYARD_POWER_CUTS=N` makes more cuts, here and of the store alone (`store_power_cut.rs`).

use std::os::unix::fs::DirBuilderExt;

use tokio::task::JoinSet;

use crate::disk::{Disk, say};
use crate::kill::{Load, assert_each_fulfilled_once, free_port};
use crate::store_kill::load::random_below;
use crate::store_power_cut::{LANES, cuts_asked, disks};
use crate::yard::Yard;

const CUTS: u64 = 40;
/// Purchases acknowledged between a start and its cut, at most.
const PURCHASES_MAX: u64 = 60;
/// The largest event: the door takes a megabyte.
const PADDING_BYTES_MAX: usize = 900 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn power_cuts_under_load_lose_nothing_and_fulfil_nothing_twice() {
    let Some(disks) = disks() else { return };
    let cuts = cuts_asked().unwrap_or(CUTS).div_ceil(LANES);
    let mut lanes = JoinSet::new();
    for disk in disks {
        lanes.spawn(async move { cut_and_check(&disk, cuts).await });
    }
    let acknowledged: usize = lanes.join_all().await.into_iter().sum();
    let cuts = cuts * LANES;
    say(&format!(
        "{cuts} power cuts of the daemon: {acknowledged} purchases acknowledged, each fulfilled once"
    ));
    assert!(acknowledged as u64 > cuts, "the load was too small to show anything");
}

/// One daemon through that many cuts. Gives how many purchases were acknowledged.
async fn cut_and_check(disk: &Disk, cuts: u64) -> usize {
    let mut yard = yard_on(disk);
    let port = free_port();
    yard.edit_config(|text| text.replacen("127.0.0.1:0", &format!("127.0.0.1:{port}"), 1));
    let (load, buyers) = Load::of_sizes(PADDING_BYTES_MAX).start(([127, 0, 0, 1], port).into());
    for cut in 0..cuts {
        yard.start().await;
        let before = load.acknowledged_count().await;
        let wanted = before + usize::try_from(random_below(PURCHASES_MAX)).unwrap();
        while load.acknowledged_count().await < wanted {
            tokio::task::yield_now().await;
        }
        disk.cut();
        let ended = yard.wait_for_end();
        assert_eq!(
            ended.code(),
            Some(74),
            "cut {cut}: a store without a disk ends the daemon\n{}",
            yard.log()
        );
        println!("cut {cut}: {} acknowledged before it", load.acknowledged_count().await - before);
        disk.mount_again();
    }
    load.stop(buyers).await;

    yard.start().await;
    let settled = |counts: &serde_json::Value| {
        counts["to_route"] == 0 && counts["pending"] == 0 && counts["leased"] == 0
    };
    let counts = yard.wait_for_counts("settled", settled).await;
    assert_eq!((&counts["dead"], &counts["unrouted"]), (&0.into(), &0.into()), "{counts}");
    let acknowledged = load.acknowledged.lock().await;
    assert_each_fulfilled_once(&yard, &acknowledged).await;
    assert_eq!(yard.terminate().code(), Some(0));
    assert!(yard.log().contains("removed"), "retention was at work");
    acknowledged.len()
}

/// The shipped config with its store on that disk; what is fulfilled is removed after a second.
fn yard_on(disk: &Disk) -> Yard {
    let yard = Yard::shipped();
    let store = disk.mount.join("store");
    std::fs::DirBuilder::new().mode(0o700).create(&store).unwrap();
    std::fs::create_dir(yard.path("var")).unwrap();
    std::os::unix::fs::symlink(&store, yard.path("var/hookyard")).unwrap();
    yard.edit_config(|text| text.replacen("delivered = \"30d\"", "delivered = \"1s\"", 1));
    yard
}
