//! The same door over HTTP/2: answers, limits, many streams on one connection, shutdown.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame};
use hyper::client::conn::http2;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use super::house::{House, NOW, PATH, PATIENCE, SECRET, event};
use hookyard::verify::stripe::sign;
use secrecy::SecretString;

type Sender<B> = http2::SendRequest<B>;

/// A client that knows beforehand that the server speaks HTTP/2.
pub(super) async fn client<B>(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Sender<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (sender, talk) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(talk);
    sender
}

pub(super) fn post(body: &[u8]) -> Request<Full<Bytes>> {
    Request::post(format!("http://door{PATH}"))
        .header("stripe-signature", sign(&SecretString::from(SECRET), NOW, body))
        .body(Full::new(Bytes::copy_from_slice(body)))
        .unwrap()
}

pub(super) async fn told(response: Response<hyper::body::Incoming>) -> (StatusCode, serde_json::Value) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn events_and_refusals_have_the_same_answers() {
    let house = House::open().await;
    let mut sender = client(house.connect().await).await;
    let (status, accepted) = told(sender.send_request(post(&event("evt_1"))).await.unwrap()).await;
    assert_eq!((status, accepted["status"].as_str()), (StatusCode::OK, Some("accepted")));
    let (_, again) = told(sender.send_request(post(&event("evt_1"))).await.unwrap()).await;
    assert_eq!(again["status"], "duplicate");
    assert_eq!(again["event"], accepted["event"]);

    let mut wrong = post(&event("evt_2"));
    *wrong.method_mut() = hyper::Method::PUT;
    let response = sender.send_request(wrong).await.unwrap();
    assert_eq!(response.headers()["allow"], "POST");
    assert_eq!(told(response).await.1["reason"], "wrong_method");
    let mut unsigned = post(&event("evt_2"));
    unsigned.headers_mut().clear();
    let (status, refused) = told(sender.send_request(unsigned).await.unwrap()).await;
    assert_eq!((status, refused["reason"].as_str()), (StatusCode::BAD_REQUEST, Some("header_missing")));
}

#[tokio::test]
async fn of_32_streams_with_one_event_one_is_accepted() {
    let house = House::open().await;
    let sender = client(house.connect().await).await;
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let mut sender = sender.clone();
        streams.spawn(async move { told(sender.send_request(post(&event("evt_1"))).await.unwrap()).await });
    }
    let replies = streams.join_all().await;
    assert!(replies.iter().all(|(status, _)| *status == StatusCode::OK));
    assert_eq!(replies.iter().filter(|(_, body)| body["status"] == "accepted").count(), 1);
    assert_eq!(house.store.stored().await.len(), 1);
}

#[tokio::test]
async fn a_stream_over_the_limit_is_refused_and_the_connection_lives() {
    let house = House::open_with(|settings| settings.body_bytes_max = 1000, None, PATIENCE).await;
    let mut sender = client(house.connect().await).await;
    let body = vec![b' '; 1001];
    let request = |body: Bytes| {
        // No length is promised.
        let (head, _) = post(&body).into_parts();
        let pieces: Vec<_> =
            body.chunks(100).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
        Request::from_parts(head, Pieces(pieces.into_iter()))
    };
    let (status, refused) = told(sender.send_request(request(body.into())).await.unwrap()).await;
    assert_eq!((status, refused["reason"].as_str()), (StatusCode::PAYLOAD_TOO_LARGE, Some("too_large")));
    let (status, _) = told(sender.send_request(request(event("evt_1").into())).await.unwrap()).await;
    assert_eq!(status, StatusCode::OK);
}

/// A body in pieces, whose length nobody is told.
struct Pieces(std::vec::IntoIter<Result<Frame<Bytes>, std::convert::Infallible>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.next())
    }
}

#[tokio::test]
async fn too_many_header_bytes_are_refused() {
    let house = House::open().await;
    let mut sender = client(house.connect().await).await;
    let mut long = post(&event("evt_1"));
    for n in 0..5 {
        let name: hyper::header::HeaderName = format!("x-long-{n}").parse().unwrap();
        long.headers_mut().insert(name, "y".repeat(9000).parse().unwrap());
    }
    let refused = sender.send_request(long).await;
    assert!(refused.is_err() || refused.is_ok_and(|response| response.status() == 431));
    assert_eq!(house.store.stored().await.len(), 0);
}

#[tokio::test]
async fn an_append_goes_on_though_its_stream_was_reset() {
    let house = House::open().await;
    house.store.hold();
    let mut sender = client(house.connect().await).await;
    let mut second = sender.clone();
    let first = tokio::spawn(async move { sender.send_request(post(&event("evt_1"))).await });
    house.store.begun(1).await;
    // Dropping the request resets its stream; the next answer shows that the door has seen that.
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let mut get = post(b"");
    *get.method_mut() = hyper::Method::GET;
    assert_eq!(second.send_request(get).await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    house.store.release();
    house.store.holds(1).await;
    let (_, again) = told(second.send_request(post(&event("evt_1"))).await.unwrap()).await;
    assert_eq!(again["status"], "duplicate");
}

#[tokio::test]
async fn a_shutdown_lets_a_stream_finish_and_ends_the_connection() {
    let house = House::open().await;
    house.store.hold();
    let mut sender = client(house.connect().await).await;
    let mut second = sender.clone();
    let first =
        tokio::spawn(async move { told(sender.send_request(post(&event("evt_1"))).await.unwrap()).await });
    house.store.begun(1).await;
    house.shutdown.cancel();
    house.store.release();
    assert_eq!(tokio::time::timeout(PATIENCE, first).await.unwrap().unwrap().0, StatusCode::OK);
    tokio::time::timeout(PATIENCE, house.served).await.expect("an end in time").unwrap();
    assert!(second.send_request(post(&event("evt_2"))).await.is_err());
}
