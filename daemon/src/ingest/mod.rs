//! The door: listen, verify, make the envelope, append, answer. No 2xx before the store said "on disk".
//!
//! ```text
//!  accept ─► TLS? ─► HTTP/1.1 or 2 ─► path, method, health, caps, rate ─► headers ─► body ─► signature ─► envelope
//!                                                                                    store.append ─► 200
//! ```
//!
//! `app` binds a [`Door`] and serves it; the door knows sources and the store, and no rules. It keeps nothing itself: a
//! kill at any moment loses only requests that were never answered 2xx, and their sender tries those again. An append
//! that was begun is finished though its client went away: the retry is then answered as a duplicate.
//!
//! Reading order: `request.rs` is the way of one request, `answer.rs` every answer, `connection.rs` the life of a
//! connection.

mod activity;
mod answer;
mod body;
mod connection;
pub mod envelope;
mod linger;
mod places;
mod refusals;
mod request;
mod sources;
mod tls;

pub use sources::{DoorSource, RateLimit, Sources, SourcesError};
pub use tls::{TlsError, TlsFiles};

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::model::clock::Clock;
use crate::model::limits::{
    BODY_BYTES_DEFAULT_MAX, BODY_TIMEOUT_DEFAULT, CLOSE_GRACE, CONNECTIONS_DEFAULT_MAX,
    HEADER_TIMEOUT_DEFAULT, IDLE_TIMEOUT_DEFAULT, IN_FLIGHT_DEFAULT_MAX,
};
use crate::store::Store;
use connection::Serving;
use tls::Tls;

/// Where the door is and what it bears.
#[derive(Debug, Clone)]
pub struct DoorSettings {
    pub listen: SocketAddr,
    /// Plain HTTP without it.
    pub tls: Option<TlsFiles>,
    /// A larger body is refused with 413.
    pub body_bytes_max: usize,
    /// Further connections get the places of idle ones; where none is idle they wait in the kernel's queue.
    pub connections_max: NonZeroUsize,
    /// Further requests get the places of those whose body comes slowly; where there is none, they are refused with 503.
    pub in_flight_max: NonZeroUsize,
    /// From the start of a connection to its first whole request head.
    pub header_timeout: Duration,
    /// From a request's head to the end of its body; 408 after that.
    pub body_timeout: Duration,
    /// How long a connection may go without a request.
    pub idle_timeout: Duration,
}

impl DoorSettings {
    /// The defaults of [`crate::model::limits`], without TLS.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: None,
            body_bytes_max: BODY_BYTES_DEFAULT_MAX,
            connections_max: NonZeroUsize::new(CONNECTIONS_DEFAULT_MAX).expect("the constant is not 0"),
            in_flight_max: NonZeroUsize::new(IN_FLIGHT_DEFAULT_MAX).expect("the constant is not 0"),
            header_timeout: HEADER_TIMEOUT_DEFAULT,
            body_timeout: BODY_TIMEOUT_DEFAULT,
            idle_timeout: IDLE_TIMEOUT_DEFAULT,
        }
    }
}

/// Why the door cannot open.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    #[error("cannot listen on {listen}: choose a free address and port in [server] listen")]
    Listen { listen: SocketAddr, source: io::Error },
    #[error("the sources cannot be served together")]
    Sources(#[from] SourcesError),
    #[error("the TLS certificate cannot be used")]
    Tls(#[from] TlsError),
}

/// A bound listener: the kernel queues connections from now on, [`Door::serve`] takes them.
pub struct Door {
    listener: TcpListener,
    local_addr: SocketAddr,
    settings: DoorSettings,
    sources: Arc<ArcSwap<Sources>>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    tls: Option<Tls>,
}

impl Door {
    /// Checks the sources and the certificate, and takes the port.
    pub async fn bind(
        settings: DoorSettings,
        sources: Vec<DoorSource>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DoorError> {
        let sources = Arc::new(ArcSwap::from_pointee(Sources::new(sources)?));
        let tls = match &settings.tls {
            Some(files) => Some(Tls::load(files.clone()).await?),
            None => None,
        };
        let listen = settings.listen;
        let listener =
            TcpListener::bind(listen).await.map_err(|source| DoorError::Listen { listen, source })?;
        let local_addr = listener.local_addr().map_err(|source| DoorError::Listen { listen, source })?;
        Ok(Self { listener, local_addr, settings, sources, store, clock, tls })
    }

    /// The address taken: tells the port where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The sources that requests are looked up in. Storing others serves those from the next request on; requests
    /// under way finish with what they began with.
    pub fn sources(&self) -> Arc<ArcSwap<Sources>> {
        Arc::clone(&self.sources)
    }

    /// Serves until `shutdown`; then takes no more connections, answers new requests 503, and returns when every
    /// request and append under way is finished, or `drain` has passed and what was left is cut.
    pub async fn serve(self, shutdown: CancellationToken, drain: Duration) {
        let Self { listener, settings, sources, store, clock, tls, .. } = self;
        let serving = Arc::new(Serving::new(settings, sources, store, clock, shutdown.clone()));
        // Should this future itself be dropped, the connections go with it.
        let _cut_on_drop = serving.cut.clone().drop_guard();
        let acceptor = tls.map(|tls| tls.keep_fresh(serving.cut.clone()));

        connection::accept(&serving, &listener, acceptor).await;
        drop(listener);

        serving.tasks.close();
        if tokio::time::timeout(drain, serving.tasks.wait()).await.is_ok() {
            return;
        }
        tracing::warn!(
            open = serving.tasks.len(),
            ?drain,
            "the drain time has passed: open connections are cut"
        );
        serving.cut.cancel();
        if tokio::time::timeout(CLOSE_GRACE, serving.tasks.wait()).await.is_err() {
            tracing::warn!(left = serving.tasks.len(), "some appends are still waiting for the disk");
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}
