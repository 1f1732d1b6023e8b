//! Plugins inside the daemon, in the real daemon: the same work without a process, and what it costs where they fail.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;

use serde_json::Value;

use crate::forward::billing;
use crate::forward::receiver::{Receiver, status};
use crate::plugin_exchange::{Traffic, deliveries, text, write};
use crate::plugin_faults::{bad_handlers, event, numbered};
use crate::stripe::{SECRET, another_purchase, fixture, now, sign};
use crate::yard::{Yard, found};

/// Has a handler's plugin run inside the daemon; each handler begins with these two lines.
fn inline(yard: &Yard, handler: &str, plugin: &str) {
    let before = format!("[handler.{handler}]\nplugin = \"{plugin}\"\n");
    let after = format!("{before}isolation = \"inline\"\n");
    yard.edit_config(|text| {
        assert!(text.contains(&before), "{text}");
        text.replace(&before, &after)
    });
}

/// A yard whose misbehaving plugin runs inside the daemon, and is given up at a stop after a moment.
fn bad_yard(timeout: &str, concurrency: u32) -> Yard {
    let yard = Yard::shipped();
    bad_handlers(&yard, timeout, 20, concurrency);
    inline(&yard, "bad", "bad");
    yard.edit_config(|text| text.replace("# drain_timeout   = \"30s\"", "drain_timeout = \"2s\" #"));
    yard
}

/// A yard that posts every event to this receiver, by a library of its own that runs inside the daemon.
fn forwarding_yard(receiver: &Receiver) -> (Yard, Library) {
    let yard = Yard::shipped();
    billing(&yard, receiver.port(), "id = { present = true }");
    inline(&yard, "billing", "forward");
    // All is for the receiver.
    std::fs::remove_dir_all(yard.path("config/rules")).unwrap();
    let library = Library::of(&yard, "forward");
    (yard, library)
}

fn receiver() -> Receiver {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    Receiver::serve(listener, None, |_| status("200 OK", "", "taken"))
}

/// A plugin's library in the yard, to be replaced.
struct Library {
    shipped: PathBuf,
    path: PathBuf,
}

