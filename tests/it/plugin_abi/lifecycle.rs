//! The child's beginning and end: stop, drop, a daemon that is gone, and a person who runs it by hand.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is the test's failure")]

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hookyard::model::attempt::Outcome;
use hookyard_plugin_host::protocol::{
    self, Blob, Call, FROM_CHILD_BYTES_MAX, FromChild, Limits, Start, TO_CHILD_BYTES_MAX, ToChild,
};

use super::bench::{Bench, alive, call, misbehave, until};

#[tokio::test]
async fn stopping_waits_for_the_calls_that_run_and_takes_no_more() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let pid = host.status().pid.unwrap();
    let running = {
        let host = Arc::clone(&host);
        tokio::spawn(async move { call(&host, "wait").await })
    };
    until("it runs", || host.status().calls_in_flight == 1).await;
    let stopping = {
        let host = Arc::clone(&host);
        tokio::spawn(async move { host.stop(Duration::from_secs(20)).await })
    };
    until("it is stopping", || !host.status().up).await;
    assert_eq!(call(&host, "well").await.outcome, Outcome::Interrupted, "it was called");
    bench.go();
    assert_eq!(running.await.unwrap().outcome.word(), "done");
    stopping.await.unwrap();
    assert!(!alive(pid));
    assert_eq!((host.status().crashes, host.status().restarts), (0, 0));
    host.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn stopping_ends_what_hangs() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let pid = host.status().pid.unwrap();
    let running = {
        let host = Arc::clone(&host);
        tokio::spawn(async move { call(&host, "hang").await })
    };
    until("it runs", || host.status().calls_in_flight == 1).await;
    host.stop(Duration::from_millis(50)).await;
    assert!(!alive(pid));
    assert_eq!(running.await.unwrap().outcome, Outcome::Interrupted, "no fault of the plugin");
}

#[tokio::test]
async fn dropping_the_host_leaves_no_child() {
    let bench = Bench::new();
    let host = bench.start(bench.spec(&misbehave())).await.unwrap();
    let pid = host.status().pid.unwrap();
    assert!(alive(pid));
    drop(host);
    until("the child is gone", || !alive(pid)).await;
}

/// A child without a daemon: this test is the daemon.
fn child() -> (std::process::Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_plugin_host"))
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (child, ours)
}

fn send(socket: &mut UnixStream, message: &ToChild) {
    socket.write_all(&protocol::encode(message, TO_CHILD_BYTES_MAX).unwrap()).unwrap();
}

fn receive(socket: &mut UnixStream) -> FromChild {
    protocol::decode(&protocol::read_frame(socket, FROM_CHILD_BYTES_MAX).unwrap().unwrap()).unwrap()
}

/// A child with the misbehaving plugin, ready, with a call of this type in it.
fn child_with_call(event_type: &str) -> (std::process::Child, UnixStream) {
    let (child, mut socket) = child();
    let said = protocol::read_frame(&mut socket, FROM_CHILD_BYTES_MAX).unwrap().unwrap();
    assert_eq!(said, protocol::BUILD.as_bytes());
    socket.write_all(&protocol::preamble()).unwrap();
    let library = misbehave();
    let start = Start {
        named: library.display().to_string(),
        library: Blob(library.into_os_string().into_encoded_bytes()),
        settings_json: "{}".to_owned(),
        workers: 1,
        level: 4,
        load_only: false,
        confine: None,
        limits: Limits { open_files: 1024, memory: None },
    };
    send(&mut socket, &ToChild::Start(start));
    assert!(matches!(receive(&mut socket), FromChild::Ready(_)));
    let call = Call {
        call: 1,
        remaining_ms: 60_000,
        attempt: 1,
        received_unix_ms: 0,
        event_id: "one".to_owned(),
        source: "test".to_owned(),
        event_type: event_type.to_owned(),
        rule: "a rule".to_owned(),
        content_type: String::new(),
        headers: Vec::new(),
        body: Blob::default(),
    };
    send(&mut socket, &ToChild::Call(call));
    (child, socket)
}

#[test]
fn a_child_whose_daemon_is_gone_ends_even_while_its_plugin_hangs() {
    let (mut child, socket) = child_with_call("hang");
    drop(socket);
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

#[test]
fn a_child_whose_daemon_is_gone_cancels_and_ends_in_order() {
    let (mut child, socket) = child_with_call("wait");
    drop(socket);
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), None, "it was refused its pair, and ended by itself");
}

#[test]
fn a_call_that_is_cancelled_has_no_time_left() {
    let (mut child, mut socket) = child_with_call("hang.politely");
    send(&mut socket, &ToChild::Cancel { call: 1 });
    let FromChild::Ended { call: 1, outcome: 2, detail } = receive(&mut socket) else { panic!("no end") };
    assert_eq!(detail.code, "no_time");
    send(&mut socket, &ToChild::Stop);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_child_of_another_build_refuses() {
    let (mut child, mut socket) = child();
    socket.write_all(b"\x05\0\0\0other").unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(said.contains("another build") && said.contains("\"other\""), "{said}");
}

#[test]
fn a_person_who_runs_it_is_told_that_it_is_not_for_them() {
    let output = Command::new(env!("CARGO_BIN_EXE_plugin_host")).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("this command is for hookyard itself"), "{said}");
}
