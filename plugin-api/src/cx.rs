//! What a handler may ask of hookyard: [`Host`] while it is made, [`Cx`] for each call.

use std::time::Duration;

use crate::abi;
use crate::ffi::{CallTable, HostTable, HttpTable, StepBegun};
use crate::http::Http;
use crate::{CreateError, Failure, StepResult};

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For following every turn.
    Trace,
    /// For finding a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Should not be, and was coped with.
    Warn,
    /// Failed.
    Error,
}

/// What a write of a key-value pair expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// There is no such key.
    Absent,
    /// The value has this version, as [`Cx::kv_get`] told it.
    Version(u64),
    /// Whatever stands there.
    Anything,
}

/// What became of a write of a key-value pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvPut {
    /// Written, and on disk.
    Written,
    /// Something else stood there; nothing was changed.
    Conflict,
}

/// The host, while the handler is made.
#[derive(Debug)]
pub struct Host<'a> {
    pub(crate) table: &'a HostTable,
}

/// The host, for one call of [`crate::Handler::handle`]. May be shared with threads that end before the call does.
#[derive(Debug)]
pub struct Cx<'a> {
    pub(crate) call: CallTable<'a>,
}

/// A step that is being done.
#[derive(Debug)]
pub struct Step {
    key: String,
    unsure: bool,
}

/// What there is to do for a step.
pub(crate) enum Begun<T> {
    /// Nothing: this is what it returned before.
    Before(T),
    Now(Step),
}

impl Step {
    /// The step's idempotency key, for the far side: the same over retries, restarts and reloads.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether an earlier attempt began this step and never ended it: it may or may not have been done. Ask the far
    /// side, or send [`Self::key`] with the request.
    pub fn unsure(&self) -> bool {
        self.unsure
    }
}

impl Host<'_> {
    /// A secret of the handler's configuration, by its name there.
    pub fn secret(&self, name: &str) -> Result<String, CreateError> {
        self.table.secret(None, name).map_err(|status| CreateError::new(secret_refused(name, status)))
    }

    /// Logs a line with fields.
    pub fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        self.table.log(None, level, message, fields);
    }
}

