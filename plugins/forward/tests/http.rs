//! The plugin against a real HTTP receiver, plain and with TLS.
// clippy lets `#[test]` functions unwrap, but not what they call.
#![allow(clippy::unwrap_used)]

mod receiver;

use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hookyard_forward::Forward;
use hookyard_forward::sign::{SigningKey, signature};
use hookyard_plugin::testkit::{Bench, Delivered, Said, TestEvent};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use receiver::{Raw, Receiver, status};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEXT_KEY: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SECRETS: [(&str, &str); 3] =
    [("signing_key", KEY), ("next_key", NEXT_KEY), ("token", "Bearer token-of-the-team")];

fn settings(url: &str, more: &Value) -> Value {
    let mut settings = json!({ "url": url, "allow": ["127.0.0.0/8"] });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

fn bench(receiver: &Receiver, more: &Value) -> Bench {
    let url = format!("http://127.0.0.1:{}/hooks?team=billing#x", receiver.port());
    Bench::try_new::<Forward>(&settings(&url, more), &SECRETS).unwrap()
}

/// As Stripe sends it: with spaces and line ends that no serializer would make.
fn event() -> TestEvent {
    let body = b"{\n  \"id\": \"evt_1\",\n  \"type\": \"a.b\", \"data\":{\"object\":{\"id\":\"cs_1\",\"amount\":1.50}}}\r\n";
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("stripe-signature", "t=1,v1=abc"),
        ("user-agent", "Stripe/1.0"),
        ("accept", "*/*"),
        ("x-twice", "1"),
        ("x-twice", "2"),
        ("connection", "close, x-private"),
        ("x-private", "for the door"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("host", "door.example"),
        ("content-length", "7"),
        ("x-forwarded-for", "3.3.3.3"),
        ("webhook-id", "somebody's"),
        ("x-hookyard-attempt", "99"),
    ];
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    TestEvent { headers, attempt: 3, ..TestEvent::new("a.b", body) }
}

fn failed(delivered: &Delivered) -> (&Said, &str) {
    (&delivered.outcome, &delivered.code)
}

#[test]
fn the_body_goes_byte_for_byte_with_its_headers_and_a_signature_of_each_key() {
    let receiver = start(None, |_| status("200 OK", "", "thanks, whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    let more = json!({
        "signing_keys": ["next_key", "signing_key"],
        "headers": { "x-team": "billing" },
        "secret_headers": { "authorization": "token" },
    });
    let delivered = bench(&receiver, &more).deliver(&event());
    assert_eq!(delivered.outcome, Said::Done, "{delivered:?}");
    assert_eq!(delivered.result, Some(json!({ "status": 200, "response": "thanks, [secret]" })));

    let request = &receiver.requests()[0];
    assert_eq!(request.line, "POST /hooks?team=billing HTTP/1.1");
    assert_eq!(request.body, event().body);
    for (name, values) in [
        ("content-type", vec!["application/json; charset=utf-8"]),
        ("stripe-signature", vec!["t=1,v1=abc"]),
        ("user-agent", vec!["Stripe/1.0"]),
        ("accept", vec!["*/*"]),
        ("x-twice", vec!["1", "2"]),
        ("x-team", vec!["billing"]),
        ("authorization", vec!["Bearer token-of-the-team"]),
        ("host", vec![&*format!("127.0.0.1:{}", receiver.port())]),
        ("content-length", vec![&*event().body.len().to_string()]),
        ("webhook-id", vec![&*event().id]),
        ("x-hookyard-event-type", vec!["a.b"]),
        ("x-hookyard-source", vec!["test"]),
        ("x-hookyard-attempt", vec!["3"]),
    ] {
        assert_eq!(request.header(name), values, "{name}");
    }
    for gone in
        ["connection", "x-private", "keep-alive", "transfer-encoding", "te", "upgrade", "x-forwarded-for"]
    {
        assert!(request.header(gone).is_empty(), "{gone}");
    }
    let timestamp = request.header("webhook-timestamp")[0].parse().unwrap();
    let keys = [NEXT_KEY, KEY].map(|key| SigningKey::parse(key).unwrap());
    assert_eq!(
        request.header("webhook-signature"),
        [signature(&keys, &event().id, timestamp, &request.body)]
    );
}

#[test]
fn a_projected_body_holds_the_paths_alone_and_no_signature_of_the_whole() {
    let receiver = start(None, |_| status("204 No Content", "", ""));
    let bench = bench(&receiver, &json!({ "body": ["id", "data.object.amount"] }));
    assert_eq!(bench.deliver(&event()).outcome, Said::Done);
    let request = &receiver.requests()[0];
    assert_eq!(request.body, br#"{"id":"evt_1","data":{"object":{"amount":1.50}}}"#);
    assert_eq!(request.header("content-type"), ["application/json"]);
    assert!(request.header("stripe-signature").is_empty());
    let timestamp = request.header("webhook-timestamp")[0].parse().unwrap();
    let keys = [SigningKey::parse(KEY).unwrap()];
    assert_eq!(
        request.header("webhook-signature"),
        [signature(&keys, &event().id, timestamp, &request.body)]
    );

    let rejected = bench.deliver(&TestEvent::new("a.b", b"[1]"));
    assert_eq!(failed(&rejected), (&Said::Reject, "invalid_json"));
}

#[test]
fn a_retry_has_the_same_id_and_a_signature_of_its_own_time() {
    let receiver = start(None, |number| match number {
        0 => status("500 Internal Server Error", "", "try\nlater"),
        1 => status("429 Too Many Requests", "Retry-After: 7\r\n", ""),
        2 => status("302 Found", "Location: https://elsewhere.example/?token=x\r\n", ""),
        3 => status("410 Gone", "", ""),
        _ => status("202 Accepted", "", ""),
    });
    let bench = bench(&receiver, &json!({}));
    let attempts: Vec<Delivered> = (0..5).map(|_| bench.deliver(&event())).collect();
    let said: Vec<(&Said, &str)> = attempts.iter().map(failed).collect();
    let wait = Said::Retry(Some(Duration::from_secs(7)));
    let expected = [
        (&Said::Retry(None), "http_500"),
        (&wait, "http_429"),
        (&Said::Retry(None), "http_302"),
        (&Said::Reject, "http_410"),
        (&Said::Done, ""),
    ];
    assert_eq!(said, expected);
    assert_eq!(attempts[0].message, "127.0.0.1 answered 500 Internal Server Error: try later");
    assert!(attempts[2].message.contains("points at https://elsewhere.example/;"), "{}", attempts[2].message);
    let requests = receiver.requests();
    assert!(requests.iter().all(|request| request.header("webhook-id") == [event().id.as_str()]));
    assert!(requests.iter().all(|request| request.connection == 0), "one connection served them all");
}

#[test]
fn a_receiver_that_is_slow_silent_or_endless_costs_its_attempt_and_no_more() {
    let receiver = start(None, |number| match number {
        0 => format!("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n{}", "x".repeat(200_000))
            .into_bytes(),
        1 => b"HTTP/1.1 500 Oh\r\nContent-Length: 10\r\n\r\nhalf".to_vec(),
        _ => b"nonsense\r\n\r\n".to_vec(),
    });
    let bench = bench(&receiver, &json!({ "response_excerpt_bytes": 5 }));
    let soon = TestEvent { remaining: Duration::ZERO, ..event() };
    assert_eq!(failed(&bench.deliver(&soon)), (&Said::Retry(None), "timeout"));
    let endless = bench.deliver(&event());
    assert_eq!(
        (endless.outcome, endless.result.unwrap()["response"].as_str()),
        (Said::Done, Some("xxxxx\u{2026}"))
    );
    // The rest of a body that never comes is not waited for long, and the status counts.
    assert_eq!(failed(&bench.deliver(&event())), (&Said::Retry(None), "http_500"));
    assert_eq!(failed(&bench.deliver(&event())), (&Said::Retry(None), "connection"));
}

#[test]
fn what_cannot_be_reached_is_retried_with_the_reason() {
    let deliver = |url: &str, more: &Value| {
        Bench::try_new::<Forward>(&settings(url, more), &SECRETS).unwrap().deliver(&event())
    };
    let refused = deliver("http://127.0.0.1:1/", &json!({}));
    assert_eq!(failed(&refused), (&Said::Retry(None), "connect"), "{refused:?}");
    assert!(refused.message.starts_with("no connection to 127.0.0.1:1: "), "{}", refused.message);
    let unknown = deliver("https://no-such-name.invalid/", &json!({}));
    assert_eq!(failed(&unknown), (&Said::Retry(None), "dns"), "{unknown:?}");
    let port = hang_up_at_once();
    let closed = deliver(&format!("http://127.0.0.1:{port}/"), &json!({}));
    assert_eq!(failed(&closed), (&Said::Retry(None), "connection"), "{closed:?}");
}

/// A name is judged by what it resolves to at that moment; the receiver sees no connection.
#[test]
fn a_name_that_resolves_to_a_private_address_is_not_connected() {
    let receiver = start(None, |_| status("200 OK", "", ""));
    let url = format!("https://localhost:{}/", receiver.port());
    let closed = Bench::try_new::<Forward>(&settings(&url, &json!({ "allow": [] })), &SECRETS).unwrap();
    let refused = closed.deliver(&event());
    assert_eq!(failed(&refused), (&Said::Retry(None), "address_refused"));
    assert!(refused.message.contains("which is loopback"), "{}", refused.message);
    assert!(receiver.requests().is_empty());
}

#[test]
fn settings_that_cannot_work_are_refused_with_a_sentence() {
    let refused = |settings: &Value| match Bench::try_new::<Forward>(settings, &SECRETS) {
        Ok(_) => panic!("taken: {settings}"),
        Err(why) => why,
    };
    let good = "https://hooks.example.com/";
    for (settings, words) in [
        (json!({}), "missing field `url`"),
        (json!({ "url": good, "urll": 1 }), "unknown field `urll`"),
        (json!({ "url": "hooks.example.com" }), "`url` is not a URL"),
        (json!({ "url": "ftp://hooks.example.com/" }), "write https"),
        (json!({ "url": "https://user:secret@hooks.example.com/" }), "secret_headers"),
        (json!({ "url": "http://1.1.1.1/" }), "plain http goes only to addresses that `allow` names"),
        (json!({ "url": good, "allow": ["10.0.0.0/33"] }), "is no network"),
        (json!({ "url": good, "headers": { "webhook-id": "x" } }), "is written by hookyard itself"),
        (json!({ "url": good, "headers": { "host": "x" } }), "is written by hookyard itself"),
        (json!({ "url": good, "headers": { "a b": "x" } }), "is not the name of a header"),
        (json!({ "url": good, "headers": { "x-a": "a\nb" } }), "is not valid"),
        (json!({ "url": good, "signing_keys": ["none"] }), "no secret `none`"),
        (json!({ "url": good, "signing_keys": ["token"] }), "does not begin with `whsec_`"),
        (json!({ "url": good, "body": [] }), "names no path"),
        (json!({ "url": good, "body": ["a", "a.b"] }), "is within another one"),
        (json!({ "url": good, "reject": ["503"] }), "`reject` cannot hold \"503\""),
        (json!({ "url": good, "connect_seconds": 0 }), "`connect_seconds` is 1 to 60"),
        (json!({ "url": good, "response_excerpt_bytes": 5000 }), "at most 1024"),
        (json!({ "url": good, "tls": { "ca": "/nowhere.pem" } }), "/nowhere.pem cannot be read"),
        (json!({ "url": good, "tls": { "client_certificate": "/x" } }), "together"),
    ] {
        let why = refused(&settings);
        assert!(why.contains(words), "{settings}: {why}");
    }
}

/// However an address is written, it is the address that is judged (the forms of CVE reports and of WHATWG's URL).
#[test]
fn odd_forms_of_addresses_are_no_way_round_the_guard() {
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "169.254.169.254",
        "0xa9fea9fe",
        "10.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fd00::1]",
        "[fe80::1]",
        "\u{ff11}27.0.0.1",
        "127\u{3002}0.0.1",
        "%31%32%37.0.0.1",
    ] {
        let settings = json!({ "url": format!("https://{host}/") });
        let why = match Bench::try_new::<Forward>(&settings, &SECRETS) {
            Ok(_) => panic!("taken: {host}"),
            Err(why) => why,
        };
        assert!(why.contains("no request goes there"), "{host}: {why}");
    }
}

/// Certificates of an authority of our own, in a folder.
struct Authority {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { dir, issuer }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    /// Writes `NAME.pem` and `NAME.key`.
    fn issue(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn server(&self, name: &str, clients: bool) -> ServerConfig {
        use rustls_pki_types::pem::PemObject;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(&self.path(&format!("{name}.pem")));
        let key = rustls_pki_types::PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let verifier =
            || WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()), provider).build().unwrap();
        let config =
            if clients { config.with_client_cert_verifier(verifier()) } else { config.with_no_client_auth() };
        config.with_single_cert(chain, key).unwrap()
    }
}

