//! The process group of one command, which ends with the call that it serves, whatever ends that.
//!
//! The group's leader is no part of the command: it is a shell that waits on a pipe whose other end only this process
//! holds. Where this process is killed the pipe closes, and the shell kills the whole group. Where all goes well the
//! group is killed from here, with whatever the command left running. The leader is reaped last, so the group's number
//! belongs to nobody else before.
//!
//! A command that makes a session of its own (`setsid`, a daemon) leaves the group and is on its own.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

/// SIGTERM to the group is for the command; the leader stays.
const LEADER: &str = "trap '' TERM HUP INT; read -r _; kill -KILL 0";

/// A group to start a command in. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Child,
    id: Pid,
}

impl Group {
    pub(crate) fn new() -> io::Result<Self> {
        let leader = Command::new("/bin/sh")
            .args(["-c", LEADER])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let id = Pid::from_child(&leader);
        Ok(Self { leader, id })
    }

    /// Makes a command start in the group.
    pub(crate) fn takes(&self, command: &mut Command) {
        command.process_group(self.id.as_raw_nonzero().get());
    }

    /// Asks all of it to end.
    pub(crate) fn terminate(&self) {
        let _ = kill_process_group(self.id, Signal::TERM);
    }

    /// Ends all of it but what nobody has waited for yet.
    pub(crate) fn kill(&self) {
        // A group that is gone is what is wanted.
        let _ = kill_process_group(self.id, Signal::KILL);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        // It was just killed, so this does not wait.
        let _ = self.leader.wait();
    }
}
