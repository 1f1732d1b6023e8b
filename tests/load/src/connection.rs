//! One connection: posts, waits for the answer, and connects anew where it broke.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::target::Target;

/// A request that has no answer by then has failed.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Before a connection that could not be made is tried again: a server that is down needs no storm.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
const SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// How one request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 200, `{"status":"accepted",…`
    Accepted,
    /// 200, `{"status":"duplicate",…`
    Duplicate,
    /// Any other 2xx: a server that has no such words.
    Ok,
    /// No 2xx.
    Refused(u16),
    /// The connection broke, or there was no answer in time.
    Failed,
}

/// The signatures of one request.
#[derive(Debug)]
pub struct Signatures {
    pub stripe: HeaderValue,
    /// Where a receiver wants the MAC of the body alone.
    pub body: Option<(HeaderName, HeaderValue)>,
}

/// One connection to the door.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    url: Uri,
    protocol: Protocol,
    headers: HeaderMap,
    sender: Option<Sender>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Not connected yet.
    pub fn to(target: &Target, protocol: Protocol) -> Self {
        let mut headers = HeaderMap::with_capacity(8);
        let host = target.url.authority().map(Authority::as_str).unwrap_or_default();
        let path = target.url.path_and_query().map_or("/", |path| path.as_str());
        let url = match protocol {
            Protocol::Http1 => {
                headers.insert(HOST, HeaderValue::from_str(host).expect("an authority is a header"));
                path.parse().expect("the path of a URL is a URL")
            }
            Protocol::Http2 => target.url.clone(),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        let agent = HeaderValue::from_static("Stripe/1.0 (+https://stripe.com/docs/webhooks)");
        headers.insert(USER_AGENT, agent);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Self { address: target.address, url, protocol, headers, sender: None }
    }

    /// Connects now; says why it cannot.
    pub async fn connect(&mut self) -> Result<(), String> {
        let stream = TcpStream::connect(self.address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let io = TokioIo::new(stream);
        // A connection's end is seen by the request that it was to carry.
        self.sender = Some(match self.protocol {
            Protocol::Http1 => {
                let (sender, driver) = http1::handshake(io).await.map_err(|error| error.to_string())?;
                tokio::task::spawn_local(driver);
                Sender::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, driver) =
                    http2::handshake(LocalTasks, io).await.map_err(|error| error.to_string())?;
                tokio::task::spawn_local(driver);
                Sender::Http2(sender)
            }
        });
        Ok(())
    }

    /// Connected and able to take a request. Waits a little after a vain try.
    pub async fn ready(&mut self) -> bool {
        let ready = match &mut self.sender {
            Some(Sender::Http1(sender)) => sender.ready().await.is_ok(),
            Some(Sender::Http2(sender)) => sender.ready().await.is_ok(),
            None => false,
        };
        if ready || self.connect().await.is_ok() {
            return true;
        }
        self.sender = None;
        tokio::time::sleep(RECONNECT_PAUSE).await;
        false
    }

    /// Posts one body and reads the answer to its end.
    pub async fn post(&mut self, body: Bytes, signatures: Signatures) -> Answer {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let mut headers = self.headers.clone();
        headers.insert(SIGNATURE, signatures.stripe);
        headers.extend(signatures.body.map(|(name, value)| (Some(name), value)));
        *request.headers_mut() = headers;
        let asking = async {
            let response = match self.sender.as_mut()? {
                Sender::Http1(sender) => sender.send_request(request).await.ok()?,
                Sender::Http2(sender) => sender.send_request(request).await.ok()?,
            };
            read(response).await
        };
        match tokio::time::timeout(ANSWER_MAX, asking).await {
            Ok(Some(answer)) => answer,
            Ok(None) | Err(_) => {
                self.sender = None;
                Answer::Failed
            }
        }
    }
}

/// Reads the answer to its end; `None` where it broke off.
async fn read(response: Response<Incoming>) -> Option<Answer> {
    let (status, mut body) = (response.status(), response.into_body());
    let mut word = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.ok()?;
        if let Some(data) = frame.data_ref()
            && status == StatusCode::OK
            && word.is_none()
        {
            word = hookyards_word(data);
        }
    }
    Some(match (status, word) {
        (_, Some(word)) => word,
        (status, None) if status.is_success() => Answer::Ok,
        (status, None) => Answer::Refused(status.as_u16()),
    })
}

/// The status in hookyard's answer. Answers are below 100 bytes: a search is cheaper than a parse.
fn hookyards_word(data: &[u8]) -> Option<Answer> {
    let holds = |word: &[u8]| data.windows(word.len()).any(|window| window == word);
    if holds(b"\"status\":\"accepted\"") {
        Some(Answer::Accepted)
    } else if holds(b"\"status\":\"duplicate\"") {
        Some(Answer::Duplicate)
    } else {
        None
    }
}

/// hyper's HTTP/2 tasks run where everything runs: on this thread.
#[derive(Debug, Clone, Copy)]
struct LocalTasks;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalTasks {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move {
            task.await;
        });
    }
}
