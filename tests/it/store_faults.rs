//! The real daemon on disks that fail: it says so, ends with 74 where nothing can be promised any more, never tries a
//! failed sync again, and everything that it acknowledged is there afterwards.
//!
//! Faults are made by the kernel where root can have a disk of its own (a file system that is shut down, that turns
//! read-only, that fills up, that has no backing left), and by strace's fault injection, which needs no root.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use serde_json::Value;

use crate::disk::{Disk, path, run, say};
use crate::stripe::{Answer, Poster, SECRET, another_purchase, now, sign};
use crate::yard::{Yard, through};

/// Only the door and the store: no plugin's database takes part in what is made to fail.
const BARE: &str = r#"
[server]
listen = "127.0.0.1:0"
admin = { listen = "127.0.0.1:0", token = "env:HOOKYARD_ADMIN_TOKEN" }
[store]
path = "var/hookyard"
free_bytes_min = "64MiB"
[source.stripe]
path = "/webhooks/stripe"
scheme = "stripe"
secrets = ["env:STRIPE_WEBHOOK_SECRET"]
[default]
unrouted = true
"#;
const MIB: u64 = 1 << 20;
/// A state is looked at this often, for two minutes at most.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS_MAX: usize = 6000;
/// Posts after which a fault must have been met.
const POSTS_MAX: usize = 20_000;

fn bare() -> Yard {
    let yard = Yard::shipped();
    fs::remove_dir_all(yard.path("config/rules")).unwrap();
    yard.edit_config(|_| BARE.to_owned());
    yard
}

/// A yard whose store is on that file system.
fn bare_on(mount: &Path) -> Yard {
    let yard = bare();
    let store = mount.join("store");
    if !store.exists() {
        fs::DirBuilder::new().mode(0o700).create(&store).unwrap();
    }
    fs::create_dir_all(yard.path("var")).unwrap();
    std::os::unix::fs::symlink(&store, yard.path("var/hookyard")).unwrap();
    yard
}

/// What was acknowledged, and the next event to send.
#[derive(Default)]
struct Sent {
    next: usize,
    acknowledged: Vec<String>,
}

impl Sent {
    async fn one(&mut self, poster: &Poster) -> Option<Answer> {
        let body = another_purchase("01", self.next);
        self.next += 1;
        let answer = poster.try_post(&body, &sign(&body, SECRET, now())).await?;
        if answer.status == 200 {
            self.acknowledged.push(answer.event());
        }
        Some(answer)
    }

    async fn some(&mut self, poster: &Poster, count: usize) {
        for _ in 0..count {
            assert_eq!(self.one(poster).await.unwrap().status, 200);
        }
    }

    /// Sends until the door says no; `None` where it is gone already.
    async fn until_refused(&mut self, poster: &Poster) -> Option<Answer> {
        for _ in 0..POSTS_MAX {
            match self.one(poster).await {
                Some(answer) if answer.status == 200 => {}
                other => return other,
            }
        }
        panic!("the disk failed and {POSTS_MAX} events were acknowledged all the same");
    }

    /// Everything acknowledged is in the store of the running daemon.
    fn assert_there(&self, yard: &Yard, when: &str) {
        let counts = yard.ask(&["status"])["counts"]["events"].as_u64().unwrap();
        assert!(counts >= self.acknowledged.len() as u64, "{when}: {counts} of {}", self.acknowledged.len());
        // The last are those that a failing disk might have taken.
        for id in self.acknowledged.iter().rev().take(40) {
            assert_eq!(yard.event(id)["event"], id.as_str(), "{when}");
        }
    }
}

/// The refusal says why, and the daemon ends with 74 and the words that an operator needs.
fn assert_gave_up(yard: &mut Yard, refused: Option<&Answer>) {
    if let Some(answer) = refused {
        assert_eq!(
            (answer.status, answer.body["reason"].as_str()),
            (503, Some("store_failed")),
            "{answer:?}"
        );
    }
    let ended = yard.wait_for_end();
    let log = yard.log();
    assert_eq!(ended.code(), Some(74), "{log}");
    assert!(log.contains("the store failed and nothing more is accepted"), "{log}");
    assert!(log.contains("Look at the disk before you start again"), "{log}");
}

