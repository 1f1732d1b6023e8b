//! Requests that hookyard makes for plugins (`hookyard.http/1`), from a real child through the daemon's client to a real HTTPS
//! server: what is allowed arrives, what is not is never sent, and nothing outlives its call.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookyard::host::{Company, Host, HostSpec, Report};
use hookyard::model::attempt::{Detail, Outcome};
use hookyard::model::confinement::Confinement;
use hookyard::model::event::Event;
use hookyard::model::http_access::HttpAccess;
use hookyard::model::ids::RuleName;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::bench::{Bench, event, until};
use crate::forward::receiver::{Raw, Receiver, status};
use crate::yard::{Yard, found, profile_dir};

/// The limits that plugins are told.
const BODY_BYTES_MAX: usize = 1024 * 1024;
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
const IN_FLIGHT_MAX: usize = 64;

/// A server on this machine, with a certificate for `localhost` and `127.0.0.1` by an authority of its own.
struct FarSide {
    dir: TempDir,
    receiver: Receiver,
}

impl FarSide {
    fn serve(answer: impl Fn(usize) -> Raw + Send + 'static) -> Self {
        let (dir, tls) = tls();
        let receiver = Receiver::serve(TcpListener::bind("127.0.0.1:0").unwrap(), Some(tls), answer);
        Self { dir, receiver }
    }

    fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.receiver.port())
    }

    /// What lets requests to it through.
    fn access(&self) -> HttpAccess {
        HttpAccess {
            allow: vec![self.url("").parse().unwrap()],
            networks: ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap()).to_vec(),
            ca: Some(self.ca()),
        }
    }
}

/// A folder with the authority's `ca.pem`, and a server's TLS.
fn tls() -> (TempDir, ServerConfig) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (dir, config)
}

fn asker() -> PathBuf {
    let path = std::env::current_exe().unwrap().with_file_name("libhookyard_test_asker.so");
    assert!(path.exists(), "{} is not built", path.display());
    path
}

async fn host(bench: &Bench, http: HttpAccess) -> Host {
    bench.start(HostSpec { http: http.into(), ..bench.spec(&asker()) }).await.unwrap()
}

fn asking(asked: &Value) -> Event {
    let mut event = event("ask", "ask");
    event.envelope.body = Bytes::from(asked.to_string());
    event
}

async fn report(host: &Host, event: &Event) -> Report {
    host.call(&event.clone().into(), 1, &RuleName::new("a rule"), Company::Others).await.unwrap()
}

/// The plugin's result, where it is done.
async fn answered(host: &Host, asked: &Value) -> Value {
    match report(host, &asking(asked)).await.outcome {
        Outcome::Done(Detail { result: Some(result), .. }) => serde_json::from_str(&result).unwrap(),
        other => panic!("{asked}: {other:?}"),
    }
}

/// The code and the sentence of its failure, which is a retry.
async fn failed(host: &Host, asked: &Value) -> (String, String) {
    match report(host, &asking(asked)).await.outcome {
        Outcome::Retry { detail, .. } => (detail.code, detail.message),
        other => panic!("{asked}: {other:?}"),
    }
}

