//! The plugin that runs a command for each event, with the body on its stdin. `docs/exec.md` tells the settings and what
//! each exit code means.
//!
//! hookyard calls [`Exec::handle`](hookyard_plugin::Handler::handle) for each attempt at a delivery, on several threads at
//! once; each runs one command and waits for it.
//!
//! Crash points: the run is one step. Where hookyard ends after the command said that it is done, and before that is
//! recorded with the delivery, the command is not run again if the step was recorded; else it is, with the same
//! `HOOKYARD_IDEMPOTENCY_KEY`. A command never outlives the process that started it: see `group`.
//!
//! ```toml
//! [handler.deploy]
//! plugin   = "exec"
//! timeout  = "5m"
//! settings = { command = ["/usr/local/bin/deploy", "--quiet"], cwd = "/srv/app" }
//! ```

#![forbid(unsafe_code)]

mod group;
mod output;
mod run;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome, Step};
use serde::Deserialize;
use serde_json::Value;

use run::{Ended, Ran, run};

/// Where programs are looked for, unless `env` says otherwise.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// What is hookyard's own to tell.
const OURS: &str = "HOOKYARD_";
/// `EX_DATAERR` of sysexits.h: this event will never do.
const REJECT: i32 = 65;
/// Of a command's last lines, in the attempt's message.
const LINES_BYTES_MAX: usize = 500;
/// What is kept of a run: a result of two KiB.
const RESULT_BYTES_MAX: usize = 2048;

/// `settings` of a handler of this plugin. Paths are relative to the daemon's directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The program and its arguments. No shell reads them.
    command: Vec<String>,
    /// Where it runs; left out: the daemon's directory.
    cwd: Option<PathBuf>,
    /// Its environment, beside `HOOKYARD_…` and a plain `PATH`. Nothing of the daemon's own is in it.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Variables whose values are secrets of the handler, by the secret's name.
    #[serde(default)]
    secret_env: BTreeMap<String, String>,
    /// Exit codes that make a dead letter.
    #[serde(default = "reject")]
    reject: Vec<i32>,
    /// Exit codes that mean "not for me".
    #[serde(default)]
    ignore: Vec<i32>,
}

/// The plugin.
pub struct Exec {
    settings: Settings,
    /// Values of `secret_env`, by variable.
    secrets: Vec<(String, String)>,
}

fn reject() -> Vec<i32> {
    vec![REJECT]
}

impl Handler for Exec {
    type Settings = Settings;

    fn create(settings: Settings, host: &Host<'_>) -> Result<Self, CreateError> {
        let read = |(variable, name): (&String, &String)| Ok((variable.clone(), host.secret(name)?));
        let secrets = settings.secret_env.iter().map(read).collect::<Result<_, CreateError>>()?;
        Ok(Self { settings, secrets })
    }

    fn check(settings: &Settings) -> Result<(), CreateError> {
        settings.check().map_err(CreateError::new)
    }

    fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        // Only what the command is finished with is recorded; a failure leaves the step open, and it runs again.
        let said: Said = cx.step("run", |step| self.run(event, cx, step))?;
        let outcome = if said.ignore {
            Outcome::ignore("ignored", said.message)
        } else {
            Outcome::done().with_message(said.message)
        };
        Ok(match said.result {
            Some(result) => outcome.with_result(result),
            None => outcome,
        })
    }
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exec").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What a command that is finished with the event said: the step's memo.
#[derive(Debug, serde::Serialize, Deserialize)]
struct Said {
    ignore: bool,
    message: String,
    result: Option<Value>,
}

