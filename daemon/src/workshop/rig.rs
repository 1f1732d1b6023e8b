//! One plugin in a real host without a daemon: what a trial and each conformance check start from.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::unkind::Unkind;
use crate::host::{Company, FarSide, Host, HostError, HostSpec, Report, Services, Trust};
use crate::model::attempt::Outcome;
use crate::model::event::Event;
use crate::model::ids::{EventId, HandlerName, RuleName};
use crate::model::isolation::Isolation;
use crate::model::limits::HOST_EXIT_MAX;

/// What handler, source and rule are called where no configuration names them.
pub(super) const NAME: &str = "trial";
/// How often a process that was killed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A plugin as its author has it.
#[derive(Debug)]
pub struct Subject {
    pub library: PathBuf,
    /// The handler's settings, a JSON object.
    pub settings: Value,
    pub secrets: BTreeMap<String, SecretString>,
    /// Who answers what it asks over HTTP.
    pub http: FarSide,
}

/// A plugin, and a folder for the libraries that its hosts load.
#[derive(Debug)]
pub(super) struct Rig {
    pub(super) subject: Subject,
    cache: TempDir,
}

impl Rig {
    pub(super) fn new(subject: Subject) -> io::Result<Self> {
        Ok(Self { subject, cache: TempDir::with_prefix("hookyard-trial-")? })
    }

    /// Where checked libraries are kept.
    pub(super) fn cache(&self) -> PathBuf {
        self.cache.path().join("plugins")
    }

    /// A host of the plugin.
    pub(super) async fn host(
        &self,
        services: Arc<dyn Services>,
        concurrency: usize,
        timeout: Duration,
    ) -> Result<Host, HostError> {
        self.host_with(&self.subject.settings, services, concurrency, timeout).await
    }

    /// The same with other settings.
    pub(super) async fn host_with(
        &self,
        settings: &Value,
        services: Arc<dyn Services>,
        concurrency: usize,
        timeout: Duration,
    ) -> Result<Host, HostError> {
        let spec = HostSpec {
            handler: HandlerName::new(NAME),
            library: self.subject.library.clone(),
            trust: Trust::default(),
            cache: self.cache(),
            settings_json: settings.to_string(),
            secrets: self.subject.secrets.clone(),
            concurrency,
            isolation: Isolation::Process,
            processes: 1,
            timeout,
            confine: None,
            http: self.subject.http.clone(),
        };
        Host::start(spec, services).await
    }

    /// One attempt on a host of its own, which is killed when the store is asked what it never answers: there is no report then.
    pub(super) async fn crash(
        &self,
        unkind: &Arc<Unkind>,
        timeout: Duration,
        event: &Event,
        number: u32,
        rule: &RuleName,
    ) -> Result<Option<Report>, HostError> {
        let services: Arc<Unkind> = Arc::clone(unkind);
        let host = self.host(services, 1, timeout).await?;
        let report = tokio::select! {
            report = attempt_by(&host, event, number, rule) => Some(report),
            () = unkind.reached.notified() => None,
        };
        kill(host).await;
        Ok(report)
    }
}

/// Kills the host's process, as a crash would, and returns when it is dead.
async fn kill(host: Host) {
    let pid = host.status().pid;
    drop(host);
    let is_dead = async {
        while pid.is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists()) {
            sleep(LOOK_EVERY).await;
        }
    };
    // One that cannot be killed is no reason to wait for ever.
    drop(timeout(HOST_EXIT_MAX, is_dead).await);
}

/// The event under another id: what is done for it was not done before.
pub(super) fn numbered(event: &Event, number: u128) -> Event {
    Event { id: EventId::from_parts(event.id.millis(), number), ..event.clone() }
}

/// Whether the plugin itself said this, and kept the contract: no death, no hang, no panic that the SDK caught.
pub(super) fn is_answer(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Crashed { .. } | Outcome::TimedOut { .. } | Outcome::Interrupted => false,
        Outcome::Retry { detail, .. } => detail.code != "panic" && detail.code != "contract",
        _ => true,
    }
}

/// One attempt at the event.
pub(super) async fn attempt(host: &Host, event: &Event, number: u32) -> Report {
    attempt_by(host, event, number, &RuleName::new(NAME)).await
}

/// One attempt at the event, which this rule took.
pub(super) async fn attempt_by(host: &Host, event: &Event, number: u32, rule: &RuleName) -> Report {
    let report = host.call(&Arc::new(event.clone()), number, rule, Company::Others).await;
    report.unwrap_or_else(|| Report {
        outcome: Outcome::Crashed { what: "the plugin did not come up again after it died".to_owned() },
        log: Vec::new(),
        duration: Duration::ZERO,
    })
}
