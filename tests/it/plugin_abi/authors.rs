//! The author's commands: a project of each language builds, passes its tests, loads and works as it is written.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is the test's failure")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::yard::profile_dir;

/// How often and how long a state is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS_MAX: usize = 6_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Runs the binary in this folder.
fn hookyard(folder: &Path, args: &[&str]) -> Output {
    Command::new(profile_dir().join("hookyard")).args(args).current_dir(folder).output().unwrap()
}

/// What it printed, of a run that must be well.
fn well(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

/// A project of this language, in a folder of its own.
fn project(language: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    well(&hookyard(folder.path(), &["plugin", "new", "greeter", "--lang", language]));
    let project = folder.path().join("greeter");
    (folder, project)
}

fn letters(project: &Path) -> usize {
    let files = std::fs::read_dir(project.join("letters")).unwrap();
    files.filter(|file| file.as_ref().unwrap().file_name() != ".gitignore").count()
}

/// Two deliveries of the project's event by the project's library: one letter.
fn writes_one_letter(project: &Path, library: &Path) {
    let library = library.to_str().unwrap();
    let seen = well(&hookyard(project, &["plugin", "inspect", library, "--json"]));
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["identity"]["id"], "com.example.greeter");
    assert!(seen["settings"]["properties"]["letters"].is_object(), "{seen}");
    let run = ["plugin", "run", library, "--settings", "settings.toml", "--event", "event.json"];
    let ran = well(&hookyard(project, &[&run[..], &["--times", "2", "--json"]].concat()));
    let ran: Value = serde_json::from_str(&ran).unwrap();
    let before: Vec<&Value> =
        ran["attempts"].as_array().unwrap().iter().map(|it| &it["steps"][0]["before"]).collect();
    assert_eq!(before, ["run", "done before"]);
    assert_eq!(letters(project), 1);
    let wrong = hookyard(
        project,
        &["plugin", "run", library, "--event", "event.json", "--settings", "leters = \"x\""],
    );
    assert_eq!(wrong.status.code(), Some(65));
    let said = String::from_utf8_lossy(&wrong.stderr);
    assert!(said.contains("`letters` is missing"), "{said}");
}

