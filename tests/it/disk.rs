//! A disk of its own for a test: a file system on a loop device, whose power can be cut and which can be filled.
//!
//! Needs root, loop devices and ext4; where it has none of it the test says loudly that it was skipped.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::Mutex;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// For each line that it is sent: `_IOR('X', 125, __u32)` with `FSOP_GOING_FLAGS_NOLOGFLUSH`, and a line back.
const CUTTER: &str = "\
import fcntl, os, struct, sys
for _ in sys.stdin:
    disk = os.open(sys.argv[1], os.O_RDONLY)
    fcntl.ioctl(disk, 0x8004587D, struct.pack('I', 2))
    os.close(disk)
    print('cut', flush=True)
";

/// A file system of its own, on a file; unmounted and removed when dropped.
pub(crate) struct Disk {
    _dir: tempfile::TempDir,
    pub(crate) image: PathBuf,
    pub(crate) mount: PathBuf,
    cutter: Mutex<Cutter>,
}

/// A process that cuts the power when it is told. Started beforehand, so that a cut takes no time.
struct Cutter {
    process: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Disk {
    /// `None`, and a loud word, where this user cannot have one.
    pub(crate) fn make(bytes: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
        std::fs::create_dir(&mount).unwrap();
        std::fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        let cutter = Mutex::new(Cutter::start(&mount));
        let disk = Self { _dir: dir, image, mount, cutter };
        let made =
            run("mkfs.ext4", &["-q", "-F", "-m", "0", path(&disk.image)]).and_then(|()| disk.try_mount());
        match made {
            Ok(()) => Some(disk),
            Err(why) => {
                say(&format!(
                    "SKIPPED the tests of power cuts and full disks: they need root, loop devices and ext4: {why}"
                ));
                None
            }
        }
    }

    fn try_mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", path(&self.image), path(&self.mount)])
    }

    /// From here on nothing reaches the disk, and what had not is gone.
    pub(crate) fn cut(&self) {
        self.cutter.lock().unwrap().cut();
    }

    /// Leaves not a block free, at once.
    pub(crate) fn fill(&self) {
        let other =
            std::fs::File::options().create(true).append(true).open(self.mount.join("other")).unwrap();
        loop {
            let free = statvfs(&self.mount).unwrap();
            let at = other.metadata().unwrap().len();
            // Some of it the file system keeps for its own tables.
            let some = (1..8).map(|part| free.f_bavail * free.f_frsize / part).find(|bytes| {
                *bytes >= 4096 && fallocate(&other, FallocateFlags::empty(), at, *bytes).is_ok()
            });
            if some.is_none() {
                return;
            }
        }
    }

    /// As after a reboot: the page cache is gone, the file system's own log is replayed.
    pub(crate) fn mount_again(&self) {
        run("umount", &[path(&self.mount)]).unwrap();
        self.try_mount().unwrap();
    }

    pub(crate) fn clear(&self) {
        for entry in std::fs::read_dir(&self.mount).unwrap() {
            let entry = entry.unwrap().path();
            if entry.file_name().is_some_and(|name| name != "lost+found") {
                std::fs::remove_dir_all(entry).unwrap();
            }
        }
    }
}

impl Cutter {
    fn start(mount: &Path) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", CUTTER, path(mount)]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (ask, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, ask, answers: BufReader::new(answers) }
    }

    fn cut(&mut self) {
        self.ask.write_all(b"\n").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, "cut\n", "the power is cut");
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _reaped = self.process.wait();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that a failed test left behind may still stand in it.
        let _was_not_mounted = run("umount", &["--lazy", path(&self.mount)]);
    }
}

/// Says something that is shown whether the test passes or not: what was skipped, how much was done.
pub(crate) fn say(words: &str) {
    // The test harness keeps what `eprintln!` writes to itself.
    let _nobody_listens = writeln!(std::io::stderr(), "{words}");
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let said = |output: Output| {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(()) } else { Err(format!("{program}: {}: {words}", output.status)) }
    };
    Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))
        .and_then(said)
}
