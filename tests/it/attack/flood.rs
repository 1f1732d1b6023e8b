//! Requests by the thousand whose signature is wrong, and heads that are too large.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Victim, read_answer, read_to_end, request, signed};
use crate::stripe::fixture;

/// Connections that post bad signatures as fast as they are refused.
const FLOODERS: usize = 16;
/// Refusals under which the flood was none.
const REFUSALS_MIN: u64 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn bad_signatures_at_full_speed_leave_good_ones_served() {
    let mut victim = Victim::with("").await;
    let refused = Arc::new(AtomicU64::new(0));
    let bad = fixture("01");
    let bad: Arc<[u8]> = request(&bad, &signed(&bad, "whsec_of_somebody_else")).into();
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..FLOODERS {
        let (door, bad, refused) = (victim.door, Arc::clone(&bad), Arc::clone(&refused));
        flood.spawn(async move {
            let mut stream = TcpStream::connect(door).await.unwrap();
            loop {
                stream.write_all(&bad).await.unwrap();
                let answer = read_answer(&mut stream).await.expect("a refusal is an answer");
                assert_eq!(answer.status, 400, "{answer:?}");
                refused.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let mut again = victim.serves(50).await;
    while refused.load(Ordering::Relaxed) < REFUSALS_MIN {
        again += victim.serves(1).await;
    }
    assert!(flood.try_join_next().is_none(), "a flooder ended");
    flood.shutdown().await;
    println!("{} of {} posts accepted among {refused:?} refusals", victim.accepted, victim.accepted);
    assert_eq!(again, 0, "good posts that had to be tried again");
    victim.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_without_end_are_cut_and_cost_no_memory() {
    let mut victim = Victim::with("").await;
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..FLOODERS {
        let door = victim.door;
        flood.spawn(async move {
            let mut stream = TcpStream::connect(door).await.unwrap();
            let line = format!("X-Long: {}\r\n", "y".repeat(8_000));
            let mut sent = stream.write_all(b"POST / HTTP/1.1\r\n").await;
            let mut lines = 0_u64;
            while sent.is_ok() && lines < 100_000 {
                sent = stream.write_all(line.as_bytes()).await;
                lines += 1;
            }
            (lines, read_to_end(&mut stream).await)
        });
    }
    victim.serves(20).await;
    for (lines, said) in flood.join_all().await {
        assert!(lines < 100_000, "the door read 800 MB of one head");
        // The refusal may be lost to the reset that follows it.
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&said));
    }
    victim.is_unharmed().await;
}
