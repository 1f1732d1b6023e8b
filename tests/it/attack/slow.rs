//! Slowloris: half-open heads and bodies that trickle in, more of them than the door takes requests at once.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::{PATIENCE, Victim, read_to_end, request, signed};
use crate::stripe::fixture;

const HALF_OPEN_HEADS: usize = 300;
/// Above the 256 requests that the door works on at once by default.
const TRICKLED_BODIES: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn half_open_heads_and_trickled_bodies_keep_nobody_out() {
    // No timeout makes room while the test runs.
    let mut victim = Victim::with("header_timeout = \"10m\"\nbody_timeout = \"10m\"").await;
    let (readers, writers) = slow_ones(&victim).await;
    let trickle = tokio::spawn(trickle(writers));
    let again = victim.serves(30).await;
    println!("30 good posts beside {} slow connections, {again} tried again", readers.len());
    trickle.abort();
    drop(readers);
    victim.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_heads_and_trickled_bodies_end_with_their_timeouts() {
    let mut victim = Victim::with("header_timeout = \"1s\"\nbody_timeout = \"1s\"").await;
    let (readers, writers) = slow_ones(&victim).await;
    let trickle = tokio::spawn(trickle(writers));
    victim.serves(1).await;
    ends(readers).await;
    tokio::time::timeout(PATIENCE, trickle).await.expect("no connection is left").unwrap();
    victim.is_unharmed().await;
}

async fn slow_ones(victim: &Victim) -> (Vec<OwnedReadHalf>, Vec<OwnedWriteHalf>) {
    let body = fixture("01");
    // A fresh timestamp and a MAC of the right form: only the whole body tells that it is wrong.
    let slow_post = request(&body, &signed(&body, "whsec_of_somebody_else"));
    let head_only = slow_post.len() - body.len();
    let (mut readers, mut writers) = (Vec::new(), Vec::new());
    for number in 0..HALF_OPEN_HEADS + TRICKLED_BODIES {
        let start = if number < HALF_OPEN_HEADS { &slow_post[..40] } else { &slow_post[..head_only + 10] };
        let (reader, mut writer) = TcpStream::connect(victim.door).await.unwrap().into_split();
        writer.write_all(start).await.unwrap();
        readers.push(reader);
        writers.push(writer);
    }
    (readers, writers)
}

/// One byte to each every now and then, until each is closed.
async fn trickle(mut writers: Vec<OwnedWriteHalf>) {
    while !writers.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let mut open = Vec::new();
        for mut writer in writers {
            if writer.write_all(b"y").await.is_ok() {
                open.push(writer);
            }
        }
        writers = open;
    }
}

/// Each is ended by the door: without a word where no head was there, else with a refusal.
async fn ends(readers: Vec<OwnedReadHalf>) {
    for (number, mut reader) in readers.into_iter().enumerate() {
        let said = String::from_utf8(read_to_end(&mut reader).await).unwrap();
        let refused = said.starts_with("HTTP/1.1 408") || said.starts_with("HTTP/1.1 503");
        assert!(said.is_empty() || (number >= HALF_OPEN_HEADS && refused), "{number}: {said}");
    }
}