async fn restarted(yard: &mut Yard) -> Poster {
    let serve = yard.command(&["serve"]);
    yard.start_as(serve).await
}

/// The daemon under strace, which makes the named calls fail.
async fn started_with_fault(yard: &mut Yard, fault: &str) -> (Poster, PathBuf) {
    let trace = yard.path("trace");
    let serve = yard.command(&["serve"]);
    let watched =
        "trace=fdatasync,fsync,pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg,read,readv,recvfrom";
    let options = ["-f", "-y", "-s", "200", "-e", watched, "-e", fault, "-o", path(&trace)];
    (yard.start_as(through(&serve, "strace", &options)).await, trace)
}

/// The lines of a trace before and after the first call that was made to fail.
fn around_the_fault(trace: &Path) -> (Vec<String>, Vec<String>) {
    let trace = String::from_utf8_lossy(&fs::read(trace).unwrap()).into_owned();
    let mut lines: Vec<String> = trace.lines().map(str::to_owned).collect();
    let fault = lines.iter().position(|line| line.contains("(INJECTED)")).expect("no call was made to fail");
    let after = lines.split_off(fault + 1);
    (lines, after)
}

/// Each post waits for the answer before it, so one answer may still be on its way while the sync of another round fails:
/// that of an event that was synced before.
fn assert_no_answer_without_its_sync(before: &[String], after: &[String]) {
    let answers = after.iter().filter(|line| line.contains("HTTP/1.1 200") && line.contains("accepted"));
    let late: Vec<&String> = answers.collect();
    if late.is_empty() {
        return;
    }
    let posted = before.iter().rposition(|line| line.contains("POST /webhooks/stripe")).unwrap();
    let answered = before[posted..].iter().any(|line| line.contains("HTTP/1.1 200"));
    let synced = before[posted..].iter().any(|line| {
        (line.contains("fdatasync(") || line.contains("fdatasync resumed"))
            && line.trim_end().ends_with("= 0")
    });
    assert!(late.len() == 1 && synced && !answered, "after the failed sync: {late:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_once_is_never_tried_again() {
    let mut yard = bare();
    // One single EIO: whoever tried again would be told that all is well.
    let (poster, trace) = started_with_fault(&mut yard, "inject=fdatasync:error=EIO:when=25").await;
    let mut sent = Sent::default();
    let refused = sent.until_refused(&poster).await;
    assert!(!sent.acknowledged.is_empty(), "it worked before");
    assert_gave_up(&mut yard, refused.as_ref());
    assert!(yard.log().contains("Input/output error"), "{}", yard.log());
    let (before, after) = around_the_fault(&trace);
    assert_no_answer_without_its_sync(&before, &after);
    for line in after {
        // sled syncs its file by `fsync` every half second, on a thread of its own; nobody believes what that says.
        let sleds_own = line.contains(" fsync(") && line.contains("/var/hookyard/db>");
        let synced = line.contains("sync(")
            && line.contains("/var/hookyard/")
            && !line.contains("runtime")
            && !sleds_own;
        assert!(!synced, "after the failed sync: {line}");
    }
    let poster = restarted(&mut yard).await;
    sent.assert_there(&yard, "after a failed sync");
    sent.some(&poster, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_fail_end_the_daemon() {
    let mut yard = bare();
    let fault = "inject=pwrite64,pwritev,pwritev2:error=EIO:when=60+";
    let (poster, trace) = started_with_fault(&mut yard, fault).await;
    let mut sent = Sent::default();
    let refused = sent.until_refused(&poster).await;
    assert!(!sent.acknowledged.is_empty(), "it worked before");
    assert_gave_up(&mut yard, refused.as_ref());
    drop(around_the_fault(&trace));
    let poster = restarted(&mut yard).await;
    sent.assert_there(&yard, "after failed writes");
    sent.some(&poster, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_gone_ends_the_daemon_and_loses_nothing() {
    let Some(disk) = Disk::make(512 * MIB) else { return };
    let mut yard = bare_on(&disk.mount);
    let poster = restarted(&mut yard).await;
    let mut sent = Sent::default();
    sent.some(&poster, 50).await;
    // EIO to every write and every sync from here on.
    disk.cut();
    let refused = sent.until_refused(&poster).await;
    assert_gave_up(&mut yard, refused.as_ref());
    disk.mount_again();
    let poster = restarted(&mut yard).await;
    sent.assert_there(&yard, "after the disk came back");
    sent.some(&poster, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_thinner_than_it_says_ends_the_daemon_and_loses_nothing() {
    let Some(disk) = Thin::make() else { return };
    let mut yard = bare_on(&disk.mount());
    let poster = restarted(&mut yard).await;
    let mut sent = Sent::default();
    sent.some(&poster, 50).await;
    // Writes go to memory and are fine; that they cannot reach the disk shows with a sync.
    let room = disk.take_the_rest();
    let refused = sent.until_refused(&poster).await;
    assert_gave_up(&mut yard, refused.as_ref());
    fs::remove_file(room).unwrap();
    disk.mount_again();
    let poster = restarted(&mut yard).await;
    sent.assert_there(&yard, "with the disk's backing again");
    sent.some(&poster, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_that_turns_read_only_ends_the_daemon_which_does_not_start_on_it() {
    let Some(disk) = Disk::make(512 * MIB) else { return };
    let mut yard = bare_on(&disk.mount);
    let poster = restarted(&mut yard).await;
    let mut sent = Sent::default();
    sent.some(&poster, 50).await;
    if let Err(why) = turn_read_only(&disk.mount) {
        say(&format!("SKIPPED the file system that turns read-only under the daemon: {why}"));
        return;
    }
    let refused = sent.until_refused(&poster).await;
    assert_gave_up(&mut yard, refused.as_ref());

    let serve = yard.run(&["serve"]);
    let said = String::from_utf8_lossy(&serve.stderr).into_owned();
    assert_eq!(serve.status.code(), Some(74), "{said}");
    assert!(said.contains("var/hookyard") && said.contains("Read-only file system"), "{said}");
    disk.mount_again();
    let poster = restarted(&mut yard).await;
    sent.assert_there(&yard, "with the file system writable again");
    sent.some(&poster, 5).await;
}

/// As ext4 does it by itself when it meets damage.
fn turn_read_only(mount: &Path) -> Result<(), String> {
    run("mount", &["-o", "remount,errors=remount-ro", path(mount)])?;
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
    let device = mounts.lines().find(|line| line.split(' ').nth(1) == Some(path(mount)));
    let device = device.and_then(|line| line.split(' ').next()?.strip_prefix("/dev/"));
    let trigger = format!("/sys/fs/ext4/{}/trigger_fs_error", device.ok_or("the mount is not listed")?);
    fs::write(&trigger, "hookyard's test").map_err(|error| format!("{trigger}: {error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fills_up_refuses_events_until_there_is_room() {
    let Some(disk) = Disk::make(512 * MIB) else { return };
    let mut yard = bare_on(&disk.mount);
    let poster = restarted(&mut yard).await;
    let mut sent = Sent::default();
    sent.some(&poster, 50).await;
    let hog = disk.mount.join("hog");
    leave(&disk.mount, &hog, 40 * MIB);

    let refused = sent.until_refused(&poster).await.expect("the door is open");
    assert_eq!((refused.status, refused.body["reason"].as_str()), (503, Some("disk_full")), "{refused:?}");
    let status = yard.ask(&["status"]);
    assert!(status["store"].as_str().unwrap().contains("refusing new events"), "{status:#}");
    sent.assert_there(&yard, "while the disk is full");
    let (told, code) = doctor(&yard);
    assert_eq!(code, Some(78));
    assert!(told.contains("below 64 MiB") && told.contains("free some space"), "{told}");

    fs::remove_file(&hog).unwrap();
    for look in 0.. {
        match sent.one(&poster).await.expect("the door is open") {
            answer if answer.status == 200 => break,
            answer => assert!(look < LOOKS_MAX, "still {answer:?}"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    sent.some(&poster, 5).await;
    let again = poster.post(&another_purchase("01", 0)).await;
    assert_eq!(again.body["status"], "duplicate", "what was stored before is known");
    assert_eq!(yard.ask(&["status"])["store"], "ready");
    assert_eq!(yard.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_without_a_free_block_ends_the_daemon_which_starts_again_on_it() {
    let Some(disk) = Disk::make(400 * MIB) else { return };
    let mut yard = bare_on(&disk.mount);
    let poster = restarted(&mut yard).await;
    let mut sent = Sent::default();
    sent.some(&poster, 50).await;
    disk.fill();
    // Whether the daemon saw it coming or a write failed: not one event is acknowledged that is not there.
    let refused = sent.until_refused(&poster).await;
    let reason = refused.as_ref().and_then(|answer| answer.body["reason"].as_str());
    assert!(matches!(reason, None | Some("disk_full" | "store_failed")), "{refused:?}");
    match reason {
        Some("disk_full") => yard.kill(),
        _ => assert_gave_up(&mut yard, refused.as_ref()),
    }
    disk.fill();
    let _ = fs::remove_file(yard.path("var/hookyard/runtime.json"));
    let poster = restarted(&mut yard).await;
    sent.assert_there(&yard, "on the full disk");
    assert_eq!(sent.one(&poster).await.unwrap().body["reason"], "disk_full");
}

#[test]
fn a_store_that_cannot_be_made_is_named() {
    let yard = bare();
    fs::write(yard.path("var"), "a file").unwrap();
    let serve = yard.run(&["serve"]);
    let said = String::from_utf8_lossy(&serve.stderr).into_owned();
    assert_eq!(serve.status.code(), Some(74), "{said}");
    assert!(said.contains("cannot create the store's directory var/hookyard"), "{said}");
    assert!(said.contains("give it to the user that runs hookyard"), "{said}");
}

fn doctor(yard: &Yard) -> (String, Option<i32>) {
    let output = yard.run(&["doctor", "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    (format!("{said:#}"), output.status.code())
}

/// Takes space until only so much is left; a file system keeps some of what it says is free for its own tables.
fn leave(mount: &Path, hog: &Path, bytes: u64) {
    let file = fs::File::create(hog).unwrap();
    loop {
        let free = statvfs(mount).unwrap();
        let take = (free.f_bavail * free.f_frsize).saturating_sub(bytes);
        let at = file.metadata().unwrap().len();
        let some = (1..8).map(|part| take / part).find(|some| {
            *some >= free.f_frsize && fallocate(&file, FallocateFlags::empty(), at, *some).is_ok()
        });
        if some.is_none() {
            return;
        }
    }
}

/// An ext4 of 1 GB on a file of a file system in memory that has room for much less.
struct Thin {
    dir: tempfile::TempDir,
}

impl Thin {
    fn make() -> Option<Self> {
        let disk = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(disk.memory()).unwrap();
        fs::create_dir(disk.mount()).unwrap();
        let made =
            run("mount", &["-t", "tmpfs", "-o", "size=160m", "tmpfs", path(&disk.memory())]).and_then(|()| {
                fs::File::create(disk.image()).unwrap().set_len(1024 * MIB).unwrap();
                run("mkfs.ext4", &["-q", "-F", "-m", "0", path(&disk.image())])?;
                disk.try_mount()
            });
        match made {
            Ok(()) => Some(disk),
            Err(why) => {
                say(&format!(
                    "SKIPPED the disk that is thinner than it says: it needs root, loop devices and ext4: {why}"
                ));
                None
            }
        }
    }

    fn memory(&self) -> PathBuf {
        self.dir.path().join("memory")
    }

    fn image(&self) -> PathBuf {
        self.memory().join("image")
    }

    fn mount(&self) -> PathBuf {
        self.dir.path().join("mount")
    }

    fn try_mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", path(&self.image()), path(&self.mount())])
    }

    /// Not one more block of the disk has anything behind it.
    fn take_the_rest(&self) -> PathBuf {
        let rest = self.memory().join("rest");
        leave(&self.memory(), &rest, 0);
        rest
    }

    fn mount_again(&self) {
        run("umount", &[path(&self.mount())]).unwrap();
        self.try_mount().unwrap();
    }
}

impl Drop for Thin {
    fn drop(&mut self) {
        for mounted in [self.mount(), self.memory()] {
            // Lazily: a process that a failed test left behind may still stand in it.
            let _was_not_mounted = run("umount", &["--lazy", path(&mounted)]);
        }
    }
}
