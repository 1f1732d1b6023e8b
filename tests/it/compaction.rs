//! `hookyard store compact`: the space of what was removed comes back, and a kill at any moment costs nothing.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use hookyard::model::clock::SystemClock;
use hookyard::store::Store;
use hookyard::store::sled::{SledOptions, SledStore};

use crate::store_kill::ledger::Ledger;
use crate::store_kill::load::{Load, random_below};
use crate::stripe::{another_purchase, fixture};
use crate::yard::Yard;

const KILLS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_compacts_a_stopped_store() {
    let mut yard = Yard::shipped();
    let poster = yard.start().await;
    let purchase = poster.post(&fixture("01")).await.event();
    for number in 0..50 {
        poster.post(&another_purchase("01", number)).await;
    }
    yard.wait_until_settled(51).await;

    let refused = yard.run(&["store", "compact"]);
    assert_eq!(refused.status.code(), Some(74));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("in use by another process"), "{said}");
    assert_eq!(yard.ask(&["status"])["counts"]["events"], 51, "the daemon goes on");

    assert_eq!(yard.terminate().code(), Some(0));
    let told = yard.ask(&["store", "compact"]);
    // Of each purchase at least its event, its key, its delivery and its step; bodies are packed to half or less.
    assert!(told["rows"].as_u64() >= Some(51 * 4), "{told}");
    for size in ["row_bytes", "before_bytes", "after_bytes"] {
        assert!(told[size].as_u64() > Some(51 * 2000), "{told}");
    }
    let words = yard.run(&["store", "compact"]);
    let said = String::from_utf8_lossy(&words.stdout).into_owned();
    for part in ["every one checked", "before ", "after ", " KiB"] {
        assert!(said.contains(part), "`{part}` is missing in:\n{said}");
    }

    let poster = yard.start().await;
    assert_eq!(yard.ask(&["status"])["counts"]["delivered"], 51);
    let again = poster.post(&fixture("01")).await;
    assert_eq!((again.body["status"].as_str(), again.event()), (Some("duplicate"), purchase));
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let yard = Yard::shipped();
    let refused = yard.run(&["store", "compact"]);
    assert_eq!(refused.status.code(), Some(66));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("there is no store in var/hookyard"), "{said}");
    assert!(!yard.path("var/hookyard").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_while_compacting_loses_nothing() {
    let yard = Yard::shipped();
    let store = yard.path("var/hookyard");
    std::fs::create_dir_all(&store).unwrap();
    let mut ledger = Ledger::default();
    let load = Load::start(&store, 1, &[]);
    load.wait_open();
    tokio::time::sleep(Duration::from_millis(700)).await;
    ledger.take(&load.kill().lines);
    // The first one also brings sled up to date with the journal: how long the kills have is seen by the second.
    assert!(yard.run(&["store", "compact"]).status.success());
    let watch = hookyard::model::clock::Stopwatch::start();
    assert!(yard.run(&["store", "compact"]).status.success());
    let whole = u64::try_from(watch.elapsed().as_micros()).unwrap();

    let mut cut_short = 0;
    for kill in 0..KILLS {
        let mut compacting =
            yard.command(&["store", "compact"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_micros(random_below(whole))).await;
        compacting.kill().unwrap();
        cut_short += usize::from(!compacting.wait().unwrap().success());
        if kill % 3 == 2 {
            ledger.check(&store, &format!("after kill {kill} while compacting")).await;
        }
    }
    eprintln!("{cut_short} of {KILLS} kills came before the end: {}", ledger.summary());
    assert!(cut_short > KILLS / 3, "the kills hit: {cut_short}");
    assert!(yard.run(&["store", "compact"]).status.success(), "whatever was left");
    ledger.check(&store, "at the end").await;
    let options = SledOptions::new(&store);
    let opened = SledStore::open(&options, Arc::new(SystemClock)).unwrap();
    assert_eq!(opened.verify().await.unwrap(), Vec::<String>::new());
    opened.close().await.unwrap();
}
