//! The child process: started with nothing of the daemon's environment, its end of a socket pair as stdin, and what it
//! prints caught and logged. Killed when this is dropped.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use hookyard_plugin_host::{handover, protocol};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::HostProgram;
use super::library::Checked;
use super::report::clean;
use crate::model::ids::HandlerName;
use crate::model::limits::{
    HOST_LAST_LINES_MAX, HOST_LAST_WORDS_MAX, HOST_OUTPUT_LINES_MAX, LOG_LINE_BYTES_MAX,
};

/// One read of what the child prints.
const READ_BYTES: usize = 4096;

/// A running child.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) child: Child,
    output: Output,
    pumps: JoinSet<()>,
}

/// What a child printed: its last lines.
#[derive(Debug, Clone, Default)]
struct Output(Arc<Mutex<Printed>>);

#[derive(Debug, Default)]
struct Printed {
    lines: usize,
    last: VecDeque<String>,
}

/// Starts the child, with the daemon's build and the library waiting in its socket. Must run in a tokio runtime.
pub(super) fn spawn(
    program: &HostProgram,
    handler: &HandlerName,
    library: &Checked,
) -> io::Result<(Process, UnixStream)> {
    let (ours, theirs) = StdUnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let in_memory = library.in_memory.as_ref().map(AsFd::as_fd);
    handover::send(&ours, &protocol::preamble(), in_memory)?;
    let ours = UnixStream::from_std(ours)?;
    let mut child = Command::new(&program.path)
        .arg0("hookyard")
        .args(&program.args)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = Output::default();
    let mut pumps = JoinSet::new();
    if let Some(stdout) = child.stdout.take() {
        pumps.spawn(pump(stdout, "stdout", handler.clone(), output.clone()));
    }
    if let Some(stderr) = child.stderr.take() {
        pumps.spawn(pump(stderr, "stderr", handler.clone(), output.clone()));
    }
    Ok((Process { child, output, pumps }, ours))
}

impl Process {
    /// The last lines that the child printed; waits a moment for them to arrive.
    pub(super) async fn last_lines(&mut self) -> Vec<String> {
        let drained = async { while self.pumps.join_next().await.is_some() {} };
        // A program that the plugin started may hold the pipe open: what came until now is enough.
        drop(tokio::time::timeout(HOST_LAST_WORDS_MAX, drained).await);
        self.output.0.lock().unwrap_or_else(PoisonError::into_inner).last.iter().cloned().collect()
    }
}

/// Logs what the child prints, line by line, until the pipe is closed.
async fn pump(mut from: impl AsyncRead + Unpin, stream: &'static str, handler: HandlerName, output: Output) {
    let mut buffer = [0; READ_BYTES];
    let mut line = Vec::new();
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(handler = %handler, stream, %error, "a plugin's output cannot be read any more");
                break;
            }
        };
        for byte in &buffer[..read] {
            if *byte == b'\n' {
                output.line(&std::mem::take(&mut line), stream, &handler);
            } else if line.len() < LOG_LINE_BYTES_MAX {
                line.push(*byte);
            }
        }
    }
    if !line.is_empty() {
        output.line(&line, stream, &handler);
    }
}

impl Output {
    fn line(&self, bytes: &[u8], stream: &'static str, handler: &HandlerName) {
        let text = clean(&String::from_utf8_lossy(bytes), LOG_LINE_BYTES_MAX);
        if text.trim().is_empty() {
            return;
        }
        let mut printed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        printed.lines += 1;
        match printed.lines {
            ..=HOST_OUTPUT_LINES_MAX => {
                tracing::warn!(handler = %handler, stream, "the plugin printed: {text}");
            }
            lines if lines == HOST_OUTPUT_LINES_MAX + 1 => {
                tracing::warn!(handler = %handler, lines, "the plugin prints too much; no more of it is logged");
            }
            _ => {}
        }
        if printed.last.len() == HOST_LAST_LINES_MAX {
            printed.last.pop_front();
        }
        printed.last.push_back(text);
    }
}
