//! HTTP requests for plugins (`hookyard.http/1`): one client for each handler, with its pool of connections, held to what the
//! handler's configuration allows. `upcall` asks for each request of a plugin.
//!
//! A request ends with its answer, its own timeout, or its call: at the deadline, when `handle` returns, when the child dies.
//! Nothing is kept, and nothing is made twice. Logs and metrics tell host, status and time, never a path, a header or a body.

mod prepare;
mod room;
#[cfg(test)]
mod tests;
mod trace;

use std::error::Error;

use bytes::Bytes;
use hookyard_egress::address::Guard;
use hookyard_egress::connect::{ConnectError, Connector};
use hookyard_egress::pool::{self, NoAnswer as Cause, Pool};
use hookyard_egress::tls;
use hookyard_plugin_host::protocol::{
    Blob, HTTP_ANSWER_BODY_BYTES_MAX, HttpAnswer, HttpFault, HttpRequest, Reply,
};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::child::CallName;
use super::figures::Counters;
use super::{HostError, HostSpec, report};
use crate::model::clock::Stopwatch;
use crate::model::http_access::HttpAccess;
use crate::model::ids::HandlerName;
use crate::model::limits::{DETAIL_BYTES_MAX, HTTP_ANSWERS_BYTES_MAX, HTTP_CONNECT_MAX, HTTP_IN_FLIGHT_MAX};
use prepare::Prepared;
pub(super) use room::Held;
use room::Room;
pub(super) use trace::Trace;

/// A method in a log line; the longest in use has nine letters.
const METHOD_BYTES_MAX: usize = 16;

/// The client of one handler.
#[derive(Debug)]
pub(super) struct Client {
    handler: HandlerName,
    access: HttpAccess,
    pool: Pool,
    places: Semaphore,
    room: Room,
}

/// Why there is no answer: for the plugin, and in words for people.
#[derive(Debug)]
struct NoAnswer {
    fault: HttpFault,
    words: String,
}

impl Client {
    /// A client without a connection yet. Reads the file with the authorities, where one is named.
    pub(super) fn new(spec: &HostSpec) -> Result<Self, HostError> {
        let (handler, access) = (spec.handler.clone(), spec.http.clone());
        let tls = tls::believing(access.ca.as_deref()).map_err(HostError::Http)?.with_no_client_auth();
        let guard = Guard::new(access.networks.clone());
        let connector = Connector::new(guard, "`networks` of its `http`", HTTP_CONNECT_MAX).behind_a_list();
        let places = Semaphore::new(HTTP_IN_FLIGHT_MAX);
        Ok(Self { handler, access, pool: pool::pool(connector, tls), places, room: Room::new() })
    }

    /// Makes a plugin's request, until its call is `over`. What the answer holds is given back once it has been passed on.
    pub(super) async fn ask(
        &self,
        call: &CallName,
        over: &CancellationToken,
        request: HttpRequest,
        counters: &Counters,
    ) -> (Reply, Option<Held>) {
        let (watch, method) = (Stopwatch::start(), report::clean(&request.method, METHOD_BYTES_MAX));
        let mut host = String::new();
        let answered = self.until_over(call, over, request, &mut host).await;
        let took = watch.elapsed();
        let code = match &answered {
            Ok((answer, _)) => answer.status.to_string(),
            Err(error) => error.fault.word().to_owned(),
        };
        let CallName { delivery, attempt, .. } = call;
        tracing::debug!(handler = %self.handler, %delivery, attempt, method, host, code, ?took, "http");
        counters.http(code, took);
        match answered {
            Ok((answer, held)) => (Reply::Http(answer), Some(held)),
            Err(error) => (told(call, error), None),
        }
    }

    /// Tells the `host` as soon as it is known.
    async fn until_over(
        &self,
        call: &CallName,
        over: &CancellationToken,
        request: HttpRequest,
        host: &mut String,
    ) -> Result<(HttpAnswer, Held), NoAnswer> {
        let _place = self.places.try_acquire().map_err(|_| busy())?;
        let held = self.room.begin().ok_or_else(full)?;
        let prepared = prepare::prepare(request, &self.access, &self.handler, call)?;
        host.clone_from(&prepared.host);
        tokio::select! {
            biased;
            () = over.cancelled() => Err(NoAnswer::new(HttpFault::Cancelled, "the attempt's time is over")),
            answered = self.make(prepared, held) => answered,
        }
    }

