//! What a plugin's process may have at most: so many descriptors, so much address space. Running into it costs the call.

use hookyard::host::{Host, HostError, HostSpec};
use hookyard::model::attempt::Outcome;
use hookyard::model::confinement::Confinement;
use hookyard::model::limits::{HOST_MEMORY_BYTES_MIN, HOST_STACK_BYTES, OPEN_FILES_DEFAULT, OPEN_FILES_MIN};
use rustix::process::{Resource, getrlimit};

use super::bench::{Bench, call, misbehave};
use super::confine;

/// Its soft and hard limit of that name, as the kernel has them.
fn limits(host: &Host, name: &str) -> (String, String) {
    let path = format!("/proc/{}/limits", host.status().pid.unwrap());
    let limits = std::fs::read_to_string(path).unwrap();
    let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
    let mut values = line[name.len()..].split_whitespace().map(str::to_owned);
    (values.next().unwrap(), values.next().unwrap())
}

async fn start(bench: &Bench, confine: Confinement, concurrency: usize) -> Result<Host, HostError> {
    bench.start(HostSpec { confine: Some(confine), concurrency, ..bench.spec(&misbehave()) }).await
}

/// How many files could be opened.
async fn opened(host: &Host) -> usize {
    let outcome = call(host, "open").await.outcome;
    let Outcome::Retry { detail, .. } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(detail.code, "open");
    let (opened, why) = detail.message.split_once(" were open: ").unwrap();
    assert!(why.starts_with("Too many open files"), "{why}");
    opened.parse().unwrap()
}

#[tokio::test]
async fn every_plugin_has_a_limit_of_open_files_and_running_into_it_costs_the_call() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX).min(OPEN_FILES_DEFAULT as u64);
    assert_eq!(limits(&host, "Max open files"), (most.to_string(), most.to_string()));
    assert_eq!(limits(&host, "Max address space"), ("unlimited".to_owned(), "unlimited".to_owned()));
    let pid = host.status().pid;
    let opened = opened(&host).await;
    assert!((OPEN_FILES_DEFAULT - 32..OPEN_FILES_DEFAULT).contains(&opened), "{opened}");
    assert_eq!(call(&host, "well").await.outcome.word(), "done");
    assert_eq!((host.status().pid, host.status().crashes), (pid, 0), "nothing else is touched");
}

#[tokio::test]
async fn the_least_that_may_be_written_is_enough_to_begin() {
    if !confine::is_possible().await {
        return;
    }
    let bench = Bench::new();
    for concurrency in [1, 64] {
        let least = HOST_MEMORY_BYTES_MIN + concurrency * HOST_STACK_BYTES;
        let confine =
            Confinement { open_files: Some(OPEN_FILES_MIN), memory: Some(least), ..Confinement::default() };
        let host = start(&bench, confine, usize::try_from(concurrency).unwrap()).await.unwrap();
        assert_eq!(limits(&host, "Max address space"), (least.to_string(), least.to_string()));
        assert_eq!(call(&host, "well").await.outcome.word(), "done");
        let opened = opened(&host).await;
        assert!((OPEN_FILES_MIN - 32..OPEN_FILES_MIN).contains(&opened), "{opened}");
        let status = std::fs::read_to_string(format!("/proc/{}/status", host.status().pid.unwrap())).unwrap();
        let peak = status.lines().find(|line| line.starts_with("VmPeak")).unwrap();
        println!("{concurrency} calls at once: {least} allowed, {peak}");
    }
}

#[tokio::test]
async fn an_allocation_beyond_the_bound_kills_the_process_and_the_next_call_is_served() {
    if !confine::is_possible().await {
        return;
    }
    let bench = Bench::new();
    let other = bench.misbehave().await;
    let memory = Some(512 * 1024 * 1024);
    let host = start(&bench, Confinement { memory, ..Confinement::default() }, 8).await.unwrap();
    let outcome = call(&host, "allocate").await.outcome;
    let Outcome::Crashed { what } = &outcome else { panic!("{outcome:?}") };
    assert!(what.contains("killed by SIGABRT") && what.contains("memory allocation of"), "{what}");
    assert_eq!(call(&host, "well").await.outcome.word(), "done");
    let unbounded = call(&other, "allocate").await.outcome;
    let Outcome::Done(detail) = unbounded else { panic!("{unbounded:?}") };
    assert_eq!(detail.message, "2048", "without a bound it all comes");
}

#[tokio::test]
async fn more_files_than_the_daemons_own_processes_may_have_are_refused_with_what_to_do() {
    if !confine::is_possible().await {
        return;
    }
    let Some(most) = getrlimit(Resource::Nofile).maximum else { return };
    let bench = Bench::new();
    let open_files = Some(usize::try_from(most).unwrap() + 1);
    let refused = start(&bench, Confinement { open_files, ..Confinement::default() }, 1).await;
    let said = refused.unwrap_err().to_string();
    assert!(
        said.contains(&format!("and the daemon's processes may have {most} (its own hard limit)")),
        "{said}"
    );
}
