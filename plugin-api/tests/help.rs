//! What the compiler says to an author who got something wrong: each file in `help/` is such a mistake, and the lines
//! `//~` at its head are what must be said. They are tried one by one, as a crate that uses this one.
//!
//! trybuild would hold the whole of what the compiler prints against a file. Most of that is the compiler's own wording,
//! which changes with its version, and no version is pinned here. What this crate owns are the sentences of its
//! `#[diagnostic::on_unimplemented]`s and assertions, so those are what is held: that they come at all depends on how the
//! traits are bound to each other (`src/bounds.rs`), and is lost easily.
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
    let right = fs::read_to_string(sdk().join("tests/help/no_outcome.rs")).unwrap();
    let right = right.replace("println!(\"done\");", "Ok(Outcome::done())");
    let (compiles, said) = compile(&project, &right);
    assert!(compiles, "what is right does not compile, so the others say nothing:\n{said}");

    let mut mistakes = 0;
    for entry in fs::read_dir(sdk().join("tests/help")).unwrap() {
        let path = entry.unwrap().path();
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