/// The conformance run, with no failure; the checks that warn.
fn conforms(project: &Path, library: &Path) -> Vec<String> {
    let library = library.to_str().unwrap();
    let check =
        ["plugin", "check", library, "--settings", "settings.toml", "--event", "event.json", "--json"];
    let checked: Value = serde_json::from_str(&well(&hookyard(project, &check))).unwrap();
    let checks = checked["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 14, "{checked}");
    let warned = checks.iter().filter(|check| check["verdict"] == "warned");
    warned.map(|check| check["name"].as_str().unwrap().to_owned()).collect()
}

/// Runs `make` with these words, unless the toolchain is missing from the tests' own environment.
fn made_with(tool: &str, words: &[String], project: &Path) -> bool {
    if !root().join("tests/.venv/bin").join(tool).exists() {
        eprintln!(
            "SKIPPED: there is no {tool} in tests/.venv: run the tests by tests/run, which installs it"
        );
        return false;
    }
    well(&Command::new("make").args(words).current_dir(project).output().unwrap());
    true
}

/// A debug build of Rust is slow to load on a busy machine; nothing else of it may warn.
fn all_but_speed(warned: Vec<String>) -> Vec<String> {
    warned.into_iter().filter(|name| name != "ready").collect()
}

/// docs/plugins/first-plugin.md, done as it is written: its commands in order, and its change.
#[test]
fn the_first_plugin_is_made_as_the_page_says() {
    let page = std::fs::read_to_string(root().join("docs/plugins/first-plugin.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("greeter");
    let target = root().join("target/authors");
    std::fs::create_dir_all(&target).unwrap();
    let mut daemon = Daemon(None);
    for (kind, block) in blocks(&page) {
        match kind {
            "diff" => change(&project, block),
            "sh" => block.lines().for_each(|line| match line {
                "cd greeter" => {
                    // The versions that this workspace has, so that nothing is fetched twice; what is built is kept.
                    std::fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
                    std::os::unix::fs::symlink(&target, project.join("target")).unwrap();
                    edit(&project.join("hookyard.toml"), "127.0.0.1:8080", "127.0.0.1:0");
                    edit(&project.join("hookyard.toml"), "127.0.0.1:8081", "127.0.0.1:0");
                }
                _ if project.is_dir() && line.ends_with("serve --dev &") => daemon.start(&project),
                _ => drop(well(&shell(if project.is_dir() { &project } else { folder.path() }, line))),
            }),
            _ => {}
        }
    }
    assert_eq!(letters(&project), 1, "one, and the library was exchanged meanwhile");
    well(&shell(&project, "cargo clippy --all-targets -- -D warnings"));
    std::fs::remove_dir_all(project.join("letters")).unwrap();
    std::fs::create_dir(project.join("letters")).unwrap();
    let library = Path::new("target/debug/libgreeter.so");
    writes_one_letter(&project, library);
    assert!(all_but_speed(conforms(&project, library)).is_empty());
}

/// The daemon that the page starts; it ends with the test.
struct Daemon(Option<std::process::Child>);

impl Daemon {
    /// Starts it and waits until it says where it listens.
    fn start(&mut self, project: &Path) {
        let log = project.join("daemon.log");
        let child = Command::new(profile_dir().join("hookyard"))
            .args(["-c", "hookyard.toml", "serve", "--dev"])
            .current_dir(project)
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        self.0 = Some(child);
        for _ in 0..LOOKS_MAX {
            if std::fs::read_to_string(&log).unwrap().contains("hookyard is ready") {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        panic!("the daemon is never ready: {}", std::fs::read_to_string(&log).unwrap());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// The page's code blocks, in order: the language and the text.
fn blocks(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'))
}

/// Makes the change of a `diff` block: each line that begins with `-` becomes the one with `+` behind it.
fn change(project: &Path, block: &str) {
    let (mut file, mut before) = (PathBuf::new(), "");
    for line in block.lines() {
        if let Some(name) = line.strip_prefix("--- ") {
            file = project.join(name);
        } else if let Some(old) = line.strip_prefix('-') {
            before = old;
        } else if let Some(new) = line.strip_prefix('+') {
            edit(&file, before, new);
        }
    }
}

/// Replaces a text that must be there, once.
fn edit(file: &Path, before: &str, after: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(before), "{} does not hold {before}", file.display());
    std::fs::write(file, text.replacen(before, after, 1)).unwrap();
}

/// Runs a line of the page, with `hookyard` on the path.
fn shell(folder: &Path, line: &str) -> Output {
    let path = format!("{}:{}", profile_dir().display(), std::env::var("PATH").unwrap());
    Command::new("bash")
        .args(["-ec", line])
        .current_dir(folder)
        .env("PATH", path)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap()
}

#[test]
fn a_project_in_c_builds_and_works() {
    let (_folder, project) = project("c");
    let strict = "CFLAGS=-O1 -Wall -Wextra -Wpedantic -Wconversion -Werror";
    well(&Command::new("make").arg(strict).current_dir(&project).output().unwrap());
    writes_one_letter(&project, Path::new("build/libgreeter.so"));
    assert!(all_but_speed(conforms(&project, Path::new("build/libgreeter.so"))).is_empty());
}

#[test]
fn a_project_in_zig_builds_and_works() {
    let (_folder, project) = project("zig");
    let zig = format!("ZIG={} -m ziglang", root().join("tests/.venv/bin/python").display());
    if made_with("python-zig", &[zig], &project) {
        writes_one_letter(&project, Path::new("build/libgreeter.so"));
        assert!(all_but_speed(conforms(&project, Path::new("build/libgreeter.so"))).is_empty());
    }
}

#[test]
fn a_project_in_go_builds_and_works() {
    let (_folder, project) = project("go");
    let go = format!("GO={}", root().join("tests/.venv/bin/go").display());
    if made_with("go", &[go], &project) {
        writes_one_letter(&project, Path::new("build/libgreeter.so"));
        // Go exports names of its own, and takes static thread-local memory.
        assert_eq!(all_but_speed(conforms(&project, Path::new("build/libgreeter.so"))), ["file"]);
    }
}

#[test]
fn a_plugin_that_misbehaves_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let library = super::bench::misbehave();
    for (event_type, check, words) in [
        ("segfault", "delivers", "crashed: the plugin's process was killed by SIGSEGV"),
        ("panic", "delivers", "made to panic"),
        ("leak", "memory", "it leaks"),
    ] {
        let event = folder.path().join("event.json");
        std::fs::write(&event, format!("{{\"type\":\"{event_type}\"}}")).unwrap();
        let args = [
            "plugin",
            "check",
            library.to_str().unwrap(),
            "--event",
            event.to_str().unwrap(),
            "--only",
            check,
        ];
        let output = hookyard(folder.path(), &args);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(65), "{said}");
        assert!(said.contains(words), "{event_type}: {said}");
    }
}

#[test]
fn a_project_is_never_written_over_another_and_names_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |args: &[&str]| {
        let output = hookyard(folder.path(), &[&["plugin", "new"], args].concat());
        assert_eq!(output.status.code(), Some(65));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    std::fs::create_dir(folder.path().join("taken")).unwrap();
    std::fs::write(folder.path().join("taken/file"), "mine").unwrap();
    assert!(refused(&["taken"]).contains("is there already and is not empty"));
    assert!(refused(&["Greeter"]).contains("is no name for a plugin"));
    assert!(refused(&["a", "--id", "not an id"]).contains("is no id for a plugin"));
}

#[test]
fn fuzz_finds_the_event_that_a_plugin_cannot_bear_and_makes_it_again() {
    let library = super::bench::misbehave();
    let folder = tempfile::tempdir().unwrap();
    let event = |body: &str| std::fs::write(folder.path().join("event.json"), body).unwrap();
    let words = ["plugin", "fuzz", library.to_str().unwrap(), "--event", "event.json", "--json"];
    let fuzz = |more: &[&str]| hookyard(folder.path(), &[&words[..], more].concat());

    event(r#"{"type": "fragile", "amount": 1, "lines": [{"id": "a"}]}"#);
    let found = fuzz(&["--seed", "1", "--seconds", "60"]);
    assert_eq!(found.status.code(), Some(65), "{}", String::from_utf8_lossy(&found.stderr));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let finding = &found["finding"];
    assert!(finding["what"].as_str().unwrap().contains("an amount is a number"), "{found:#}");
    let body = std::fs::read(folder.path().join(finding["event"].as_str().unwrap())).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert!(!body["amount"].is_number(), "{body}");

    let seed = finding["seed"].to_string();
    let again: Value = serde_json::from_slice(&fuzz(&["--reproduce", &seed]).stdout).unwrap();
    assert_eq!((&again["finding"], &again["events"]), (finding, &Value::from(1)));

    event(r#"{"type": "well", "amount": 1}"#);
    let nothing: Value = serde_json::from_str(&well(&fuzz(&["--seed", "7", "--seconds", "1"]))).unwrap();
    assert_eq!((&nothing["finding"], &nothing["seed"]), (&Value::Null, &Value::from(7)));
    assert!(nothing["events"].as_u64() > Some(100), "{nothing}");
}

#[test]
fn bench_tells_what_an_attempt_costs_and_what_came_of_them() {
    let library = super::bench::misbehave();
    let words = ["plugin", "bench", library.to_str().unwrap(), "--seconds", "1", "--json", "--type"];
    let folder = tempfile::tempdir().unwrap();
    let measured = well(&hookyard(folder.path(), &[&words[..], &["well"]].concat()));
    let measured: Value = serde_json::from_str(&measured).unwrap();
    let mut attempts = 0;
    for series in ["alone", "together"] {
        let series = &measured[series];
        let time = |which: &str| series[which].as_f64().unwrap();
        assert!(0.0 < time("p50_us") && time("p50_us") <= time("p99_us"), "{measured:#}");
        assert!(time("p99_us") <= time("longest_us"), "{measured:#}");
        attempts += series["attempts"].as_u64().unwrap();
    }
    assert_eq!(measured["outcomes"], serde_json::json!({ "done": attempts }));
    let rejected = hookyard(folder.path(), &[&words[..], &["reject"]].concat());
    assert_eq!(rejected.status.code(), Some(65));
    let said = String::from_utf8_lossy(&rejected.stderr);
    assert!(said.contains("the plugin was not always done with the event: reject"), "{said}");
}
