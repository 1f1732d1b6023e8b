//! The life of connections: accept, TLS handshake, HTTP/1.1 or HTTP/2, and an end for every one of them.
//!
//! What bounds a slow peer: the handshake and the first request head have `header_timeout`, a body has `body_timeout`
//! (`body.rs`), the time between requests has `idle_timeout`. When all places are taken, each new connection gets the place
//! of one that is not at work (`places.rs`): silent ones and those that never brought a verified request first, longest
//! idle first. So whoever holds every place with half a request is served out at once, however many hold on. Only where
//! every connection has a verified request at work do new ones wait in the kernel's queue.

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
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::activity::Activity;
use super::linger::Lingering;
use super::places::{Place, Places};
use super::refusals::RefusalLog;
use super::sources::Sources;
use super::{DoorSettings, request};
use crate::model::clock::Clock;
use crate::model::limits::{
    ACCEPT_PAUSE, CLOSE_GRACE, HEADER_BYTES_MAX, HTTP2_PENDING_RESETS_MAX, HTTP2_STREAMS_MAX, NEWCOMER_GRACE,
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
    /// For requests that are worked on.
    pub(super) in_flight: Arc<Places>,
    /// Take no more; finish what is there.
    pub(super) shutdown: CancellationToken,
    /// Stop at once.
    pub(super) cut: CancellationToken,
    /// Connections, and appends that may outlive theirs.
    pub(super) tasks: TaskTracker,
    /// For open connections.
    connections: Arc<Places>,
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
            in_flight: Places::new(settings.in_flight_max.get()),
            connections: Places::new(settings.connections_max.get()),
            settings,
            sources,
            store,
            clock,
            shutdown,
            refusals: RefusalLog::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
            http: http(),
        }
    }

    /// A place for one more connection.
    async fn place(&self) -> Place {
        if self.connections.is_full() {
            self.refusals.tell_full(self.settings.connections_max.get());
            // Who had to leave goes before the next one comes, so that a flood holds few more than its places.
            tokio::task::yield_now().await;
        }
        loop {
            if let Some(place) = self.connections.take() {
                return place;
            }
            // Every connection is at work: one request whose body comes slowly is refused, which ends its connection
            // or leaves it idle. One at a time: the next only where that brought no place.
            self.in_flight.dismiss();
            let _again = tokio::time::timeout(ACCEPT_PAUSE, self.connections.changed()).await;
        }
    }
}

/// Takes connections until the shutdown.
pub(super) async fn accept(serving: &Arc<Serving>, listener: &TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        let next = async {
            let accepted = listener.accept().await?;
            // Asked for only now: others give way to a connection that is there, not to one that might come.
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
                    cut.run_until_cancelled_owned(connection(serving, stream, peer, tls, place)).await;
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

async fn connection(
    serving: Arc<Serving>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    place: Place,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "a connection was gone before it began");
        return;
    }
    let activity = Activity::new(place);
    let life = async {
        match tls {
            None => speak(&serving, stream, peer, &activity).await,
            Some(tls) => {
                if let Some(stream) = shake_hands(&serving, stream, peer, &tls, &activity).await {
                    speak(&serving, stream, peer, &activity).await;
                }
            }
        }
    };
    tokio::select! {
        () = life => {}
        () = activity.age(NEWCOMER_GRACE) => {}
    }
}

async fn shake_hands(
    serving: &Serving,
    stream: TcpStream,
    peer: SocketAddr,
    tls: &TlsAcceptor,
    activity: &Activity,
) -> Option<TlsStream<TcpStream>> {
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(serving.settings.header_timeout, tls.accept(stream)) => shaken,
        () = activity.lost() => return None,
    };
    match shaken {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
    None
}

/// HTTP until either side has had enough.
async fn speak<S>(serving: &Arc<Serving>, stream: S, peer: SocketAddr, activity: &Arc<Activity>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let (serving, busy) = (Arc::clone(serving), activity.begin());
        async move {
            let reply = request::answer(&serving, request, peer, &busy).await;
            drop(busy);
            Ok::<_, Infallible>(reply)
        }
    });
    let talk = serving.http.serve_connection(TokioIo::new(Lingering::new(stream)), service);
    tokio::pin!(talk);

    let settings = &serving.settings;
    let ended = tokio::select! {
        ended = talk.as_mut() => Some(ended),
        () = serving.shutdown.cancelled() => None,
        () = activity.quiet(settings.header_timeout, settings.idle_timeout) => None,
        () = activity.lost() => {
            // Its place is somebody else's. Only a request that came in this very moment is still answered.
            if !activity.is_busy() {
                tracing::debug!(%peer, "an idle connection was closed for a new one");
                return;
            }
            None
        }
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
            tokio::select! {
                ended = talk => ended,
                () = activity.quiet(CLOSE_GRACE, CLOSE_GRACE) => Ok(()),
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
