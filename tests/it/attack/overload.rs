//! More than the disk takes: the door sheds with 503 and `Retry-After` before memory grows, and keeps what it accepted.
//!
//! The disk is slow because strace holds up every sync of the real daemon.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{post, read_answer, request, set_server_lines, signed};
use crate::stripe::SECRET;
use crate::yard::{Yard, through};

/// Each sync takes at least this long.
const SYNC_DELAY: &str = "50ms";
/// Their bodies together are more than the memory that is allowed.
const CLIENTS: usize = 256;
const IN_FLIGHT_MAX: usize = 24;
const BODY_BYTES: usize = 512 * 1024;
/// Answers 503 under which there was no overload: 1 GB of bodies.
const SHED_MIN: usize = 2_000;
const ACCEPTED_MIN: usize = 20;
/// What the daemon may grow by over its memory when idle: the bodies in flight (12 MB), each of them in the request, cut for
/// the store and in sled's buffers, sled's cache of 64 MiB, and the allocator's rounding. With `in_flight_max` out of force
/// it grows by 1.3 GB.
const GROWTH_KB_MAX: u64 = 192 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_shed_before_memory_grows_and_loses_nothing() {
    let mut yard = Yard::shipped();
    set_server_lines(&yard, &format!("in_flight_max = {IN_FLIGHT_MAX}"));
    let serve = yard.command(&["serve", "--dev"]);
    let slow = format!("inject=fdatasync,fsync:delay_enter={SYNC_DELAY}");
    let options = ["-f", "--seccomp-bpf", "-e", "trace=fdatasync,fsync", "-e", &slow, "-o", "/dev/null"];
    yard.start_as(through(&serve, "strace", &options)).await;
    let runtime = yard.runtime().unwrap();
    let door: SocketAddr = runtime["door"].as_str().unwrap().parse().unwrap();
    let pid = runtime["pid"].as_i64().unwrap();
    let idle_kb = memory_kb(pid, "VmRSS");

    let load = Arc::new(Load::default());
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let load = Arc::clone(&load);
        clients.spawn(async move { load.run(door).await });
    }
    let accepted: Vec<(usize, String)> = clients.join_all().await.into_iter().flatten().collect();
    let peak_kb = memory_kb(pid, "VmHWM");
    println!(
        "{} accepted, {:?} times shed, {idle_kb} kB idle, {peak_kb} kB at most",
        accepted.len(),
        load.shed
    );
    assert!(peak_kb < idle_kb + GROWTH_KB_MAX, "{idle_kb} kB grew to {peak_kb} kB");

    // strace ends when the daemon does.
    let daemon = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(daemon, rustix::process::Signal::TERM).unwrap();
    yard.wait_for_end();
    yard.start().await;
    let door: SocketAddr = yard.runtime().unwrap()["door"].as_str().unwrap().parse().unwrap();
    for (number, id) in accepted {
        let again = post(door, &event(number), SECRET).await.unwrap();
        let said: Value = serde_json::from_str(&again.body).unwrap();
        assert_eq!((&said["status"], &said["event"]), (&"duplicate".into(), &id.into()), "event {number}");
    }
}

#[derive(Debug, Default)]
struct Load {
    next: AtomicUsize,
    shed: AtomicUsize,
    accepted: AtomicUsize,
}

impl Load {
    fn is_enough(&self) -> bool {
        self.shed.load(Ordering::Relaxed) >= SHED_MIN && self.accepted.load(Ordering::Relaxed) >= ACCEPTED_MIN
    }

    /// Posts one event until it is accepted, like Stripe, and then the next; returns what was accepted, with the ids.
    async fn run(&self, door: SocketAddr) -> Vec<(usize, String)> {
        let mut accepted = Vec::new();
        while !self.is_enough() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let body = event(number);
            let request = request(&body, &signed(&body, SECRET));
            drop(body);
            if let Some(id) = self.until_accepted(door, &request).await {
                accepted.push((number, id));
            }
        }
        accepted
    }

    /// The event's id; `None` where the load was enough before that.
    async fn until_accepted(&self, door: SocketAddr, request: &[u8]) -> Option<String> {
        while !self.is_enough() {
            let mut stream = TcpStream::connect(door).await.unwrap();
            // A refusal may come before the body was taken, and end the connection.
            let _ = stream.write_all(request).await;
            match read_answer(&mut stream).await {
                None => {}
                Some(answer) if answer.status == 200 => {
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                    let said: Value = serde_json::from_str(&answer.body).unwrap();
                    return Some(said["event"].as_str().unwrap().to_owned());
                }
                Some(answer) => {
                    assert_eq!(answer.status, 503, "{answer:?}");
                    assert!(answer.head.to_lowercase().contains("retry-after: "), "{answer:?}");
                    self.shed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        None
    }
}

/// A large event that no rule takes: what is slow here is the store alone.
fn event(number: usize) -> Vec<u8> {
    let padding = "x".repeat(BODY_BYTES);
    format!(
        r#"{{"id":"evt_overload_{number}","type":"overload.test","livemode":false,"padding":"{padding}"}}"#
    )
    .into_bytes()
}

fn memory_kb(pid: i64, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
