//! No 2xx before fdatasync: read off the system calls of the real daemon.
//!
//! For each event: its bytes are written to the journal, then an fdatasync of that file begins and returns 0, then the
//! answer leaves. strace writes the calls in the order in which the kernel saw them.

use std::collections::HashSet;

use crate::stripe::another_purchase;
use crate::yard::{Yard, through};

const EVENTS: usize = 25;

/// What matters of one line of the trace.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    /// Bytes of this event went to the journal's file.
    Wrote(usize),
    SyncBegan,
    SyncReturned,
    Answered,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_2xx_leaves_before_the_sync_that_covers_it() {
    let mut yard = Yard::shipped();
    let trace_file = yard.path("trace");
    let serve = yard.command(&["serve", "--dev"]);
    let options =
        ["-f", "-y", "-s", "300000", "-e", "trace=pwrite64,fdatasync,write,writev,sendto,sendmsg", "-o"];
    let traced = through(&serve, "strace", &[&options[..], &[trace_file.to_str().unwrap()]].concat());
    let poster = yard.start_as(traced).await;
    for number in 0..EVENTS {
        assert_eq!(poster.post(&another_purchase("01", number)).await.status, 200);
    }
    // strace ends when the daemon does.
    let daemon = i32::try_from(yard.runtime().unwrap()["pid"].as_i64().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(daemon).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    yard.wait_for_end();

    let trace = String::from_utf8_lossy(&std::fs::read(&trace_file).unwrap()).into_owned();
    let mut syncing = HashSet::new();
    let calls: Vec<Call> = trace.lines().flat_map(|line| calls_of(line, &mut syncing)).collect();
    let answers = calls.iter().filter(|call| **call == Call::Answered).count();
    assert_eq!(answers, EVENTS, "answers in the trace");
    let mut from = 0;
    for number in 0..EVENTS {
        let answered = from + calls[from..].iter().position(|call| *call == Call::Answered).unwrap();
        assert_covered(number, &calls[from..answered]);
        from = answered + 1;
    }
}

/// The calls between two answers hold: written, then a sync that began after that and returned.
fn assert_covered(number: usize, calls: &[Call]) {
    let wrote = calls.iter().position(|call| *call == Call::Wrote(number));
    let wrote =
        wrote.unwrap_or_else(|| panic!("event {number} was answered before it was written: {calls:?}"));
    let began = calls[wrote..].iter().position(|call| *call == Call::SyncBegan);
    let began =
        wrote + began.unwrap_or_else(|| panic!("event {number}: no sync began after the write: {calls:?}"));
    assert!(
        calls[began..].contains(&Call::SyncReturned),
        "event {number} was answered before the sync returned: {calls:?}"
    );
}

/// The calls of one line: a sync that no other thread's call interrupts begins and returns in one line. `syncing`: the
/// threads whose sync of the journal has begun and not returned; sled's own syncs count for nothing.
fn calls_of(line: &str, syncing: &mut HashSet<String>) -> Vec<Call> {
    let thread = line.split_whitespace().next().unwrap_or_default();
    let on_journal = line.contains("/var/hookyard/journal/") && line.contains(".seg>");
    if line.contains("fdatasync(") && on_journal {
        return match (line.contains("<unfinished"), line.ends_with("= 0")) {
            (true, _) => {
                syncing.insert(thread.to_owned());
                vec![Call::SyncBegan]
            }
            (false, true) => vec![Call::SyncBegan, Call::SyncReturned],
            (false, false) => vec![],
        };
    }
    if line.contains("fdatasync resumed") && syncing.remove(thread) {
        return if line.ends_with("= 0") { vec![Call::SyncReturned] } else { vec![] };
    }
    if line.contains("pwrite64(") && on_journal {
        let ids = line.split("evt_test_").skip(1);
        return ids.filter_map(|rest| rest.get(..8)?.parse().ok()).map(Call::Wrote).collect();
    }
    let sends = ["write(", "writev(", "sendto(", "sendmsg("].iter().any(|name| line.contains(name));
    if sends && line.contains("HTTP/1.1 200") && line.contains("accepted") {
        vec![Call::Answered]
    } else {
        vec![]
    }
}
