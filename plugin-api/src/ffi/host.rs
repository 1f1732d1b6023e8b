//! Calls of the host's table, made safe: a copy of the table (so that a shorter one of an older host reads as "not
//! offered"), owned results, and the call's lifetime in a type.

use std::ffi::c_void;
use std::time::Duration;

use crate::Level;
use crate::abi::{self, Bytes, Pair, Status};
use crate::cut;
use crate::outcome::{Failure, Outcome};

/// The host's table and its `ctx`, from `create` until `destroy`.
#[derive(Debug)]
pub(crate) struct HostTable {
    table: abi::Host,
    ctx: *mut abi::Ctx,
}

// SAFETY: the ABI makes every host function thread-safe (R8), and `ctx` is only ever handed back to them.
unsafe impl Send for HostTable {}
// SAFETY: as above.
unsafe impl Sync for HostTable {}

/// The host's table for one call of `handle`: `'a` is that call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallTable<'a> {
    host: &'a HostTable,
    call: *mut abi::Call,
}

// SAFETY: host functions may be called from any thread while the call lives (R8), and `'a` ends with the call.
unsafe impl Send for CallTable<'_> {}
// SAFETY: as above.
unsafe impl Sync for CallTable<'_> {}

/// How a step stood.
#[derive(Debug)]
pub(crate) enum StepBegun {
    Run,
    Done(Vec<u8>),
    Unsure,
}

impl HostTable {
    /// Copies the host's table, or says why this plugin cannot work with it.
    ///
    /// # Safety
    /// `host` is NULL or a table as the header describes; it and `ctx` live as long as what is made here.
    pub(crate) unsafe fn new(host: *const abi::Host, ctx: *mut abi::Ctx) -> Result<Self, String> {
        // SAFETY: the caller's promise.
        let table = unsafe { abi::read(host) }.ok_or("hookyard passed no table of host functions")?;
        let need = size_of::<abi::Host>();
        if (table.size as usize) < need {
            return Err(format!(
                "hookyard's table of host functions is {} bytes and this plugin needs {need} (ABI {}.{}): update hookyard",
                table.size,
                abi::ABI_MAJOR,
                abi::ABI_MINOR,
            ));
        }
        if table.abi_major != abi::ABI_MAJOR {
            return Err(format!(
                "hookyard speaks ABI {}.{} and this plugin {}.{}: build the plugin against that hookyard",
                table.abi_major,
                table.abi_minor,
                abi::ABI_MAJOR,
                abi::ABI_MINOR,
            ));
        }
        Ok(Self { table, ctx })
    }

    /// The table for one call.
    pub(crate) fn call(&self, call: *mut abi::Call) -> CallTable<'_> {
        CallTable { host: self, call }
    }

    /// Whether the host keeps lines of this level.
    pub(crate) fn is_enabled(&self, level: Level) -> bool {
        match self.table.log_enabled {
            // SAFETY: the host's function, with the host's ctx, which lives as long as self.
            Some(log_enabled) => unsafe { log_enabled(self.ctx, level_number(level)) != 0 },
            None => true,
        }
    }

    pub(crate) fn log(
        &self,
        call: Option<CallTable<'_>>,
        level: Level,
        message: &str,
        fields: &[(&str, &str)],
    ) {
        let (true, Some(log)) = (self.is_enabled(level), self.table.log) else { return };
        let pairs: Vec<Pair> = fields
            .iter()
            .map(|(key, val)| Pair { key: Bytes::of(key.as_bytes()), val: Bytes::of(val.as_bytes()) })
            .collect();
        let call = call.map_or(std::ptr::null_mut(), |call| call.call);
        // SAFETY: as above; message and pairs outlive the call of the function.
        unsafe {
            log(
                self.ctx,
                call,
                level_number(level),
                Bytes::of(message.as_bytes()),
                pairs.as_ptr(),
                pairs.len(),
            );
        }
        cut::here();
    }

    pub(crate) fn secret(&self, call: Option<CallTable<'_>>, name: &str) -> Result<String, Status> {
        let secret = self.table.secret.ok_or(abi::E_UNSUPPORTED)?;
        let call = call.map_or(std::ptr::null_mut(), |call| call.call);
        let mut value = Bytes::EMPTY;
        // SAFETY: the host's function and ctx; name and value outlive the call of the function.
        checked(unsafe { secret(self.ctx, call, Bytes::of(name.as_bytes()), &raw mut value) })?;
        // SAFETY: the host lends the value until the call (or create) ends; it is copied at once.
        unsafe { value.text() }.map(str::to_owned).ok_or(abi::E_INVALID)
    }
}

