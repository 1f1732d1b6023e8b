//! What the tests of plugins share: a store in memory, compiled libraries, hosts, events, and waiting for states.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is the test's failure")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hookyard::host::{
    Company, Host, HostError, HostProgram, HostSpec, Report, ServiceError, Services, Trust,
};
use hookyard::model::clock::UnixMillis;
use hookyard::model::event::{Envelope, Event};
use hookyard::model::ids::{EventId, HandlerName, IdempotencyKey, PluginId, RuleName, SourceName, StepId};
use hookyard::model::isolation::Isolation;
use hookyard::model::memory::{Expect, KvPut, KvValue, StepState};
use tempfile::TempDir;

/// Long enough for a child on a busy machine; a test that waits it out has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the store in memory takes.
const VALUE_BYTES_MAX: usize = 3 * 1024;

/// The store's part, in memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) steps: Mutex<HashMap<StepId, Option<Vec<u8>>>>,
    pub(super) kv: Mutex<HashMap<(PluginId, Vec<u8>), KvValue>>,
}

/// A directory for libraries and the cache, and the store.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(super) dir: TempDir,
    pub(super) memory: Arc<Memory>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), memory: Arc::default() }
    }

    /// A spec for this library, to be changed as a test needs it.
    pub(super) fn spec(&self, library: &Path) -> HostSpec {
        HostSpec {
            handler: HandlerName::new("under-test"),
            library: library.to_owned(),
            trust: Trust::default(),
            cache: self.dir.path().join("cache"),
            settings_json: "{}".to_owned(),
            secrets: [("token".to_owned(), "s3cret".to_owned().into())].into(),
            concurrency: 4,
            isolation: Isolation::Process,
            processes: 1,
            timeout: PATIENCE,
            confine: None,
            http: hookyard::model::http_access::HttpAccess::default().into(),
        }
    }

    /// What becomes a child.
    pub(super) fn program() -> HostProgram {
        HostProgram { path: PathBuf::from(env!("CARGO_BIN_EXE_plugin_host")), args: Vec::new() }
    }

    pub(super) async fn start(&self, spec: HostSpec) -> Result<Host, HostError> {
        let services: Arc<Memory> = Arc::clone(&self.memory);
        Host::start_with(Self::program(), spec, services).await
    }

    /// A host of the misbehaving plugin.
    pub(super) async fn misbehave(&self) -> Arc<Host> {
        Arc::new(self.start(self.spec(&misbehave())).await.unwrap())
    }

    /// Lets every call of the misbehaving plugin return that waits.
    pub(super) fn go(&self) {
        let go = (PluginId::new("com.hookyard.test.misbehave"), b"go".to_vec());
        self.memory.kv.lock().unwrap().insert(go, KvValue { value: Vec::new(), version: 1 });
    }

    /// Compiles a plugin in C, strictly.
    pub(crate) fn compile(&self, name: &str, defines: &[&str]) -> PathBuf {
        self.compile_with(name, defines, &[])
    }

    /// The same, with more words for the compiler.
    pub(super) fn compile_with(&self, name: &str, defines: &[&str], more: &[&str]) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let out =
            self.dir.path().join(format!("{name}-{}.so", defines.join("-").replace(['"', '\\', '.'], "_")));
        let output = Command::new("cc")
            .args([
                "-std=c99",
                "-Wall",
                "-Wextra",
                "-Wpedantic",
                "-Wconversion",
                "-Werror",
                "-shared",
                "-fPIC",
            ])
            .args(defines.iter().map(|define| format!("-D{define}")))
            .args(more)
            .arg("-I")
            .arg(root.join("../plugin-api/include"))
            .arg("-o")
            .arg(&out)
            .arg(root.join(format!("c/{name}.c")))
            .output()
            .expect("the tests need a C compiler as `cc`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        out
    }
}

/// The misbehaving plugin's library.
pub(super) fn misbehave() -> PathBuf {
    built_beside("hookyard_test_misbehave")
}

/// The library of a plugin that these tests depend on: cargo puts it beside them.
pub(super) fn built_beside(library: &str) -> PathBuf {
    let path = std::env::current_exe().unwrap().with_file_name(format!("lib{library}.so"));
    assert!(path.exists(), "{} is not built", path.display());
    path
}

