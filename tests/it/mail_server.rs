//! A real mail server (aiosmtpd): `sdk/mail_server.py`, which lives as long as its standard input. It takes mails, puts off
//! `busy…` once, refuses `gone…`, and says what it took from whom.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use serde_json::Value;

use crate::stripe::tests_dir;

/// A server, and what it has taken.
#[derive(Debug)]
pub(crate) struct MailServer {
    pub(crate) port: u16,
    _process: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

/// The one that all tests of this process share.
pub(crate) fn shared() -> &'static MailServer {
    static SHARED: OnceLock<MailServer> = OnceLock::new();
    SHARED.get_or_init(|| MailServer::start(&[]))
}

impl MailServer {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let python = tests_dir().join(".venv/bin/python");
        assert!(python.exists(), "the mail server is not installed here: run tests/run, which installs it");
        let mut child = Command::new(python)
            .arg(tests_dir().join("sdk/mail_server.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (ask, mut answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut port = String::new();
        answers.read_line(&mut port).unwrap();
        let port = port.trim_end().parse().expect("the mail server says its port");
        Self { port, _process: child, pipes: Mutex::new((ask, answers)) }
    }

    /// The `mail` setting of a handler whose mails come here.
    pub(crate) fn settings(&self, sender: &str) -> String {
        format!(
            r#"mail = {{ transport = "smtp", host = "127.0.0.1", port = {}, tls = "none", from = "Inkwell <{sender}>" }}"#,
            self.port
        )
    }

    /// The mails taken from this sender, oldest first: `to`, `tls`, the `connection` and the whole `text`.
    pub(crate) fn taken_from(&self, sender: &str) -> Vec<Value> {
        let mut pipes = self.pipes.lock().unwrap();
        writeln!(pipes.0, "{sender}").unwrap();
        let mut line = String::new();
        pipes.1.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}
