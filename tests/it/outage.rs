//! A handler that is down while events arrive, beside one that is well: the one's backlog is nothing to the other, survives
//! a kill, and is drained once the handler is up. `tests/load/outage` is the long form, with figures.
//!
//! What was done is read from the files that the handlers write, not from the daemon.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use tokio::task::JoinSet;

use crate::stripe::{self, Poster, SECRET};
use crate::yard::{Yard, profile_dir};

const EVENTS: usize = 2_000;
/// Requests at once.
const POSTERS: usize = 16;
/// Of each handler.
const CONCURRENCY: usize = 4;

/// The same plugin twice, each with files of its own. A call that hangs does so for longer than the test takes, and a
/// retry comes soon.
const HANDLERS: &str = r#"
[plugin.outage]
path = "LIBRARIES/libhookyard_test_outage.so"

[handler.well]
plugin = "outage"
concurrency = 4
settings = { down = "well.down", calls = "well.calls" }

[handler.ill]
plugin = "outage"
concurrency = 4
timeout = "10m"
retry = { first = "1s", factor = 2.0, max = "4s", attempts = 1000 }
settings = { down = "ill.down", calls = "ill.calls" }

[[rule]]
name = "both"
handlers = ["well", "ill"]
when = { type = "for.both" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_backlog_of_a_handler_that_is_down_is_kept_and_drained_and_no_other_waits_for_it() {
    let mut yard = Yard::shipped();
    yard.edit_config(|text| text + &HANDLERS.replace("LIBRARIES", profile_dir().to_str().unwrap()));
    let poster = yard.start().await;

    down(&yard, "refuse");
    post_all(&poster, 0..EVENTS).await;
    let all = EVENTS as u64;
    let counts = yard.wait_for_counts("the well one has all", |counts| counts["delivered"] == all).await;
    assert_eq!(backlog(&counts), all, "{counts}");
    assert!(calls(&yard, "ill").is_empty());

    yard.kill();
    // Before the start: calls that are refused at once would let deliveries be leased ahead.
    down(&yard, "hang");
    let poster = yard.start().await;
    let counts = &yard.ask(&["status"])["counts"];
    assert_eq!(backlog(counts), all, "it survives a kill: {counts}");

    // Every place of the ill one is taken, and all of its backlog waits: the other has its next event all the same.
    yard.wait_for_counts("every place is taken", |counts| counts["leased"] == CONCURRENCY).await;
    post_all(&poster, EVENTS..EVENTS + 1).await;
    let counts = yard.wait_for_counts("the well one goes on", |counts| counts["delivered"] == all + 1).await;
    assert_eq!(backlog(&counts), all + 1, "{counts}");

    std::fs::remove_file(yard.path("ill.down")).unwrap();
    let drained = |counts: &Value| counts["delivered"] == 2 * (all + 1);
    let counts = yard.wait_for_counts("the backlog is drained", drained).await;
    assert_eq!((&counts["dead"], &counts["pending"], &counts["leased"]), (&0.into(), &0.into(), &0.into()));
    for handler in ["well", "ill"] {
        let calls = calls(&yard, handler);
        assert_eq!(calls.len(), EVENTS + 1, "{handler} had every event");
        assert!(calls.values().all(|of_event| of_event.len() == 1), "{handler} did nothing twice");
        let at_once = calls.values().flatten().max().copied();
        assert!(at_once <= Some(CONCURRENCY), "{handler}: {at_once:?} calls at once");
    }
    assert_eq!(yard.terminate().code(), Some(0));
}

/// From now on the ill handler is so.
fn down(yard: &Yard, how: &str) {
    // Renamed, so that a call reads all of it or nothing of it.
    std::fs::write(yard.path("ill.next"), how).unwrap();
    std::fs::rename(yard.path("ill.next"), yard.path("ill.down")).unwrap();
}

async fn post_all(poster: &Poster, numbers: std::ops::Range<usize>) {
    let mut posting = JoinSet::new();
    for first in numbers.start..numbers.end.min(numbers.start + POSTERS) {
        let (poster, mine) = (poster.clone(), (first..numbers.end).step_by(POSTERS));
        posting.spawn(async move {
            for number in mine {
                let body = event(number);
                let answer =
                    poster.try_post(&body, &stripe::sign(&body, SECRET, stripe::now())).await.unwrap();
                assert_eq!(answer.status, 200, "the door answers while a handler is down: {answer:?}");
            }
        });
    }
    posting.join_all().await;
}

fn event(number: usize) -> Vec<u8> {
    let object = r#""object": "event", "type": "for.both", "livemode": true, "data": {"object": {}}"#;
    format!(r#"{{"id": "evt_outage_{number}", {object}}}"#).into_bytes()
}

/// Deliveries that are not done.
fn backlog(counts: &Value) -> u64 {
    counts["pending"].as_u64().unwrap() + counts["leased"].as_u64().unwrap()
}

/// Each event that the handler has done, with how many calls ran at once each time.
fn calls(yard: &Yard, handler: &str) -> BTreeMap<String, Vec<usize>> {
    let path: PathBuf = yard.path(&format!("{handler}.calls"));
    let mut calls: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        calls.entry(words[0].to_owned()).or_default().push(words[4].parse().unwrap());
    }
    calls
}