/// Calls with an event of this type; the type also makes the event's id, so the same type is a retry.
pub(super) async fn call(host: &Host, event_type: &str) -> Report {
    call_as(host, event_type, event_type, 1).await
}

/// Calls with an event of this type, as this attempt at the event of that name.
pub(super) async fn call_as(host: &Host, event_type: &str, name: &str, attempt: u32) -> Report {
    let (event, rule) = (Arc::new(event(event_type, name)), RuleName::new("a rule"));
    let report = host.call(&event, attempt, &rule, Company::Others);
    let report = tokio::time::timeout(PATIENCE * 2, report).await.expect("a call always ends");
    report.expect("the plugin was asked")
}

/// Makes so many calls at once, and looks that each gets its own answer.
pub(super) async fn each_gets_its_own_answer(host: &Arc<Host>, calls: u32) {
    let calls: Vec<_> = (1..=calls)
        .map(|attempt| {
            let host = Arc::clone(host);
            tokio::spawn(async move { (attempt, call_as(&host, "well", "well", attempt).await) })
        })
        .collect();
    for call in calls {
        let (attempt, report) = call.await.unwrap();
        let expected = format!("{{\"attempt\":{attempt}}}");
        assert_eq!(report.outcome.detail().unwrap().result.as_deref(), Some(&*expected));
    }
}

/// An event of this type, with an id of that name.
pub(super) fn event(event_type: &str, name: &str) -> Event {
    let random = name.bytes().fold(7_u128, |sum, byte| sum.wrapping_mul(131).wrapping_add(byte.into()));
    Event {
        id: EventId::from_parts(1_794_830_461_000, random),
        envelope: Envelope {
            source: SourceName::new("test"),
            idempotency_key: IdempotencyKey::new(name),
            provider_id: format!("evt_{name}"),
            event_type: event_type.to_owned(),
            account: None,
            livemode: Some(false),
            content_type: "application/json".to_owned(),
            headers: vec![("x-test".to_owned(), "täst".to_owned())],
            body: Bytes::from_static(b"{\"name\":\"M\xc3\xa1rta\"}"),
            received: UnixMillis(1_794_830_461_000),
        },
    }
}

/// Waits until it is so.
pub(super) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let looked = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.unwrap_or_else(|_| panic!("never so: {what}"));
}

/// Whether a process of that id is there and not a zombie.
pub(super) fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}

#[async_trait]
impl Services for Memory {
    async fn step_begin(&self, step: StepId) -> Result<StepState, ServiceError> {
        let mut steps = self.steps.lock().unwrap();
        Ok(match steps.get(&step) {
            None => {
                steps.insert(step, None);
                StepState::Run
            }
            Some(None) => StepState::Unsure,
            Some(Some(memo)) => StepState::Done(memo.clone()),
        })
    }

    async fn step_end(&self, step: StepId, memo: Vec<u8>) -> Result<(), ServiceError> {
        self.steps.lock().unwrap().insert(step, Some(memo));
        Ok(())
    }

    fn step_key(&self, step: &StepId) -> String {
        format!("key of {} {}", step.delivery, step.step)
    }

    async fn kv_get(&self, plugin: PluginId, key: Vec<u8>) -> Result<Option<KvValue>, ServiceError> {
        Ok(self.kv.lock().unwrap().get(&(plugin, key)).cloned())
    }

    async fn kv_put(
        &self,
        plugin: PluginId,
        key: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    ) -> Result<KvPut, ServiceError> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(ServiceError::TooLarge { what: "a value", bytes: value.len(), max: VALUE_BYTES_MAX });
        }
        let mut kv = self.kv.lock().unwrap();
        let version = kv.get(&(plugin.clone(), key.clone())).map_or(0, |found| found.version);
        let right = match expect {
            Expect::Absent => version == 0,
            Expect::Version(expected) => version == expected,
            Expect::Anything => true,
        };
        if !right {
            return Ok(KvPut::Conflict);
        }
        kv.insert((plugin, key), KvValue { value, version: version + 1 });
        Ok(KvPut::Written(version + 1))
    }
}
