//! A new library gets a share of new events first: a good one is promoted, a bad one is rolled back by itself, and whichever
//! it is, nothing is lost and nothing doubled.

use std::fs;

use serde_json::Value;

use crate::plugin_abi::bench::Bench;
use crate::plugin_exchange::{
    Traffic, deliveries, each_fulfilled_once, own_library, refused, replace, text, write,
};
use crate::stripe::Poster;
use crate::yard::{Yard, found};

/// A daemon with a library of its own for sumo, and the hash of that.
async fn yard() -> (Yard, Poster, String) {
    let mut yard = Yard::shipped();
    own_library(&yard);
    let poster = yard.start().await;
    let first = yard.handler("sumo")["sha256"].as_str().unwrap().to_owned();
    (yard, poster, first)
}

/// Puts the tests' smallest plugin in sumo's place on the disk.
fn put_stub(yard: &Yard, define: &str) {
    let stub = Bench::new();
    let library = stub.compile("stub", &[define]);
    write(&yard.path("plugins/libsumo.so"), &fs::read(library).unwrap());
}

/// Pins what stands there and begins a canary with it: its hash.
fn begin(yard: &Yard, more: &[&str]) -> String {
    let locked = yard.run(&["plugin", "lock", "sumo"]);
    assert!(locked.status.success(), "{}", text(&locked.stderr));
    let args: Vec<&str> =
        ["plugin", "reload", "sumo", "--canary", "50%"].iter().chain(more).copied().collect();
    let change = yard.ask(&args);
    assert_eq!((&change["how"], &change["share"]), (&"canary".into(), &"50%".into()), "{change}");
    change["sha256"].as_str().unwrap().to_owned()
}

/// What happened to sumo's libraries, newest first.
fn history(yard: &Yard) -> Vec<String> {
    let record = yard.ask(&["plugin", "history", "sumo"]);
    let words = |entry: &Value| entry["how"].as_str().unwrap().to_owned();
    record.as_array().unwrap().iter().map(words).collect()
}

async fn wait_for(yard: &Yard, how: &str) {
    let there = found(|| (history(yard)[0] == how).then_some(())).await;
    there.unwrap_or_else(|| panic!("never {how}: {:?}", history(yard)));
}

/// The daemon was killed and runs again: how sumo is, once its hosts are up.
async fn started_again(yard: &mut Yard) -> (Poster, Value) {
    yard.kill();
    let poster = yard.start().await;
    let first_words = || {
        let handlers = yard.ask(&["status"])["handlers"].as_array().unwrap().clone();
        let sumo = handlers.into_iter().find(|handler| handler["handler"] == "sumo")?;
        // Between its host and the canary's there is a moment when nothing is known of either's trial.
        let told = !sumo["canary"].is_null() || !sumo["rolled_back_why"].is_null();
        (sumo["up"] == true && told).then_some(sumo)
    };
    let sumo = found(first_words).await.unwrap_or_else(|| panic!("sumo is not back:\n{}", yard.log()));
    (poster, sumo)
}

/// The traffic ends, and all that was posted is delivered and fulfilled, once: how many that were.
async fn all_fulfilled(yard: &Yard, traffic: Traffic) -> usize {
    let posted = traffic.end().await;
    let counts = yard.wait_until_settled(posted as u64).await;
    assert_eq!((&counts["delivered"], &counts["dead"]), (&posted.into(), &0.into()), "{counts}");
    each_fulfilled_once(yard, posted).await;
    posted
}

