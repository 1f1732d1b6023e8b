//! One request and its answer, and a bound on everything of it that a receiver can make long.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use hookyard_egress::connect::{ConnectError, Connector};
use hookyard_egress::pool::{self, NoAnswer, Pool};
use hookyard_egress::tls::{self, TlsError};
use hookyard_plugin::{CreateError, Failure};
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use rustls::client::ClientConfig;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use tokio::time::timeout;

use crate::answer::{Answer, excerpt};
use crate::settings::Tls;

/// What is read of a response's body, so that its connection can be used again; a longer one costs the connection.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// How long a body may take once the status is known: the status alone decides.
const RESPONSE_BODY_WAIT: Duration = Duration::from_secs(2);

/// The client of one handler.
pub(crate) struct Client {
    pool: Pool,
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
        Self { pool: pool::pool(connector, tls), excerpt_bytes, secrets }
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
    match pool::why(error) {
        NoAnswer::Connect(connect) => Failure::retry(word(connect), chain(connect)),
        NoAnswer::Tls(tls) => Failure::retry("tls", format!("no TLS connection: {tls}")),
        NoAnswer::HeadTooLarge => {
            Failure::retry("connection", "the answer's headers are too many or too long")
        }
        NoAnswer::Broken(words) => {
            Failure::retry("connection", format!("the connection broke before an answer came: {words}"))
        }
    }
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

/// The TLS side, with the files that the settings name.
pub(crate) fn tls_config(files: &Tls) -> Result<ClientConfig, CreateError> {
    let sentence = |error: TlsError| CreateError::new(error.to_string());
    let config = tls::believing(files.ca.as_deref()).map_err(sentence)?;
    match (&files.client_certificate, &files.client_key) {
        (None, None) => Ok(config.with_no_client_auth()),
        (Some(certificate), Some(key)) => {
            let key_read = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| CreateError::new(format!("{} cannot be read: {error}", key.display())))?;
            let wrong = |error| CreateError::new(format!("{}: {error}", certificate.display()));
            let chain = tls::certificates(certificate).map_err(sentence)?;
            config.with_client_auth_cert(chain, key_read).map_err(wrong)
        }
        _ => Err(CreateError::new("`tls` needs `client_certificate` and `client_key` together")),
    }
}