fn certificates(path: &Path) -> Vec<rustls_pki_types::CertificateDer<'static>> {
    use rustls_pki_types::pem::PemObject;
    rustls_pki_types::CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
}

#[test]
fn tls_is_verified_against_the_authorities_of_the_settings() {
    let ours = Authority::new();
    ours.issue("localhost");
    let receiver = start(Some(ours.server("localhost", false)), |_| status("200 OK", "", ""));
    let deliver = |host: &str, tls: &Value| {
        let url = format!("https://{host}:{}/", receiver.port());
        Bench::try_new::<Forward>(&settings(&url, &json!({ "tls": tls })), &SECRETS)
            .unwrap()
            .deliver(&event())
    };
    assert_eq!(deliver("localhost", &json!({ "ca": ours.path("ca.pem") })).outcome, Said::Done);
    let stranger = Authority::new();
    for (host, tls) in [
        ("localhost", json!({})),
        ("localhost", json!({ "ca": stranger.path("ca.pem") })),
        ("127.0.0.1", json!({ "ca": ours.path("ca.pem") })),
    ] {
        let refused = deliver(host, &tls);
        assert_eq!(failed(&refused), (&Said::Retry(None), "tls"), "{host}: {refused:?}");
        assert!(refused.message.contains("certificate"), "{}", refused.message);
    }
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn a_receiver_that_asks_for_a_certificate_gets_the_one_of_the_settings() {
    let ours = Authority::new();
    ours.issue("localhost");
    ours.issue("hookyard");
    let receiver = start(Some(ours.server("localhost", true)), |_| status("200 OK", "", ""));
    let url = format!("https://localhost:{}/", receiver.port());
    let deliver = |tls: &Value| {
        Bench::try_new::<Forward>(&settings(&url, &json!({ "tls": tls })), &SECRETS)
            .unwrap()
            .deliver(&event())
    };
    let known = deliver(&json!({
        "ca": ours.path("ca.pem"),
        "client_certificate": ours.path("hookyard.pem"),
        "client_key": ours.path("hookyard.key"),
    }));
    assert_eq!(known.outcome, Said::Done, "{known:?}");
    let unknown = deliver(&json!({ "ca": ours.path("ca.pem") }));
    assert!(matches!(unknown.outcome, Said::Retry(None)), "{unknown:?}");
    assert_eq!(receiver.requests().len(), 1);
}

/// Takes a connection and closes it without a word.
fn hang_up_at_once() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.map(|stream: TcpStream| stream.shutdown(Shutdown::Both));
        }
    });
    port
}

/// A receiver on a port that the kernel picks.
fn start(tls: Option<ServerConfig>, answer: impl Fn(usize) -> Raw + Send + 'static) -> Receiver {
    Receiver::serve(TcpListener::bind("127.0.0.1:0").unwrap(), tls, answer)
}
