//! What a confined plugin cannot reach, whatever it tries: files, other machines, other processes.

use std::path::Path;

use bytes::Bytes;
use hookyard::host::{Company, Host, HostError, HostSpec};
use hookyard::model::attempt::Outcome;
use hookyard::model::confinement::Confinement;
use hookyard::model::ids::RuleName;

use super::bench::{Bench, event, misbehave};
use crate::disk::say;

/// What came of reaching for something: `done`, or the system's words.
async fn reach(host: &Host, what: &str, path: &Path) -> String {
    let mut event = event(&format!("reach.{what}"), what);
    event.envelope.body = Bytes::from(path.to_str().unwrap().to_owned());
    let report = host.call(&event, 1, &RuleName::new("a rule"), Company::Others).await.unwrap();
    match report.outcome {
        Outcome::Done(_) => "done".to_owned(),
        Outcome::Reject(detail) => detail.message,
        other => panic!("{what}: {other:?}"),
    }
}

async fn start(bench: &Bench, confine: Confinement) -> Result<Host, HostError> {
    bench.start(HostSpec { confine: Some(confine), ..bench.spec(&misbehave()) }).await
}

/// `None`, said loudly, where this kernel cannot confine.
async fn started(bench: &Bench, confine: Confinement) -> Option<Host> {
    match start(bench, confine).await {
        Err(HostError::Load { why }) if why.contains("this kernel cannot") => {
            say(&format!("SKIPPED: {why}"));
            None
        }
        host => Some(host.unwrap()),
    }
}

/// Whether this kernel can confine; says so loudly where it cannot.
pub(crate) async fn is_possible() -> bool {
    let confine = Confinement { read: None, write: Vec::new(), network: true };
    started(&Bench::new(), confine).await.is_some()
}

#[tokio::test]
async fn a_confined_plugin_reaches_what_is_listed_and_nothing_else() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let (mine, others) = (folder.path().join("mine"), folder.path().join("others"));
    for folder in [&mine, &others] {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join("old"), "old").unwrap();
    }
    let confine = Confinement { read: Some(Vec::new()), write: vec![mine.clone()], network: false };
    let Some(host) = started(&bench, confine).await else { return };
    for (what, path, expected) in [
        ("write", mine.join("new"), "done"),
        ("write", mine.join("old"), "done"),
        ("read", mine.join("old"), "done"),
        ("write", others.join("new"), "Permission denied"),
        ("write", others.join("old"), "Permission denied"),
        ("read", others.join("old"), "Permission denied"),
        ("read", "/etc/shadow".into(), "Permission denied"),
        ("read", "/etc/hosts".into(), "done"),
        ("write", "/dev/null".into(), "done"),
        // The daemon's own environment and memory: /proc is readable, and what stands for another process is not.
        ("read", format!("/proc/{}/environ", std::process::id()).into(), "Permission denied"),
        ("read", format!("/proc/{}/maps", std::process::id()).into(), "Permission denied"),
        ("network", mine.clone(), "Operation not permitted"),
        ("process", mine.clone(), "permission denied"),
    ] {
        let came = reach(&host, what, &path).await;
        assert!(came.contains(expected), "{what} {}: {came}", path.display());
    }
    assert_eq!(std::fs::read_to_string(others.join("old")).unwrap(), "old");
}

#[tokio::test]
async fn a_confined_plugin_may_read_everything_and_speak_unless_told_otherwise() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "old").unwrap();
    let confine = Confinement { read: None, write: Vec::new(), network: true };
    let Some(host) = started(&bench, confine).await else { return };
    assert_eq!(reach(&host, "read", &file).await, "done");
    assert_eq!(reach(&host, "network", &file).await, "done");
    assert!(reach(&host, "write", &file).await.contains("Permission denied"));
    assert!(reach(&host, "process", &file).await.contains("permission denied"), "it makes no namespaces");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_told_before_the_plugin_runs() {
    let bench = Bench::new();
    let confine = Confinement { read: None, write: vec!["/no/such/folder".into()], network: true };
    let said = start(&bench, confine).await.unwrap_err().to_string();
    assert!(
        said.contains("/no/such/folder cannot be opened; make it, or take it out of `write`")
            || said.contains("this kernel cannot"),
        "{said}"
    );
}

#[tokio::test]
async fn a_plugin_that_is_not_confined_reaches_what_the_daemon_does() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(reach(&host, "write", &folder.path().join("new")).await, "done");
    assert_eq!(reach(&host, "network", folder.path()).await, "done");
}
