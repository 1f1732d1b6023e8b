//! A real PostgreSQL for tests: `tests/postgres`, which lives as long as its standard input. When the test process ends,
//! however it ends, the pipe closes and the server goes. Included by several test binaries; part of no library.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// A server of one's own.
#[derive(Debug)]
pub(crate) struct Postgres {
    _process: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

/// The one that all tests of this process share.
pub(crate) fn shared() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(Postgres::start)
}

impl Postgres {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With a certificate, its key and a port: only TLS gets in.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .map(|folder| folder.join("tests/postgres"))
            .find(|script| script.exists())
            .expect("the tests run in the project's folders");
        let mut child = Command::new(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/postgres runs");
        let (ask, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let server = Self { _process: child, pipes: Mutex::new((ask, BufReader::new(answers))) };
        assert_eq!(server.answer(), "ready", "PostgreSQL did not start; its words are above");
        server
    }

    /// The URL of a new, empty database.
    pub(crate) fn database(&self) -> String {
        let url = self.ask("new");
        assert!(url.starts_with("postgres://"), "{url:?}");
        url
    }

    /// Stops the server as an administrator would, or starts it again; back when it is so.
    pub(crate) fn tell(&self, command: &str) {
        assert_eq!(self.ask(command), "done", "{command}");
    }

    fn ask(&self, command: &str) -> String {
        let mut pipes = self.pipes.lock().unwrap();
        writeln!(pipes.0, "{command}").unwrap();
        read(&mut pipes.1)
    }

    fn answer(&self) -> String {
        read(&mut self.pipes.lock().unwrap().1)
    }
}

fn read(answers: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    answers.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}
