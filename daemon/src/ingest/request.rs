//! The way of one request, from its head to its answer. Cheapest refusals first; the body is read only for a request
//! whose signature header could be genuine; nothing is stored before the signature held over the whole body.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, Request};
use hyper::body::Incoming;

use super::activity::Busy;
use super::answer::{self, Refusal, Reply};
use super::connection::Serving;
use super::places::Place;
use super::sources::LiveSource;
use super::{body, envelope};
use crate::model::event::{Appended, Envelope};
use crate::model::limits::APPEND_WAIT_MAX;
use crate::store::{Health, Store, StoreError};

/// Answers one request, whatever it is.
pub(super) async fn answer(
    serving: &Serving,
    request: Request<Incoming>,
    peer: SocketAddr,
    busy: &Busy,
) -> Reply {
    let source = serving.sources.load().at(request.uri().path());
    let taken = match &source {
        Some(source) => take(serving, source, request, busy).await,
        None => Err(Refusal::UnknownPath),
    };
    match taken {
        Ok(appended) => answer::stored(appended),
        Err(refusal) => {
            serving.refusals.tell(&refusal, source.as_ref().map(|source| &source.name), peer);
            refusal.into_reply()
        }
    }
}

async fn take(
    serving: &Serving,
    source: &LiveSource,
    request: Request<Incoming>,
    busy: &Busy,
) -> Result<Appended, Refusal> {
    if request.method() != Method::POST {
        return Err(Refusal::WrongMethod);
    }
    check_open(serving)?;
    let place = serving.in_flight.take().ok_or(Refusal::Overloaded)?;
    source.spend().map_err(|wait| Refusal::TooFast { wait })?;
    check_plain(request.headers())?;
    body::check_length(request.body(), serving.settings.body_bytes_max)?;

    let received = serving.clock.now();
    let (head, incoming) = request.into_parts();
    let mut verifier = source.scheme.begin(&head.headers, received)?;
    let settings = &serving.settings;
    let (bytes_max, limit) = (settings.body_bytes_max, settings.body_timeout);
    let bytes = body::read(incoming, bytes_max, limit, &mut verifier, &place).await?;
    let matched = verifier.finish()?;
    place.keep();
    busy.prove();
    let mut envelope = envelope::make(&source.name, &head.headers, bytes, received)?;
    envelope::redact(&mut envelope, &source.redaction);

    let (event_type, provider_id) = (envelope.event_type.clone(), envelope.provider_id.clone());
    let appended = append(serving, envelope, place).await?;
    tracing::debug!(source = %source.name, event = %appended.event(), event_type, provider_id,
        secret = matched.secret, duplicate = matches!(appended, Appended::Duplicate(_)), "an event is stored");
    Ok(appended)
}

/// Refuses early what the store could only refuse late, after the body was sent.
fn check_open(serving: &Serving) -> Result<(), Refusal> {
    if serving.shutdown.is_cancelled() {
        return Err(Refusal::Draining);
    }
    match serving.store.health() {
        Health::Ready | Health::Loading => Ok(()),
        Health::Full { free_bytes, need_bytes } => Err(StoreError::Full { free_bytes, need_bytes }.into()),
        Health::Closed => Err(StoreError::Closed.into()),
        Health::Failed { why } => Err(StoreError::Failed { why }.into()),
    }
}

/// The signature is over the bytes as sent, so whatever encodes them would have to be undone first: refused instead.
fn check_plain(headers: &HeaderMap) -> Result<(), Refusal> {
    let plain = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if plain { Ok(()) } else { Err(Refusal::Encoded) }
}

/// Appends in a task of its own, which a client that goes away does not stop. It keeps the request's place in flight.
async fn append(serving: &Serving, envelope: Envelope, place: Place) -> Result<Appended, Refusal> {
    let store: Arc<dyn Store> = Arc::clone(&serving.store);
    let appending = serving.tasks.spawn(async move {
        let appended = store.append(envelope).await;
        drop(place);
        appended
    });
    match tokio::time::timeout(APPEND_WAIT_MAX, appending).await {
        Ok(Ok(appended)) => Ok(appended?),
        Ok(Err(source)) => Err(Refusal::StoreBroke { source }),
        Err(_) => Err(Refusal::SlowStore { limit: APPEND_WAIT_MAX }),
    }
}