impl Library {
    fn of(yard: &Yard, plugin: &str) -> Self {
        let name = if plugin == "bad" { "test_misbehave" } else { plugin };
        let shipped = crate::yard::profile_dir().join(format!("libhookyard_{name}.so"));
        let path = yard.path(&format!("plugins/lib{plugin}.so"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        yard.edit_config(|text| text.replace(shipped.to_str().unwrap(), path.to_str().unwrap()));
        let library = Self { shipped, path };
        library.build(0);
        library
    }

    /// Another build: it does the same, and its bytes are others.
    fn build(&self, number: u32) {
        let mut bytes = std::fs::read(&self.shipped).unwrap();
        bytes.extend(number.to_le_bytes());
        write(&self.path, &bytes);
    }
}

fn status_text(yard: &Yard) -> String {
    text(&yard.run(&["status"]).stdout)
}

/// None as long as the first has not ended.
fn the_tries(yard: &Yard, event: &str) -> Vec<Value> {
    yard.event(event)["deliveries"][0]["tries"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_is_delivered_inside_the_daemon_and_shown_as_ever() {
    let receiver = receiver();
    let (mut yard, _) = forwarding_yard(&receiver);
    let poster = yard.start().await;
    let billing = yard.handler("billing");
    assert_eq!(
        (&billing["isolation"], &billing["pid"], &billing["processes"]),
        (&"inline".into(), &Value::Null, &serde_json::json!([]))
    );
    assert_eq!(yard.handler("direct")["isolation"], "process");
    assert!(status_text(&yard).contains("up, shares fate with daemon"), "{}", status_text(&yard));
    assert!(yard.log().contains("a crash of it ends the daemon"), "{}", yard.log());

    let purchase = poster.post(&fixture("01")).await.event();
    yard.wait_for_counts("it is delivered", |counts| counts["delivered"] == 1).await;
    assert_eq!(receiver.requests()[0].body, fixture("01"), "byte for byte");
    let tries = the_tries(&yard, &purchase);
    assert_eq!((tries.len(), &tries[0]["result"]["response"]), (1, &"taken".into()), "{tries:#?}");
    let metrics = crate::routing::metrics(&yard).await;
    let info = metrics.lines().find(|line| line.starts_with("hookyard_plugin_info{handler=\"billing\""));
    assert!(info.is_some_and(|info| info.contains("isolation=\"inline\"")), "{metrics}");
    assert!(metrics.contains("hookyard_handler_hanging_calls{handler=\"billing\"} 0"), "{metrics}");
    let doctor = text(&yard.run(&["doctor", "--dev"]).stdout);
    assert!(doctor.contains("handler `billing` runs `forward` inside the daemon"), "{doctor}");
    assert_eq!(yard.terminate().code(), Some(0), "{}", yard.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_and_log_lines_stand_with_the_delivery() {
    let mut yard = bad_yard("30s", 4);
    let poster = yard.start().await;
    let stepped = poster.post(&event("step")).await.event();
    yard.wait_for_counts("it is delivered", |counts| counts["delivered"] == 1).await;
    let step = yard.event(&stepped)["deliveries"][0]["steps"][0].clone();
    assert_eq!((&step["name"], &step["state"]), (&"charge".into(), &"done".into()), "{step:#}");
    assert_eq!(step["memo"], step["key"], "this step remembers its own key");
    let panicked = poster.post(&event("panic")).await.event();
    let tried = || the_tries(&yard, &panicked).into_iter().next();
    let attempt = found(tried).await.unwrap();
    assert!(attempt["message"].as_str().unwrap().contains("made to panic"), "{attempt:#}");
    let replaced = || (yard.handler("bad")["restarts"].as_u64() >= Some(1)).then_some(());
    found(replaced).await.expect("a new instance takes over");
    assert!(yard.log().contains("plugin: made"), "{}", yard.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn replacements_under_traffic_lose_and_double_nothing_and_then_a_restart_is_asked_for() {
    const REPLACEMENTS: u32 = 17;
    let receiver = receiver();
    let (mut yard, library) = forwarding_yard(&receiver);
    let poster = yard.start().await;
    let traffic = Traffic::begin(poster, 0);
    for build in 1..=REPLACEMENTS {
        assert_eq!(status_text(&yard).contains("restart     asked for"), build == REPLACEMENTS, "{build}");
        library.build(build);
        let change = yard.ask(&["plugin", "reload", "forward"]);
        assert_eq!(yard.handler("billing")["sha256"], change["sha256"]);
    }
    let words = "16 libraries of plugins that ran inside the daemon are still mapped";
    assert!(yard.log().contains(words), "{}", yard.log());
    // And into a process, and once more inside, both at a reload.
    for (before, after) in [("inline", "process"), ("process", "inline")] {
        let isolation = |word: &str| format!("isolation = \"{word}\"");
        yard.edit_config(|text| text.replace(&isolation(before), &isolation(after)));
        assert_eq!(yard.ask(&["reload"])["new_hosts"], serde_json::json!(["billing"]));
        assert_eq!(yard.handler("billing")["isolation"], after);
    }
    yard.ask(&["plugin", "rollback", "forward"]);
    assert_eq!(yard.handler("billing")["isolation"], "inline");
    let posted = traffic.end().await;
    let counts = yard.wait_until_settled(posted as u64).await;
    assert_eq!(counts["delivered"], posted, "{counts}");
    let odd: Vec<Value> =
        deliveries(&yard, posted).into_iter().filter(|delivery| delivery["attempts"] != 1).collect();
    assert!(odd.is_empty(), "each is delivered at its first attempt: {odd:#?}");
    let requests = receiver.requests();
    let ids: BTreeSet<&str> = requests.iter().map(|request| request.header("webhook-id")[0]).collect();
    assert_eq!((requests.len(), ids.len()), (posted, posted), "each came once");
    assert_eq!(yard.terminate().code(), Some(0), "{}", yard.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_is_tried_no_second_time_while_the_others_go_on_and_the_stop_does_not_wait_for_it() {
    let mut yard = bad_yard("300ms", 2);
    let poster = yard.start().await;
    let hung = poster.post(&event("hang")).await.event();
    let hangs = || (yard.handler("bad")["hanging"] == 1).then_some(());
    found(hangs).await.expect("it hangs");
    assert!(yard.log().contains("only a restart of the daemon ends it"), "{}", yard.log());
    for number in 0..30 {
        poster.post(&numbered("well", number)).await;
    }
    yard.wait_for_counts("the others are delivered", |counts| counts["delivered"] == 30).await;
    let shown = status_text(&yard);
    assert!(shown.contains("1 of its calls hang until the daemon is started again"), "{shown}");
    // A reload that replaces the host leaves it under way too.
    yard.edit_config(|text| text.replace("timeout = \"300ms\"", "timeout = \"400ms\""));
    assert_eq!(yard.ask(&["reload"])["new_hosts"], serde_json::json!(["bad"]));
    for number in 30..60 {
        poster.post(&numbered("well", number)).await;
    }
    yard.wait_for_counts("they go on", |counts| counts["delivered"] == 60).await;
    let bad = yard.handler("bad");
    assert_eq!((&bad["hanging"], &bad["draining"]), (&1.into(), &1.into()), "{bad:#}");
    let delivery = yard.event(&hung)["deliveries"][0].clone();
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&"leased".into(), &1.into()), "{delivery:#}");

    let begun = now();
    assert_eq!(yard.terminate().code(), Some(0), "{}", yard.log());
    let took = now() - begun;
    assert!(took < 15, "the drain, the host's grace, and the store: {took} s");
    yard.start().await;
    let again =
        || the_tries(&yard, &hung).first().filter(|attempt| attempt["outcome"] == "interrupted").cloned();
    found(again).await.expect("the next daemon tries it again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_ends_the_daemon_and_the_next_one_delivers_with_the_step_unsure() {
    let mut yard = bad_yard("30s", 1);
    let poster = yard.start().await;
    let torn = poster.post(&event("step.crash_inside")).await.event();
    let status = yard.wait_for_end();
    assert_eq!(status.signal(), Some(6), "abort() is the daemon's end: {status:?}");

    // A plugin that crashes again would end it again: the operator puts it into a process of its own.
    yard.edit_config(|text| text.replace("isolation = \"inline\"", "isolation = \"process\""));
    let poster = yard.start().await;
    let tried = || Some(the_tries(&yard, &torn)).filter(|tries| tries.len() > 1);
    let tries = found(tried).await.expect("it is tried again");
    assert_eq!(tries[0]["outcome"], "interrupted", "{tries:#?}");
    let step = || {
        let step = yard.event(&torn)["deliveries"][0]["steps"][0].clone();
        (step["state"] == "unsure").then_some(step)
    };
    assert!(found(step).await.unwrap()["key"].as_str().is_some_and(|key| !key.is_empty()));
    assert_eq!(poster.post(&fixture("01")).await.status, 200);
    yard.wait_for_counts("sumo is not concerned", |counts| counts["delivered"] == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_took_with_it_is_delivered_by_the_next_daemon() {
    const OTHERS: usize = 20;
    let receiver = receiver();
    let (mut yard, _) = forwarding_yard(&receiver);
    bad_handlers(&yard, "30s", 20, 4);
    inline(&yard, "bad", "bad");
    // First who misbehaves, then who is forwarded to.
    yard.edit_config(|text| text.replace("id = { present = true }", "type = \"checkout.session.completed\""));
    let poster = yard.start().await;
    for number in 0..OTHERS {
        assert_eq!(poster.post(&another_purchase("01", number)).await.status, 200);
    }
    let body = event("segfault");
    // Its answer may be lost with the daemon: it was stored before.
    drop(poster.try_post(&body, &sign(&body, SECRET, now())).await);
    assert_eq!(yard.wait_for_end().signal(), Some(11), "{}", yard.log());
    yard.edit_config(|text| {
        text.replace("plugin = \"bad\"\nisolation = \"inline\"", "plugin = \"bad\"\nisolation = \"process\"")
    });
    yard.start().await;
    let done = |counts: &Value| counts["delivered"] == OTHERS && counts["dead"] == 1;
    yard.wait_for_counts("purchases are delivered, and the crash is a dead letter", done).await;
    let requests = receiver.requests();
    let ids: BTreeSet<&str> = requests.iter().map(|request| request.header("webhook-id")[0]).collect();
    assert_eq!(ids.len(), OTHERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_needs_a_process_does_not_come_in() {
    let bench = crate::plugin_abi::bench::Bench::new();
    let library = bench.compile("stub", &["FLAGS=HOOKYARD_F_NEEDS_ISOLATION"]);
    let mut yard = bad_yard("30s", 1);
    let poster = yard.start().await;
    let before = yard.handler("bad")["sha256"].clone();
    let shipped = crate::yard::profile_dir().join("libhookyard_test_misbehave.so");
    yard.edit_config(|text| text.replace(shipped.to_str().unwrap(), library.to_str().unwrap()));
    let refused = yard.run(&["reload"]);
    assert!(!refused.status.success());
    let said = text(&refused.stderr);
    for part in ["HOOKYARD_F_NEEDS_ISOLATION", "write isolation = \"process\" in its handler"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(yard.handler("bad")["sha256"], before, "what ran runs on");
    let doctor = text(&yard.run(&["doctor", "--dev"]).stdout);
    assert!(
        doctor.contains("handler `bad` cannot start: the plugin says HOOKYARD_F_NEEDS_ISOLATION"),
        "{doctor}"
    );
    poster.post(&event("well")).await;
    yard.wait_for_counts("it is delivered", |counts| counts["delivered"] == 1).await;
    assert_eq!(yard.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn sumo_brings_sqlite_and_stays_in_a_process() {
    let yard = Yard::shipped();
    inline(&yard, "sumo", "sumo");
    let refused = yard.run(&["serve", "--dev"]);
    assert_eq!(refused.status.code(), Some(78));
    let said = text(&refused.stderr);
    for part in ["handler `sumo` cannot start", "or for SQLite, whose locks hold between processes only"] {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_runs_inside_the_daemon_too_and_a_panic_rolls_it_back() {
    let mut yard = bad_yard("30s", 4);
    let library = Library::of(&yard, "bad");
    let poster = yard.start().await;
    let before = yard.handler("bad")["sha256"].clone();
    library.build(1);
    yard.ask(&["plugin", "reload", "bad", "--canary", "50%"]);
    let canary = &yard.handler("bad")["canary"];
    assert_eq!((&canary["host"]["isolation"], &canary["host"]["up"]), (&"inline".into(), &true.into()));
    for number in 0..40 {
        poster.post(&numbered("well", number)).await;
    }
    yard.wait_for_counts("both work", |counts| counts["delivered"] == 40).await;
    assert!(yard.handler("bad")["canary"]["new"]["answered"].as_u64() > Some(0));
    for number in 0..40 {
        poster.post(&numbered("panic", number)).await;
    }
    let back =
        || Some(yard.handler("bad")).filter(|bad| bad["canary"].is_null() && bad["rolled_back"] == true);
    let bad = found(back).await.expect("it is rolled back");
    assert_eq!(bad["sha256"], before);
    assert_eq!(yard.terminate().code(), Some(0), "{}", yard.log());
}
