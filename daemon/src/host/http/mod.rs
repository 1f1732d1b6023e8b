//! HTTP requests for plugins (`hookyard.http/1`): one client for each handler, with its pool of connections, held to what the
//! handler's configuration allows; in a test of the plugin's, a script answers in the place of the network (`far_side`).
//! `upcall` asks for each request of a plugin.
//!
//! A request ends with its answer, its own timeout, or its call: at the deadline, when `handle` returns, when the child dies.
//! Nothing is kept, and nothing is made twice. Logs and metrics tell host, status and time, never a path, a header or a body.

mod far_side;
mod prepare;
mod room;
#[cfg(test)]
mod tests;
mod trace;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

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
use crate::model::limits::{HTTP_ANSWERS_BYTES_MAX, HTTP_CONNECT_MAX, HTTP_IN_FLIGHT_MAX};
pub use far_side::{FarSide, NoAnswer, Script};
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
    way: Way,
    places: Semaphore,
    room: Room,
}

/// To whoever answers.
#[derive(Debug)]
enum Way {
    Network { access: HttpAccess, pool: Box<Pool> },
    Script(Arc<dyn Script>),
}

impl Client {
    /// A client without a connection yet. Reads the file with the authorities, where one is named.
    pub(super) fn new(spec: &HostSpec) -> Result<Self, HostError> {
        let (handler, way) = (spec.handler.clone(), Way::to(&spec.http)?);
        Ok(Self { handler, way, places: Semaphore::new(HTTP_IN_FLIGHT_MAX), room: Room::new() })
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
        asked: HttpRequest,
        host: &mut String,
    ) -> Result<(HttpAnswer, Held), NoAnswer> {
        let _place = self.places.try_acquire().map_err(|_| busy())?;
        let held = self.room.begin().ok_or_else(full)?;
        let Prepared { head, host: named, timeout: limit } =
            prepare::prepare(&asked, self.way.access(), &self.handler, call)?;
        host.clone_from(&named);
        tokio::select! {
            biased;
            () = over.cancelled() => Err(NoAnswer::new(HttpFault::Cancelled, "the attempt's time is over")),
            answered = within(limit, &named, self.way.answer(head, asked, &named, held)) => answered,
        }
    }
}

impl Way {
    fn to(far_side: &FarSide) -> Result<Self, HostError> {
        let access = match far_side {
            FarSide::Network(access) => access.clone(),
            FarSide::Script(script) => return Ok(Self::Script(Arc::clone(script))),
        };
        let tls = tls::believing(access.ca.as_deref()).map_err(HostError::Http)?.with_no_client_auth();
        let guard = Guard::new(access.networks.clone());
        let connector = Connector::new(guard, "`networks` of its `http`", HTTP_CONNECT_MAX).behind_a_list();
        Ok(Self::Network { access, pool: Box::new(pool::pool(connector, tls)) })
    }

    /// What may be asked; `None` where that is the script's to say.
    fn access(&self) -> Option<&HttpAccess> {
        match self {
            Self::Network { access, .. } => Some(access),
            Self::Script(_) => None,
        }
    }

    /// The answer to what was asked, which `head` says as it is sent.
    async fn answer(
        &self,
        head: Request<()>,
        asked: HttpRequest,
        host: &str,
        mut held: Held,
    ) -> Result<(HttpAnswer, Held), NoAnswer> {
        match self {
            Self::Network { pool, .. } => {
                let request = head.map(|()| Full::new(Bytes::from(asked.body.0)));
                let response = pool.request(request).await.map_err(|error| failed(&error, host))?;
                read(response, host, held).await
            }
            Self::Script(script) => {
                let answer = script.answer(asked).await?;
                if held.grow(answer.body.0.len()) { Ok((answer, held)) } else { Err(no_room(host)) }
            }
        }
    }
}

async fn within<T>(
    limit: Option<Duration>,
    host: &str,
    answering: impl Future<Output = Result<T, NoAnswer>>,
) -> Result<T, NoAnswer> {
    let Some(limit) = limit else { return answering.await };
    let late = |_| NoAnswer::new(HttpFault::Timeout, format!("{host} did not answer within {limit:?}"));
    timeout(limit, answering).await.map_err(late)?
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

fn no_room(host: &str) -> NoAnswer {
    let words = format!(
        "the answers of the handler's requests under way are above {HTTP_ANSWERS_BYTES_MAX} bytes together, and that of \
         {host} was not kept"
    );
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
            return Err(no_room(host));
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
