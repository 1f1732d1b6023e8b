//! Connections: a name is resolved, each address is shown to the guard, and only those that pass are connected. So the
//! address that was checked is the one that is spoken to, whatever the name resolves to a moment later.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_service::Service;

use crate::address::{Guard, Judged};

/// Names that one client has resolved at once. Each holds a thread, also when nobody waits for it any more: a name server
/// that is silent must not take all threads of the process.
const LOOKUPS_MAX: usize = 16;

/// The connector under TLS.
#[derive(Debug, Clone)]
pub struct Connector {
    guard: Arc<Guard>,
    /// What the list of the guard's networks is called where an operator writes it.
    networks_setting: &'static str,
    /// Whether every URL stands in a list of the operator's.
    listed: bool,
    /// How long one address has to answer.
    patience: Duration,
    lookups: Arc<Semaphore>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
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
        "{host} is {address}, which is {kind}: no request goes there; if that is meant, name its network in {setting}"
    )]
    Refused {
        /// The name, as the URL has it.
        host: String,
        /// The first of its addresses.
        address: IpAddr,
        /// Of which kind that is.
        kind: &'static str,
        /// Where its network could be named.
        setting: &'static str,
    },
    /// Without TLS, over the public internet.
    #[error(
        "{host} is {address}, and plain http goes only to addresses that {setting} names: write https, or name its network"
    )]
    PlainHttp {
        /// The name, as the URL has it.
        host: String,
        /// The first of its addresses.
        address: IpAddr,
        /// Where its network could be named.
        setting: &'static str,
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
    /// A connector that asks this guard, whose networks stand in `networks_setting`. One address has `patience` to take a
    /// connection.
    pub fn new(guard: Guard, networks_setting: &'static str, patience: Duration) -> Self {
        let lookups = Arc::new(Semaphore::new(LOOKUPS_MAX));
        Self { guard: Arc::new(guard), networks_setting, listed: false, patience, lookups }
    }

    /// For a client that asks only URLs whose scheme and host an operator listed: then plain http was meant, and an address
    /// that stands in the URL itself was meant too. What a name resolves to is judged as ever.
    #[must_use]
    pub fn behind_a_list(self) -> Self {
        Self { listed: true, ..self }
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
        let resolved = self.resolve(host, port).await;
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

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let place = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let looking = tokio::task::spawn_blocking(move || {
            let _place = place;
            (host.as_str(), port).to_socket_addrs().map(Iterator::collect)
        });
        looking.await.map_err(io::Error::other)?
    }

    /// May this address of the host be connected, without TLS or with it?
    pub fn judge(&self, host: &str, address: IpAddr, plain: bool) -> Result<(), ConnectError> {
        if self.listed && host.parse() == Ok(address) {
            return Ok(());
        }
        let (host, setting) = (|| host.to_owned(), self.networks_setting);
        match self.guard.judge(address) {
            Judged::Allowed => Ok(()),
            Judged::Public if !plain || self.listed => Ok(()),
            Judged::Public => Err(ConnectError::PlainHttp { host: host(), address, setting }),
            Judged::Refused(kind) => Err(ConnectError::Refused { host: host(), address, kind, setting }),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_wait_for_a_place_and_addresses_need_none() {
        let connector = Connector::new(Guard::default(), "`networks`", Duration::from_secs(1));
        let every = u32::try_from(LOOKUPS_MAX).unwrap();
        let held = Arc::clone(&connector.lookups).acquire_many_owned(every).await.unwrap();
        assert!(timeout(Duration::ZERO, connector.resolve("localhost", 1)).await.is_err());
        assert_eq!(connector.resolve("127.0.0.1", 1).await.unwrap(), [SocketAddr::from(([127, 0, 0, 1], 1))]);
        drop(held);
        assert!(!connector.resolve("localhost", 1).await.unwrap().is_empty());
        assert_eq!(connector.lookups.available_permits(), LOOKUPS_MAX, "each gave its place back");
    }

    #[test]
    fn a_list_admits_plain_http_and_the_addresses_that_it_names_itself() {
        let guarded = Connector::new(Guard::default(), "`networks`", Duration::from_secs(1));
        let listed = guarded.clone().behind_a_list();
        let judge = |connector: &Connector, host: &str, address: &str, plain| {
            connector.judge(host, address.parse().unwrap(), plain).is_ok()
        };
        for (host, address, plain, alone, behind) in [
            ("api.example.com", "1.1.1.1", false, true, true),
            ("api.example.com", "1.1.1.1", true, false, true),
            ("api.example.com", "10.1.2.3", false, false, false),
            ("10.1.2.3", "10.1.2.3", false, false, true),
            ("::1", "::1", true, false, true),
            ("10.1.2.3", "10.1.2.4", false, false, false),
        ] {
            assert_eq!(judge(&guarded, host, address, plain), alone, "{host} {address}");
            assert_eq!(judge(&listed, host, address, plain), behind, "{host} {address}");
        }
    }
}
