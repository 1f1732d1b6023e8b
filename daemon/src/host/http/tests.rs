//! The client against sockets of this machine: one that nobody accepts from, and a far side that holds its answers back.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use hookyard_plugin_host::protocol::Blob;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::host::Trust;
use crate::model::ids::{DeliveryId, EventId};
use crate::model::isolation::Isolation;

/// How many of the largest answers the room holds.
const LARGEST: usize = HTTP_ANSWERS_BYTES_MAX / HTTP_ANSWER_BODY_BYTES_MAX;

/// A client that may ask this address, and nothing else.
fn client(address: SocketAddr) -> Arc<Client> {
    let allow = vec![format!("http://{address}").parse().unwrap()];
    client_of(HttpAccess { allow, ..HttpAccess::default() }.into())
}

fn client_of(http: FarSide) -> Arc<Client> {
    let spec = HostSpec {
        handler: HandlerName::new("h"),
        library: "unused".into(),
        trust: Trust::default(),
        cache: "unused".into(),
        settings_json: "{}".to_owned(),
        secrets: std::collections::BTreeMap::default(),
        concurrency: 1,
        processes: 1,
        isolation: Isolation::Process,
        timeout: Duration::from_secs(1),
        confine: None,
        http,
    };
    Arc::new(Client::new(&spec).unwrap())
}

async fn ask(client: &Client, address: SocketAddr) -> (Reply, Option<Held>) {
    ask_for(client, &format!("http://{address}/")).await
}

async fn ask_for(client: &Client, url: &str) -> (Reply, Option<Held>) {
    let event = EventId::from_parts(1, 2);
    let delivery = DeliveryId { event, handler: HandlerName::new("h") };
    let call = CallName { delivery, attempt: 1, trace: Trace::of_event(event) };
    let request = HttpRequest {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: vec![("X-One".to_owned(), "1".to_owned())],
        body: Blob::default(),
        timeout_ms: 0,
    };
    client.ask(&call, &CancellationToken::new(), request, &Counters::default()).await
}

fn no_answer(reply: Reply) -> (HttpFault, String) {
    match reply {
        Reply::NoAnswer { fault, words } => (fault, words),
        _ => panic!("it was answered"),
    }
}

/// Connects until the kernel keeps no more for it: whoever comes then waits.
fn filled(address: SocketAddr) -> Vec<TcpStream> {
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        held.push(stream);
        assert!(held.len() < 64, "the queue has no end");
    }
    held
}

#[tokio::test]
async fn an_address_that_takes_no_connection_is_given_up_after_five_seconds() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let _held = filled(address);
    let client = client(address);
    // From now on time is what nobody has to wait for.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let (fault, words) = no_answer(ask(&client, address).await.0);
    assert_eq!(fault, HttpFault::Connect);
    assert_eq!(words, format!("no connection to {address}: no answer within 5 s"));
    let took = began.elapsed();
    assert!((HTTP_CONNECT_MAX..HTTP_CONNECT_MAX + Duration::from_millis(50)).contains(&took), "{took:?}");
}

/// Sends all but the last byte of the largest answer to each, and that once it is told to `go`.
async fn far_side(go: watch::Receiver<bool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut go = go.clone();
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await;
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {HTTP_ANSWER_BODY_BYTES_MAX}\r\nConnection: close\r\n\r\n"
                );
                let body = vec![b'x'; HTTP_ANSWER_BODY_BYTES_MAX - 1];
                // Who was told that there is no room has hung up.
                let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
                let _ = go.wait_for(|go| *go).await;
                let _ = stream.write_all(b"x").await;
            });
        }
    });
    address
}

/// Begins so many requests at once.
fn begin(many: usize, client: &Arc<Client>, address: SocketAddr) -> Vec<JoinHandle<(Reply, Option<Held>)>> {
    let one = |_| {
        let client = Arc::clone(client);
        tokio::spawn(async move { ask(&client, address).await })
    };
    (0..many).map(one).collect()
}

