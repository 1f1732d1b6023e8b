//! The pool of connections, one for each client, with a bound on everything that the far side can make long; and why a
//! request got no answer.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::client::ClientConfig;

use crate::connect::{ConnectError, Connector};

/// How long an idle connection is kept: less than the five seconds after which Node's servers, the shortest of the usual
/// ones, close theirs. A POST on a connection that is being closed fails.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// As many as a handler can have attempts at once.
const IDLE_CONNECTIONS_MAX: usize = 64;
/// Headers of one answer; usual ones have twenty.
pub const ANSWER_HEADERS_MAX: usize = 100;
/// All headers of one answer together: four times what browsers and proxies bear.
pub const ANSWER_HEADER_BYTES_MAX: u32 = 64 * 1024;

/// A client with its connections.
pub type Pool = Client<HttpsConnector<Connector>, Full<Bytes>>;

/// A pool without a connection yet. HTTP/1.1, and HTTP/2 where the far side offers it under TLS. What is spoken plainly is
/// the connector's to refuse.
pub fn pool(connector: Connector, tls: ClientConfig) -> Pool {
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(connector);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .http1_max_headers(ANSWER_HEADERS_MAX)
        .http1_max_buf_size(ANSWER_HEADER_BYTES_MAX as usize)
        .http2_max_header_list_size(ANSWER_HEADER_BYTES_MAX)
        .build(https)
}

/// Why a request got no answer.
#[derive(Debug)]
pub enum NoAnswer<'a> {
    /// There is no connection; nothing was sent.
    Connect(&'a ConnectError),
    /// The far side's certificate is not believed, or TLS failed otherwise.
    Tls(&'a rustls::Error),
    /// The answer's headers are too many, or too long.
    HeadTooLarge,
    /// The connection broke; the far side may have the request.
    Broken(String),
}

/// Why the pool gave this error, by the deepest cause that is known.
pub fn why<'a>(error: &'a (dyn Error + 'static)) -> NoAnswer<'a> {
    let mut cause = Some(error);
    let mut words = error.to_string();
    while let Some(error) = cause {
        if let Some(connect) = error.downcast_ref::<ConnectError>() {
            return NoAnswer::Connect(connect);
        }
        if let Some(tls) = error.downcast_ref::<io::Error>().and_then(tls_error) {
            return NoAnswer::Tls(tls);
        }
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large) {
            return NoAnswer::HeadTooLarge;
        }
        words = error.to_string();
        cause = error.source();
    }
    NoAnswer::Broken(words)
}

/// hyper-rustls wraps a failed handshake once or twice.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref::<rustls::Error>().or_else(|| tls_error(inner.downcast_ref::<io::Error>()?))
}
