//! The life of connections: accept, TLS handshake, HTTP/1.1 or HTTP/2, and an end for every one of them.
//!
//! What bounds a slow peer: the handshake and the first request head have `header_timeout`, a body has `body_timeout`
//! (`body.rs`), the time between requests has `idle_timeout`. When all places are taken, new connections wait in the
//! kernel's queue, and connections that had their request and are idle now are closed for them; so whoever holds places
//! with half a request loses each after `header_timeout`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::activity::Activity;
use super::linger::Lingering;
use super::refusals::RefusalLog;
use super::sources::Sources;
use super::{DoorSettings, request};
use crate::model::clock::Clock;
use crate::model::limits::{
    ACCEPT_PAUSE, CLOSE_GRACE, HEADER_BYTES_MAX, HTTP2_PENDING_RESETS_MAX, HTTP2_STREAMS_MAX,
};
use crate::store::Store;

/// What all connections of a served door share.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) settings: DoorSettings,
    pub(super) sources: Arc<ArcSwap<Sources>>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) refusals: RefusalLog,
    /// Permits for requests that are worked on.
    pub(super) in_flight: Arc<Semaphore>,
    /// Take no more; finish what is there.
    pub(super) shutdown: CancellationToken,
    /// Stop at once.
    pub(super) cut: CancellationToken,
    /// Connections, and appends that may outlive theirs.
    pub(super) tasks: TaskTracker,
    /// Permits for open connections.
    places: Arc<Semaphore>,
    /// True while somebody waits for a place.
    place_wanted: watch::Sender<bool>,
    http: auto::Builder<TokioExecutor>,
}

impl Serving {
    pub(super) fn new(
        settings: DoorSettings,
        sources: Arc<ArcSwap<Sources>>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            in_flight: Arc::new(Semaphore::new(settings.in_flight_max.get().min(Semaphore::MAX_PERMITS))),
            places: Arc::new(Semaphore::new(settings.connections_max.get().min(Semaphore::MAX_PERMITS))),
            settings,
            sources,
            store,
            clock,
            shutdown,
            refusals: RefusalLog::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
            place_wanted: watch::Sender::new(false),
            http: http(),
        }
    }

    /// A place for one more connection.
    async fn place(&self) -> OwnedSemaphorePermit {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return place;
        }
        self.refusals.tell_full(self.settings.connections_max.get());
        self.place_wanted.send_replace(true);
        let place = Arc::clone(&self.places).acquire_owned().await.expect("this semaphore is never closed");
        self.place_wanted.send_replace(false);
        place
    }
}

/// Takes connections until the shutdown.
pub(super) async fn accept(serving: &Arc<Serving>, listener: &TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        let next = async {
            let accepted = listener.accept().await?;
            // Asked for only now: idle connections give way to one that is there, not to one that might come.
            Ok((accepted, serving.place().await))
        };
        let next = tokio::select! {
            next = next => next,
            () = serving.shutdown.cancelled() => return,
        };
        match next {
            Ok(((stream, peer), place)) => {
                let (serving, tls) = (Arc::clone(serving), tls.clone());
                let tasks = serving.tasks.clone();
                tasks.spawn(async move {
                    let cut = serving.cut.clone();
                    // Dropping the connection's future is what cuts it.
                    cut.run_until_cancelled_owned(connection(serving, stream, peer, tls)).await;
                    drop(place);
                });
            }
            Err(error) => rest_after(&error).await,
        }
    }
}

/// An accept fails for one connection that is gone already, or for want of file descriptors: then wait for some.
async fn rest_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        return;
    }
    tracing::error!(%error, pause = ?ACCEPT_PAUSE, "a connection could not be accepted; trying again");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

async fn connection(serving: Arc<Serving>, stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "a connection was gone before it began");
        return;
    }
    let Some(tls) = tls else { return speak(&serving, stream, peer).await };
    match tokio::time::timeout(serving.settings.header_timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => speak(&serving, stream, peer).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

/// HTTP until either side has had enough.
async fn speak<S>(serving: &Arc<Serving>, stream: S, peer: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let service = service_fn(|request| {
        let (serving, busy) = (Arc::clone(serving), activity.begin());
        async move {
            let reply = request::answer(&serving, request, peer).await;
            drop(busy);
            Ok::<_, Infallible>(reply)
        }
    });
    let talk = serving.http.serve_connection(TokioIo::new(Lingering::new(stream)), service);
    tokio::pin!(talk);

    let settings = &serving.settings;
    let wanted = serving.place_wanted.subscribe();
    let ended = tokio::select! {
        ended = talk.as_mut() => Some(ended),
        () = serving.shutdown.cancelled() => None,
        () = activity.quiet(settings.header_timeout, settings.idle_timeout, wanted) => None,
    };
    if ended.is_none() && !activity.was_used() {
        // Nobody waits for an answer, and a place held by silence is wanted back at once.
        tracing::debug!(%peer, "a connection was closed before it brought a whole request");
        return;
    }
    let ended = match ended {
        Some(ended) => ended,
        None => {
            talk.as_mut().graceful_shutdown();
            let unwanted = watch::Sender::new(false);
            tokio::select! {
                ended = talk => ended,
                () = activity.quiet(CLOSE_GRACE, CLOSE_GRACE, unwanted.subscribe()) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error, "a connection broke");
    }
}

fn http() -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        // `activity.rs` has the clock, for both versions.
        .header_read_timeout(None)
        .max_buf_size(HEADER_BYTES_MAX)
        // A client may end its side after the request and still wants the answer.
        .half_close(true);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_pending_accept_reset_streams(HTTP2_PENDING_RESETS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).expect("the constant is small"));
    http
}
