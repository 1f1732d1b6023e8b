//! Plays Stripe: fixtures, signed by the official SDK, posted like Stripe posts.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use bytes::Bytes;
use hookyard::model::clock::{Clock, SystemClock};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// The secret of every test daemon's source.
pub(crate) const SECRET: &str = "whsec_test_of_the_integration_suite";

/// The folder that holds this package.
pub(crate) fn tests_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A fixture's bytes, by the beginning of its file name.
pub(crate) fn fixture(prefix: &str) -> Vec<u8> {
    let mut found = recorded();
    found.retain(|name| name.starts_with(&format!("{prefix}_")));
    assert_eq!(found.len(), 1, "`{prefix}` names {found:?}");
    std::fs::read(tests_dir().join("fixtures").join(found.remove(0))).unwrap()
}

/// What each fixture's name begins with.
pub(crate) fn prefixes() -> Vec<String> {
    recorded().iter().map(|name| name.split_once('_').unwrap().0.to_owned()).collect()
}

/// The fixtures' file names, in order.
fn recorded() -> Vec<String> {
    let entries = std::fs::read_dir(tests_dir().join("fixtures")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "INDEX.json");
    names.sort();
    names
}

/// The fixture with another event id and another session: a purchase of its own.
pub(crate) fn another_purchase(prefix: &str, number: usize) -> Vec<u8> {
    let text = String::from_utf8(fixture(prefix)).unwrap();
    let event: serde_json::Value = serde_json::from_str(&text).unwrap();
    let session = event["data"]["object"]["id"].as_str().unwrap();
    let text = text.replace(event["id"].as_str().unwrap(), &format!("evt_test_{number:08}"));
    let text = text.replace(session, &format!("cs_test_{number:08}"));
    let email = event["data"]["object"]["customer_details"]["email"].as_str().unwrap();
    text.replace(email, &format!("buyer.{number}@buyer.example")).into_bytes()
}

/// Now, in seconds, as a signature carries it.
pub(crate) fn now() -> u64 {
    SystemClock.now().0 / 1000
}

/// The signature header that the official SDK makes.
pub(crate) fn sign(body: &[u8], secret: &str, timestamp: u64) -> String {
    static SDK: OnceLock<Mutex<Sdk>> = OnceLock::new();
    SDK.get_or_init(|| Mutex::new(Sdk::start())).lock().unwrap().sign(body, secret, timestamp)
}

/// The official Python SDK, kept running.
struct Sdk {
    _process: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Sdk {
    fn start() -> Self {
        let python = tests_dir().join(".venv/bin/python");
        assert!(python.exists(), "the official SDK is not installed here: run tests/run, which installs it");
        let mut process = Command::new(python)
            .arg(tests_dir().join("sdk/sign.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (ask, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { _process: process, ask, answers: BufReader::new(answers) }
    }

    fn sign(&mut self, body: &[u8], secret: &str, timestamp: u64) -> String {
        let case = serde_json::json!({ "body_b64": base64(body), "secret": secret, "timestamp": timestamp });
        writeln!(self.ask, "{case}").unwrap();
        self.ask.flush().unwrap();
        let mut header = String::new();
        self.answers.read_line(&mut header).unwrap();
        assert!(header.starts_with("t="), "the SDK answered {header:?}");
        header.trim_end().to_owned()
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let bits =
            chunk.iter().chain([&0, &0]).take(3).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        (0..4)
            .map(|place| match place <= chunk.len() {
                true => char::from(ALPHABET[(bits >> (18 - 6 * place) & 63) as usize]),
                false => '=',
            })
            .collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

/// One answer of the door.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: serde_json::Value,
}

impl Answer {
    pub(crate) fn event(&self) -> String {
        self.body["event"].as_str().unwrap_or_else(|| panic!("no event in {self:?}")).to_owned()
    }
}

/// Posts to one door over kept connections.
#[derive(Debug, Clone)]
pub(crate) struct Poster {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

impl Poster {
    pub(crate) fn to(door: SocketAddr) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, url: format!("http://{door}/webhooks/stripe") }
    }

    /// The same door, at another source's path.
    pub(crate) fn at_path(&self, path: &str) -> Self {
        Self { client: self.client.clone(), url: self.url.replace("/webhooks/stripe", path) }
    }

    /// Posts a body, signed now by the official SDK; panics where nobody answers.
    pub(crate) async fn post(&self, body: &[u8]) -> Answer {
        self.try_post(body, &sign(body, SECRET, now())).await.expect("the door answers")
    }

    /// Posts a body under a signature; `None` where the connection broke before an answer.
    pub(crate) async fn try_post(&self, body: &[u8], signature: &str) -> Option<Answer> {
        let request = Request::post(&self.url)
            .header("content-type", "application/json; charset=utf-8")
            .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
            .header("stripe-signature", signature)
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        let answer = self.client.request(request).await.ok()?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        Some(Answer { status, body: serde_json::from_slice(&body).unwrap_or_default() })
    }
}
