//! The store under `kill -9`: at random moments under load, and while it opens. Whatever it had acknowledged is there
//! afterwards, and everything fits together.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

pub(crate) mod ledger;
pub(crate) mod load;

use std::time::Duration;

use hookyard::model::clock::Stopwatch;
use ledger::Ledger;
use load::Load;

const KILLS: u64 = 20;
const KILLS_IN_OPEN: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_store_holds_everything_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    for kill in 0..KILLS {
        let load = Load::start(dir.path(), kill + 1, &[]);
        load.wait_open();
        tokio::time::sleep(Duration::from_millis(40 + load::random_below(300))).await;
        let ended = load.kill();
        assert_eq!(ended.failure, None, "the store did not fail by itself");
        ledger.take(&ended.lines);
        ledger.check(dir.path(), &format!("after kill {kill}")).await;
    }
    eprintln!("{KILLS} kills under load: {}", ledger.summary());
    assert!(ledger.events() > 1000, "the load is one: {}", ledger.summary());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_killed_while_it_opens_opens_the_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    let load = Load::start(dir.path(), 1, &[]);
    load.wait_open();
    tokio::time::sleep(Duration::from_secs(1)).await;
    ledger.take(&load.kill().lines);

    let watch = Stopwatch::start();
    let load = Load::start(dir.path(), 2, &["idle"]);
    load.wait_open();
    let opening = u64::try_from(watch.elapsed().as_micros()).unwrap();
    load.kill();
    let mut cut_short = 0;
    for kill in 0..KILLS_IN_OPEN {
        // A little is added between the kills, so that each open has a log to read and a snapshot to write.
        let more = Load::start(dir.path(), 10 + kill, &[]);
        more.wait_open();
        tokio::time::sleep(Duration::from_millis(30)).await;
        ledger.take(&more.kill().lines);
        for _ in 0..2 {
            let load = Load::start(dir.path(), 0, &["idle"]);
            tokio::time::sleep(Duration::from_micros(load::random_below(opening))).await;
            let ended = load.kill();
            cut_short += u64::from(ended.lines.is_empty());
        }
        if kill % 4 == 3 {
            ledger.check(dir.path(), &format!("after kill {kill} in open")).await;
        }
    }
    eprintln!(
        "{cut_short} of {} kills came before the store was open: {}",
        2 * KILLS_IN_OPEN,
        ledger.summary()
    );
    assert!(cut_short >= KILLS_IN_OPEN / 2, "enough of the kills hit an open: {cut_short}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_killed_while_it_is_made_can_be_made() {
    for _ in 0..KILLS_IN_OPEN {
        let dir = tempfile::tempdir().unwrap();
        let load = Load::start(dir.path(), 1, &["idle"]);
        tokio::time::sleep(Duration::from_micros(load::random_below(30_000))).await;
        load.kill();
        Ledger::default().check(dir.path(), "after a kill in the first open").await;
    }
}
