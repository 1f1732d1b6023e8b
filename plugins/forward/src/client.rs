//! One request and its answer: TLS, the pool of connections, and a bound on everything that a receiver can make long.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookyard_plugin::{CreateError, Failure};
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls::client::ClientConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::timeout;

use crate::answer::{Answer, excerpt};
use crate::connect::{ConnectError, Connector};
use crate::settings::Tls;

/// How long an idle connection is kept: less than the five seconds after which Node's servers, the shortest of the usual
/// ones, close theirs. A POST on a connection that is being closed fails.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// As many as a handler can have attempts at once.
const IDLE_CONNECTIONS_MAX: usize = 64;
/// What is read of a response's body, so that its connection can be used again; a longer one costs the connection.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// How long a body may take once the status is known: the status alone decides.
const RESPONSE_BODY_WAIT: Duration = Duration::from_secs(2);

/// The client of one handler.
pub(crate) struct Client {
    pool: Pool<HttpsConnector<Connector>, Full<Bytes>>,
    excerpt_bytes: usize,
    /// Never to be repeated in an excerpt.
    secrets: Vec<String>,
}

impl Client {
    /// A client without a connection yet.
    pub(crate) fn new(
        connector: Connector,
        tls: ClientConfig,
        excerpt_bytes: usize,
        secrets: Vec<String>,
    ) -> Self {
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(connector);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(https);
        Self { pool, excerpt_bytes, secrets }
    }

    /// Posts, and waits for the answer. Nothing here is a rejection: what fails may work the next time.
    pub(crate) async fn post(&self, uri: Uri, headers: HeaderMap, body: Bytes) -> Result<Answer, Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let response = self.pool.request(request).await.map_err(|error| failed(&error))?;
        Ok(self.read(response).await)
    }

    async fn read(&self, response: Response<Incoming>) -> Answer {
        let (head, body) = response.into_parts();
        let begun = timeout(RESPONSE_BODY_WAIT, beginning(body, self.excerpt_bytes)).await;
        // What does not come in time is not missed.
        let begun = begun.unwrap_or_default();
        let excerpt = excerpt(&begun, self.excerpt_bytes, &self.secrets);
        Answer { status: head.status, headers: head.headers, excerpt }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// The first bytes of a body, a few more than are asked for: what is cut is marked. The rest is read away.
async fn beginning(mut body: Incoming, wanted: usize) -> Vec<u8> {
    // A secret that begins within what is wanted is known only as a whole.
    let wanted = if wanted == 0 { 0 } else { wanted + 1024 };
    let (mut begun, mut read) = (Vec::new(), 0);
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        let room = wanted.saturating_sub(begun.len()).min(data.len());
        begun.extend_from_slice(&data[..room]);
        read += data.len();
        if read > RESPONSE_BYTES_MAX {
            break;
        }
    }
    begun
}

/// Says what failed by the deepest cause that is known.
fn failed(error: &(dyn Error + 'static)) -> Failure {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut words = error.to_string();
    while let Some(error) = cause {
        if let Some(connect) = error.downcast_ref::<ConnectError>() {
            return Failure::retry(word(connect), chain(connect));
        }
        if let Some(tls) = error.downcast_ref::<io::Error>().and_then(tls_error) {
            return Failure::retry("tls", format!("no TLS connection: {tls}"));
        }
        words = error.to_string();
        cause = error.source();
    }
    Failure::retry("connection", format!("the connection broke before an answer came: {words}"))
}

fn word(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::Resolve { .. } => "dns",
        ConnectError::Refused { .. } | ConnectError::NoHost => "address_refused",
        ConnectError::PlainHttp { .. } => "plain_http",
        ConnectError::Tcp { .. } => "connect",
    }
}

fn chain(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

/// hyper-rustls wraps a failed handshake once or twice.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref::<rustls::Error>().or_else(|| tls_error(inner.downcast_ref::<io::Error>()?))
}

/// The TLS side, with the files that the settings name.
pub(crate) fn tls_config(files: &Tls) -> Result<ClientConfig, CreateError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(roots(files.ca.as_deref())?);
    match (&files.client_certificate, &files.client_key) {
        (None, None) => Ok(config.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let key_read = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, &error))?;
            let wrong = |error| CreateError::new(format!("{}: {error}", certificate.display()));
            config.with_client_auth_cert(certificates(certificate)?, key_read).map_err(wrong)
        }
        _ => Err(CreateError::new("`tls` needs `client_certificate` and `client_key` together")),
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, CreateError> {
    let Some(ca) = ca else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| CreateError::new(format!("{}: {error}", ca.display())))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CreateError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| unreadable(path, &error))?;
    if certificates.is_empty() {
        return Err(CreateError::new(format!("{} holds no certificate in PEM", path.display())));
    }
    Ok(certificates)
}

fn unreadable(path: &Path, error: &dyn Error) -> CreateError {
    CreateError::new(format!("{} cannot be read: {error}", path.display()))
}
