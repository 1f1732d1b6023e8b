//! Each fault of a plugin costs the attempts that its child held, is told in words, and nothing else stops.

use std::sync::Arc;
use std::time::Duration;

use hookyard::host::{Company, Host, Report};
use hookyard::model::attempt::Outcome;
use hookyard::model::ids::RuleName;
use hookyard::model::limits::HOST_DEATHS_MAX;
use tokio::task::JoinHandle;

use super::bench::{Bench, call, call_as, each_gets_its_own_answer, misbehave, until};

/// Starts a call that is inside the plugin when this returns, and stays there.
async fn sibling(host: &Arc<Host>) -> JoinHandle<Report> {
    let before = host.status().calls_in_flight;
    let calling = Arc::clone(host);
    let task = tokio::spawn(async move { call(&calling, "wait").await });
    until("the sibling is called", || host.status().calls_in_flight > before).await;
    task
}

#[tokio::test]
async fn a_death_costs_what_the_child_held_and_the_next_call_is_served() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let other = bench.misbehave().await;
    let other_pid = other.status().pid;
    for (number, (fault, words)) in (1..).zip([
        ("segfault", "killed by SIGSEGV (an invalid memory access)"),
        ("abort", "killed by SIGABRT"),
        ("overflow", "has overflowed its stack"),
        ("exit", "ended itself with exit code 0"),
    ]) {
        let pid = host.status().pid;
        let held = sibling(&host).await;
        let report = call(&host, fault).await;
        let Outcome::Crashed { what } = &report.outcome else { panic!("{fault}: {report:?}") };
        assert!(what.contains(words), "{fault}: {what}");
        assert!(matches!(held.await.unwrap().outcome, Outcome::Crashed { .. }), "{fault}");
        assert_eq!(call(&host, "well").await.outcome.word(), "done", "{fault}");
        assert_eq!(call(&other, "well").await.outcome.word(), "done", "{fault}");
        let status = host.status();
        assert_eq!((status.crashes, status.restarts, status.up), (number, number, true), "{fault}");
        assert_ne!(status.pid, pid, "{fault}");
    }
    assert_eq!(other.status().pid, other_pid);
    assert_eq!(other.status().crashes, 0);
}

#[tokio::test]
async fn a_plugin_that_keeps_dying_is_asked_no_more_until_one_call_was_answered() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    for death in 0..=HOST_DEATHS_MAX {
        assert!(!host.status().circuit_open, "after {death}");
        assert_eq!(call(&host, "well").await.outcome.word(), "done");
        assert_eq!(call(&host, "segfault").await.outcome.word(), "crashed");
    }
    until("it is open", || host.status().circuit_open && !host.status().up).await;
    let why = host.status().why_down.unwrap();
    assert!(why.contains("died more than 5 times within 60s and events wait"), "{why}");
    assert!(why.contains("SIGSEGV"), "{why}");
    let (event, rule) = (super::bench::event("well", "well"), RuleName::new("a rule"));
    assert_eq!(host.call(&event.into(), 1, &rule, Company::Others).await, None, "no attempt");

    host.ready().await;
    assert!(host.status().up && host.status().circuit_open, "it is tried");
    let trying = sibling(&host).await;
    let behind = {
        let host = Arc::clone(&host);
        tokio::spawn(async move { call(&host, "well").await })
    };
    until("the next one waits", || host.status().calls_in_flight == 2).await;
    assert!(host.status().circuit_open && !behind.is_finished());
    bench.go();
    assert_eq!(trying.await.unwrap().outcome.word(), "done");
    assert_eq!(behind.await.unwrap().outcome.word(), "done");
    assert!(!host.status().circuit_open);
}

#[tokio::test]
async fn a_suspect_is_alone_in_the_process() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let (innocent, other) = (sibling(&host).await, sibling(&host).await);
    let suspect = {
        let host = Arc::clone(&host);
        let event = super::bench::event("segfault", "segfault");
        tokio::spawn(
            async move { host.call(&event.into(), 2, &RuleName::new("a rule"), Company::Nobody).await },
        )
    };
    until("the suspect waits", || host.status().calls_in_flight == 3).await;
    let behind = {
        let host = Arc::clone(&host);
        tokio::spawn(async move { call(&host, "well").await })
    };
    until("another waits behind it", || host.status().calls_in_flight == 4).await;
    assert!(!suspect.is_finished() && !behind.is_finished());
    bench.go();
    for innocent in [innocent, other, behind] {
        assert_eq!(innocent.await.unwrap().outcome.word(), "done");
    }
    assert_eq!(suspect.await.unwrap().unwrap().outcome.word(), "crashed");
}

#[tokio::test]
async fn a_crash_keeps_the_log_and_the_last_words() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    assert_eq!(call(&host, "segfault").await.log, ["about to write where nothing is"]);
    let Outcome::Crashed { what } = call(&host, "abort").await.outcome else { panic!("it lives") };
    assert!(what.contains("it had printed: the very last words"), "{what}");
}

