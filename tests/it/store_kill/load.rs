//! The process under load, what it said, and its end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a store may take to open here: they are small.
const OPEN_MAX: Duration = Duration::from_secs(60);

/// A running `store_load`; killed when dropped.
pub(crate) struct Load {
    child: Child,
    reader: Option<JoinHandle<Vec<String>>>,
    opened: mpsc::Receiver<String>,
    said: Arc<AtomicUsize>,
}

/// What is left of one.
pub(crate) struct Ended {
    /// Everything that it acknowledged; a line that the kill cut short is left out.
    pub(crate) lines: Vec<String>,
    /// Why the store failed by itself, where it did.
    pub(crate) failure: Option<String>,
}

impl Load {
    pub(crate) fn start(directory: &Path, seed: u64, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_store_load"))
            .arg(directory)
            .arg(seed.to_string())
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tell, opened) = mpsc::channel();
        let said = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&said);
        let reader = std::thread::spawn(move || {
            let mut lines = Vec::new();
            for line in out.lines() {
                let Some(line) = line.unwrap().strip_suffix(" .").map(str::to_owned) else { continue };
                if lines.is_empty() {
                    let _nobody_waits = tell.send(line.clone());
                }
                lines.push(line);
                counter.store(lines.len(), Ordering::Relaxed);
            }
            lines
        });
        Self { child, reader: Some(reader), opened, said }
    }

    /// Waits until the store is open.
    pub(crate) fn wait_open(&self) {
        let first = self.opened.recv_timeout(OPEN_MAX).expect("the load says something");
        assert_eq!(first, "open");
    }

    /// Waits until it has said that many lines.
    pub(crate) fn wait_said(&self, lines: u64) {
        for _ in 0..OPEN_MAX.as_millis() {
            if self.said.load(Ordering::Relaxed) as u64 >= lines {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("the load said only {} lines", self.said.load(Ordering::Relaxed));
    }

    /// SIGKILL, and all that it had said.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.end()
    }

    /// Waits until it ends by itself, as it does when its disk fails.
    pub(crate) fn wait_failed(mut self, at_most: Duration) -> Ended {
        let tries = at_most.as_millis() / 10;
        for _ in 0..tries {
            if self.child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().unwrap();
        self.end()
    }

    fn end(&mut self) -> Ended {
        self.child.wait().unwrap();
        let mut lines = self.reader.take().expect("ended once").join().unwrap();
        let failed = |line: &String| line.starts_with("failed") || line.starts_with("refused");
        let failure = lines.iter().find(|line| failed(line)).cloned();
        lines.retain(|line| !failed(line));
        Ended { lines, failure }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if self.reader.is_some() {
            let _gone_already = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}

/// A number in `0..end`, different in each run: crashes must be met at every moment there is.
pub(crate) fn random_below(end: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(end) % end.max(1)
}
