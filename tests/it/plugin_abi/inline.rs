//! Plugins that share a process with their host: the same conversation, and what nobody can kill there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hookyard::host::{Company, Host, HostError, HostSpec, Report, ServiceError, Services, mapped};
use hookyard::model::attempt::Outcome;
use hookyard::model::ids::{HandlerName, PluginId, RuleName, StepId};
use hookyard::model::isolation::Isolation;
use hookyard::model::limits::{HOST_START_MAX, HOST_UPCALLS_MAX};
use hookyard::model::memory::{Expect, KvPut, KvValue, StepState};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::bench::{Bench, call, call_as, each_gets_its_own_answer, event, misbehave, until};

/// Short enough to wait out with the grace.
const LIMIT: Duration = Duration::from_millis(200);

fn spec(bench: &Bench, library: &Path) -> HostSpec {
    HostSpec { isolation: Isolation::Inline, ..bench.spec(library) }
}

async fn host(bench: &Bench) -> Arc<Host> {
    Arc::new(bench.start(spec(bench, &misbehave())).await.unwrap())
}

async fn hurried(bench: &Bench) -> Arc<Host> {
    let spec = HostSpec { timeout: LIMIT, ..spec(bench, &misbehave()) };
    Arc::new(bench.start(spec).await.unwrap())
}

/// A call that nobody waits for yet.
fn begin(host: &Arc<Host>, event_type: &'static str) -> JoinHandle<Report> {
    let host = Arc::clone(host);
    tokio::spawn(async move { call(&host, event_type).await })
}

fn message(report: &Report) -> &str {
    &report.outcome.detail().unwrap().message
}