    async fn make(&self, prepared: Prepared, held: Held) -> Result<(HttpAnswer, Held), NoAnswer> {
        let Prepared { request, host, timeout: limit } = prepared;
        let Some(limit) = limit else { return self.answer(request, &host, held).await };
        let late = |_| NoAnswer::new(HttpFault::Timeout, format!("{host} did not answer within {limit:?}"));
        timeout(limit, self.answer(request, &host, held)).await.map_err(late)?
    }

    async fn answer(
        &self,
        request: Request<Full<Bytes>>,
        host: &str,
        held: Held,
    ) -> Result<(HttpAnswer, Held), NoAnswer> {
        let response = self.pool.request(request).await.map_err(|error| failed(&error, host))?;
        read(response, host, held).await
    }
}

impl NoAnswer {
    fn new(fault: HttpFault, words: impl AsRef<str>) -> Self {
        Self { fault, words: report::clean(words.as_ref(), DETAIL_BYTES_MAX) }
    }
}

/// What the plugin is told. A refusal is the operator's to mend, so the log tells it too.
fn told(call: &CallName, error: NoAnswer) -> Reply {
    let NoAnswer { fault, words } = error;
    if fault == HttpFault::Refused {
        let CallName { delivery, attempt, .. } = call;
        tracing::warn!(%delivery, attempt, "a plugin's HTTP request was refused: {words}");
    }
    Reply::NoAnswer { fault, words }
}

fn busy() -> NoAnswer {
    let words = format!("the handler has {HTTP_IN_FLIGHT_MAX} HTTP requests under way");
    NoAnswer::new(HttpFault::Busy, words)
}

fn full() -> NoAnswer {
    let words = format!(
        "the answers of the handler's requests under way hold so much of {HTTP_ANSWERS_BYTES_MAX} bytes that another may have \
         no room; nothing was sent"
    );
    NoAnswer::new(HttpFault::Busy, words)
}

fn failed(error: &(dyn Error + 'static), host: &str) -> NoAnswer {
    match pool::why(error) {
        Cause::Connect(error) => {
            let fault = match error {
                ConnectError::Resolve { .. } => HttpFault::Resolve,
                ConnectError::Tcp { .. } => HttpFault::Connect,
                ConnectError::Refused { .. } | ConnectError::PlainHttp { .. } | ConnectError::NoHost => {
                    HttpFault::Refused
                }
            };
            NoAnswer::new(fault, crate::observe::with_causes(error))
        }
        Cause::Tls(error) => NoAnswer::new(HttpFault::Tls, format!("no TLS connection to {host}: {error}")),
        Cause::HeadTooLarge => head_too_large(host),
        Cause::Broken(words) => {
            let words = format!("the connection to {host} broke before an answer came: {words}");
            NoAnswer::new(HttpFault::Broken, words)
        }
    }
}

fn head_too_large(host: &str) -> NoAnswer {
    let words = format!("the answer of {host} has too many or too long headers, and was not kept");
    NoAnswer::new(HttpFault::AnswerTooLarge, words)
}

async fn read(
    response: Response<Incoming>,
    host: &str,
    mut held: Held,
) -> Result<(HttpAnswer, Held), NoAnswer> {
    let (head, mut incoming) = response.into_parts();
    let too_large = || {
        let words =
            format!("the answer of {host} is above {HTTP_ANSWER_BODY_BYTES_MAX} bytes, and was not kept");
        NoAnswer::new(HttpFault::AnswerTooLarge, words)
    };
    // The client's own bound is by what it reads at once.
    let head_bytes: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if head_bytes > pool::ANSWER_HEADER_BYTES_MAX as usize {
        return Err(head_too_large(host));
    }
    // What says so is not read at all.
    if incoming.size_hint().lower() > HTTP_ANSWER_BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let broke = |error| {
            let words = format!("the answer of {host} broke off: {error}");
            NoAnswer::new(HttpFault::Broken, words)
        };
        let Ok(data) = frame.map_err(broke)?.into_data() else { continue };
        if body.len() + data.len() > HTTP_ANSWER_BODY_BYTES_MAX {
            return Err(too_large());
        }
        if !held.grow(data.len()) {
            let words = format!(
                "the answers of the handler's requests under way are above {HTTP_ANSWERS_BYTES_MAX} bytes together, and that of \
                 {host} was not kept"
            );
            return Err(NoAnswer::new(HttpFault::AnswerTooLarge, words));
        }
        body.extend_from_slice(&data);
    }
    let answer = HttpAnswer { status: head.status.as_u16(), headers: pairs(&head.headers), body: Blob(body) };
    Ok((answer, held))
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}
