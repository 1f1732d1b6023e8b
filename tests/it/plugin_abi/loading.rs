//! What cannot be loaded: each cause has its own sentence, nothing of it runs on, and nothing is left behind.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a panic is the test's failure")]

use std::fs;
use std::path::{Path, PathBuf};

use hookyard::host::{Host, HostError, HostProgram};
use rustix::fs::SealFlags;

use super::bench::{Bench, misbehave};
use crate::disk::{path, run, say};

/// The words of the refusal of this library.
async fn refusal(bench: &Bench, library: &Path) -> String {
    let error = bench.start(bench.spec(library)).await.unwrap_err();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        words.push_str(&format!(": {error}"));
        cause = error.source();
    }
    words
}

#[tokio::test]
async fn a_library_of_the_wrong_abi_is_refused_by_what_is_wrong_with_it() {
    let bench = Bench::new();
    for (define, words) in [
        ("MAJOR=2", "built for ABI 2.0 and this hookyard speaks 1.0"),
        ("SIZE=64", "descriptor is 64 bytes and ABI 1.0 needs 120"),
        ("NO_SYMBOL", "does not export the function `hookyard_plugin_v1`"),
        ("NO_HANDLE", "has no function `handle`"),
        ("NULL_DESCRIPTOR", "returned NULL instead of a descriptor"),
        ("ID=\"\\xff\"", "id is not text"),
    ] {
        let said = refusal(&bench, &bench.compile("stub", &[define])).await;
        assert!(said.contains(words), "{define}: {said}");
    }
    for (define, words) in
        [("MIN_HOST_MINOR=7", "needs a hookyard of ABI 1.7 or newer"), ("FLAGS=64", "flags = 0x40")]
    {
        let said = refusal(&bench, &bench.compile("good", &[define])).await;
        assert!(said.contains(words), "{define}: {said}");
    }
}

#[tokio::test]
async fn what_is_no_library_is_refused_before_a_child_is_started() {
    let bench = Bench::new();
    let path = bench.dir.path().join("plugin.so");
    assert!(refusal(&bench, &path).await.contains("No such file"));
    fs::write(&path, "text").unwrap();
    assert!(refusal(&bench, &path).await.contains("no ELF header"));
    fs::write(&path, "").unwrap();
    assert!(refusal(&bench, &path).await.contains("the file is empty"));
    assert!(refusal(&bench, bench.dir.path()).await.contains("is not a file"));
}

#[tokio::test]
async fn a_library_that_would_bring_more_than_was_pinned_is_refused_before_any_of_it_runs() {
    let bench = Bench::new();
    let foreign = bench.dir.path().join("libforeign.so");
    fs::copy(bench.compile("stub", &[]), &foreign).unwrap();
    let needs = ["-Wl,--no-as-needed", foreign.to_str().unwrap()];
    for (words, said) in [
        (&["-Wl,-rpath,/opt/lib"][..], "it looks for libraries in /opt/lib"),
        (&["-Wl,-z,execstack"], "it wants an executable stack"),
        (&needs, "libforeign.so, which is not pinned and would run too"),
    ] {
        let refused = refusal(&bench, &bench.compile_with("good", &[], words)).await;
        assert!(refused.contains("cannot be loaded here") && refused.contains(said), "{words:?}: {refused}");
    }
}

#[tokio::test]
async fn a_pin_that_does_not_match_names_both_hashes() {
    let bench = Bench::new();
    let library = bench.compile("good", &[]);
    let mut spec = bench.spec(&library);
    let host = bench.start(spec.clone()).await.unwrap();
    let sha256 = host.status().sha256;
    spec.trust.sha256 = vec![sha256.clone()];
    bench.start(spec.clone()).await.unwrap();
    fs::write(&library, fs::read(bench.compile("good", &["FLAGS=1"])).unwrap()).unwrap();
    let Err(HostError::PinMismatch { pinned, found, .. }) = bench.start(spec).await else {
        panic!("it was loaded")
    };
    assert_eq!(pinned, sha256);
    assert_ne!(found, sha256);
}

#[tokio::test]
async fn replacing_the_library_changes_nothing_of_what_runs() {
    let bench = Bench::new();
    let library = bench.compile("good", &[]);
    let host = bench.start(bench.spec(&library)).await.unwrap();
    fs::write(&library, "overwritten in place, which would be a bus error").unwrap();
    let outcome = super::bench::call(&host, "good").await.outcome;
    assert_eq!(outcome.word(), "done", "{outcome:?}");
}

/// A file system in memory from which nothing may be run, until this is dropped.
struct NoExec(PathBuf);