async fn until_left(client: &Client, left: usize) {
    let looked = async {
        while client.room.left() != left {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let looked = timeout(Duration::from_secs(60), looked).await;
    looked.unwrap_or_else(|_| panic!("{} bytes are left, never {left}", client.room.left()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_might_find_no_room_for_its_answer_is_not_sent() {
    let (go, told) = watch::channel(false);
    let address = far_side(told).await;
    let client = client(address);
    let waiting = begin(LARGEST, &client, address);
    until_left(&client, LARGEST).await;
    let (fault, words) = no_answer(ask(&client, address).await.0);
    assert_eq!(fault, HttpFault::Busy);
    assert!(words.contains("67108864 bytes") && words.contains("nothing was sent"), "{words}");
    go.send(true).unwrap();
    let mut held = Vec::new();
    for answer in waiting {
        let (reply, room) = answer.await.unwrap();
        assert!(matches!(reply, Reply::Http(HttpAnswer { status: 200, .. })));
        held.push(room.expect("an answer holds its room"));
    }
    assert_eq!(client.room.left(), 0, "until each is passed on");
    held.pop();
    assert!(matches!(ask(&client, address).await.0, Reply::Http(_)), "and one may be asked again");
    drop(held);
    assert_eq!(client.room.left(), HTTP_ANSWERS_BYTES_MAX);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_finds_no_room_is_not_kept_and_the_others_are() {
    let (go, told) = watch::channel(false);
    let address = far_side(told).await;
    let client = client(address);
    let early = begin(LARGEST, &client, address);
    until_left(&client, LARGEST).await;
    // As of a request that was begun while there was room.
    let mut another = client.room.nothing().unwrap();
    assert!(another.grow(1) && !another.grow(LARGEST));
    go.send(true).unwrap();
    let (mut kept, mut refused) = (Vec::new(), Vec::new());
    for answer in early {
        match answer.await.unwrap() {
            (Reply::Http(_), held) => kept.push(held),
            (reply, _) => refused.push(no_answer(reply)),
        }
    }
    assert_eq!((kept.len(), refused.len()), (LARGEST - 1, 1));
    assert_eq!(refused[0].0, HttpFault::AnswerTooLarge);
    assert!(refused[0].1.contains("above 67108864 bytes together"), "{refused:?}");
    drop((kept, another));
    assert_eq!(client.room.left(), HTTP_ANSWERS_BYTES_MAX, "what was not kept is given back");
}

/// Answers with what it was asked, made as long as the largest answer.
#[derive(Debug)]
struct Echo;

#[async_trait::async_trait]
impl Script for Echo {
    async fn answer(&self, asked: HttpRequest) -> Result<HttpAnswer, NoAnswer> {
        let mut body = asked.url.into_bytes();
        body.resize(HTTP_ANSWER_BODY_BYTES_MAX, b' ');
        Ok(HttpAnswer { status: 200, headers: asked.headers, body: Blob(body) })
    }
}

#[tokio::test]
async fn a_script_stands_in_the_place_of_the_network_alone() {
    let client = client_of(FarSide::Script(Arc::new(Echo)));
    for (url, words) in
        [("ftp://host/", "neither https: nor http:"), ("https://a@host/", "holds credentials")]
    {
        let (fault, said) = no_answer(ask_for(&client, url).await.0);
        assert!(fault == HttpFault::Invalid && said.contains(words), "{said}");
    }
    let url = "https://HOST.example/a/../b?c#d";
    let mut held = Vec::new();
    for _ in 0..LARGEST {
        let (reply, room) = ask_for(&client, url).await;
        let Reply::Http(answer) = reply else { panic!("the script answers") };
        assert_eq!(answer.headers, [("X-One".to_owned(), "1".to_owned())], "as the plugin wrote them");
        assert_eq!(answer.body.0.trim_ascii_end(), url.as_bytes());
        held.push(room.expect("an answer holds its room"));
    }
    assert_eq!(no_answer(ask_for(&client, url).await.0).0, HttpFault::Busy);
    held.pop();
    assert!(matches!(ask_for(&client, url).await.0, Reply::Http(_)));
}
