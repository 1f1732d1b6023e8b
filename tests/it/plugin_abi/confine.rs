//! What a confined plugin cannot reach, whatever it tries: files, other machines, other processes.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bytes::Bytes;
use hookyard::host::{Company, Host, HostError, HostSpec};
use hookyard::model::attempt::Outcome;
use hookyard::model::confinement::{Account, Confinement};
use hookyard::model::ids::RuleName;

use super::bench::{Bench, call, event, misbehave};
use crate::disk::say;

/// What came of reaching for something: `done`, or the system's words.
async fn reach(host: &Host, what: &str, path: &Path) -> String {
    let mut event = event(&format!("reach.{what}"), what);
    event.envelope.body = Bytes::from(path.to_str().unwrap().to_owned());
    let report = host.call(&event.into(), 1, &RuleName::new("a rule"), Company::Others).await.unwrap();
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
    let confine = Confinement::default();
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
    let confine = Confinement {
        read: Some(Vec::new()),
        write: vec![mine.clone()],
        network: false,
        ..Confinement::default()
    };
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
    let confine = Confinement::default();
    let Some(host) = started(&bench, confine).await else { return };
    assert_eq!(reach(&host, "read", &file).await, "done");
    assert_eq!(reach(&host, "network", &file).await, "done");
    assert!(reach(&host, "write", &file).await.contains("Permission denied"));
    assert!(reach(&host, "process", &file).await.contains("permission denied"), "it makes no namespaces");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_told_before_the_plugin_runs() {
    let bench = Bench::new();
    let confine = Confinement { write: vec!["/no/such/folder".into()], ..Confinement::default() };
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

/// Confined to a user alone.
fn as_user(user: &str, group: Option<&str>) -> Confinement {
    let user = Some(Account { user: user.to_owned(), group: group.map(str::to_owned) });
    Confinement { user, ..Confinement::default() }
}

#[tokio::test]
async fn a_plugin_of_another_user_is_nobody_else_in_any_thread_and_reads_no_file_of_roots() {
    let bench = Bench::new();
    if !rustix::process::geteuid().is_root() {
        let said = start(&bench, as_user("daemon", None)).await.unwrap_err().to_string();
        assert!(said.contains("only root can run a plugin as another user"), "{said}");
        say("SKIPPED the plugin of another user: it needs root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (roots, everybodys) = (folder.path().join("roots"), folder.path().join("everybodys"));
    for (file, mode) in [(&roots, 0o600), (&everybodys, 0o644)] {
        std::fs::write(file, "read").unwrap();
        std::fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
    }
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let root = started(&bench, Confinement::default()).await;
    let Some(root) = root else { return };
    assert_eq!(reach(&root, "read", &roots).await, "done", "the file is root's own");

    let host = started(&bench, as_user("54321", Some("12345"))).await.unwrap();
    let who = call(&host, "who").await.outcome;
    let Outcome::Done(detail) = who else { panic!("{who:?}") };
    let expected =
        "Uid: 54321 54321 54321 54321, Gid: 12345 12345 12345 12345, Groups:, CapEff: 0000000000000000";
    assert_eq!(detail.message, expected);
    let threads = std::fs::read_dir(format!("/proc/{}/task", host.status().pid.unwrap())).unwrap();
    let threads: Vec<String> = threads
        .map(|thread| std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap())
        .collect();
    assert!(threads.len() > 2, "the main thread, the reader, the workers");
    let is_changed = |status: &String| status.contains("Uid:\t54321\t54321\t54321\t54321\n");
    assert!(threads.iter().all(is_changed), "{threads:#?}");
    assert!(reach(&host, "read", &roots).await.contains("Permission denied"));
    assert_eq!(reach(&host, "read", &everybodys).await, "done");
    assert!(reach(&host, "write", &everybodys).await.contains("Permission denied"));
}

#[tokio::test]
async fn a_user_that_is_unknown_or_root_is_refused_before_a_child_is_started() {
    let bench = Bench::new();
    if !rustix::process::geteuid().is_root() {
        say("SKIPPED the users that are refused: it needs root");
        return;
    }
    for (user, words) in [("no-such-user", "there is no user `no-such-user` here"), ("root", "is root")] {
        let said = start(&bench, as_user(user, None)).await.unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    }
}