fn get(url: &str) -> Value {
    json!({ "method": "GET", "url": url })
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_take_one_connection_and_say_what_was_asked() {
    let far = FarSide::serve(|_| status("200 OK", "X-Far: side\r\n", "well"));
    let bench = Bench::new();
    let host = host(&bench, far.access()).await;
    let asked = json!({
        "method": "POST", "url": far.url("/v1/charges?a=b#c"), "times": 20, "body_bytes": 3,
        "headers": [["Idempotency-Key", "k1"], ["X-Two", "1"], ["X-Two", "2"]],
    });
    let answer = answered(&host, &asked).await;
    assert_eq!(
        (&answer["status"], &answer["start"], &answer["x-far"]),
        (&json!(200), &json!("well"), &json!("side"))
    );
    let requests = far.receiver.requests();
    assert_eq!(requests.len(), 20);
    assert!(requests.iter().all(|request| request.connection == 0), "one connection");
    let first = &requests[0];
    assert_eq!((first.line.as_str(), &*first.body), ("POST /v1/charges?a=b HTTP/1.1", &b"xxx"[..]));
    assert_eq!(first.header("idempotency-key"), ["k1"]);
    assert_eq!(first.header("x-two"), ["1", "2"]);
    assert_eq!(first.header("host"), [format!("localhost:{}", far.receiver.port())]);
    // The trace is the event's id, and its parent the attempt.
    let trace = hex::encode(asking(&asked).id.to_bytes());
    let [parent] = first.header("traceparent")[..] else { panic!("one traceparent: {first:?}") };
    assert!(parent.starts_with(&format!("00-{trace}-")) && parent.ends_with("-01"), "{parent}");
    assert!(
        requests.iter().all(|request| request.header("traceparent") == [parent]),
        "one attempt, one parent"
    );
    let figures = host.figures();
    assert_eq!(figures.http, [("200".to_owned(), 20)].into());
    assert!(figures.http_times.sum > Duration::ZERO);

    // An event that came with a trace goes on in it.
    let mut traced = asking(&get(&far.url("/")));
    let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    traced.envelope.headers.push(("traceparent".to_owned(), given.to_owned()));
    assert_eq!(report(&host, &traced).await.outcome.word(), "done");
    let last = far.receiver.requests().pop().unwrap();
    let parent = last.header("traceparent")[0];
    assert!(parent.starts_with(&given[..36]) && parent.ends_with("-00") && parent != given, "{parent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_listed_is_refused_with_the_line_to_write_and_never_sent() {
    let far = FarSide::serve(|_| status("200 OK", "", "well"));
    let bench = Bench::new();
    let host = host(&bench, far.access()).await;
    let port = far.receiver.port();
    for url in [
        format!("http://localhost:{port}/secret"),
        format!("https://127.0.0.1:{port}/secret"),
        "https://localhost/secret".to_owned(),
        "https://api.example.com/secret".to_owned(),
    ] {
        let (code, message) = failed(&host, &get(&url)).await;
        assert_eq!(code, "http_refused", "{url}: {message}");
        assert!(message.contains("write it into `allow` of [handler.under-test.http]"), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    let nothing = super::http::host(&bench, HttpAccess::default()).await;
    assert_eq!(
        failed(&nothing, &get(&far.url("/"))).await.0,
        "http_refused",
        "nothing is allowed unless listed"
    );
    assert!(far.receiver.requests().is_empty());
    assert_eq!(host.figures().http, [("refused".to_owned(), 4)].into());
    // A reload that changes what may be asked starts another host.
    let spec = HostSpec { http: far.access().into(), ..bench.spec(&asker()) };
    assert!(!host.differs_from(&spec).await.unwrap());
    assert!(host.differs_from(&HostSpec { http: HttpAccess::default().into(), ..spec }).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_does_not_lead_to_the_inside_unless_that_is_written() {
    let far = FarSide::serve(|_| status("200 OK", "", "well"));
    let bench = Bench::new();
    let listed = HttpAccess { networks: Vec::new(), ..far.access() };
    let inside = host(&bench, listed.clone()).await;
    let (code, message) = failed(&inside, &get(&far.url("/"))).await;
    assert_eq!(code, "http_refused", "{message}");
    assert!(message.contains("which is loopback: no request goes there"), "{message}");
    assert!(message.contains("name its network in `networks`"), "{message}");
    assert!(far.receiver.requests().is_empty());
    // An address that is listed itself was meant; the name is as shut as before.
    let literal = format!("https://127.0.0.1:{}", far.receiver.port());
    let allow = [listed.allow.clone(), vec![literal.parse().unwrap()]].concat();
    let written = host(&bench, HttpAccess { allow, ..listed }).await;
    assert_eq!(answered(&written, &get(&literal)).await["status"], 200);
    assert_eq!(failed(&written, &get(&far.url("/"))).await.0, "http_refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_no_answer_has_its_own_code() {
    let far = FarSide::serve(|_| b"this is no HTTP\r\n\r\n".to_vec());
    let bench = Bench::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut access = far.access();
    access.allow.extend([format!("http://{closed}").parse().unwrap(), "nobody.invalid".parse().unwrap()]);
    let host = host(&bench, access.clone()).await;
    for (url, code, words) in [
        (far.url("/"), "http_broken", "the connection to localhost broke"),
        (format!("http://{closed}/"), "http_connect", "no connection to 127.0.0.1"),
        ("https://nobody.invalid/".to_owned(), "http_resolve", "the name nobody.invalid cannot be resolved"),
        ("nonsense".to_owned(), "http_invalid", "the URL is none"),
    ] {
        let (said, message) = failed(&host, &get(&url)).await;
        assert!(said == code && message.contains(words), "{url}: {said} {message}");
    }
    let asked = json!({ "method": "GET", "url": far.url("/"), "headers": [["Host", "inside.example"]] });
    let (code, message) = failed(&host, &asked).await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("http_invalid", "the header `host` is written by hookyard itself")
    );
    let public = super::http::host(&bench, HttpAccess { ca: None, ..access }).await;
    let (code, message) = failed(&public, &get(&far.url("/"))).await;
    assert!(code == "http_tls" && message.contains("no TLS connection to localhost"), "{code} {message}");
    let missing = HttpAccess { ca: Some("no/such.pem".into()), ..HttpAccess::default() };
    let refused = bench.start(HostSpec { http: missing.into(), ..bench.spec(&asker()) }).await.unwrap_err();
    assert_eq!(refused.to_string(), "the handler's `http` cannot be used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_ends_at_its_own_time_and_at_the_attempts_deadline() {
    let far = FarSide::serve(|_| Vec::new());
    let bench = Bench::new();
    let timeout = Duration::from_millis(700);
    let host =
        bench.start(HostSpec { http: far.access().into(), timeout, ..bench.spec(&asker()) }).await.unwrap();
    let pid = host.status().pid;
    let asked = json!({ "method": "GET", "url": far.url("/"), "timeout_ms": 100 });
    let (code, message) = failed(&host, &asked).await;
    assert_eq!((code.as_str(), message.as_str()), ("http_timeout", "localhost did not answer within 100ms"));
    // Longer than the attempt has.
    for timeout_ms in [json!(60_000), Value::Null] {
        let asked = json!({ "method": "GET", "url": far.url("/"), "timeout_ms": timeout_ms });
        let (code, message) = failed(&host, &asked).await;
        assert_eq!((code.as_str(), message.as_str()), ("http_cancelled", "the attempt's time is over"));
    }
    assert_eq!((host.status().pid, host.status().crashes), (pid, 0), "the plugin heeded it and lives");
    assert_eq!(host.figures().http, [("timeout".to_owned(), 1), ("cancelled".to_owned(), 2)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_told_both_ways_and_what_just_fits_passes() {
    let far = FarSide::serve(|number| match number {
        0 => status("200 OK", "", &"y".repeat(ANSWER_BYTES_MAX)),
        1 => status("200 OK", "", &"y".repeat(ANSWER_BYTES_MAX + 1)),
        3 => status("200 OK", &"X-Many: 1\r\n".repeat(100), ""),
        4 => status("200 OK", &format!("X-Long: {}\r\n", "y".repeat(64 * 1024)), ""),
        5.. => status("200 OK", "", &"y".repeat(ANSWER_BYTES_MAX)),
        _ => {
            // Without a length, so that only reading shows it.
            let chunk = format!("100000\r\n{}\r\n", "y".repeat(0x10_0000)).repeat(5);
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n").into_bytes()
        }
    });
    let bench = Bench::new();
    let host = host(&bench, far.access()).await;
    let largest = json!({ "method": "PUT", "url": far.url("/"), "body_bytes": BODY_BYTES_MAX });
    assert_eq!(answered(&host, &largest).await["bytes"], ANSWER_BYTES_MAX);
    assert_eq!(far.receiver.requests()[0].body.len(), BODY_BYTES_MAX);
    for words in ["above 4194304 bytes", "above 4194304 bytes", "too long headers", "too long headers"] {
        let (code, message) = failed(&host, &get(&far.url("/"))).await;
        assert!(code == "http_answer_too_large" && message.contains(words), "{code}: {message}");
    }
    // All that one call is lent is bounded too; the next call has it anew.
    let mut four = get(&far.url("/"));
    four["times"] = 4.into();
    let (code, message) = failed(&host, &four).await;
    assert!(
        code == "http_answer_too_large" && message.contains("all that it may be lent"),
        "{code}: {message}"
    );
    four["times"] = 3.into();
    assert_eq!(answered(&host, &four).await["bytes"], ANSWER_BYTES_MAX);
    let sent = far.receiver.requests().len();
    let larger = json!({ "method": "PUT", "url": far.url("/"), "body_bytes": BODY_BYTES_MAX + 1 });
    assert_eq!(failed(&host, &larger).await.0, "http_too_large");
    let long = format!("{}{}", far.url("/"), "a".repeat(8 * 1024));
    assert_eq!(failed(&host, &get(&long)).await.0, "http_too_large");
    assert_eq!(far.receiver.requests().len(), sent, "what was too large was not sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_requests_of_one_handler_are_under_way() {
    let far = FarSide::serve(|_| Vec::new());
    let bench = Bench::new();
    let host = host(&bench, far.access()).await;
    let asked =
        json!({ "method": "GET", "url": far.url("/"), "at_once": IN_FLIGHT_MAX + 16, "timeout_ms": 4000 });
    assert_eq!(answered(&host, &asked).await["http_busy"], 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_a_process_that_dies_is_dropped_and_holds_up_nothing() {
    let far = FarSide::serve(|_| Vec::new());
    let bench = Bench::new();
    let host = host(&bench, far.access()).await;
    let asked = json!({ "method": "GET", "url": far.url("/"), "dies_after_ms": 200 });
    let report = report(&host, &asking(&asked)).await;
    assert!(matches!(&report.outcome, Outcome::Crashed { what } if what.contains("SIGABRT")), "{report:?}");
    // A dead host's unfinished steps are waited for, ten seconds; a request is not.
    assert!(report.duration < Duration::from_secs(8), "{report:?}");
    until("the request is dropped", || host.figures().http.get("cancelled") == Some(&1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let far = FarSide::serve(|_| status("302 Found", "Location: /elsewhere\r\n", ""));
    let bench = Bench::new();
    let host = host(&bench, far.access()).await;
    let answer = answered(&host, &get(&far.url("/"))).await;
    assert_eq!((&answer["status"], &answer["location"]), (&json!(302), &json!("/elsewhere")));
    assert_eq!(far.receiver.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_without_a_network_of_its_own_still_asks_what_is_allowed() {
    if !super::confine::is_possible().await {
        return;
    }
    let far = FarSide::serve(|_| status("200 OK", "", "well"));
    let bench = Bench::new();
    let confine = Some(Confinement { read: Some(Vec::new()), network: false, ..Confinement::default() });
    let spec = HostSpec { http: far.access().into(), confine, ..bench.spec(&asker()) };
    let host = bench.start(spec).await.unwrap();
    assert_eq!(answered(&host, &get(&far.url("/"))).await["start"], "well");
    assert_eq!(failed(&host, &get("https://api.example.com/")).await.0, "http_refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_spoken_where_the_far_side_offers_it() {
    let (dir, mut config) = tls();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.unwrap();
            let answer = service_fn(|request: hyper::Request<Incoming>| async move {
                let version = format!("{:?}", request.version());
                Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(version))))
            });
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            tokio::spawn(async move { server.serve_connection(TokioIo::new(stream), answer).await.unwrap() });
        }
    });
    let bench = Bench::new();
    let url = format!("https://127.0.0.1:{port}");
    let ca = Some(dir.path().join("ca.pem"));
    let host = host(&bench, HttpAccess { allow: vec![url.parse().unwrap()], networks: Vec::new(), ca }).await;
    assert_eq!(answered(&host, &get(&url)).await["start"], "HTTP/2.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_c_asks_by_the_header_alone() {
    let far = FarSide::serve(|_| status("200 OK", "X-Far: side\r\n", "from afar"));
    let bench = Bench::new();
    let spec = HostSpec { http: far.access().into(), ..bench.spec(&bench.compile("http", &[])) };
    let host = bench.start(spec).await.unwrap();
    for (event_type, url, code, words) in [
        ("plain", far.url("/"), "answered", "from afar"),
        ("small.place", far.url("/"), "small", ""),
        ("refused", "https://api.example.com/".to_owned(), "refused", "is not allowed"),
        ("reserved", far.url("/"), "refused", ""),
        ("no.headers", far.url("/"), "refused", ""),
        ("no.place", far.url("/"), "refused", ""),
        ("many.headers", far.url("/"), "refused", ""),
        ("large.body", far.url("/"), "refused", ""),
    ] {
        let mut event = event(event_type, event_type);
        event.envelope.body = Bytes::from(url);
        let Outcome::Done(detail) = report(&host, &event).await.outcome else { panic!("{event_type}") };
        assert!(detail.code == code && detail.message.contains(words), "{event_type}: {detail:?}");
    }
    assert_eq!(far.receiver.requests()[0].header("x-plugin"), ["c"]);
}

const HANDLER: &str = r#"
[plugin.asker]
path = "LIBRARY"

[handler.asker]
plugin = "asker"

[handler.asker.http]
allow = ["https://localhost:PORT"]
networks = ["127.0.0.0/8", "::1"]
ca = "CA"

[[rule]]
name = "to the asker"
handlers = ["asker"]
when = { type = "for.asker" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_counts_requests_and_logs_nothing_but_their_host() {
    let far = FarSide::serve(|_| status("201 Created", "", "well"));
    let mut yard = Yard::shipped();
    let handler = HANDLER
        .replace("LIBRARY", asker().to_str().unwrap())
        .replace("PORT", &far.receiver.port().to_string())
        .replace("CA", far.ca().to_str().unwrap());
    yard.edit_config(|text| text + &handler);
    let mut command = yard.command(&["serve", "--dev"]);
    command.env("HOOKYARD_LOG", "debug");
    yard.start_as(command).await;
    let body = json!({
        "id": "evt_asks", "object": "event", "type": "for.asker", "livemode": true, "data": { "object": {} },
        "method": "POST", "url": far.url("/a-path?a-query"), "headers": [["authorization", "a-secret"]],
    });
    std::fs::write(yard.path("event.json"), body.to_string()).unwrap();
    let sent = yard.run(&["send", "event.json"]);
    assert!(sent.status.success(), "{sent:?}");
    let delivered = |shown: &Value| shown["deliveries"][0]["state"] == "delivered";
    let shown = found(|| Some(yard.event("evt_asks")).filter(delivered)).await;
    shown.unwrap_or_else(|| panic!("never so: {:#}", yard.event("evt_asks")));

    let log = yard.log();
    let line = log.lines().find(|line| line.contains("method=POST") || line.contains("method=\"POST\""));
    let line = line.unwrap_or_else(|| panic!("no line of the request in:\n{log}"));
    assert!(line.contains("localhost") && line.contains("201") && line.contains("asker"), "{line}");
    for word in ["a-path", "a-query", "a-secret"] {
        assert!(!log.contains(word), "{word} is in the log:\n{log}");
    }
    let metrics = crate::routing::metrics(&yard).await;
    for line in [
        "hookyard_handler_http_requests_total{handler=\"asker\",code=\"201\"} 1",
        "hookyard_handler_http_seconds_count{handler=\"asker\"} 1",
        "hookyard_handler_http_seconds_bucket{handler=\"asker\",le=\"+Inf\"} 1",
    ] {
        assert!(metrics.lines().any(|it| it == line), "`{line}` is missing in:\n{metrics}");
    }
    assert!(!metrics.contains("http_requests_total{handler=\"sumo\""), "who asks nothing has no series");
    assert_eq!(yard.terminate().code(), Some(0));
}

#[test]
fn a_plugin_that_is_tried_asks_only_whom_the_command_allows() {
    let receiver =
        Receiver::serve(TcpListener::bind("127.0.0.1:0").unwrap(), None, |_| status("200 OK", "", "well"));
    let origin = format!("http://127.0.0.1:{}", receiver.port());
    let yard = Yard::shipped();
    std::fs::write(yard.path("event.json"), get(&format!("{origin}/")).to_string()).unwrap();
    let (library, said) = (asker(), |output: &std::process::Output| {
        String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
    });
    let run = ["plugin", "run", library.to_str().unwrap(), "--event", "event.json"];
    let refused = yard.run(&run);
    assert_eq!(refused.status.code(), Some(65), "{}", said(&refused));
    assert!(said(&refused).contains("(`--allow` where a plugin is tried)"), "{}", said(&refused));
    assert!(receiver.requests().is_empty());
    let done = yard.run(&[&run[..], &["--allow", &origin]].concat());
    assert!(done.status.success() && said(&done).contains("\"start\":\"well\""), "{}", said(&done));
    let wrong = yard.run(&[&run[..], &["--allow", "*"]].concat());
    assert_eq!(wrong.status.code(), Some(64), "{}", said(&wrong));
    assert!(said(&wrong).contains("a `*` stands only at its beginning"), "{}", said(&wrong));
}

/// What the conformance run says of crashes with an event that asks this URL.
fn crashes_around(url: &str, allow: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let event = folder.path().join("event.json");
    let mut asked = get(url);
    asked["type"] = "ask".into();
    std::fs::write(&event, asked.to_string()).unwrap();
    let output = std::process::Command::new(profile_dir().join("hookyard"))
        .args(["plugin", "check", asker().to_str().unwrap(), "--only", "crashes", "--event"])
        .arg(&event)
        .args(allow.iter().flat_map(|host| ["--allow", host]))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn the_conformance_run_kills_the_plugin_before_and_after_a_request() {
    let receiver =
        Receiver::serve(TcpListener::bind("127.0.0.1:0").unwrap(), None, |_| status("200 OK", "", "{}"));
    let host = format!("http://127.0.0.1:{}", receiver.port());
    let said = crashes_around(&format!("{host}/charges"), &[&host]);
    assert!(said.contains("2 crashes"), "{said}");
    // Undisturbed; never and again; once and again; and where no second question comes.
    assert_eq!(receiver.requests().len(), 5);
    let said = crashes_around(&format!("{host}/charges"), &[]);
    assert!(said.contains("2 crashes"), "a refusal is an answer: {said}");
    assert_eq!(receiver.requests().len(), 5, "nothing is sent that is not allowed");
}
