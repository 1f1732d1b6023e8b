//! A plugin in `async`, in a real process: many attempts at once on its own runtime, a deadline that it minds, and one that
//! it does not.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is the test's failure")]

use std::sync::Arc;
use std::time::Duration;

use hookyard::host::Host;
use hookyard::model::attempt::Outcome;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

use super::bench::{Bench, built_beside, call, call_as};

/// Attempts that the far side waits for before it answers any of them.
const AT_ONCE: usize = 4;
/// So little that the far side's silence meets the end of it.
const SHORT: Duration = Duration::from_millis(100);

/// Takes a connection's line.
async fn line(stream: TcpStream) -> (BufReader<TcpStream>, String) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    (stream, line)
}

async fn host(bench: &Bench, far: &TcpListener, timeout: Option<Duration>) -> Arc<Host> {
    let mut spec = bench.spec(&built_beside("hookyard_test_asynchronous"));
    spec.settings_json = json!({ "far": far.local_addr().unwrap().to_string() }).to_string();
    spec.timeout = timeout.unwrap_or(spec.timeout);
    Arc::new(bench.start(spec).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_wait_at_once_and_a_finished_step_asks_no_more() {
    let bench = Bench::new();
    let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = host(&bench, &far, None).await;
    let gate = Arc::new(Barrier::new(AT_ONCE));
    let answers = tokio::spawn(async move {
        for _ in 0..AT_ONCE {
            let (stream, gate) = (far.accept().await.unwrap().0, Arc::clone(&gate));
            tokio::spawn(async move {
                let (mut stream, key) = line(stream).await;
                gate.wait().await;
                stream.write_all(key.as_bytes()).await.unwrap();
            });
        }
    });
    let calls: Vec<_> = (0..AT_ONCE)
        .map(|number| {
            let host = Arc::clone(&host);
            tokio::spawn(async move { call_as(&host, "well", &format!("event {number}"), 1).await })
        })
        .collect();
    for call in calls {
        let report = call.await.unwrap();
        let Outcome::Done(detail) = report.outcome else { panic!("{report:?}") };
        assert!(detail.message.starts_with("key of "), "{}", detail.message);
        assert_eq!(report.log, ["it answered"]);
    }
    answers.await.unwrap();
    // Nobody listens any more: what a step returned is enough.
    let again = call_as(&host, "well", "event 0", 2).await;
    assert!(matches!(again.outcome, Outcome::Done(_)), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_minds_the_deadline_says_retry_and_who_does_not_is_killed() {
    let bench = Bench::new();
    let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = host(&bench, &far, Some(SHORT)).await;
    let minded = call(&host, "minds.deadline").await;
    let Outcome::Retry { detail, .. } = minded.outcome else { panic!("{minded:?}") };
    assert_eq!(detail.message, "deadline has elapsed");
    let hung = call(&host, "hangs").await;
    assert!(matches!(hung.outcome, Outcome::TimedOut { .. }), "{hung:?}");
}
