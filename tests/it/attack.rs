//! Under attack: whatever strangers do to the real daemon's door, what Stripe posts is answered 200.
//!
//! The attackers know the path and what a signature looks like, but not the secret. Each test holds its attack up while
//! genuine events are posted, each over a connection of its own, as Stripe's come; then it looks at what the attack cost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod flood;
mod http2;
mod many;
mod overload;
mod slow;

use std::net::SocketAddr;
use std::time::Duration;

use hookyard::verify::stripe::sign;
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stripe::{SECRET, another_purchase, now};
use crate::yard::Yard;

const PATH: &str = "/webhooks/stripe";
/// No wait may take longer; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(120);

/// A daemon with these lines in `[server]`.
struct Victim {
    yard: Yard,
    door: SocketAddr,
    /// Genuine events accepted so far.
    accepted: usize,
}

impl Victim {
    async fn with(server_lines: &str) -> Self {
        let mut yard = Yard::shipped();
        set_server_lines(&yard, server_lines);
        yard.start().await;
        let door = yard.runtime().unwrap()["door"].as_str().unwrap().parse().unwrap();
        Self { yard, door, accepted: 0 }
    }

    /// Posts so many new genuine events, one after the other, and wants each accepted. What breaks before an answer or is
    /// told to come again later is tried again, as Stripe would. Returns how often that was.
    async fn serves(&mut self, events: usize) -> usize {
        let mut again = 0;
        for _ in 0..events {
            let body = another_purchase("01", self.accepted);
            let tries = accepted(self.door, &body);
            again += tokio::time::timeout(PATIENCE, tries).await.expect("an event is accepted in time");
            self.accepted += 1;
        }
        again
    }

    /// The daemon still runs, and holds exactly what was accepted.
    async fn is_unharmed(&self) {
        let counts = self.yard.wait_until_settled(self.accepted as u64).await;
        assert_eq!(counts["events"], self.accepted, "{counts}");
    }

    fn pid(&self) -> u64 {
        self.yard.runtime().unwrap()["pid"].as_u64().unwrap()
    }
}

fn set_server_lines(yard: &Yard, lines: &str) {
    yard.edit_config(|text| text.replacen("[server]\n", &format!("[server]\n{lines}\n"), 1));
}

/// An answer of the door: status, head, and the end of the matter.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// A POST with this signature header, its body included.
fn request(body: &[u8], signature: &str) -> Vec<u8> {
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: door\r\nContent-Length: {}\r\nStripe-Signature: {signature}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The header of somebody who has this secret.
fn signed(body: &[u8], secret: &str) -> String {
    sign(&SecretString::from(secret), now(), body)
}

/// One post over a connection of its own; `None` where it breaks before an answer.
async fn post(door: SocketAddr, body: &[u8], secret: &str) -> Option<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(door).await.ok()?;
        stream.write_all(&request(body, &signed(body, secret))).await.ok()?;
        read_answer(&mut stream).await
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time")
}

/// Posts until it is accepted; returns how often it was not.
async fn accepted(door: SocketAddr, body: &[u8]) -> usize {
    let mut again = 0;
    loop {
        match post(door, body, SECRET).await {
            Some(answer) if answer.status == 200 => return again,
            Some(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
            None => {}
        }
        again += 1;
    }
}

/// The next answer on a connection; `None` where it ends before one.
async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> Option<Answer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some(Answer { status, head, body: String::from_utf8_lossy(&body).into_owned() })
}

/// Waits until the other side has ended the connection; what it said before is returned.
async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset is an end too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("an end in time");
    said
}
