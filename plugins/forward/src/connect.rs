//! Connections: a name is resolved, each address is shown to the guard, and only those that pass are connected. So the
//! address that was checked is the one that is spoken to, whatever the name resolves to a moment later.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use crate::address::{Guard, Judged};

/// The connector under TLS.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    guard: Arc<Guard>,
    /// How long one address has to answer.
    patience: Duration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The name is unknown, or nobody could be asked.
    #[error("the name {host} cannot be resolved")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// The guard let none pass.
    #[error(
        "{host} is {address}, which is {kind}: no request goes there; if that is meant, name its network in `allow`"
    )]
    Refused {
        /// The name, as the URL has it.
        host: String,
        /// The first of its addresses.
        address: IpAddr,
        /// Of which kind that is.
        kind: &'static str,
    },
    /// Without TLS, over the public internet.
    #[error(
        "{host} is {address}, and plain http goes only to addresses that `allow` names: write https, or name its network"
    )]
    PlainHttp {
        /// The name, as the URL has it.
        host: String,
        /// The first of its addresses.
        address: IpAddr,
    },
    /// Nobody took the connection.
    #[error("no connection to {address}")]
    Tcp {
        /// The last one tried.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A URL that the settings' check would have refused.
    #[error("the URL names no host")]
    NoHost,
}

impl Connector {
    /// A connector that asks this guard.
    pub(crate) fn new(guard: Guard, patience: Duration) -> Self {
        Self { guard: Arc::new(guard), patience }
    }

    async fn connect(self, uri: Uri) -> Result<TcpStream, ConnectError> {
        // Brackets stand around IPv6 addresses in URLs only.
        let host = uri.host().ok_or(ConnectError::NoHost)?.trim_matches(['[', ']']).to_owned();
        let plain = uri.scheme_str() != Some("https");
        let port = uri.port_u16().unwrap_or(if plain { 80 } else { 443 });
        let addresses = self.admitted(&host, port, plain).await?;
        let mut failed = ConnectError::NoHost;
        for address in addresses {
            let connecting = timeout(self.patience, TcpStream::connect(address));
            let source = match connecting.await {
                Ok(Ok(stream)) => {
                    // A request is one piece; waiting to fill a packet only delays it.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => error,
                Err(_) => io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no answer within {} s", self.patience.as_secs_f32()),
                ),
            };
            failed = ConnectError::Tcp { address, source };
        }
        Err(failed)
    }

    /// The host's addresses that may be connected; at least one.
    async fn admitted(&self, host: &str, port: u16, plain: bool) -> Result<Vec<SocketAddr>, ConnectError> {
        let resolved = tokio::net::lookup_host((host, port)).await;
        let resolve = |source| ConnectError::Resolve { host: host.to_owned(), source };
        let (mut admitted, mut refused) = (Vec::new(), None);
        for address in resolved.map_err(resolve)? {
            match self.judge(host, address.ip(), plain) {
                Ok(()) => admitted.push(address),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        match refused {
            Some(error) if admitted.is_empty() => Err(error),
            None if admitted.is_empty() => {
                Err(resolve(io::Error::new(io::ErrorKind::NotFound, "it has no address")))
            }
            _ => Ok(admitted),
        }
    }

    /// May this address of the host be connected, without TLS or with it?
    pub(crate) fn judge(&self, host: &str, address: IpAddr, plain: bool) -> Result<(), ConnectError> {
        let host = || host.to_owned();
        match self.guard.judge(address) {
            Judged::Allowed => Ok(()),
            Judged::Public if !plain => Ok(()),
            Judged::Public => Err(ConnectError::PlainHttp { host: host(), address }),
            Judged::Refused(kind) => Err(ConnectError::Refused { host: host(), address, kind }),
        }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(uri).await.map(TokioIo::new) })
    }
}
