//! The author's commands: a project of each language builds, passes its tests, loads and works as it is written.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is the test's failure")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::yard::profile_dir;

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

#[test]
fn a_project_in_rust_builds_passes_its_tests_and_works() {
    let (_folder, project) = project("rust");
    // The versions that this workspace has, so that nothing is fetched twice; a folder of its own for what is built.
    std::fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let target = root().join("target/authors");
    for words in [&["test"][..], &["build"], &["clippy", "--all-targets", "--", "-D", "warnings"]] {
        let cargo = Command::new(env!("CARGO"))
            .args(words)
            .current_dir(&project)
            .env("CARGO_TARGET_DIR", &target)
            .env_remove("RUSTFLAGS")
            .output()
            .unwrap();
        well(&cargo);
    }
    writes_one_letter(&project, &target.join("debug/libgreeter.so"));
}

#[test]
fn a_project_in_c_builds_and_works() {
    let (_folder, project) = project("c");
    let strict = "CFLAGS=-O1 -Wall -Wextra -Wpedantic -Wconversion -Werror";
    well(&Command::new("make").arg(strict).current_dir(&project).output().unwrap());
    writes_one_letter(&project, Path::new("build/libgreeter.so"));
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
