//! Whole configurations: any text of `hookyard.toml` makes a snapshot or diagnostics, never a panic.
//!
//! Input: the main file; behind a zero byte, where there is one, a file of the `rules` directory; an even length means
//! `--dev`, a length that eight divides that the faults are drawn, which takes longer than all else. Held: what is refused has
//! faults, each with a place within its file, words, and a help; they can be shown in colour and as JSON; what is accepted
//! is accepted again under the same hash, and its rules have a verdict.
#![no_main]

use std::cell::OnceCell;
use std::path::PathBuf;

use hookyard::config::{ConfigError, LoadOptions, Loaded, load};
use hookyard::model::clock::UnixMillis;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

thread_local! {
    /// The daemon's loader reads files: they are in memory where the machine has such a place.
    static DIRECTORY: OnceCell<TempDir> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| {
    let zero = input.iter().position(|byte| *byte == 0);
    let (main, rules) = input.split_at(zero.unwrap_or(input.len()));
    DIRECTORY.with(|directory| {
        let path = directory.get_or_init(directory_in_memory).path();
        let (main_path, rules_path) = (path.join("hookyard.toml"), path.join("rules/rules.toml"));
        std::fs::write(&main_path, main).expect("the directory is ours");
        std::fs::write(&rules_path, rules.get(1..).unwrap_or_default()).expect("the directory is ours");
        check(&main_path, input.len() % 2 == 0, input.len() % 8 == 0);
    });
});

fn directory_in_memory() -> TempDir {
    let directory =
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("room for a file");
    std::fs::create_dir(directory.path().join("rules")).expect("the directory is ours");
    directory
}

fn check(path: &PathBuf, dev: bool, drawn: bool) {
    match read(path, dev) {
        Ok(loaded) => {
            let again = read(path, dev).expect("what was accepted is accepted again");
            assert_eq!(loaded.snapshot.hash, again.snapshot.hash);
            for source in &loaded.snapshot.sources {
                let body = br#"{"id":"evt_1","type":"a","data":{"object":{"metadata":null}}}"#;
                let _verdict = loaded.snapshot.rules.decide(&source.name, Some(true), UnixMillis(0), body);
            }
        }
        Err(error) => check_words(&error, drawn),
    }
}

fn read(path: &PathBuf, dev: bool) -> Result<Loaded, ConfigError> {
    let env = |name: &str| (!name.contains("UNSET")).then(|| "whsec_of_the_environment".to_owned());
    load(LoadOptions { path, dev, env: &env })
}

fn check_words(error: &ConfigError, drawn: bool) {
    assert!(!error.faults.is_empty(), "refused without a fault");
    for fault in &error.faults {
        assert!(!fault.message().is_empty());
        assert!(fault.help().is_some_and(|help| !help.is_empty()), "no help: {}", fault.message());
        assert!(fault.line().is_none_or(|line| line > 0) && fault.column().is_none_or(|column| column > 0));
    }
    if drawn {
        assert!(!error.render(error.faults.len() % 2 == 0).is_empty());
    }
    assert_eq!(error.to_json().as_array().map(Vec::len), Some(error.faults.len() + error.warnings.len()));
}
