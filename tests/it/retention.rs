//! Retention in the real daemon: what is done goes, what is not stays, and a duplicate is known longer than its event.

use hookyard::model::clock::SystemClock;
use hookyard::store::Store;
use hookyard::store::sled::{SledOptions, SledStore};
use serde_json::Value;
use std::sync::Arc;

use crate::stripe::{Poster, another_purchase, fixture};
use crate::yard::{Yard, rows};

/// What is delivered goes after a second; the shipped times for the rest.
fn yard() -> Yard {
    let yard = Yard::shipped();
    yard.edit_config(|text| {
        let edited = text.replace(r#"delivered = "30d""#, r#"delivered = "1s""#);
        assert_ne!(edited, text);
        edited
    });
    yard
}

/// A purchase that the sumo plugin rejects for good: a tier that there is not.
fn dead_letter(number: usize) -> Vec<u8> {
    let text = String::from_utf8(another_purchase("01", number)).unwrap();
    let edited = text.replace("tier_2", "tier_of_nowhere");
    assert_ne!(edited, text);
    edited.into_bytes()
}

fn listed(yard: &Yard) -> Vec<String> {
    let events = yard.ask(&["events", "list"]);
    events["rows"].as_array().unwrap().iter().map(|row| row["event"].as_str().unwrap().to_owned()).collect()
}

fn settled(counts: &Value) -> bool {
    counts["to_route"] == 0 && counts["pending"] == 0 && counts["leased"] == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_goes_and_its_duplicate_is_still_known() {
    let mut yard = yard();
    let poster = yard.start().await;
    let purchase = poster.post(&fixture("01")).await.event();
    let letter = poster.post(&dead_letter(1)).await.event();
    let unrouted = poster.post(&fixture("16")).await.event();
    let gone = |counts: &Value| counts["events"] == 2 && settled(counts);
    let counts = yard.wait_for_counts("pruned", gone).await;
    assert_eq!(
        (&counts["delivered"], &counts["dead"], &counts["unrouted"]),
        (&0.into(), &1.into(), &1.into())
    );
    let mut left = listed(&yard);
    left.sort();
    let mut expected = [letter.clone(), unrouted];
    expected.sort();
    assert_eq!(left, expected);
    assert!(!yard.run(&["events", "show", &purchase]).status.success());
    assert!(yard.log().contains("removed what is no longer kept events=1"), "{}", yard.log());

    for _ in 0..2 {
        let again = poster.post(&fixture("01")).await;
        assert_eq!((again.body["status"].as_str(), again.event()), (Some("duplicate"), purchase.clone()));
    }
    let poster = restart(&mut yard).await;
    let again = poster.post(&fixture("01")).await;
    assert_eq!((again.body["status"].as_str(), again.event()), (Some("duplicate"), purchase));
    assert_eq!(rows(&yard.database().await, "SELECT count(*) FROM purchases").await, ["1"]);
    assert_eq!(yard.event(&letter)["deliveries"][0]["state"], "dead");
}

async fn restart(yard: &mut Yard) -> Poster {
    assert_eq!(yard.terminate().code(), Some(0), "{}", yard.log());
    yard.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_while_pruning_loses_nothing_else() {
    const PURCHASES: usize = 240;
    const LETTERS: usize = 12;
    let mut yard = yard();
    let mut poster = yard.start().await;
    let mut letters = Vec::new();
    for number in 0..LETTERS {
        letters.push(poster.post(&dead_letter(10_000 + number)).await.event());
    }
    let mut first_ids = Vec::new();
    for number in 0..PURCHASES {
        first_ids.push(poster.post(&another_purchase("01", number)).await.event());
        // Kills meet removals, because what was delivered a second ago is removed meanwhile.
        if number % 40 == 39 {
            let pruning =
                |counts: &Value| counts["events"].as_u64() < Some(number as u64 + LETTERS as u64 - 10);
            yard.wait_for_counts("pruning", pruning).await;
            yard.kill();
            poster = yard.start().await;
        }
    }
    let only_letters = |counts: &Value| settled(counts) && counts["events"] == LETTERS;
    yard.wait_for_counts("all but the dead letters pruned", only_letters).await;

    let fulfilled = rows(&yard.database().await, "SELECT count(DISTINCT session_id) FROM purchases").await;
    assert_eq!(fulfilled, [PURCHASES.to_string()]);
    for number in [0, 39, 40, 100, PURCHASES - 1] {
        let again = poster.post(&another_purchase("01", number)).await;
        assert_eq!(again.body["status"], "duplicate", "{again:?}");
        assert_eq!(again.event(), first_ids[number]);
    }
    for letter in &letters {
        assert_eq!(yard.event(letter)["deliveries"][0]["state"], "dead");
    }
    assert_eq!(yard.terminate().code(), Some(0));
    let store = SledStore::open(&SledOptions::new(yard.path("var/hookyard")), Arc::new(SystemClock)).unwrap();
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    store.close().await.unwrap();
}
