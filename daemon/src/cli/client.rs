//! A small HTTP client for the operator listener and for `send`.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

use super::{Common, Failure, target::Target};
use crate::admin::Refused;

/// No answer of a local daemon takes longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Hosts are started side by side, and each may take its time; a long history is gone through.
const WORK_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The operator listener of one daemon.
#[derive(Debug)]
pub(super) struct Operator {
    base: String,
    token: String,
}

impl Operator {
    pub(super) fn of(common: &Common) -> Result<Self, Failure> {
        Self::at(&Target::running(common)?)
    }

    pub(super) fn at(target: &Target) -> Result<Self, Failure> {
        let (listen, token) = target.admin()?;
        Ok(Self { base: format!("http://{listen}"), token })
    }

    /// `GET path`, read as `T`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path, Bytes::new(), ANSWER_TIMEOUT).await
    }

    /// `POST path` with a body, read as `T`. Work that is asked for may take a while.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: Bytes) -> Result<T, Failure> {
        self.ask(Method::POST, path, body, WORK_TIMEOUT).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<T, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| Failure::internal(format!("{path} is no path: {error}")))?;
        let (status, body) = exchange(request, patience).await?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(|error| {
                Failure::internal(format!(
                    "the daemon's answer to {path} is not understood ({error}): is it of another version?"
                ))
            }),
            StatusCode::UNAUTHORIZED => Err(Failure::denied(error_text(&body))),
            StatusCode::SERVICE_UNAVAILABLE => Err(Failure::unavailable(error_text(&body))),
            StatusCode::UNPROCESSABLE_ENTITY => Err(refusal(&body)),
            _ => Err(Failure::bad_data(error_text(&body))),
        }
    }
}

/// `POST` of a signed body: the answer's status and body.
pub(super) async fn post(
    url: &str,
    headers: &[(&str, String)],
    body: Bytes,
) -> Result<(StatusCode, Bytes), Failure> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(CONTENT_TYPE, "application/json; charset=utf-8");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request = request
        .body(Full::new(body))
        .map_err(|error| Failure::bad_data(format!("{url} cannot be posted to: {error}")))?;
    exchange(request, ANSWER_TIMEOUT).await
}

async fn exchange(request: Request<Full<Bytes>>, patience: Duration) -> Result<(StatusCode, Bytes), Failure> {
    let uri = request.uri().clone();
    if uri.scheme_str() == Some("https") {
        return Err(Failure::bad_data(format!(
            "{uri} speaks TLS, which this command does not: give `--url http://…`"
        )));
    }
    let unreachable = |cause: String| {
        let place = uri.authority().map_or_else(|| uri.to_string(), ToString::to_string);
        Failure::unavailable(format!("nobody answers at {place} ({cause}): is `hookyard serve` running?"))
    };
    let asking = async {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = client
            .request(request)
            .await
            .map_err(|error| unreachable(crate::observe::with_causes(&error)))?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(|error| unreachable(error.to_string()))?;
        Ok((status, body.to_bytes()))
    };
    tokio::time::timeout(patience, asking)
        .await
        .unwrap_or_else(|_| Err(unreachable("no answer in time".to_owned())))
}

/// A configuration that the daemon refused, with its own report.
fn refusal(body: &[u8]) -> Failure {
    match serde_json::from_slice::<Refused>(body) {
        Ok(refused) => Failure::config(refused.report),
        Err(_) => Failure::config(error_text(body)),
    }
}

/// The `error` of a JSON answer, or the answer itself.
pub(super) fn error_text(body: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|answer| answer.get("error")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}
