//! A call to a plugin that does nothing, and back: the socket, the frames and the child's threads; and the same inside the
//! daemon, without the first two.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use criterion::{BenchmarkId, Criterion, Throughput};
use hookyard::host::{Company, Host, HostProgram, HostSpec, ServiceError, Services, Trust};
use hookyard::model::attempt::Outcome;
use hookyard::model::event::Event;
use hookyard::model::http_access::HttpAccess;
use hookyard::model::ids::{EventId, HandlerName, PluginId, RuleName, StepId};
use hookyard::model::isolation::Isolation;
use hookyard::model::memory::{Expect, KvPut, KvValue, StepState};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::events::{SIZES_KB, envelope};

/// About what an outcome takes on the wire.
const ANSWER_BYTES: usize = 64;
/// Calls at once where throughput counts.
const PIPELINED: u64 = 32;

pub(crate) fn round_trip(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let host = Arc::new(runtime.block_on(start(dir.path(), Isolation::Process)));
    let inline = Arc::new(runtime.block_on(start(dir.path(), Isolation::Inline)));
    let mut group = criterion.benchmark_group("host round trip");
    group.throughput(Throughput::Elements(1));
    for size_kb in SIZES_KB {
        let event = event(size_kb);
        group.bench_function(BenchmarkId::from_parameter(format!("{size_kb}KB")), |bencher| {
            bencher.iter_custom(|calls| runtime.block_on(took(&host, &event, 1, calls)));
        });
    }
    let event = event(4);
    group.bench_function(format!("4KB, {PIPELINED} at once"), |bencher| {
        bencher.iter_custom(|calls| runtime.block_on(took(&host, &event, PIPELINED, calls)));
    });
    group.bench_function("4KB, inline", |bencher| {
        bencher.iter_custom(|calls| runtime.block_on(took(&inline, &event, 1, calls)));
    });
    group.bench_function(format!("4KB, inline, {PIPELINED} at once"), |bencher| {
        bencher.iter_custom(|calls| runtime.block_on(took(&inline, &event, PIPELINED, calls)));
    });
    group.bench_function("4KB, two bare threads over a socket pair", |bencher| bencher.iter_custom(bare));
    group.finish();
    for host in [host, inline] {
        runtime.block_on(host.stop(Duration::from_secs(1)));
    }
}

fn event(size_kb: usize) -> Arc<Event> {
    let id = EventId::from_parts(1_796_000_000_000, 1);
    Arc::new(Event { id, envelope: envelope("evt_1", size_kb * 1024) })
}

/// How long so many calls take, by so many tasks of the runtime, as dispatch makes them.
#[expect(clippy::disallowed_methods, reason = "a bench measures")]
async fn took(host: &Arc<Host>, event: &Arc<Event>, tasks: u64, calls: u64) -> Duration {
    let start = Instant::now();
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let (host, event, rule) = (Arc::clone(host), Arc::clone(event), RuleName::new("a rule"));
        running.spawn(async move {
            for _ in 0..calls / tasks + u64::from(task < calls % tasks) {
                let report = host.call(&event, 1, &rule, Company::Others).await;
                let outcome = report.map(|report| report.outcome);
                assert!(matches!(outcome, Some(Outcome::Done(_))), "{outcome:?}");
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    start.elapsed()
}

/// What the kernel alone takes for it: two threads that sleep until the other has written, with nothing between them.
#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn bare(calls: u64) -> Duration {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let echo = thread::spawn(move || {
        let mut event = [0; 4096];
        while theirs.read_exact(&mut event).is_ok() {
            theirs.write_all(&[0; ANSWER_BYTES]).unwrap();
        }
    });
    let start = Instant::now();
    for _ in 0..calls {
        ours.write_all(&[0; 4096]).unwrap();
        ours.read_exact(&mut [0; ANSWER_BYTES]).unwrap();
    }
    let took = start.elapsed();
    drop(ours);
    echo.join().unwrap();
    took
}

async fn start(dir: &Path, isolation: Isolation) -> Host {
    let program = HostProgram {
        path: PathBuf::from(env!("CARGO_BIN_EXE_hookyard")),
        args: vec!["plugin-host".to_owned()],
    };
    let spec = HostSpec {
        handler: HandlerName::new("bench"),
        library: compile(dir),
        trust: Trust::default(),
        cache: dir.join("cache"),
        settings_json: "{}".to_owned(),
        secrets: Default::default(),
        concurrency: PIPELINED as usize,
        isolation,
        processes: 1,
        timeout: Duration::from_secs(30),
        confine: None,
        http: HttpAccess::default().into(),
    };
    Host::start_with(program, spec, Arc::new(Nothing)).await.unwrap()
}

/// The tests' smallest plugin, in C.
fn compile(dir: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let library = dir.join("libstub.so");
    let status = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-std=c99", "-I"])
        .arg(root.join("plugin-api/include"))
        .arg("-o")
        .arg(&library)
        .arg(root.join("tests/c/stub.c"))
        .status()
        .expect("the bench needs a C compiler as `cc`");
    assert!(status.success(), "the stub does not compile");
    library
}

/// Services that nobody asks for.
#[derive(Debug)]
struct Nothing;

fn refused<T>() -> Result<T, ServiceError> {
    Err(ServiceError::Failed("the bench offers nothing".to_owned()))
}

#[async_trait]
impl Services for Nothing {
    async fn step_begin(&self, _: StepId) -> Result<StepState, ServiceError> {
        refused()
    }

    async fn step_end(&self, _: StepId, _: Vec<u8>) -> Result<(), ServiceError> {
        refused()
    }

    fn step_key(&self, _: &StepId) -> String {
        String::new()
    }

    async fn kv_get(&self, _: PluginId, _: Vec<u8>) -> Result<Option<KvValue>, ServiceError> {
        refused()
    }

    async fn kv_put(&self, _: PluginId, _: Vec<u8>, _: Vec<u8>, _: Expect) -> Result<KvPut, ServiceError> {
        refused()
    }
}