/// Waits until twenty deliveries more are made.
async fn wait_for_more(yard: &Yard) {
    let delivered = || yard.ask(&["status"])["counts"]["delivered"].as_u64().unwrap();
    let before = delivered();
    found(|| (delivered() > before + 20).then_some(())).await.expect("deliveries go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_library_is_promoted_by_itself_or_at_a_word_and_nothing_is_lost_or_doubled() {
    let (mut yard, poster, first) = yard().await;
    let traffic = Traffic::begin(poster, 0);
    replace(&yard, 1);
    let second = begin(&yard, &["--promote-after", "20"]);
    wait_for(&yard, "promote").await;
    assert_eq!(yard.handler("sumo")["sha256"], *second);
    assert_eq!(yard.handler("sumo")["rolled_back"], false);

    replace(&yard, 2);
    let third = begin(&yard, &[]);
    let canary = || yard.handler("sumo")["canary"].clone();
    let shared = || (canary()["new"]["answered"].as_u64() > Some(5)).then_some(());
    found(shared).await.expect("the canary has a share");
    assert_eq!(
        (&yard.handler("sumo")["sha256"], &canary()["host"]["sha256"]),
        (&Value::from(&*second), &Value::from(&*third))
    );
    let shown = text(&yard.run(&["status"]).stdout);
    assert!(
        shown.contains("└ canary") && shown.contains("the canary of sumo gets 50% of the events since "),
        "{shown}"
    );
    let change = yard.ask(&["plugin", "promote", "sumo"]);
    assert_eq!((&change["before"], &change["sha256"]), (&Value::from(&*second), &Value::from(&*third)));
    replace(&yard, 3);
    let fourth = begin(&yard, &[]);
    let change = yard.ask(&["plugin", "reload", "sumo"]);
    assert_eq!((&change["how"], &change["sha256"]), (&"promote".into(), &Value::from(&*fourth)));
    wait_for_more(&yard).await;

    let posted = traffic.end().await;
    let counts = yard.wait_until_settled(posted as u64).await;
    assert_eq!(counts["delivered"], posted, "{counts}");
    assert!(deliveries(&yard, posted).iter().all(|delivery| delivery["attempts"] == 1));
    each_fulfilled_once(&yard, posted).await;
    assert_eq!(history(&yard), ["promote", "canary", "promote", "canary", "promote", "canary", "start"]);
    let record = yard.ask(&["plugin", "history", "sumo"]);
    assert_eq!((&record[4]["by"], &record[4]["before"]), (&"hookyard".into(), &Value::from(&*first)));
    assert_eq!(record[5]["why"], "50% of new events, all of them after 20 deliveries");
    assert_eq!(
        yard.ask(&["plugin", "rollback", "sumo"])["sha256"],
        *third,
        "the way back is that of a reload"
    );
    assert_eq!(yard.terminate().code(), Some(0), "{}", yard.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_that_crashes_is_rolled_back_by_itself_and_a_start_does_not_take_it() {
    let (mut yard, poster, first) = yard().await;
    let traffic = Traffic::begin(poster, 0);
    wait_for_more(&yard).await;
    put_stub(&yard, "ABORT");
    let bad = begin(&yard, &[]);
    wait_for(&yard, "canary rollback").await;
    wait_for_more(&yard).await;
    let posted = all_fulfilled(&yard, traffic).await;
    let record = yard.ask(&["plugin", "history", "sumo"])[0].clone();
    assert_eq!((&record["before"], &record["sha256"]), (&Value::from(&*bad), &Value::from(&*first)));
    assert!(record["why"].as_str().unwrap().contains("SIGABRT"), "{record}");
    yard.wait_for_log("what the canary rejected or died of is tried again with it by itself").await;

    let (poster, after) = started_again(&mut yard).await;
    assert_eq!((&after["sha256"], &after["rolled_back"]), (&Value::from(&*first), &true.into()));
    assert!(
        after["rolled_back_why"].as_str().unwrap().contains("SIGABRT") && after["canary"].is_null(),
        "{after}"
    );
    let traffic = Traffic::begin(poster, posted);
    wait_for_more(&yard).await;
    replace(&yard, 1);
    begin(&yard, &["--promote-after", "1"]);
    wait_for(&yard, "promote").await;
    all_fulfilled(&yard, traffic).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_that_rejects_all_costs_an_attempt_each_and_leaves_no_dead_letter() {
    let (yard, poster, first) = yard().await;
    let traffic = Traffic::begin(poster, 0);
    put_stub(&yard, "OUTCOME=HOOKYARD_REJECT");
    yard.edit_config(|text| text.replace("[plugin.sumo]", "[plugin.sumo]\ncanary = 0.5"));
    assert!(yard.run(&["plugin", "lock", "sumo"]).status.success());
    assert_eq!(yard.ask(&["plugin", "reload", "sumo"])["share"], "50%", "as the configuration says");
    wait_for(&yard, "canary rollback").await;
    wait_for_more(&yard).await;
    let posted = all_fulfilled(&yard, traffic).await;
    assert_eq!(yard.handler("sumo")["sha256"], *first);
    let why = yard.ask(&["plugin", "history", "sumo"])[0]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("it rejected ") && why.contains("and the library before 0 of "), "{why}");
    let twice: Vec<Value> =
        deliveries(&yard, posted).into_iter().filter(|delivery| delivery["attempts"] == 2).collect();
    assert!(twice.len() >= 3, "the canary had its share: {}", twice.len());
    let event = yard.event(twice[0]["event"].as_str().unwrap());
    let tries = &event["deliveries"][0]["tries"];
    assert_eq!((&tries[0]["outcome"], &tries[0]["code"]), (&"retry".into(), &"canary".into()), "{tries:#}");
    assert_eq!(tries[1]["outcome"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_goes_on_over_reloads_and_starts_and_only_its_end_lets_the_plugin_change() {
    let (mut yard, poster, first) = yard().await;
    assert!(refused(&yard, &["plugin", "promote", "sumo"]).contains("no canary of `sumo` runs"));
    assert!(
        text(&yard.run(&["plugin", "reload", "sumo", "--canary", "80%"]).stderr)
            .contains("from 0.01% to 50%")
    );
    replace(&yard, 1);
    let second = begin(&yard, &[]);
    for args in [
        &["plugin", "reload", "sumo", "--canary", "10%"][..],
        &["plugin", "rollback", "sumo", "--to", &first[..6]],
    ] {
        assert!(refused(&yard, args).contains("a canary of `sumo` runs"), "{args:?}");
    }
    yard.edit_config(|text| text.replace("concurrency = 8", "concurrency = 4"));
    assert!(refused(&yard, &["reload"]).contains("a canary of `sumo` runs"));
    yard.edit_config(|text| text.replace("concurrency = 4", "concurrency = 8").replace("\"30d\"", "\"31d\""));
    let before = yard.handler("sumo");
    yard.ask(&["reload"]);
    let both = |handler: &Value| (handler["pid"].clone(), handler["canary"]["host"]["pid"].clone());
    assert_eq!(both(&yard.handler("sumo")), both(&before), "a reload of something else leaves both alone");

    drop(poster);
    let (poster, after) = started_again(&mut yard).await;
    assert_eq!(
        (&after["sha256"], &after["canary"]["host"]["sha256"]),
        (&Value::from(&*first), &Value::from(&*second))
    );
    assert_eq!(
        (&after["canary"]["began"], &after["canary"]["share"]),
        (&before["canary"]["began"], &"50%".into())
    );
    let traffic = Traffic::begin(poster, 0);
    let shared = || (yard.handler("sumo")["canary"]["new"]["answered"].as_u64() > Some(5)).then_some(());
    found(shared).await.expect("the canary has its share again");
    let change = yard.ask(&["plugin", "rollback", "sumo"]);
    assert_eq!((&change["how"], &change["sha256"]), (&"canary rollback".into(), &Value::from(&*first)));
    assert_eq!(yard.handler("sumo")["rolled_back"], true);
    wait_for_more(&yard).await;
    assert_eq!(yard.ask(&["plugin", "reload", "sumo", "--whole"])["sha256"], *second);
    all_fulfilled(&yard, traffic).await;
    assert_eq!(history(&yard), ["plugin reload", "canary rollback", "canary", "start"]);
    assert_eq!(yard.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_takes_no_library_that_failed_whichever_older_one_runs() {
    let (mut yard, _poster, first) = yard().await;
    replace(&yard, 1);
    assert!(yard.run(&["plugin", "lock", "sumo"]).status.success());
    let second = yard.ask(&["plugin", "reload", "sumo"])["sha256"].clone();
    replace(&yard, 2);
    begin(&yard, &[]);
    assert_eq!(yard.ask(&["plugin", "rollback", "sumo"])["sha256"], second);
    assert_eq!(yard.ask(&["plugin", "rollback", "sumo"])["sha256"], *first);
    let (_poster, after) = started_again(&mut yard).await;
    assert_eq!((&after["sha256"], &after["rolled_back"]), (&Value::from(&*first), &true.into()), "{after}");
    assert_eq!(yard.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_of_everything_begins_the_canary_that_is_configured_and_takes_the_rest() {
    let (mut yard, poster, first) = yard().await;
    yard.edit_config(|text| text.replace("[plugin.sumo]", "[plugin.sumo]\ncanary = 0.5"));
    let reloaded = yard.ask(&["reload"]);
    assert_eq!(reloaded["canaries"], serde_json::json!([]), "the same library: {reloaded}");
    let direct = yard.handler("direct")["pid"].clone();

    replace(&yard, 1);
    assert!(yard.run(&["plugin", "lock", "sumo"]).status.success());
    yard.edit_config(|text| text.replace("concurrency = 8", "concurrency = 4"));
    let said = refused(&yard, &["reload"]);
    assert!(
        said.contains("the library of `sumo` is new, and so is more of it: ") && said.contains("50%"),
        "{said}"
    );
    yard.edit_config(|text| text.replace("concurrency = 4", "concurrency = 8").replace("\"30d\"", "\"31d\""));
    let reloaded = yard.ask(&["reload"]);
    assert_eq!(
        (&reloaded["canaries"], &reloaded["new_hosts"]),
        (&serde_json::json!(["sumo"]), &serde_json::json!([]))
    );
    assert!(reloaded["changes"].as_array().unwrap().len() >= 2, "the retention too: {reloaded}");
    let sumo = yard.handler("sumo");
    assert_eq!((&sumo["sha256"], &sumo["canary"]["share"]), (&Value::from(&*first), &"50%".into()));
    let second = sumo["canary"]["host"]["sha256"].clone();
    assert_ne!(second, *first);
    assert_eq!(yard.handler("direct")["pid"], direct, "nobody else is touched");
    assert_eq!(yard.ask(&["reload"])["canaries"], serde_json::json!([]), "it runs already");

    let traffic = Traffic::begin(poster, 0);
    let shared = || (yard.handler("sumo")["canary"]["new"]["answered"].as_u64() > Some(5)).then_some(());
    found(shared).await.expect("the canary has its share");
    assert_eq!(yard.ask(&["plugin", "promote", "sumo"])["sha256"], second);
    all_fulfilled(&yard, traffic).await;
    assert_eq!(history(&yard), ["promote", "canary", "start"]);

    put_stub(&yard, "NULL_DESCRIPTOR");
    assert!(yard.run(&["plugin", "lock", "sumo"]).status.success());
    yard.edit_config(|text| text.replace("\"31d\"", "\"32d\""));
    let before = yard.ask(&["status"])["snapshot"].clone();
    refused(&yard, &["reload"]);
    assert_eq!(yard.ask(&["status"])["snapshot"], before, "a canary that does not start refuses all of it");
    assert!(yard.handler("sumo")["canary"].is_null());
    assert_eq!(yard.terminate().code(), Some(0));
}
