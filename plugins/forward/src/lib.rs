//! The plugin that posts events to a team's own HTTP service: the body byte for byte, the headers that it came with, and
//! a Standard Webhooks signature. `docs/forward.md` tells the settings and what each answer means.
//!
//! hookyard calls [`Forward::handle`](hookyard_plugin::Handler::handle) for each attempt at a delivery, on several
//! threads at once; each waits on the one runtime, which drives the pool of connections.
//!
//! Crash points: before the request went nothing happened; after it the receiver may have the event, and gets it again
//! with the same `webhook-id`, by which it knows it.
//!
//! ```toml
//! [handler.billing]
//! plugin   = "forward"
//! secrets  = { signing_key = "env:BILLING_SIGNING_KEY" }
//! settings = { url = "https://billing.example.com/hooks" }
//! ```

#![forbid(unsafe_code)]

mod answer;
mod client;
mod headers;
pub mod project;
mod settings;
pub mod sign;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio::runtime::Runtime;
use tokio::time::sleep;
use url::Url;

use answer::{Answer, Rejecting};
use client::Client;
use project::Projection;
use settings::Checked;
pub use settings::Settings;
use sign::SigningKey;

/// Sockets of at most 64 attempts: more threads would wait.
const RUNTIME_THREADS: usize = 2;
/// Names are resolved on threads of their own, one for each attempt at the most.
const RESOLVER_THREADS_MAX: usize = 64;
/// How often a waiting attempt asks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the end of the handler waits for a name that is being resolved.
const STOP_WAIT: Duration = Duration::from_secs(1);

/// The plugin.
#[derive(Debug)]
pub struct Forward {
    url: Url,
    uri: Uri,
    keys: Vec<SigningKey>,
    /// The settings' own headers, secret ones marked as such.
    headers: HeaderMap,
    projection: Option<Projection>,
    rejecting: Rejecting,
    client: Client,
    /// Taken when the handler ends.
    runtime: Option<Runtime>,
}

impl Handler for Forward {
    type Settings = Settings;

    fn create(settings: Settings, host: &Host<'_>) -> Result<Self, CreateError> {
        let Checked {
            url,
            signing_keys,
            headers,
            secret_headers,
            projection,
            connector,
            rejecting,
            excerpt_bytes,
        } = settings.checked()?;
        let mut secrets = Secrets { host, seen: Vec::new() };
        let keys = signing_keys.iter().map(|name| secrets.key(name)).collect::<Result<_, _>>()?;
        let mut sent: HeaderMap = headers.into_iter().collect();
        for (header, name) in secret_headers {
            sent.insert(header, secrets.header(&name)?);
        }
        let tls = client::tls_config(settings.tls())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .max_blocking_threads(RESOLVER_THREADS_MAX)
            .enable_all()
            .build()?;
        let client = Client::new(connector, tls, excerpt_bytes, secrets.seen);
        let uri = url[..url::Position::AfterQuery].parse()?;
        Ok(Self { url, uri, keys, headers: sent, projection, rejecting, client, runtime: Some(runtime) })
    }

    fn check(settings: &Settings) -> Result<(), CreateError> {
        settings.checked()?;
        client::tls_config(settings.tls()).map(drop)
    }

    fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        let body = match &self.projection {
            None => Bytes::copy_from_slice(event.body()),
            Some(projection) => match projection.apply(event.body()) {
                Ok(left) => Bytes::from(left),
                Err(error) => return Err(Failure::reject("invalid_json", error.to_string())),
            },
        };
        let now = now();
        let headers = self.headers(event, &body, now)?;
        let runtime = self.runtime.as_ref().expect("it is taken only when the handler ends");
        let answer = runtime.block_on(self.post(headers, body, cx))?;
        answer.judge(&self.url, &self.rejecting, now)
    }
}

impl Forward {
    fn headers(&self, event: &Event<'_>, body: &[u8], now: SystemTime) -> Result<HeaderMap, Failure> {
        let mut headers = headers::of_event(event, self.projection.is_none());
        if self.projection.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        let timestamp = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        headers.insert(HeaderName::from_static("webhook-id"), HeaderValue::from_str(event.id())?);
        headers.insert(HeaderName::from_static("webhook-timestamp"), timestamp.into());
        if !self.keys.is_empty() {
            let signature = sign::signature(&self.keys, event.id(), timestamp, body);
            headers.insert(HeaderName::from_static("webhook-signature"), HeaderValue::from_str(&signature)?);
        }
        Ok(headers)
    }

    /// The answer, or why there is none in the time that the call has.
    async fn post(&self, headers: HeaderMap, body: Bytes, cx: &Cx<'_>) -> Result<Answer, Failure> {
        let posting = self.client.post(self.uri.clone(), headers, body);
        tokio::pin!(posting);
        loop {
            let left = cx.remaining();
            if left.is_zero() {
                let host = self.url.host_str().unwrap_or_default();
                return Err(Failure::retry("timeout", format!("{host} did not answer in time")));
            }
            tokio::select! {
                biased;
                answer = &mut posting => return answer,
                () = sleep(left.min(LOOK_EVERY)) => {}
            }
        }
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // Resolving a name cannot be cut short, and must not hold up the end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(STOP_WAIT);
        }
    }
}

/// Reads secrets, and remembers them for what must not be repeated.
struct Secrets<'a, 'h> {
    host: &'a Host<'h>,
    seen: Vec<String>,
}

impl Secrets<'_, '_> {
    fn key(&mut self, name: &str) -> Result<SigningKey, CreateError> {
        let secret = self.read(name)?;
        let wrong = |error| CreateError::new(format!("the secret `{name}` is no signing key: {error}"));
        SigningKey::parse(&secret).map_err(wrong)
    }

    fn header(&mut self, name: &str) -> Result<HeaderValue, CreateError> {
        let secret = self.read(name)?;
        let wrong = |_| CreateError::new(format!("the secret `{name}` cannot stand in a header"));
        let mut value = HeaderValue::from_str(secret.trim()).map_err(wrong)?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn read(&mut self, name: &str) -> Result<String, CreateError> {
        let secret = self.host.secret(name)?;
        // A bearer token is a secret without its `Bearer` too.
        self.seen.extend(secret.split_whitespace().filter(|word| word.len() >= 8).map(str::to_owned));
        Ok(secret)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a plugin has no clock of hookyard's, and a signature says when it was made"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

hookyard_plugin::export!(Forward, id = "com.hookyard.forward");
