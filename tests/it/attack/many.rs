//! Ten thousand connections that say half a word and stay, and more that come back as soon as they are closed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Victim;

const CONNECTIONS: usize = 10_000;
/// Attackers that open a new connection whenever theirs is closed.
const RETURNING: usize = 32;
/// The daemon's default.
const CONNECTIONS_MAX: usize = 800;
/// The listeners, the hosts, wake-up pipes, the post under way, and connections that are just being closed.
const OTHER_SOCKETS_MAX: usize = 100;
/// What the rest of this test process needs.
const DESCRIPTORS_KEPT: usize = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_do_not_lock_stripe_out() {
    let held = CONNECTIONS.min(descriptors().saturating_sub(DESCRIPTORS_KEPT));
    if held < CONNECTIONS {
        println!("ONLY {held} OF {CONNECTIONS} CONNECTIONS: RLIMIT_NOFILE allows no more (ulimit -Hn)");
    }
    // No timeout makes room while the test runs.
    let mut victim = Victim::with("header_timeout = \"10m\"").await;
    let mut open = Vec::with_capacity(held);
    let mut sockets_most = 0;
    for number in 0..held {
        let mut stream = TcpStream::connect(victim.door).await.unwrap();
        // A connection that was closed for the next one already: the attacker keeps its end all the same.
        let _ = stream.write_all(b"POST /webhooks/stripe HTTP/1.1\r\nX: ").await;
        open.push(stream);
        if number % 500 == 0 {
            victim.serves(1).await;
            sockets_most = sockets_most.max(sockets_of(victim.pid()));
        }
    }
    let mut returning = tokio::task::JoinSet::new();
    for _ in 0..RETURNING {
        let door = victim.door;
        returning.spawn(async move {
            loop {
                let Ok(mut stream) = TcpStream::connect(door).await else { continue };
                let _ = stream.write_all(b"POST ").await;
                let _closed = stream.read_u8().await;
            }
        });
    }
    let mut again = 0;
    for _ in 0..30 {
        again += victim.serves(1).await;
        sockets_most = sockets_most.max(sockets_of(victim.pid()));
    }
    println!("{held} held: at most {sockets_most} sockets in the daemon, {again} good posts tried again");
    assert!(sockets_most <= CONNECTIONS_MAX + OTHER_SOCKETS_MAX, "{sockets_most} sockets");
    assert!(sockets_most >= CONNECTIONS_MAX.min(held), "the cap was never reached: {sockets_most} sockets");
    returning.shutdown().await;
    drop(open);
    victim.is_unharmed().await;
}

/// How many descriptors this process may have, its own limit raised as far as it goes.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| usize::try_from(most).unwrap())
}

fn sockets_of(pid: u64) -> usize {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}
