//! Several processes of one handler: what one of them costs, the others do not pay.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use hookyard::host::{Company, Host, HostError, HostProgram};
use hookyard::model::attempt::Outcome;
use hookyard::model::ids::RuleName;
use tokio::task::JoinHandle;

use super::bench::{Bench, Memory, alive, call, call_as, event, misbehave, until};

async fn host(bench: &Bench, processes: usize, timeout: Option<Duration>) -> Arc<Host> {
    let mut spec = bench.spec(&misbehave());
    spec.processes = processes;
    spec.timeout = timeout.unwrap_or(spec.timeout);
    Arc::new(bench.start(spec).await.unwrap())
}

fn pids(host: &Host) -> Vec<u32> {
    host.status().processes.iter().filter_map(|process| process.pid).collect()
}

fn calls(host: &Host) -> Vec<usize> {
    host.status().processes.iter().map(|process| process.calls_in_flight).collect()
}

/// A call that is inside the plugin when this returns, and stays there until the bench says go.
async fn slow(host: &Arc<Host>) -> JoinHandle<Outcome> {
    let before: usize = calls(host).iter().sum();
    let calling = Arc::clone(host);
    let slow = tokio::spawn(async move { call(&calling, "wait").await.outcome });
    until("the slow call is in", || calls(host).iter().sum::<usize>() > before).await;
    slow
}

#[tokio::test]
async fn a_death_takes_the_calls_of_its_own_process_only() {
    let bench = Bench::new();
    let host = host(&bench, 2, None).await;
    let before = pids(&host);
    assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), 2, "two processes");
    let slow = slow(&host).await;
    for number in 1..=3 {
        assert_eq!(call(&host, "segfault").await.outcome.word(), "crashed");
        until("it is replaced", || pids(&host).len() == 2).await;
        let status = host.status();
        assert_eq!((status.crashes, status.restarts, status.up), (number, number, true));
        assert_eq!(status.processes[0].pid, Some(before[0]), "the slow call's process lives");
        assert!(!pids(&host).contains(&before[1]) && !alive(before[1]));
    }
    assert!(!slow.is_finished());
    bench.go();
    assert_eq!(slow.await.unwrap().word(), "done");
}

#[tokio::test]
async fn a_hang_is_killed_with_its_own_process_and_no_other_call_is_disturbed() {
    let bench = Bench::new();
    let limit = Duration::from_millis(300);
    let host = host(&bench, 2, Some(limit)).await;
    let hanging = {
        let host = Arc::clone(&host);
        tokio::spawn(async move { call(&host, "hang").await.outcome })
    };
    until("it hangs", || calls(&host) == [1, 0]).await;
    let mut meanwhile = 0;
    while !hanging.is_finished() {
        let outcome = call_as(&host, "hang.politely", &meanwhile.to_string(), 1).await.outcome;
        assert!(matches!(outcome, Outcome::Retry { .. }), "each has all of its time: {outcome:?}");
        meanwhile += 1;
    }
    assert!(meanwhile > 2, "calls went on while the other process hung and was killed: {meanwhile}");
    assert_eq!(hanging.await.unwrap(), Outcome::TimedOut { limit });
    until("it is replaced", || pids(&host).len() == 2).await;
    assert_eq!((host.status().crashes, host.status().restarts), (1, 1));
}

#[tokio::test]
async fn a_suspect_is_alone_in_its_process_and_the_other_goes_on() {
    let bench = Bench::new();
    let host = host(&bench, 2, None).await;
    let others = [slow(&host).await, slow(&host).await];
    assert_eq!(calls(&host), [1, 1]);
    let suspect = {
        let host = Arc::clone(&host);
        let event = event("segfault", "segfault");
        tokio::spawn(
            async move { host.call(&event.into(), 2, &RuleName::new("a rule"), Company::Nobody).await },
        )
    };
    until("the suspect waits", || host.status().calls_in_flight == 3).await;
    for number in 0..3 {
        assert_eq!(call_as(&host, "well", &number.to_string(), 1).await.outcome.word(), "done");
    }
    assert!(!suspect.is_finished(), "its process is not empty yet");
    bench.go();
    for other in others {
        assert_eq!(other.await.unwrap().word(), "done");
    }
    assert_eq!(suspect.await.unwrap().unwrap().outcome.word(), "crashed");
}

#[tokio::test]
async fn a_serial_plugin_has_one_call_at_a_time_in_each_process() {
    let bench = Bench::new();
    let mut spec = bench.spec(&bench.compile("serial", &[]));
    (spec.processes, spec.concurrency) = (3, 8);
    let host = Arc::new(bench.start(spec).await.unwrap());
    assert_eq!(host.width(), 3);
    let calls: Vec<_> = (0..30)
        .map(|number: u32| {
            let host = Arc::clone(&host);
            tokio::spawn(async move { call_as(&host, "serial", &number.to_string(), 1).await.outcome })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().word(), "done", "it rejects where it is called twice at once");
    }
}

#[tokio::test]
async fn stopping_drains_every_process() {
    let bench = Bench::new();
    let host = host(&bench, 3, None).await;
    let pids = pids(&host);
    let running = [slow(&host).await, slow(&host).await, slow(&host).await];
    assert_eq!(calls(&host), [1, 1, 1]);
    let stopping = {
        let host = Arc::clone(&host);
        tokio::spawn(async move { host.stop(Duration::from_secs(20)).await })
    };
    until("it is stopping", || !host.status().up).await;
    assert_eq!(call(&host, "well").await.outcome, Outcome::Interrupted);
    bench.go();
    for running in running {
        assert_eq!(running.await.unwrap().word(), "done");
    }
    stopping.await.unwrap();
    assert!(pids.iter().all(|pid| !alive(*pid)));
    assert_eq!((host.status().crashes, host.status().restarts), (0, 0));
}

#[tokio::test]
async fn where_one_process_does_not_start_none_is_left() {
    let bench = Bench::new();
    let (pid, script) = (bench.dir.path().join("pid"), bench.dir.path().join("host"));
    let words = format!(
        "#!/bin/sh\ntest -e {pid} && exit 3\necho $$ > {pid}\nexec {host}\n",
        pid = pid.display(),
        host = env!("CARGO_BIN_EXE_plugin_host")
    );
    std::fs::write(&script, words).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut spec = bench.spec(&misbehave());
    spec.processes = 2;
    let program = HostProgram { path: script, args: Vec::new() };
    let services: Arc<Memory> = Arc::clone(&bench.memory);
    let refused = Host::start_with(program, spec, services).await.unwrap_err();
    assert!(matches!(&refused, HostError::Died { what } if what.contains("exit code 3")), "{refused}");
    let first = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    until("the first is gone", || !alive(first)).await;
}

#[tokio::test]
async fn what_all_processes_use_is_told_together_and_dropping_the_host_leaves_none() {
    let bench = Bench::new();
    let host = host(&bench, 3, None).await;
    let each = host.status().processes.iter().map(|it| it.usage().unwrap().resident_bytes).sum::<u64>();
    let together = host.usage().unwrap().resident_bytes;
    assert!(together > each / 2 && together < each * 2, "{together} {each}");
    let pids = pids(&host);
    assert_eq!(pids.len(), 3);
    drop(host);
    until("they are gone", || pids.iter().all(|pid| !alive(*pid))).await;
}