#[tokio::test]
async fn a_panic_is_a_retry_and_its_child_is_replaced_when_its_last_call_has_ended() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let pid = host.status().pid.unwrap();
    let held = sibling(&host).await;
    let Outcome::Retry { after: None, detail } = call(&host, "panic").await.outcome else {
        panic!("no retry")
    };
    assert_eq!(detail.code, "panic");
    assert!(detail.message.contains("the plugin panicked: made to panic (at "), "{}", detail.message);
    assert!(super::bench::alive(pid), "the sibling still runs in it");
    let waiting = {
        let host = Arc::clone(&host);
        tokio::spawn(async move { call(&host, "well").await })
    };
    until("the next call waits", || host.status().calls_in_flight == 2).await;
    bench.go();
    assert_eq!(held.await.unwrap().outcome.word(), "done");
    assert_eq!(waiting.await.unwrap().outcome.word(), "done");
    let status = host.status();
    assert_ne!(status.pid, Some(pid));
    assert_eq!((status.restarts, status.crashes, status.breaches), (1, 0, 1));
}

#[tokio::test]
async fn a_hang_is_killed_after_its_deadline_and_its_siblings_are_told_why() {
    let bench = Bench::new();
    let limit = Duration::from_millis(300);
    let mut spec = bench.spec(&misbehave());
    spec.timeout = limit;
    let host = Arc::new(bench.start(spec).await.unwrap());
    let pid = host.status().pid.unwrap();
    let hanging = {
        let host = Arc::clone(&host);
        tokio::spawn(async move { call(&host, "hang").await })
    };
    // One sibling after another, each within its own time, until one is in the child when it is killed.
    let killed = loop {
        match call(&host, "hang.politely").await.outcome {
            Outcome::Retry { .. } => assert!(!hanging.is_finished(), "no sibling was told"),
            Outcome::Crashed { what } => break what,
            other => panic!("{other:?}"),
        }
    };
    assert!(killed.contains("stopped because another delivery (") && killed.contains("hung"), "{killed}");
    assert_eq!(hanging.await.unwrap().outcome, Outcome::TimedOut { limit });
    assert!(!super::bench::alive(pid));
    assert_eq!(call(&host, "well").await.outcome.word(), "done");
    assert_eq!((host.status().crashes, host.status().restarts), (1, 1));
}

#[tokio::test]
async fn a_plugin_that_returns_at_its_deadline_is_not_killed() {
    let bench = Bench::new();
    let mut spec = bench.spec(&misbehave());
    spec.timeout = Duration::from_millis(200);
    let host = bench.start(spec).await.unwrap();
    let pid = host.status().pid;
    let Outcome::Retry { detail, .. } = call(&host, "hang.politely").await.outcome else {
        panic!("no retry")
    };
    assert_eq!(detail.code, "no_time");
    assert_eq!((host.status().pid, host.status().crashes), (pid, 0));
}

#[tokio::test]
async fn what_is_no_outcome_is_a_retry_and_counted() {
    let bench = Bench::new();
    for returned in ["0", "99", "-5"] {
        let library = bench.compile("stub", &[&format!("OUTCOME={returned}")]);
        let host = bench.start(bench.spec(&library)).await.unwrap();
        let Outcome::Retry { after: None, detail } = call(&host, "any").await.outcome else {
            panic!("{returned}")
        };
        assert_eq!(detail.code, "contract");
        assert!(
            detail.message.contains(&format!("returned {returned}, which is no outcome")),
            "{}",
            detail.message
        );
        assert_eq!((host.status().breaches, host.status().crashes), (1, 0));
    }
}

#[tokio::test]
async fn each_outcome_of_the_sdk_arrives() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let Outcome::Retry { after, detail } = call(&host, "retry").await.outcome else { panic!("no retry") };
    assert_eq!((after, &*detail.code), (Some(Duration::from_millis(1500)), "later"));
    let Outcome::Reject(detail) = call(&host, "reject").await.outcome else { panic!("no reject") };
    assert_eq!((&*detail.code, &*detail.message), ("never", "not ever"));
    let Outcome::Ignore(detail) = call(&host, "ignore").await.outcome else { panic!("no ignore") };
    assert_eq!((&*detail.code, &*detail.message), ("other", "not mine"));
    let Outcome::Done(detail) = call_as(&host, "well", "well", 9).await.outcome else { panic!("not done") };
    assert_eq!(detail.result.as_deref(), Some("{\"attempt\":9}"));
}

#[tokio::test]
async fn printing_and_leaking_disturb_nothing() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let pid = host.status().pid;
    for _ in 0..5 {
        assert_eq!(call(&host, "print").await.outcome.word(), "done");
        assert_eq!(call(&host, "leak").await.outcome.word(), "done");
    }
    assert_eq!((host.status().pid, host.status().crashes), (pid, 0));
}

#[tokio::test]
async fn many_calls_at_once_each_get_their_own_answer() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    each_gets_its_own_answer(&host, 64).await;
    assert_eq!(host.status().calls_in_flight, 0);
}