impl CallTable<'_> {
    /// A table of more functions by its id; NULL where it is not offered.
    pub(super) fn extension(&self, id: &str) -> *const c_void {
        let Some(extension) = self.host.table.extension else { return std::ptr::null() };
        // SAFETY: the host's function and ctx, which live as long as the call; id outlives the call of the function.
        unsafe { extension(self.host.ctx, Bytes::of(id.as_bytes())) }
    }

    /// What the functions of an extension take.
    pub(super) fn pointers(&self) -> (*mut abi::Ctx, *mut abi::Call) {
        (self.host.ctx, self.call)
    }

    pub(crate) fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        self.host.log(Some(*self), level, message, fields);
    }

    pub(crate) fn secret(&self, name: &str) -> Result<String, Status> {
        self.host.secret(Some(*self), name)
    }

    pub(crate) fn remaining(&self) -> Duration {
        let Some(remaining_ms) = self.host.table.remaining_ms else { return Duration::MAX };
        // SAFETY: the host's function, while the call lives.
        let remaining = Duration::from_millis(unsafe { remaining_ms(self.call) });
        cut::here();
        remaining
    }

    pub(crate) fn step_begin(&self, step: &str) -> Result<StepBegun, Status> {
        let begin = self.host.table.step_begin.ok_or(abi::E_UNSUPPORTED)?;
        let (mut state, mut memo) = (abi::STEP_RUN, Bytes::EMPTY);
        // SAFETY: the host's function, while the call lives; all arguments outlive it.
        checked(unsafe { begin(self.call, Bytes::of(step.as_bytes()), &raw mut state, &raw mut memo) })?;
        match state {
            abi::STEP_RUN => Ok(StepBegun::Run),
            // SAFETY: the host lends the memo until the call ends.
            abi::STEP_DONE => unsafe { copied(memo) }.map(StepBegun::Done),
            // A state that this SDK does not know is doubtful too.
            _ => Ok(StepBegun::Unsure),
        }
    }

    pub(crate) fn step_end(&self, step: &str, memo: &[u8]) -> Result<(), Status> {
        let end = self.host.table.step_end.ok_or(abi::E_UNSUPPORTED)?;
        // SAFETY: the host's function, while the call lives; all arguments outlive it.
        checked(unsafe { end(self.call, Bytes::of(step.as_bytes()), Bytes::of(memo)) })
    }

    pub(crate) fn step_key(&self, step: &str) -> Result<String, Status> {
        let step_key = self.host.table.step_key.ok_or(abi::E_UNSUPPORTED)?;
        let mut key = Bytes::EMPTY;
        // SAFETY: the host's function, while the call lives; all arguments outlive it.
        checked(unsafe { step_key(self.call, Bytes::of(step.as_bytes()), &raw mut key) })?;
        // SAFETY: the host lends the key until the call ends; it is copied at once.
        unsafe { key.text() }.map(str::to_owned).ok_or(abi::E_INVALID)
    }

    pub(crate) fn kv_get(&self, key: &[u8]) -> Result<(Vec<u8>, u64), Status> {
        let kv_get = self.host.table.kv_get.ok_or(abi::E_UNSUPPORTED)?;
        let (mut value, mut version) = (Bytes::EMPTY, 0);
        // SAFETY: the host's function and ctx, while the call lives; all arguments outlive it.
        let status =
            unsafe { kv_get(self.host.ctx, self.call, Bytes::of(key), &raw mut value, &raw mut version) };
        checked(status)?;
        // SAFETY: the host lends the value until the call ends.
        Ok((unsafe { copied(value) }?, version))
    }

    pub(crate) fn kv_put(&self, key: &[u8], value: &[u8], expect_version: u64) -> Result<(), Status> {
        let kv_put = self.host.table.kv_put.ok_or(abi::E_UNSUPPORTED)?;
        // SAFETY: the host's function and ctx, while the call lives; all arguments outlive it.
        checked(unsafe { kv_put(self.host.ctx, self.call, Bytes::of(key), Bytes::of(value), expect_version) })
    }

    /// Tells the host what goes with the outcome, and returns the outcome's number.
    pub(crate) fn conclude(&self, said: Result<Outcome, Failure>) -> i32 {
        match said {
            Ok(outcome) => {
                let result = outcome.result.map(|value| value.to_string()).unwrap_or_default();
                self.explain(0, &outcome.code, &outcome.message, &result);
                if outcome.ignore { abi::IGNORE } else { abi::DONE }
            }
            Err(failure) => {
                self.explain(after_ms(failure.after), &failure.code, &failure.message, "");
                if failure.reject { abi::REJECT } else { abi::RETRY }
            }
        }
    }

    pub(crate) fn explain(&self, retry_after_ms: u64, code: &str, message: &str, result: &str) {
        let Some(explain) = self.host.table.explain else { return };
        let detail = abi::Detail {
            size: abi::size_of_u32::<abi::Detail>(),
            reserved0: 0,
            retry_after_ms,
            code: Bytes::of(code.as_bytes()),
            message: Bytes::of(message.as_bytes()),
            result: Bytes::of(result.as_bytes()),
        };
        // SAFETY: the host's function, while the call lives; detail outlives it.
        let status = unsafe { explain(self.call, &raw const detail) };
        cut::here();
        if status != abi::OK {
            self.log(Level::Warn, "hookyard did not take the explanation of the outcome", &[("code", code)]);
        }
    }
}

/// Whole milliseconds, at least one: 0 would mean "by the schedule".
fn after_ms(after: Option<Duration>) -> u64 {
    after.map_or(0, |wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1))
}

fn level_number(level: Level) -> u32 {
    match level {
        Level::Trace => 0,
        Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
    }
}

pub(super) fn checked(status: Status) -> Result<(), Status> {
    cut::here();
    if status == abi::OK { Ok(()) } else { Err(status) }
}

/// # Safety
/// As [`Bytes::get`].
unsafe fn copied(bytes: Bytes) -> Result<Vec<u8>, Status> {
    // SAFETY: the caller's promise.
    unsafe { bytes.get() }.map(<[u8]>::to_vec).ok_or(abi::E_INVALID)
}
