//! Start, stop, and what an operator sees in between.

use crate::stripe::{another_purchase, fixture};
use crate::yard::{Yard, rows};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_answers_what_was_accepted_and_exits_0() {
    let mut yard = Yard::shipped();
    let poster = yard.start().await;
    let posts: Vec<_> = (0..200)
        .map(|number| {
            let poster = poster.clone();
            tokio::spawn(async move {
                let body = another_purchase("01", number);
                let signature = crate::stripe::sign(&body, crate::stripe::SECRET, crate::stripe::now());
                poster.try_post(&body, &signature).await
            })
        })
        .collect();
    yard.wait_for_counts("under load", |counts| counts["events"].as_u64() > Some(10)).await;
    let status = yard.terminate();
    assert_eq!(status.code(), Some(0), "{}", yard.log());
    let mut accepted = 0;
    for post in posts {
        match post.await.unwrap() {
            Some(answer) if answer.status == 200 => accepted += 1,
            Some(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
            None => {}
        }
    }
    assert!(!yard.path("var/hookyard/runtime.json").exists(), "the runtime file stays after the end");

    yard.start().await;
    let settled = |counts: &serde_json::Value| counts["delivered"].as_u64() >= Some(accepted);
    yard.wait_for_counts("all fulfilled", settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_store_is_told_so() {
    let mut yard = Yard::shipped();
    yard.start().await;
    let second = yard.run(&["serve", "--dev"]);
    assert_eq!(second.status.code(), Some(74));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("another") && said.contains("var/hookyard"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_events_deliveries_and_status() {
    let mut yard = Yard::shipped();
    let poster = yard.start().await;
    let purchase = poster.post(&fixture("01")).await.event();
    let other = poster.post(&fixture("16")).await.event();
    yard.wait_until_settled(2).await;

    let show = String::from_utf8(yard.run(&["events", "show", &purchase]).stdout).unwrap();
    for part in [purchase.as_str(), "checkout.session.completed", "sumo purchase", "delivered", "attempt 1"] {
        assert!(show.contains(part), "`{part}` is missing in:\n{show}");
    }
    let by_provider_id = yard.event("evt_1T1QufhQNB9reosfhypnXLDn");
    assert_eq!(by_provider_id["event"], purchase.as_str());

    let unrouted = yard.ask(&["events", "list", "--routing", "unrouted"]);
    assert_eq!(unrouted["rows"].as_array().unwrap().len(), 1);
    assert_eq!(unrouted["rows"][0]["event"], other.as_str());

    let delivered = yard.ask(&["deliveries", "list", "--state", "delivered", "--handler", "sumo"]);
    assert_eq!(delivered["rows"][0]["event"], purchase.as_str());

    let status = yard.ask(&["status"]);
    let handlers: Vec<&str> =
        status["handlers"].as_array().unwrap().iter().map(|h| h["handler"].as_str().unwrap()).collect();
    assert_eq!(handlers, ["direct", "sumo"]);
    assert!(status["handlers"].as_array().unwrap().iter().all(|handler| handler["up"] == true), "{status}");

    let denied = yard.command(&["status"]).env("HOOKYARD_ADMIN_TOKEN", "wrong").output().unwrap();
    // `--dev` puts the token into the runtime file, so a wrong variable does no harm on the same machine.
    assert!(denied.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn send_shows_a_purchase_to_its_end() {
    let mut yard = Yard::shipped();
    yard.start().await;
    let file = crate::stripe::tests_dir().join("fixtures/01_checkout_completed_sumo_paid.json");
    let sent = yard.run(&["send", file.to_str().unwrap()]);
    let said = String::from_utf8(sent.stdout).unwrap();
    assert!(sent.status.success(), "{said}");
    for part in ["200 OK, accepted", "sumo", "delivered", "user", "mail"] {
        assert!(said.contains(part), "`{part}` is missing in:\n{said}");
    }
    let again = yard.run(&["send", file.to_str().unwrap()]);
    assert!(String::from_utf8(again.stdout).unwrap().contains("200 OK, duplicate"));
    assert_eq!(rows(&yard.database().await, "SELECT count(*) FROM purchases").await, ["1"]);
}

#[test]
fn commands_say_when_no_daemon_runs() {
    let yard = Yard::shipped();
    yard.edit_config(|text| {
        text.replacen("127.0.0.1:0", "127.0.0.1:9", 1).replacen("127.0.0.1:0", "127.0.0.1:10", 1)
    });
    let status = yard.run(&["status"]);
    assert_eq!(status.status.code(), Some(69));
    let said = String::from_utf8_lossy(&status.stderr).into_owned();
    assert!(said.contains("is `hookyard serve` running?"), "{said}");
}
