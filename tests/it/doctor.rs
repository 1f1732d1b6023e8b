//! `hookyard doctor` on real installations: sound ones, and ones with one thing wrong.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::bad_input::compile_stub;
use crate::disk::{Disk, path, run};
use crate::stripe::{another_purchase, fixture};
use crate::yard::Yard;

/// What doctor says with these arguments, and its exit code.
fn doctor(yard: &Yard, args: &[&str]) -> (Value, Option<i32>) {
    diagnosed(yard.command(&[&["doctor", "--json"], args].concat()))
}

fn diagnosed(mut command: Command) -> (Value, Option<i32>) {
    let output = command.output().unwrap();
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (said, output.status.code())
}

/// The words of every line of that verdict and check, one after the other.
fn words(said: &Value, verdict: &str, check: &str) -> String {
    let checks = said["checks"].as_array().unwrap();
    let lines = checks.iter().filter(|line| line["verdict"] == verdict && line["check"] == check);
    lines.map(|line| format!("{}; next: {}\n", line["words"].as_str().unwrap(), line["next"])).collect()
}

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
}

/// The shipped config with pinned libraries, and modes that no umask of the machine has a say in.
fn sound() -> Yard {
    let yard = Yard::shipped();
    yard.pin_libraries();
    for below in ["config", "config/rules"] {
        set_mode(&yard.path(below), 0o755);
        for entry in fs::read_dir(yard.path(below)).unwrap() {
            let entry = entry.unwrap();
            set_mode(&entry.path(), if entry.path().is_dir() { 0o755 } else { 0o644 });
        }
    }
    yard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_installation_has_no_fault_before_during_and_after_a_run() {
    let mut yard = sound();
    let (said, code) = doctor(&yard, &[]);
    assert_eq!((&said["faults"], code), (&Value::from(0), Some(0)), "{said:#}");
    assert!(words(&said, "skipped", "store").contains("there is none yet"), "{said:#}");
    assert!(words(&said, "ok", "fdatasync").contains("p99"), "{said:#}");
    assert!(!yard.path("var/hookyard").exists(), "looking makes no store");

    let serve = yard.command(&["serve"]);
    let poster = yard.start_as(serve).await;
    for number in 0..3 {
        assert_eq!(poster.post(&another_purchase("01", number)).await.status, 200);
    }
    assert_eq!(poster.post(&fixture("16")).await.status, 200);
    yard.wait_until_settled(4).await;
    let (said, code) = doctor(&yard, &[]);
    assert_eq!((&said["faults"], code), (&Value::from(0), Some(0)), "{said:#}");
    let store = words(&said, "skipped", "store");
    assert!(store.contains("says it is ready (4 events") && store.contains("stop the daemon"), "{store}");
    let (said, code) = doctor(&yard, &["--repair"]);
    assert_eq!(code, Some(78), "a repair that was not made is told: {said:#}");
    assert!(words(&said, "fault", "repair").contains("nothing was repaired"), "{said:#}");

    assert_eq!(yard.terminate().code(), Some(0));
    for arguments in [&[][..], &["--repair"][..], &[][..]] {
        let (said, code) = doctor(&yard, arguments);
        assert_eq!((&said["faults"], code), (&Value::from(0), Some(0)), "{said:#}");
        let store = words(&said, "ok", "store");
        assert!(store.contains("every row fits: 4 events (0 to be routed, 1 unrouted"), "{store}");
        assert!(words(&said, "ok", "clock").contains("the newest stored event"), "{said:#}");
    }
    let text = String::from_utf8(yard.run(&["doctor"]).stdout).unwrap();
    assert!(text.lines().all(|line| line.len() > 8 || line.is_empty()), "{text}");
    assert!(text.lines().last().unwrap().starts_with("0 faults"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_that_let_others_in_are_faults() {
    let mut yard = sound();
    fs::write(yard.path("secret"), "whsec_of_a_file\n").unwrap();
    yard.edit_config(|text| text.replace("env:STRIPE_WEBHOOK_SECRET", "file:secret"));
    let serve = yard.command(&["serve"]);
    yard.start_as(serve).await;
    for (file, mode, told) in [
        ("secret", 0o640, "secret holds a secret and can be read by its group"),
        ("config/rules", 0o777, "config/rules decides where events go and can be changed by everybody"),
        (
            "config/hookyard.toml",
            0o664,
            "hookyard.toml decides where events go and can be changed by its group",
        ),
        ("var/hookyard/runtime.json", 0o644, "runtime.json may hold secrets and can be read by everybody"),
        ("var/hookyard", 0o755, "hookyard holds every event and can be read by everybody"),
    ] {
        set_mode(&yard.path("secret"), 0o600);
        let before = yard.path(file).metadata().unwrap().permissions();
        set_mode(&yard.path(file), mode);
        let (said, code) = doctor(&yard, &[]);
        let modes = words(&said, "fault", "modes");
        assert!(modes.contains(told) && modes.contains("chmod"), "{told}:\n{modes}");
        assert_eq!(code, Some(78));
        fs::set_permissions(yard.path(file), before).unwrap();
    }
    set_mode(&yard.path("secret"), 0o600);
    assert_eq!(doctor(&yard, &[]).1, Some(0));
}

#[test]
fn plugins_that_would_not_start_are_faults() {
    let plugin = |yard: &Yard, library: &Path| {
        yard.edit_config(|text| {
            let names_it = |line: &&str| line.starts_with("path") && line.contains("libhookyard_sumo.so");
            let line = text.lines().find(names_it).unwrap().to_owned();
            text.replace(&line, &format!("path = \"{}\"", library.display()))
        });
    };
    let told = |yard: &Yard, args: &[&str], parts: &[&str]| {
        let (said, code) = doctor(yard, args);
        let faults = words(&said, "fault", "plugin") + &words(&said, "fault", "config");
        assert!(parts.iter().all(|part| faults.contains(part)), "{parts:?}:\n{faults}");
        assert_eq!(code, Some(78));
        assert!(words(&said, "ok", "plugin").contains("`direct` loads: "), "the other is sound: {said:#}");
    };
    let yard = Yard::shipped();
    plugin(&yard, &yard.path("libnowhere.so"));
    told(&yard, &["--dev"], &["`sumo`", "libnowhere.so", "has it been built?"]);
    let yard = Yard::shipped();
    fs::write(yard.path("libtext.so"), "no library").unwrap();
    plugin(&yard, &yard.path("libtext.so"));
    told(&yard, &["--dev"], &["`sumo`", "no ELF header"]);
    let yard = Yard::shipped();
    compile_stub("-DMAJOR=2", &yard.path("libnewer.so"));
    plugin(&yard, &yard.path("libnewer.so"));
    told(&yard, &["--dev"], &["`sumo`", "built for ABI 2.", "this hookyard speaks 1."]);
    let yard = Yard::shipped();
    told(&yard, &[], &["[plugin.sumo] is not pinned"]);
    yard.pin_libraries();
    yard.edit_config(|text| {
        let pin = text.split("\nsha256 = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        text.replace(&pin, &"0".repeat(64))
    });
    told(&yard, &[], &["`sumo`", &"0".repeat(64), "pin the new one if it is meant"]);
}

#[test]
fn a_library_that_others_could_change_is_a_fault_and_does_not_start() {
    let yard = sound();
    let library = yard.installed().join("libhookyard_sumo.so");
    let is_refused = |told: &str| {
        let (said, code) = doctor(&yard, &[]);
        let faults = words(&said, "fault", "plugin");
        assert!(faults.contains(told), "{told}:\n{faults}");
        assert_eq!(code, Some(78));
        let serve = yard.run(&["serve"]);
        let said = String::from_utf8_lossy(&serve.stderr).into_owned();
        assert_eq!(serve.status.code(), Some(78), "{said}");
        assert!(said.contains(told), "{said}");
    };
    set_mode(&library, 0o775);
    is_refused("libhookyard_sumo.so can be changed by its group (mode 0775; `chmod go-w");
    set_mode(&library, 0o755);
    set_mode(yard.installed(), 0o777);
    is_refused("can be changed by everybody (mode 0777; `chmod go-w");
    assert_eq!(doctor(&yard, &["--dev"]).1, Some(0), "a developer is not asked");
    set_mode(yard.installed(), 0o1777);
    is_refused("can be changed by everybody (mode 1777; keep the library elsewhere");
    set_mode(yard.installed(), 0o755);
    assert_eq!(doctor(&yard, &[]).1, Some(0));
}

#[test]
fn a_config_with_faults_is_told_with_its_lines() {
    let yard = sound();
    yard.edit_config(|text| text.replace("plugin = \"sumo\"", "plugin = \"summo\""));
    let (said, code) = doctor(&yard, &[]);
    assert!(words(&said, "fault", "config").contains("there is no plugin `summo`"), "{said:#}");
    assert_eq!(code, Some(78));
    let unset = sound();
    let mut command = unset.command(&["doctor", "--json"]);
    command.env_remove("STRIPE_WEBHOOK_SECRET");
    let (said, code) = diagnosed(command);
    assert!(words(&said, "fault", "secrets").contains("STRIPE_WEBHOOK_SECRET is not set"), "{said:#}");
    assert!(words(&said, "ok", "config").contains("is good"), "{said:#}");
    assert_eq!(code, Some(78));
    let (said, code) = diagnosed(unset.command(&["doctor", "--json", "--config", "nowhere.toml"]));
    assert!(words(&said, "fault", "config").contains("nowhere.toml"), "{said:#}");
    assert_eq!(code, Some(78));
}

#[test]
fn a_store_in_memory_and_a_library_that_eats_syncs_are_told() {
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let yard = sound();
    let store = memory.path().join("store");
    yard.edit_config(|text| {
        text.replace("path = \"var/hookyard\"", &format!("path = \"{}\"", store.display()))
    });
    let (said, code) = doctor(&yard, &[]);
    let told = words(&said, "fault", "file system");
    assert!(
        told.contains("tmpfs") && told.contains("is memory") && told.contains("set `store.path`"),
        "{said:#}"
    );
    assert!(words(&said, "warn", "fdatasync").contains("no device is that fast"), "{said:#}");
    assert_eq!(code, Some(78));

    let yard = sound();
    let eater = yard.path("libeatmydata.so");
    fs::write(yard.path("eater.c"), "int fdatasync(int fd) { (void)fd; return 0; }").unwrap();
    let (source, library) = (yard.path("eater.c"), path(&eater).to_owned());
    run("cc", &["-shared", "-fPIC", path(&source), "-o", &library]).unwrap();
    let mut command = yard.command(&["doctor", "--json"]);
    command.env("LD_PRELOAD", &library);
    let (said, code) = diagnosed(command);
    assert!(words(&said, "fault", "preload").contains("leaves syncs out"), "{said:#}");
    assert!(words(&said, "warn", "fdatasync").contains("no device is that fast"), "{said:#}");
    assert_eq!(code, Some(78));
}

#[test]
fn a_mount_without_barriers_and_a_read_only_one_are_told() {
    let Some(disk) = Disk::make(128 << 20) else { return };
    let yard = sound();
    let store = disk.mount.join("store");
    yard.edit_config(|text| {
        text.replace(
            "path = \"var/hookyard\"",
            &format!("path = \"{}\"\nfree_bytes_min = \"64MiB\"", store.display()),
        )
    });
    let remounted = |options: &str| {
        run("mount", &["-o", &format!("remount,{options}"), path(&disk.mount)]).unwrap();
        doctor(&yard, &[])
    };
    let (said, code) = remounted("barrier");
    assert_eq!((words(&said, "fault", "file system"), code), (String::new(), Some(0)), "{said:#}");
    let (said, code) = remounted("nobarrier");
    let told = words(&said, "fault", "file system");
    assert!(told.contains("mounted `nobarrier`") && told.contains("/etc/fstab"), "{said:#}");
    assert_eq!(code, Some(78));
    let (said, code) = remounted("barrier,ro");
    assert!(words(&said, "fault", "file system").contains("is read-only"), "{said:#}");
    assert!(words(&said, "fault", "fdatasync").contains("cannot be written and synced"), "{said:#}");
    assert_eq!(code, Some(78));
}

#[tokio::test]
async fn whom_a_plugin_is_to_become_is_looked_up_before_a_start_finds_out() {
    let yard = sound();
    yard.edit_config(|text| {
        text.replace("[handler.sumo]", "[handler.sumo]\nconfine = { user = \"no-such-user\" }")
    });
    let (said, code) = doctor(&yard, &[]);
    assert_eq!((&said["faults"], code), (&Value::from(1), Some(78)), "{said:#}");
    let fault = words(&said, "fault", "user");
    let why = match rustix::process::geteuid().is_root() {
        true => "handler `sumo` does not start: there is no user `no-such-user` here; make it",
        false => "handler `sumo` is to run as `no-such-user`, and the daemon is user ",
    };
    assert!(fault.contains(why), "{fault}");
}
