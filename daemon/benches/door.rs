//! From the first byte of a signed post to the 200 that says it is on disk: the real door on loopback over a real store.
//! So many clients at once, each over a connection that it keeps; posts are signed before the time is taken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use hookyard::ingest::{Door, DoorSettings, DoorSource};
use hookyard::model::clock::{Clock, SystemClock};
use hookyard::model::ids::SourceName;
use hookyard::verify::Scheme;
use hookyard::verify::stripe::{StripeScheme, sign};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::events::body;
use crate::store::{Yard, fresh_id};

const SECRET: &str = "whsec_of_the_benches";
const BODY_BYTES: usize = 4096;
const CLIENTS: [usize; 3] = [1, 16, 64];

pub(crate) fn end_to_end(criterion: &mut Criterion) {
    let yard = Yard::new();
    let door = yard.runtime.block_on(open(&yard));
    let mut group = criterion.benchmark_group("end to end");
    for clients in CLIENTS {
        group.throughput(Throughput::Elements(clients as u64));
        let streams = yard.runtime.block_on(connect(door, clients));
        let mut streams = Some(streams);
        group.bench_function(BenchmarkId::from_parameter(format!("{clients} at once")), |bencher| {
            let signed = || -> Vec<Vec<u8>> { (0..clients).map(|_| request()).collect() };
            let post = |requests: Vec<Vec<u8>>| {
                let kept = streams.take().unwrap();
                streams = Some(yard.runtime.block_on(post_all(kept, requests)));
            };
            bencher.iter_batched(signed, post, BatchSize::LargeInput);
        });
    }
}

async fn open(yard: &Yard) -> SocketAddr {
    let scheme = StripeScheme::new(vec![SecretString::from(SECRET)], Duration::from_secs(300)).unwrap();
    let source = DoorSource {
        name: SourceName::new("stripe"),
        path: "/webhooks/stripe".to_owned(),
        scheme: Scheme::Stripe(scheme),
        rate: None,
        redaction: Default::default(),
    };
    let settings = DoorSettings::new(([127, 0, 0, 1], 0).into());
    let store = Arc::clone(&yard.store);
    let door = Door::bind(settings, vec![source], store, Arc::new(SystemClock)).await.unwrap();
    let addr = door.local_addr();
    tokio::spawn(door.serve(Default::default(), Duration::from_secs(1)));
    addr
}

async fn connect(door: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let stream = TcpStream::connect(door).await.unwrap();
        stream.set_nodelay(true).unwrap();
        streams.push(stream);
    }
    streams
}

fn request() -> Vec<u8> {
    let body = body(&fresh_id(), BODY_BYTES);
    let signature = sign(&SecretString::from(SECRET), SystemClock.now().0 / 1000, &body);
    let head = format!(
        "POST /webhooks/stripe HTTP/1.1\r\nHost: door\r\nContent-Type: application/json\r\nContent-Length: {}\r\nStripe-Signature: {signature}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), &body].concat()
}

/// One post on each connection; returns when all are answered.
async fn post_all(streams: Vec<TcpStream>, requests: Vec<Vec<u8>>) -> Vec<TcpStream> {
    let mut posts = JoinSet::new();
    for (mut stream, request) in streams.into_iter().zip(requests) {
        posts.spawn(async move {
            stream.write_all(&request).await.unwrap();
            let mut answer = [0; 1024];
            let mut read = 0;
            // The body's closing brace is the answer's last byte.
            while answer[..read].last() != Some(&b'}') {
                read += stream.read(&mut answer[read..]).await.unwrap();
            }
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
            stream
        });
    }
    posts.join_all().await
}