impl NoExec {
    /// `None`, and a loud word, where this user cannot mount one.
    fn mount(place: &Path) -> Option<Self> {
        fs::create_dir(place).unwrap();
        match run("mount", &["-t", "tmpfs", "-o", "noexec", "tmpfs", path(place)]) {
            Ok(()) => Some(Self(place.to_owned())),
            Err(why) => {
                say(&format!("SKIPPED the cache that is mounted noexec: it needs root: {why}"));
                None
            }
        }
    }
}

impl Drop for NoExec {
    fn drop(&mut self) {
        run("umount", &[path(&self.0)]).unwrap();
    }
}

/// The lines of the child's memory map that are of the library.
fn mapped(host: &Host, library: &str) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", host.status().pid.unwrap())).unwrap();
    maps.lines().filter(|line| line.contains(library)).map(str::to_owned).collect()
}

#[tokio::test]
async fn what_runs_is_sealed_in_memory_and_no_path_leads_to_it() {
    let bench = Bench::new();
    let host = bench.misbehave().await;
    let mapped_here = mapped(&host, "libhookyard_test_misbehave");
    assert!(
        !mapped_here.is_empty() && mapped_here.iter().all(|line| line.contains("/memfd:")),
        "{mapped_here:?}"
    );
    assert_eq!(mapped(&host, &host.status().sha256), [""; 0], "the file in the cache is not what runs");
    let descriptors = fs::read_dir(format!("/proc/{}/fd", host.status().pid.unwrap())).unwrap();
    let leads_to = |fd: &Path| fs::read_link(fd).is_ok_and(|it| it.to_string_lossy().starts_with("/memfd:"));
    let sealed = descriptors.map(|fd| fd.unwrap().path()).find(|fd| leads_to(fd)).unwrap();
    let sealed = fs::File::open(sealed).unwrap();
    let seals = rustix::fs::fcntl_get_seals(&sealed).unwrap();
    assert!(
        seals.contains(SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL),
        "{seals:?}"
    );
    let panic = super::bench::call(&host, "panic").await.outcome;
    assert!(format!("{panic:?}").contains("made to panic"), "{panic:?}");
}

#[tokio::test]
async fn a_cache_that_is_mounted_noexec_keeps_nobody_from_loading() {
    let bench = Bench::new();
    let spec = bench.spec(&misbehave());
    let Some(_mounted) = NoExec::mount(&spec.cache) else { return };
    let host = bench.start(spec).await.unwrap();
    assert_eq!(super::bench::call(&host, "well").await.outcome.word(), "done");
}

#[tokio::test]
async fn a_plugin_that_cannot_be_made_says_why() {
    let bench = Bench::new();
    for (create, words) in [
        ("\"check_refuses\"", "does not take the handler's settings: the check refuses, as it was told"),
        ("\"refuse\"", "could not be made: no database answers at db.example:5432"),
        ("\"panic\"", "could not be made: the plugin panicked: made to panic while it is made (at "),
        ("\"abort\"", "ended before the plugin was ready: the plugin's process was killed by SIGABRT"),
        ("7", "does not take the handler's settings: the settings are wrong: "),
    ] {
        let mut spec = bench.spec(&misbehave());
        spec.settings_json = format!("{{\"create\":{create}}}");
        let said = bench.start(spec).await.unwrap_err().to_string();
        assert!(said.contains(words), "{create}: {said}");
    }
}

#[tokio::test]
async fn a_program_that_is_no_plugin_host_is_told() {
    let bench = Bench::new();
    let start = async |path: &str, args: &[&str]| {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let spec = bench.spec(&misbehave());
        let services = bench.memory.clone();
        let program = HostProgram { path: path.into(), args };
        Host::start_with(program, spec, services).await.unwrap_err()
    };
    let said = start("/bin/sh", &["-c", "echo cannot >&2; exit 3"]).await.to_string();
    assert!(said.contains("exit code 3") && said.contains("it had printed: cannot"), "{said}");
    let said = start("/bin/sh", &["-c", "printf '\\5\\0\\0\\0other' >&0; exec sleep 100"]).await.to_string();
    assert!(said.contains("is another build: it said \"other\""), "{said}");
    let build = hookyard_plugin_host::protocol::BUILD;
    let breach =
        format!("printf '\\{:o}\\0\\0\\0{build}\\377\\377\\377\\377' >&0; exec sleep 100", build.len());
    let said = start("/bin/sh", &["-c", &breach]).await.to_string();
    assert!(said.contains("broke the protocol: a frame of 4294967295 bytes is above the limit"), "{said}");
    assert!(matches!(start("/nonexistent", &[]).await, HostError::Spawn { .. }));
}
