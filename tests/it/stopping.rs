//! Stops that meet work: a service manager signals every process, a drain runs out, a client does not let go.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;

use serde_json::Value;

use crate::plugin_faults::{bad_handler, event};
use crate::stripe::fixture;
use crate::yard::{Yard, through};

/// One attempt at an event that waits for its deadline is under way; says its id.
async fn with_an_attempt_under_way(yard: &mut Yard, event_type: &str) -> String {
    let mut serve = yard.command(&["serve", "--dev"]);
    serve.process_group(0);
    let poster = yard.start_as(serve).await;
    let id = poster.post(&event(event_type)).await.event();
    yard.wait_for_counts("under way", |counts| counts["leased"] == 1).await;
    id
}

/// The event's only delivery, read by the next daemon.
async fn delivery_after_restart(yard: &mut Yard, id: &str) -> Value {
    yard.start().await;
    yard.event(id)["deliveries"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_to_the_whole_group_lets_attempts_finish() {
    let mut yard = Yard::shipped();
    bad_handler(&yard, "3s", 5);
    let id = with_an_attempt_under_way(&mut yard, "hang.politely").await;
    assert_eq!(yard.terminate_group().code(), Some(0), "{}", yard.log());
    let delivery = delivery_after_restart(&mut yard, &id).await;
    assert_eq!(delivery["tries"][0]["code"], "no_time", "the plugin answered by itself: {delivery:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_the_drain_cuts_is_no_fault_of_the_handler() {
    let mut yard = Yard::shipped();
    bad_handler(&yard, "1h", 1);
    yard.edit_config(|text| text.replace("# drain_timeout   = \"30s\"", "drain_timeout = \"500ms\" #"));
    let id = with_an_attempt_under_way(&mut yard, "hang").await;
    assert_eq!(yard.terminate_group().code(), Some(0), "{}", yard.log());
    let delivery = delivery_after_restart(&mut yard, &id).await;
    assert_eq!(delivery["tries"][0]["outcome"], "interrupted", "{delivery:#}");
    assert!(delivery["state"] == "leased" || delivery["state"] == "pending", "made again: {delivery:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_at_the_operator_listener_does_not_keep_the_daemon() {
    let mut yard = Yard::shipped();
    yard.start().await;
    let admin = yard.runtime().unwrap()["admin"].as_str().unwrap().to_owned();
    let mut half = TcpStream::connect(admin).unwrap();
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost").unwrap();
    assert_eq!(yard.terminate().code(), Some(0), "{}", yard.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_idle_connections_than_descriptors_leave_the_door_open() {
    let mut yard = Yard::shipped();
    yard.edit_config(|text| text.replace("# header_timeout  = \"10s\"", "header_timeout = \"1s\" #"));
    let serve = yard.command(&["serve", "--dev"]);
    let limited = through(&serve, "sh", &["-c", "ulimit -n 260; exec \"$0\" \"$@\""]);
    let poster = yard.start_as(limited).await;
    assert!(yard.log().contains("too few file descriptors"), "{}", yard.log());
    let door = yard.runtime().unwrap()["door"].as_str().unwrap().to_owned();
    let idle: Vec<_> = (0..400).map(|_| TcpStream::connect(&door).unwrap()).collect();
    assert_eq!(poster.post(&fixture("01")).await.status, 200);
    yard.wait_until_settled(1).await;
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_of_a_handler_that_is_gone_are_told() {
    let mut yard = Yard::shipped();
    bad_handler(&yard, "1h", 5);
    with_an_attempt_under_way(&mut yard, "hang").await;
    yard.kill();
    yard.edit_config(|text| {
        text.replace("[handler.bad]", "[handler.renamed]").replace("[\"bad\"]", "[\"renamed\"]")
    });
    yard.start().await;
    assert!(yard.log().contains("handler=bad"), "{}", yard.log());
    let status = yard.ask(&["status"]);
    let handlers = status["handlers"].as_array().unwrap();
    let gone = handlers.iter().find(|handler| handler["handler"] == "bad").expect("it is listed");
    assert!(gone["why_down"].as_str().unwrap().contains("1 deliver"), "{gone}");
}
