//! Bad input to the real daemon: each gets its clear answer and changes nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::stripe::{self, SECRET, fixture, now, sign};
use crate::yard::Yard;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_not_a_signed_event_is_refused_and_stores_nothing() {
    let mut yard = Yard::shipped();
    let poster = yard.start().await;
    let body = fixture("01");

    let refusals = [
        ("a wrong secret", body.clone(), sign(&body, "whsec_of_somebody_else", now()), 400, "no_v1_matches"),
        (
            "an old signature",
            body.clone(),
            sign(&body, SECRET, now() - 1_000),
            400,
            "timestamp_outside_tolerance",
        ),
        (
            "one from the future",
            body.clone(),
            sign(&body, SECRET, now() + 1_000),
            400,
            "timestamp_outside_tolerance",
        ),
        ("an altered body", altered(&body), sign(&body, SECRET, now()), 400, "no_v1_matches"),
        ("a header that is none", body.clone(), "potato".to_owned(), 400, "header_malformed"),
        (
            "a signed body that is no JSON",
            b"not json".to_vec(),
            sign(b"not json", SECRET, now()),
            400,
            "body_not_json",
        ),
        (
            "half a signed event",
            body[..999].to_vec(),
            sign(&body[..999], SECRET, now()),
            400,
            "body_not_json",
        ),
    ];
    for (what, body, signature, status, reason) in refusals {
        let answer = poster.try_post(&body, &signature).await.unwrap();
        assert_eq!(
            (answer.status, &answer.body["reason"]),
            (status, &Value::from(reason)),
            "{what}: {answer:?}"
        );
    }
    let huge = format!("{{\"id\":\"{}\"}}", "x".repeat(1024 * 1024)).into_bytes();
    assert_eq!(poster.try_post(&huge, &sign(&huge, SECRET, now())).await.unwrap().status, 413);

    let door = yard.runtime().unwrap()["door"].as_str().unwrap().to_owned();
    let raw = |request: &str| raw(&door, request);
    assert!(
        raw("GET /webhooks/stripe HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .contains("405 Method Not Allowed")
    );
    assert!(
        raw("PUT /webhooks/stripe HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .to_lowercase()
            .contains("allow: post")
    );
    assert!(
        raw("POST /elsewhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            .contains("404 Not Found")
    );
    assert!(
        raw("POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}")
            .contains("header_missing")
    );
    truncated(&door, &body);

    let counts = yard.ask(&["status"])["counts"].clone();
    assert_eq!(counts["events"], 0, "{counts}");
    assert_eq!(poster.post(&body).await.status, 200, "the door still takes what is right");
}

fn altered(body: &[u8]) -> Vec<u8> {
    String::from_utf8(body.to_vec())
        .unwrap()
        .replace("\"amount_total\": 17700", "\"amount_total\": 17701")
        .into_bytes()
}

/// Sends a request and reads to the end of the connection.
fn raw(door: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(door).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Promises a whole signed event, sends half of it, and hangs up.
fn truncated(door: &str, body: &[u8]) {
    let mut stream = TcpStream::connect(door).unwrap();
    let head = format!(
        "POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nstripe-signature: {}\r\n\r\n",
        body.len(),
        sign(body, SECRET, now())
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body[..body.len() / 2]).unwrap();
}

#[test]
fn a_missing_library_is_told_before_anything_listens() {
    let yard = Yard::shipped();
    yard.edit_config(|text| text.replace("libhookyard_sumo.so", "libhookyard_summo.so"));
    let serve = yard.run(&["serve", "--dev"]);
    let said = String::from_utf8_lossy(&serve.stderr).into_owned();
    assert_eq!(serve.status.code(), Some(78), "{said}");
    assert!(said.contains("handler `sumo`") && said.contains("libhookyard_summo.so"), "{said}");
}

#[test]
fn a_library_with_the_wrong_abi_is_told_so() {
    let yard = Yard::shipped();
    let library = yard.path("libwrong_abi.so");
    compile_stub("-DMAJOR=2", &library);
    yard.edit_config(|text| {
        let names_it = |line: &&str| line.starts_with("path") && line.contains("libhookyard_sumo.so");
        let line = text.lines().find(names_it).unwrap().to_owned();
        text.replace(&line, &format!("path = \"{}\"", library.display()))
    });
    let serve = yard.run(&["serve", "--dev"]);
    let said = String::from_utf8_lossy(&serve.stderr).into_owned();
    assert_eq!(serve.status.code(), Some(78), "{said}");
    assert!(said.contains("ABI") && said.contains("handler `sumo`"), "{said}");
}

#[test]
fn a_library_without_its_pin_is_refused_outside_dev() {
    let yard = Yard::shipped();
    let serve = yard.run(&["serve"]);
    let said = String::from_utf8_lossy(&serve.stderr).into_owned();
    assert_eq!(serve.status.code(), Some(78), "{said}");
    assert!(said.contains("sha256"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_library_is_loaded_and_another_one_is_not() {
    let mut yard = Yard::shipped();
    yard.pin_libraries();
    let serve = yard.command(&["serve"]);
    let poster = yard.start_as(serve).await;
    assert_eq!(poster.post(&fixture("01")).await.status, 200);
    assert_eq!(yard.terminate().code(), Some(0));

    let wrong = "0".repeat(64);
    yard.edit_config(|text| {
        let pin = text.split("\nsha256 = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        text.replace(&pin, &wrong)
    });
    let serve = yard.run(&["serve"]);
    let said = String::from_utf8_lossy(&serve.stderr).into_owned();
    assert_eq!(serve.status.code(), Some(78), "{said}");
    assert!(said.contains(&wrong), "the pin and the hash that was found are both named: {said}");
}

/// Compiles the stub plugin in C with one thing wrong.
pub(crate) fn compile_stub(fault: &str, library: &Path) {
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-std=c99", fault, "-I"])
        .arg(stripe::tests_dir().join("../plugin-api/include"))
        .arg(stripe::tests_dir().join("c/stub.c"))
        .arg("-o")
        .arg(library)
        .status()
        .unwrap();
    assert!(status.success(), "the stub does not compile");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_listener_wants_its_token() {
    let mut yard = Yard::shipped();
    yard.start().await;
    let admin = yard.runtime().unwrap()["admin"].as_str().unwrap().to_owned();
    let get = |path: &str, token: &str| {
        raw(
            &admin,
            &format!(
                "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
            ),
        )
    };
    assert!(get("/v1/status", "wrong").contains("401 Unauthorized"));
    assert!(get("/v1/events", "").contains("401 Unauthorized"));
    assert!(get("/healthz", "").contains("200 OK"));
    assert!(get("/readyz", "").contains("200 OK"));
    let status = get("/v1/status", "operator-token-of-the-integration-suite");
    assert!(status.contains("200 OK") && !status.contains(SECRET), "{status}");
}

#[test]
fn check_tells_all_five_faults_of_a_config_in_one_run() {
    let yard = Yard::shipped();
    yard.edit_config(|text| {
        text.replace("tolerance = \"5m\"", "tolerance = \"0s\"")
            .replace("secrets = [\"env:STRIPE_WEBHOOK_SECRET\"]", "secrets = [\"whsec_in_plain_sight\"]")
            .replace("plugin = \"sumo\"", "plugin = \"summo\"")
            .replace(
                "concurrency = 8\ntimeout = \"30s\"\nsettings",
                "concurency = 8\ntimeout = \"30s\"\nsettings",
            )
            .replace("unrouted = true", "handlers = [\"nobody\"]")
    });
    let check = yard.run(&["check", "--dev"]);
    let said = String::from_utf8(check.stderr).unwrap();
    assert_eq!(check.status.code(), Some(78), "{said}");
    let faults = [
        "a secret stands in the file itself",
        "`tolerance` is 0s",
        "there is no plugin `summo`",
        "unknown key `concurency`",
        "there is no handler `nobody`",
        "the configuration has 5 faults",
    ];
    for fault in faults {
        assert!(said.contains(fault), "`{fault}` is missing in:\n{said}");
    }
    assert!(!said.contains("in_plain_sight"), "the secret is shown:\n{said}");
    let machine = yard.run(&["check", "--dev", "--json"]);
    let faults: Vec<Value> = serde_json::from_slice(&machine.stdout).unwrap();
    assert_eq!((faults.len(), machine.status.code()), (5, Some(78)));
    assert!(faults.iter().all(|fault| fault["line"].is_u64() && fault["help"].is_string()), "{faults:#?}");
}