#[tokio::test(flavor = "multi_thread")]
async fn the_conversation_is_the_same_as_with_a_process() {
    let bench = Bench::new();
    let (inline, process) = (host(&bench).await, bench.misbehave().await);
    for event_type in ["well", "echo", "retry", "reject", "ignore", "log", "library.logs", "unknown"] {
        let (inside, outside) = (call(&inline, event_type).await, call(&process, event_type).await);
        assert_eq!((&inside.outcome, &inside.log), (&outside.outcome, &outside.log), "{event_type}");
    }
    for kind in ["run", "done"] {
        assert_eq!(message(&call(&inline, "step").await), if kind == "run" { "run" } else { "done" });
    }
    assert!(message(&call(&inline, "kv").await).ends_with("it is too large"));
    let status = inline.status();
    assert_eq!((status.pid, status.up, status.calls_in_flight), (None, true, 0));
    assert_eq!((status.isolation, status.hanging, status.breaches), (Isolation::Inline, 0, 0));
    assert_eq!(inline.usage(), None, "it is the daemon's");
    assert!(mapped().contains(&status.sha256));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_c_uses_everything_and_is_made_as_often_as_it_is_asked_for() {
    let bench = Bench::new();
    let library = bench.compile("good", &[]);
    for (number, words) in (1..).zip(["charged", "charged before", "charged before"]) {
        let host = bench.start(spec(&bench, &library)).await.unwrap();
        let report = call_as(&host, "good", "good", number).await;
        assert_eq!((message(&report), &*report.log), (words, &["from C state=fine".to_owned()][..]));
        host.stop(Duration::from_secs(1)).await;
        assert!(!host.status().up);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_of_one_library_never_meet() {
    let bench = Bench::new();
    let mut hosts = Vec::new();
    for token in ["first", "second"] {
        let spec = HostSpec {
            handler: HandlerName::new(token),
            settings_json: r#"{"secret": "token"}"#.to_owned(),
            secrets: BTreeMap::from([("token".to_owned(), token.to_owned().into())]),
            ..spec(&bench, &misbehave())
        };
        hosts.push((token, Arc::new(bench.start(spec).await.unwrap())));
    }
    for (token, host) in &hosts {
        assert_eq!(message(&call(host, "secret").await), *token);
    }
    let (_, first) = hosts.remove(0);
    first.stop(Duration::from_secs(1)).await;
    drop(first);
    let (token, second) = &hosts[0];
    assert_eq!(message(&call(second, "secret").await), *token, "the other lives on");
    assert_eq!(call(second, "log").await.log.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_each_get_their_own_answer() {
    let bench = Bench::new();
    let host = host(&bench).await;
    each_gets_its_own_answer(&host, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serial_plugin_has_one_call_at_a_time() {
    let bench = Bench::new();
    let host = Arc::new(bench.start(spec(&bench, &bench.compile("serial", &[]))).await.unwrap());
    assert!(host.status().serial && host.width() == 1);
    for call in [(); 12].map(|()| begin(&host, "any")) {
        assert_eq!(call.await.unwrap().outcome.word(), "done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_needs_a_process_is_refused_and_nothing_of_it_is_mapped() {
    let bench = Bench::new();
    for (flag, meaning) in [
        ("HOOKYARD_F_PANIC_ABORTS", "built without unwinding"),
        ("HOOKYARD_F_NEEDS_ISOLATION", "it wants a process for itself"),
    ] {
        let library = bench.compile("stub", &[&format!("FLAGS={flag}")]);
        let refused = bench.start(spec(&bench, &library)).await.unwrap_err();
        assert!(!refused.may_pass());
        let said = refused.to_string();
        for part in [flag, meaning, "write isolation = \"process\" in its handler"] {
            assert!(said.contains(part), "{said}");
        }
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let sha256 = hookyard::host::library_hash(&library, None).unwrap();
        assert!(!maps.contains(&sha256) && !mapped().contains(&sha256));
        let host = bench.start(bench.spec(&library)).await.unwrap();
        assert_eq!(call(&host, "any").await.outcome.word(), "done", "in a process it runs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refuses_or_dies_before_it_is_in_the_daemon_is_a_sentence() {
    let bench = Bench::new();
    let refusing =
        HostSpec { settings_json: r#"{"create": "refuse"}"#.to_owned(), ..spec(&bench, &misbehave()) };
    let said = bench.start(refusing).await.unwrap_err().to_string();
    assert!(said.contains("could not be made: no database answers at db.example:5432"), "{said}");
    let no_symbol = bench.compile("stub", &["NO_SYMBOL"]);
    let said = bench.start(spec(&bench, &no_symbol)).await.unwrap_err().to_string();
    assert!(said.contains("it does not export the function `hookyard_plugin_v1`"), "{said}");
    let host = host(&bench).await;
    assert_eq!(call(&host, "well").await.outcome.word(), "done");
}

/// Takes as long as the limit: nothing else would show that it holds.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_not_ready_in_time_is_given_up_and_may_go_on_unseen() {
    let bench = Bench::new();
    let seconds = HOST_START_MAX.as_secs() + 1;
    let library = bench.compile("stub", &[&format!("SLOW={seconds}")]);
    let refused = bench.start(spec(&bench, &library)).await.unwrap_err();
    assert!(refused.may_pass());
    let said = refused.to_string();
    assert!(said.contains("was not ready within 30s; nobody can end it inside the daemon"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_replaces_the_instance_when_its_last_call_has_ended() {
    let bench = Bench::new();
    let host = host(&bench).await;
    let held = begin(&host, "wait");
    until("the sibling is in", || host.status().calls_in_flight == 1).await;
    let panicked = call(&host, "panic").await;
    assert!(message(&panicked).contains("the plugin panicked: made to panic (at "), "{panicked:?}");
    let waiting = begin(&host, "well");
    until("the next call waits", || host.status().calls_in_flight == 2).await;
    assert!(!held.is_finished() && !waiting.is_finished());
    bench.go();
    assert_eq!(held.await.unwrap().outcome.word(), "done");
    assert_eq!(waiting.await.unwrap().outcome.word(), "done");
    let status = host.status();
    assert_eq!((status.restarts, status.crashes, status.breaches, status.hanging), (1, 0, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_keeps_its_worker_until_it_returns_and_the_others_go_on() {
    let bench = Bench::new();
    let host = hurried(&bench).await;
    let fault = {
        let host = Arc::clone(&host);
        tokio::spawn(async move { host.faulted().await })
    };
    // Waits for the pair without a look at its time.
    let hung = begin(&host, "wait");
    until("it hangs", || host.status().hanging == 1).await;
    assert!(fault.await.unwrap().contains("only a restart of the daemon ends it"));
    for number in 0..20 {
        assert_eq!(call_as(&host, "well", &number.to_string(), 1).await.outcome.word(), "done");
    }
    let suspect =
        host.call(&event("well", "suspect").into(), 2, &RuleName::new("a rule"), Company::Nobody).await;
    assert_eq!(suspect.unwrap().outcome.word(), "done", "nobody waits for what hangs");
    assert!(!hung.is_finished(), "its delivery is still under way");
    let status = host.status();
    assert_eq!((status.crashes, status.restarts, status.up, status.calls_in_flight), (0, 0, true, 1));
    bench.go();
    assert_eq!(hung.await.unwrap().outcome.word(), "done", "what it did counts");
    assert_eq!(host.status().hanging, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_worker_hangs_calls_are_not_begun() {
    let bench = Bench::new();
    let spec = HostSpec { concurrency: 2, timeout: LIMIT, ..spec(&bench, &misbehave()) };
    let host = Arc::new(bench.start(spec).await.unwrap());
    let hung = [begin(&host, "wait"), begin(&host, "wait")];
    until("both hang", || host.status().hanging == 2).await;
    let (event, rule) = (event("well", "well"), RuleName::new("a rule"));
    assert_eq!(host.call(&event.into(), 1, &rule, Company::Others).await, None, "no attempt is spent");
    bench.go();
    for hung in hung {
        assert_eq!(hung.await.unwrap().outcome.word(), "done");
    }
    assert_eq!(call(&host, "well").await.outcome.word(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_beside_a_call_that_hangs_leaves_that_behind_and_it_may_still_return() {
    let bench = Bench::new();
    let host = hurried(&bench).await;
    let hung = begin(&host, "wait");
    until("it hangs", || host.status().hanging == 1).await;
    assert!(message(&call(&host, "panic").await).contains("made to panic"));
    until("it is replaced", || host.status().restarts == 1 && host.status().up).await;
    assert_eq!(call(&host, "well").await.outcome.word(), "done");
    assert_eq!(host.status().hanging, 1, "its worker is not given to the next instance");
    assert!(!hung.is_finished());
    bench.go();
    assert_eq!(hung.await.unwrap().outcome.word(), "done", "its instance is heard until its end");
    assert_eq!(host.status().hanging, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_waits_for_no_call_that_hangs() {
    let bench = Bench::new();
    let host = hurried(&bench).await;
    let hung = begin(&host, "hang");
    until("it hangs", || host.status().hanging == 1).await;
    tokio::time::timeout(Duration::from_secs(5), host.stop(LIMIT)).await.expect("it is bounded");
    assert_eq!(hung.await.unwrap().outcome, Outcome::Interrupted);
}

/// What keeps every question for a pair until it is let go.
#[derive(Debug, Default)]
struct Slow {
    asked: AtomicUsize,
    go: Notify,
}

fn not_here<T>() -> Result<T, ServiceError> {
    Err(ServiceError::Failed("only pairs are asked for here".to_owned()))
}

#[async_trait]
impl Services for Slow {
    async fn step_begin(&self, _: StepId) -> Result<StepState, ServiceError> {
        not_here()
    }
    async fn step_end(&self, _: StepId, _: Vec<u8>) -> Result<(), ServiceError> {
        not_here()
    }
    fn step_key(&self, _: &StepId) -> String {
        String::new()
    }
    async fn kv_get(&self, _: PluginId, _: Vec<u8>) -> Result<Option<KvValue>, ServiceError> {
        let go = self.go.notified();
        self.asked.fetch_add(1, Ordering::Relaxed);
        go.await;
        Ok(None)
    }
    async fn kv_put(&self, _: PluginId, _: Vec<u8>, _: Vec<u8>, _: Expect) -> Result<KvPut, ServiceError> {
        not_here()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_for_too_much_at_once_is_told_so_and_counted() {
    const MORE: usize = 20;
    let bench = Bench::new();
    let threads = HOST_UPCALLS_MAX + MORE;
    let library = bench.compile("many", &[&format!("THREADS={threads}"), &format!("REFUSED={MORE}")]);
    let slow = Arc::new(Slow::default());
    let services: Arc<Slow> = Arc::clone(&slow);
    let host = Host::start_with(Bench::program(), spec(&bench, &library), services).await.unwrap();
    let host = Arc::new(host);
    let asking = begin(&host, "many");
    until("all but those are answered later", || {
        slow.asked.load(Ordering::Relaxed) == HOST_UPCALLS_MAX && host.status().breaches == MORE as u64
    })
    .await;
    slow.go.notify_waiters();
    assert_eq!(asking.await.unwrap().outcome.word(), "done");
    assert_eq!(call(&host, "used up").await.outcome.word(), "done", "the call before is refused");
    assert_eq!((host.status().crashes, host.status().restarts), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_the_other_isolation_is_another_host() {
    let bench = Bench::new();
    let host = host(&bench).await;
    assert!(!host.differs_from(&spec(&bench, &misbehave())).await.unwrap());
    assert!(host.differs_from(&bench.spec(&misbehave())).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_would_be_confined_is_refused() {
    let bench = Bench::new();
    let confine = hookyard::model::confinement::Confinement { network: false, ..Default::default() };
    let spec = HostSpec { confine: Some(confine), ..spec(&bench, &misbehave()) };
    let refused = bench.start(spec).await.unwrap_err();
    assert!(matches!(&refused, HostError::Load { why } if why.contains("cannot be confined")), "{refused}");
}
