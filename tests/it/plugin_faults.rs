//! A plugin that segfaults, panics, aborts or hangs, in the real daemon: each costs its attempts and nothing else.

use serde_json::Value;

use crate::stripe::{another_purchase, fixture};
use crate::yard::{Yard, found};

const FAULTS: [&str; 4] = ["segfault", "panic", "abort", "hang"];

/// A second team's handler beside the shipped ones, for events whose type is a misbehaviour.
const BAD_HANDLER: &str = r#"
[plugin.bad]
path = "LIBRARIES/libhookyard_test_misbehave.so"

[handler.bad]
plugin = "bad"
concurrency = CONCURRENCY
timeout = "TIMEOUT"
retry = { first = "1s", factor = 1.0, max = "1s", attempts = ATTEMPTS, jitter = 0.0 }
settings = {}

[[rule]]
name = "what misbehaves"
handlers = ["bad"]
when = { type = ["segfault", "panic", "abort", "hang", "hang.politely", "well", "step", "step.crash_inside"] }
"#;

/// Adds the handler to a yard's config; it has one call at a time.
pub(crate) fn bad_handler(yard: &Yard, timeout: &str, attempts: u32) {
    bad_handlers(yard, timeout, attempts, 1);
}

pub(crate) fn bad_handlers(yard: &Yard, timeout: &str, attempts: u32, concurrency: u32) {
    let handler = BAD_HANDLER
        .replace("LIBRARIES", crate::yard::profile_dir().to_str().unwrap())
        .replace("TIMEOUT", timeout)
        .replace("CONCURRENCY", &concurrency.to_string())
        .replace("ATTEMPTS", &attempts.to_string());
    yard.edit_config(|text| text + &handler);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_plugin_costs_its_attempts_and_nothing_else() {
    let mut yard = Yard::shipped();
    bad_handler(&yard, "3s", 2);
    let poster = yard.start().await;
    let sumo_before = yard.handler("sumo");

    let mut faults = Vec::new();
    for fault in FAULTS {
        let answer = poster.post(&event(fault)).await;
        assert_eq!(answer.status, 200, "the door answers while plugins fail");
        faults.push((fault, answer.event()));
    }
    let purchase = poster.post(&fixture("01")).await.event();
    yard.wait_for_counts("the purchase is fulfilled", |counts| counts["delivered"] == 1).await;
    assert_eq!(yard.event(&purchase)["deliveries"][0]["state"], "delivered");

    yard.wait_for_counts("all faults are dead letters", |counts| counts["dead"] == 4).await;
    for (fault, id) in &faults {
        let event = yard.event(id);
        let tries = event["deliveries"][0]["tries"].as_array().unwrap();
        assert_eq!(tries.len(), 2, "{fault}: {tries:#?}");
        assert!(tries.iter().all(|attempt| says_what_happened(fault, attempt)), "{fault}: {tries:#?}");
    }

    let well = poster.post(&event("well")).await.event();
    yard.wait_for_counts("the same plugin works again", |counts| counts["delivered"] == 2).await;
    assert_eq!(yard.event(&well)["deliveries"][0]["tries"].as_array().unwrap().len(), 1);
    let (sumo, bad) = (yard.handler("sumo"), yard.handler("bad"));
    assert_eq!(
        (&sumo["pid"], &sumo["crashes"]),
        (&sumo_before["pid"], &Value::from(0)),
        "sumo's host lives on"
    );
    assert!(bad["crashes"].as_u64() >= Some(3) && bad["up"] == true, "{bad}");
    assert_eq!(yard.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_a_plugin_dies_of_is_a_dead_letter_and_its_siblings_are_delivered() {
    const SIBLINGS: usize = 60;
    let mut yard = Yard::shipped();
    bad_handlers(&yard, "30s", 20, 8);
    let poster = yard.start().await;
    for number in 0..SIBLINGS / 2 {
        poster.post(&numbered("well", number)).await;
    }
    let poison = poster.post(&event("segfault")).await.event();
    for number in SIBLINGS / 2..SIBLINGS {
        poster.post(&numbered("well", number)).await;
    }
    yard.wait_for_counts("all but one are delivered", |counts| {
        counts["delivered"] == SIBLINGS && counts["dead"] == 1
    })
    .await;
    let delivery = &yard.event(&poison)["deliveries"][0];
    let reason = delivery["reason"].as_str().unwrap();
    for part in
        ["crashed plugin, 3 times in a row", "SIGSEGV", "it had logged: about to write where nothing is"]
    {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(delivery["tries"].as_array().unwrap().len(), 3, "{delivery:#}");
    assert_eq!(yard.handler("bad")["crashes"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_two_processes_one_that_dies_leaves_the_other_and_a_reload_drains_both() {
    let mut yard = Yard::shipped();
    yard.edit_config(|text| text.replace("concurrency = 8", "concurrency = 8\nprocesses = 2"));
    let poster = yard.start().await;
    let before = pids(&yard);
    assert!(before.len() == 2 && before[0] != before[1], "{before:?}");
    let shown = String::from_utf8(yard.run(&["status"]).stdout).unwrap();
    assert!(shown.contains(&format!("up, 2 of 2 processes  {} {}", before[0], before[1])), "{shown}");
    for number in 0..4 {
        assert_eq!(poster.post(&another_purchase("01", number)).await.status, 200);
    }
    let killed = rustix::process::Pid::from_raw(before[0].try_into().unwrap()).unwrap();
    rustix::process::kill_process(killed, rustix::process::Signal::KILL).unwrap();
    let after = found(|| Some(pids(&yard)).filter(|it| it.len() == 2 && it[0] != before[0])).await.unwrap();
    assert_eq!(after[1], before[1], "the other lives on");
    assert_eq!((&yard.handler("sumo")["restarts"], &yard.handler("sumo")["crashes"]), (&1.into(), &1.into()));
    yard.edit_config(|text| text.replace("concurrency = 8", "concurrency = 4"));
    yard.ask(&["reload"]);
    let fresh = pids(&yard);
    assert!(fresh.len() == 2 && fresh.iter().all(|pid| !after.contains(pid)), "{fresh:?}");
    let gone =
        || after.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(());
    found(gone).await.expect("both processes of before are drained and gone");
    let counts = yard.wait_until_settled(4).await;
    assert_eq!(counts["delivered"], 4, "{counts}");
    assert_eq!(yard.mails().len(), 4, "each purchase once");
    assert_eq!(yard.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_shown_with_what_they_remember_or_the_key_to_ask_the_far_side_by() {
    let mut yard = Yard::shipped();
    bad_handler(&yard, "30s", 20);
    let poster = yard.start().await;
    let well = poster.post(&event("step")).await.event();
    yard.wait_for_counts("one is delivered", |counts| counts["delivered"] == 1).await;
    let step = yard.event(&well)["deliveries"][0]["steps"][0].clone();
    assert_eq!((&step["name"], &step["state"]), (&Value::from("charge"), &Value::from("done")), "{step:#}");
    assert_eq!(step["memo"], step["key"], "this step remembers its own key");

    let torn = poster.post(&event("step.crash_inside")).await.event();
    yard.wait_for_counts("the other is a dead letter", |counts| counts["dead"] == 1).await;
    let step = yard.event(&torn)["deliveries"][0]["steps"][0].clone();
    assert_eq!(step["state"], "unsure", "{step:#}");
    let shown = String::from_utf8(yard.run(&["events", "show", &torn]).stdout).unwrap();
    let key = step["key"].as_str().unwrap();
    let words = format!(
        "step charge: unsure, it was begun and its end is not known;\n            if it was done, the far side knows it by the idempotency key {key}\n"
    );
    assert!(shown.contains(&words), "{shown}");
    let alone = String::from_utf8(yard.run(&["deliveries", "show", &format!("{torn}/bad")]).stdout).unwrap();
    assert!(alone.contains(&words) && alone.contains("dead: crashed plugin, 3 times in a row"), "{alone}");
    let other = yard.run(&["deliveries", "show", &format!("{torn}/sumo")]);
    assert_eq!(other.status.code(), Some(65));
    let said = String::from_utf8_lossy(&other.stderr);
    assert!(said.contains("has no delivery to `sumo`: it is to bad"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_plugins_fulfil_within_the_bounds_that_the_shipped_file_suggests() {
    if !crate::plugin_abi::confine::is_possible().await {
        return;
    }
    let mut yard = Yard::shipped();
    const SUGGESTED: &str = "# confine = { read = [\"config\"], write = [\"var\"], network = false }";
    yard.edit_config(|text| {
        assert!(text.contains(SUGGESTED), "the shipped configuration suggests bounds");
        text.replace(SUGGESTED, &SUGGESTED[2..])
    });
    std::fs::create_dir_all(yard.path("var")).unwrap();
    let poster = yard.start().await;
    poster.post(&fixture("01")).await;
    yard.wait_for_counts("the purchase is fulfilled", |counts| counts["delivered"] == 1).await;
    assert_eq!(yard.terminate().code(), Some(0));
}

/// One attempt runs at a time in this handler, so each one's words are about itself.
fn says_what_happened(fault: &str, attempt: &Value) -> bool {
    let outcome = attempt["outcome"].as_str().unwrap();
    let message = attempt["message"].as_str().unwrap();
    match fault {
        "segfault" => outcome == "crashed" && message.contains("SIGSEGV"),
        "abort" => outcome == "crashed" && message.contains("SIGABRT"),
        "panic" => outcome == "retry" && message.contains("made to panic"),
        _ => outcome == "timed out" && message.contains("3s"),
    }
}

/// The processes of sumo.
fn pids(yard: &Yard) -> Vec<u64> {
    let sumo = yard.handler("sumo");
    sumo["processes"].as_array().unwrap().iter().filter_map(|process| process["pid"].as_u64()).collect()
}

/// An event of a type that names a misbehaviour.
pub(crate) fn event(event_type: &str) -> Vec<u8> {
    numbered(event_type, 0)
}

/// One of several events of that type.
pub(crate) fn numbered(event_type: &str, number: usize) -> Vec<u8> {
    format!(
        r#"{{"id": "evt_{event_type}_{number}", "object": "event", "type": "{event_type}", "livemode": true, "data": {{"object": {{}}}}}}"#
    )
    .into_bytes()
}
