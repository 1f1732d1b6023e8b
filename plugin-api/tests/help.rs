//! What the compiler says to an author who got something wrong: each file in `help/wrong/` is such a mistake, and the lines
//! `//~` at its head are what must be said, by any compiler. They are tried one by one, as a crate that uses this one.
//!
//! Those sentences are what this crate owns: its `#[diagnostic::on_unimplemented]`s and assertions. That they come at all
//! depends on how the traits are bound to each other (`src/bounds.rs`), and is lost easily. The rest is the compiler's own
//! wording, which changes with its version: the `.stderr` files hold the whole of it on the oldest that the workspace names.
//! Where that is raised, name it below, and `TRYBUILD=overwrite cargo test -p hookyard-plugin --test help` writes them anew.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is the test's failure")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MANIFEST: &str = r#"[package]
name = "help"
version = "0.0.0"
edition = "2024"

[lib]
path = "lib.rs"

[dependencies]
hookyard-plugin = { path = "SDK", default-features = false }
serde_json = "1"

[workspace]
"#;

fn sdk() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A crate that uses this one, at the versions that this workspace has.
fn project() -> PathBuf {
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("help");
    fs::create_dir_all(&project).unwrap();
    fs::write(project.join("Cargo.toml"), MANIFEST.replace("SDK", sdk().to_str().unwrap())).unwrap();
    fs::copy(sdk().join("../Cargo.lock"), project.join("Cargo.lock")).unwrap();
    project
}

/// Whether the source compiles, and what the compiler says. Nothing is fetched: it was to build this test.
fn compile(project: &Path, source: &str) -> (bool, String) {
    fs::write(project.join("lib.rs"), source).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["check", "--offline", "--quiet", "--color", "never"])
        .current_dir(project)
        .env("CARGO_TARGET_DIR", project.join("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_compiler_says_what_to_do() {
    let project = project();
    let right = fs::read_to_string(sdk().join("tests/help/right.rs")).unwrap();
    let (compiles, said) = compile(&project, &right);
    assert!(compiles, "what is right does not compile, so the others say nothing:\n{said}");

    let mut mistakes = 0;
    for entry in fs::read_dir(sdk().join("tests/help/wrong")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let sentences: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("//~ ")).collect();
        assert!(!sentences.is_empty(), "{} expects nothing", path.display());
        let (compiles, said) = compile(&project, &source);
        assert!(!compiles, "{} is no mistake any more", path.display());
        for sentence in sentences {
            assert!(said.contains(sentence), "{} is not told `{sentence}`:\n{said}", path.display());
        }
        mistakes += 1;
    }
    assert_eq!(mistakes, 6, "each mistake was tried");
}

#[rustversion::attr(not(stable(1.95)), ignore = "the .stderr files hold what rustc 1.95 prints")]
#[test]
fn the_whole_of_it_reads_well() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/help/right.rs");
    cases.compile_fail("tests/help/wrong/*.rs");
}