impl Exec {
    fn run(&self, event: &Event<'_>, cx: &Cx<'_>, step: &Step) -> Result<Said, Failure> {
        let ran = run(self.command(event, step), event.body(), || cx.remaining().is_zero())?;
        let Ran { how, stdout, stderr } = ran;
        let secrets: Vec<String> = self.secrets.iter().map(|(_, value)| value.trim().to_owned()).collect();
        let secrets: Vec<String> = secrets.into_iter().filter(|secret| !secret.is_empty()).collect();
        let result = stdout.json().filter(|json| {
            let text = json.to_string();
            text.len() <= RESULT_BYTES_MAX && !secrets.iter().any(|secret| text.contains(secret.as_str()))
        });
        let lines = match stderr.last_lines(LINES_BYTES_MAX, &secrets) {
            none if none.is_empty() && result.is_none() => stdout.last_lines(LINES_BYTES_MAX, &secrets),
            lines => lines,
        };
        let with_lines = |what: String| if lines.is_empty() { what } else { format!("{what}: {lines}") };
        match how {
            Ended::Exit(0) => Ok(Said { ignore: false, message: lines, result }),
            Ended::Exit(code) if self.settings.ignore.contains(&code) => {
                let message = with_lines(format!("the command ended with {code}"));
                Ok(Said { ignore: true, message, result })
            }
            Ended::Exit(code) => {
                let message = with_lines(format!("the command ended with {code}"));
                let word = format!("exit_{code}");
                Err(match self.settings.reject.contains(&code) {
                    true => Failure::reject(word, message),
                    false => Failure::retry(word, message),
                })
            }
            Ended::Signal(signal) => {
                Err(Failure::retry("signal", with_lines(format!("the command was ended by signal {signal}"))))
            }
            Ended::OutOfTime => {
                Err(Failure::retry("timeout", with_lines("the command did not end in time".to_owned())))
            }
        }
    }

    fn command(&self, event: &Event<'_>, step: &Step) -> Command {
        let mut command = Command::new(&self.settings.command[0]);
        command.args(&self.settings.command[1..]).env_clear().env("PATH", PATH);
        command.envs(&self.settings.env);
        command.envs(self.secrets.iter().map(|(variable, value)| (variable, value.trim_end_matches('\n'))));
        let (attempt, received) = (event.attempt().to_string(), event.received_unix_ms().to_string());
        for (variable, value) in [
            ("HOOKYARD_EVENT_ID", event.id()),
            ("HOOKYARD_EVENT_TYPE", event.event_type()),
            ("HOOKYARD_SOURCE", event.source()),
            ("HOOKYARD_RULE", event.rule()),
            ("HOOKYARD_CONTENT_TYPE", event.content_type()),
            ("HOOKYARD_RECEIVED_UNIX_MS", &received),
            ("HOOKYARD_ATTEMPT", &attempt),
            ("HOOKYARD_IDEMPOTENCY_KEY", step.key()),
        ] {
            // A variable cannot hold a NUL, and a type from outside may.
            command.env(variable, value.replace('\0', ""));
        }
        if let Some(cwd) = &self.settings.cwd {
            command.current_dir(cwd);
        }
        command
    }
}

impl Settings {
    fn check(&self) -> Result<(), String> {
        let Some(program) = self.command.first().filter(|program| !program.is_empty()) else {
            return Err("`command` is empty: write the program and its arguments".to_owned());
        };
        if self.command.iter().any(|word| word.contains('\0')) {
            return Err("`command` holds a NUL character".to_owned());
        }
        let path = self.env.get("PATH").map_or(PATH, String::as_str);
        if !found(program, path, self.cwd.as_deref()) {
            return Err(format!(
                "there is no program `{program}` (looked for in {path}); write its whole path"
            ));
        }
        if let Some(cwd) = self.cwd.as_deref().filter(|cwd| !cwd.is_dir()) {
            return Err(format!("`cwd` is no directory: {}", cwd.display()));
        }
        for variable in self.env.keys().chain(self.secret_env.keys()) {
            if variable.is_empty() || variable.contains(['=', '\0']) {
                return Err(format!("`{variable}` is not the name of a variable"));
            }
            if variable.starts_with(OURS) {
                return Err(format!("the variable `{variable}` is written by hookyard itself"));
            }
        }
        match self.reject.iter().chain(&self.ignore).find(|code| !(1..=255).contains(*code)) {
            Some(code) => Err(format!("`{code}` is no exit code that can be chosen: write 1 to 255")),
            None => Ok(()),
        }
    }
}

/// A name with a slash is a path, seen from where the command runs; any other is looked for.
fn found(program: &str, path: &str, cwd: Option<&Path>) -> bool {
    if program.contains('/') {
        return cwd.unwrap_or(Path::new("")).join(program).is_file();
    }
    path.split(':').any(|folder| Path::new(folder).join(program).is_file())
}

hookyard_plugin::export!(Exec, id = "com.hookyard.exec");