impl Cx<'_> {
    /// Does a named piece of the work once. Where an earlier attempt finished the step, its result is returned and
    /// `work` is not called. The result is kept as JSON (3 KiB at most) and is on disk before this returns.
    ///
    /// A step that was begun and not ended (a crash, a failure of `work`) is begun again with [`Step::unsure`].
    /// Renaming a step makes it another one.
    pub fn step<T, F>(&self, name: &str, work: F) -> Result<T, Failure>
    where
        T: StepResult,
        F: FnOnce(&Step) -> Result<T, Failure>,
    {
        let step = match self.begin(name)? {
            Begun::Before(result) => return Ok(result),
            Begun::Now(step) => step,
        };
        let result = work(&step)?;
        self.end(name, &result)?;
        Ok(result)
    }

    pub(crate) fn begin<T: StepResult>(&self, name: &str) -> Result<Begun<T>, Failure> {
        let begun = self.call.step_begin(name).map_err(|status| refused("begin the step", name, status))?;
        let unsure = match begun {
            StepBegun::Done(memo) => return remembered(name, &memo).map(Begun::Before),
            StepBegun::Run => false,
            StepBegun::Unsure => true,
        };
        let key =
            self.call.step_key(name).map_err(|status| refused("name the key of the step", name, status))?;
        Ok(Begun::Now(Step { key, unsure }))
    }

    pub(crate) fn end<T: StepResult>(&self, name: &str, result: &T) -> Result<(), Failure> {
        let memo = result.record().map_err(|error| {
            Failure::retry("step_memo", format!("the result of the step `{name}` is no JSON: {error}"))
        })?;
        self.call.step_end(name, &memo).map_err(|status| refused("record the step", name, status))
    }

    /// How long this call may still take; zero: stop now, the deadline has passed or the host is stopping.
    pub fn remaining(&self) -> Duration {
        self.call.remaining()
    }

    /// Reads a key-value pair of this plugin: the value and its version, 1 for the first write.
    pub fn kv_get(&self, key: impl AsRef<[u8]>) -> Result<Option<(Vec<u8>, u64)>, Failure> {
        match self.call.kv_get(key.as_ref()) {
            Ok(found) => Ok(Some(found)),
            Err(abi::E_NOT_FOUND) => Ok(None),
            Err(status) => Err(refused("read the pair", &String::from_utf8_lossy(key.as_ref()), status)),
        }
    }

    /// Writes a key-value pair of this plugin, if what stands there is what is expected. On disk when it returns.
    pub fn kv_put(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        expect: Expect,
    ) -> Result<KvPut, Failure> {
        let expect_version = match expect {
            Expect::Absent => abi::EXPECT_ABSENT,
            Expect::Version(version) => version,
            Expect::Anything => abi::EXPECT_ANYTHING,
        };
        match self.call.kv_put(key.as_ref(), value.as_ref(), expect_version) {
            Ok(()) => Ok(KvPut::Written),
            Err(abi::E_CONFLICT) => Ok(KvPut::Conflict),
            Err(status) => Err(refused("write the pair", &String::from_utf8_lossy(key.as_ref()), status)),
        }
    }

    /// A secret of the handler's configuration, by its name there.
    pub fn secret(&self, name: &str) -> Result<String, Failure> {
        self.call.secret(name).map_err(|status| Failure::retry("secret", secret_refused(name, status)))
    }

    /// HTTP requests that hookyard makes: with TLS, a pool of connections, and the call's deadline, where the handler's
    /// configuration allows. See [`crate::http`].
    pub fn http(&self) -> Result<Http<'_>, Failure> {
        HttpTable::of(self.call).map(Http::new).ok_or_else(|| {
            let message =
                "this hookyard makes no HTTP requests for plugins (hookyard.http/1): update hookyard";
            Failure::retry("http_not_offered", message)
        })
    }

    /// Logs a line with fields; it is kept with the attempt. No secrets, no personal data.
    pub fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        self.call.log(level, message, fields);
    }

    /// Logs at [`Level::Debug`].
    pub fn debug(&self, message: &str) {
        self.log(Level::Debug, message, &[]);
    }

    /// Logs at [`Level::Info`].
    pub fn info(&self, message: &str) {
        self.log(Level::Info, message, &[]);
    }

    /// Logs at [`Level::Warn`].
    pub fn warn(&self, message: &str) {
        self.log(Level::Warn, message, &[]);
    }

    /// Logs at [`Level::Error`].
    pub fn error(&self, message: &str) {
        self.log(Level::Error, message, &[]);
    }
}

/// A memo that no longer fits is a failure, never a reason to do the step again.
fn remembered<T: StepResult>(name: &str, memo: &[u8]) -> Result<T, Failure> {
    T::recall(memo).map_err(|_| {
        let message = format!(
            "the step `{name}` was finished before, but what it recorded is not what this version of the plugin \
             expects; give the step another name when its result changes"
        );
        Failure::retry("step_memo", message)
    })
}

fn secret_refused(name: &str, status: abi::Status) -> String {
    match status {
        abi::E_NOT_FOUND => format!("the handler has no secret `{name}`: name it under its `secrets`"),
        _ => format!("the secret `{name}` could not be read: {}", status_words(status)),
    }
}

fn refused(what: &str, name: &str, status: abi::Status) -> Failure {
    let code = if status == abi::E_CANCELLED { "cancelled" } else { "host" };
    Failure::retry(code, format!("hookyard could not {what} `{name}`: {}", status_words(status)))
}

fn status_words(status: abi::Status) -> String {
    match status {
        abi::E_INVALID => "it is not valid".to_owned(),
        abi::E_NOT_FOUND => "there is none".to_owned(),
        abi::E_TOO_LARGE => "it is too large".to_owned(),
        abi::E_CANCELLED => "no time is left".to_owned(),
        abi::E_IO => "storing failed; the daemon's log says why".to_owned(),
        abi::E_UNSUPPORTED => "this hookyard does not offer it".to_owned(),
        other => format!("status {other}"),
    }
}
