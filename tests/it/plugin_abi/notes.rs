//! What a library says of itself without being run: the notes of the SDK's macro and of the C header stay through the
//! linker's `--gc-sections` and through `strip`, and settings are held against them before anything runs.

use std::fs;
use std::process::Command;

use hookyard::artifact::{Artifact, ENTRY, Identity};
use serde_json::json;

use super::bench::{Bench, misbehave};

fn identity(id: &str) -> Identity {
    Identity { id: id.to_owned(), version: "0.1.0".to_owned(), abi: "1.0".to_owned() }
}

#[test]
fn notes_in_c_stay_where_unused_sections_are_collected_and_symbols_stripped() {
    let bench = Bench::new();
    let collected = ["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-fvisibility=hidden"];
    let library = bench.compile_with("good", &[], &collected);
    let stripped = Command::new("strip").arg(&library).status().unwrap();
    assert!(stripped.success());
    let artifact = Artifact::read(&fs::read(&library).unwrap()).unwrap();
    assert_eq!(artifact.identity, Some(identity("com.hookyard.test.c")));
    let settings = artifact.settings.as_ref().unwrap().properties();
    assert_eq!(settings.iter().map(|it| (&*it.name, &*it.kind)).collect::<Vec<_>>(), [("colour", "string")]);
    assert_eq!((artifact.is_plugin(), &*artifact.exports), (true, &[ENTRY.to_owned()][..]));
    assert_eq!(artifact.needs, ["libc.so.6"]);
    assert!(artifact.unfit.reasons().is_empty(), "{:?}", artifact.unfit);
}

#[test]
fn notes_in_rust_stay_as_cargo_links() {
    let artifact = Artifact::read(&fs::read(misbehave()).unwrap()).unwrap();
    assert_eq!(artifact.identity, Some(identity("com.hookyard.test.misbehave")));
    assert_eq!(artifact.exports, [ENTRY]);
}

#[test]
fn what_makes_a_library_unfit_is_read_off_it() {
    let bench = Bench::new();
    let unfit = |more: &[&str]| {
        let library = bench.compile_with("good", &[], more);
        Artifact::read(&fs::read(library).unwrap()).unwrap().unfit.reasons().join("\n")
    };
    assert!(unfit(&["-Wl,-rpath,/opt/elsewhere"]).contains("looks for libraries in /opt/elsewhere"));
    assert!(unfit(&["-Wl,-z,execstack"]).contains("executable stack"));
}

#[test]
fn what_is_no_library_or_a_broken_one_is_told_apart() {
    let bench = Bench::new();
    let whole = fs::read(bench.compile("good", &[])).unwrap();
    assert!(Artifact::read(b"#!/bin/sh\n").unwrap_err().to_string().contains("no ELF file"));
    for cut in [64, 100, 600, whole.len() / 2] {
        // Whatever it says, it neither panics nor reads on.
        drop(Artifact::read(&whole[..cut]));
    }
    let mut broken = whole;
    broken[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(Artifact::read(&broken).unwrap_err().to_string().contains("ELF structure is broken"));
}

#[tokio::test]
async fn settings_are_held_against_the_schema_before_anything_of_the_plugin_runs() {
    let bench = Bench::new();
    let mut spec = bench.spec(&bench.compile("good", &[]));
    spec.settings_json = json!({ "colour": 7 }).to_string();
    let said = bench.start(spec.clone()).await.unwrap_err().to_string();
    assert_eq!(
        said,
        "the plugin does not take the handler's settings: `colour` value is not of type \"string\""
    );
    spec.settings_json = json!({ "colour": "red" }).to_string();
    bench.start(spec).await.unwrap();
}
