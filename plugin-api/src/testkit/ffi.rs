//! The bench's side of the boundary: a host table whose `ctx` is a [`State`] and whose `call` is a [`Call`] on the stack
//! of [`handle`].

use std::ffi::{CStr, c_char, c_void};
use std::ptr::NonNull;
use std::time::Duration;

use super::call::Call;
use super::http::extension;
use super::state::State;
use super::{Before, Delivered, Said, StepSeen, TestEvent};
use crate::Handler;
use crate::abi::{self, Bytes, Pair, Status};

/// Room for a handler's sentence when it cannot be made.
const ERR_BYTES: usize = 1024;
/// hookyard's own limits, so that a test meets them first.
const MEMO_BYTES_MAX: usize = 3 * 1024;
const KEY_BYTES_MAX: usize = 256;

static HOST: abi::Host = abi::Host {
    size: abi::size_of_u32::<abi::Host>(),
    abi_major: abi::ABI_MAJOR,
    abi_minor: abi::ABI_MINOR,
    log_enabled: None,
    log: Some(log),
    metric: None,
    remaining_ms: Some(remaining_ms),
    explain: Some(explain),
    step_begin: Some(step_begin),
    step_end: Some(step_end),
    step_key: Some(step_key),
    kv_get: Some(kv_get),
    kv_put: Some(kv_put),
    secret: Some(secret),
    extension: Some(extension),
};

/// An instance and the descriptor that made it.
pub(super) struct Made {
    plugin: abi::Plugin,
    instance: *mut c_void,
}

// SAFETY: an instance may be called from any thread, several at once (R9); State is Sync; the rest is read only.
unsafe impl Send for super::InMemory {}
// SAFETY: as above.
unsafe impl Sync for super::InMemory {}

pub(super) fn create<H: Handler>(state: &State, settings: &str) -> Result<NonNull<Made>, String> {
    let plugin = crate::ffi::descriptor::<H>("test", "0", "");
    let (Some(check), Some(create)) = (plugin.check_config, plugin.create) else {
        return Err("the descriptor has no functions".to_owned());
    };
    let mut err = [0 as c_char; ERR_BYTES];
    let settings = Bytes::of(settings.as_bytes());
    let mut instance = std::ptr::null_mut();
    // SAFETY: the descriptor's own functions; state is boxed and outlives the instance (Bench); err and settings
    // outlive the calls.
    unsafe {
        let mut status = check(settings, err.as_mut_ptr(), err.len());
        if status == abi::OK {
            let ctx = std::ptr::from_ref(state).cast_mut().cast();
            status = create(&raw const HOST, ctx, settings, &raw mut instance, err.as_mut_ptr(), err.len());
        }
        if status != abi::OK {
            return Err(CStr::from_ptr(err.as_ptr()).to_string_lossy().into_owned());
        }
    }
    Ok(NonNull::from(Box::leak(Box::new(Made { plugin, instance }))))
}

pub(super) fn destroy(made: NonNull<Made>) {
    // SAFETY: made came from create, and the bench that owned it is going.
    unsafe {
        let made = Box::from_raw(made.as_ptr());
        if let Some(destroy) = made.plugin.destroy {
            destroy(made.instance);
        }
    }
}

/// One call of `handle`, cut short at this moment where one is given.
pub(super) fn handle(
    state: &State,
    made: NonNull<Made>,
    event: &TestEvent,
    crash_at: Option<usize>,
) -> Delivered {
    let call = Call::new(state, &event.id, event.remaining, crash_at);
    let headers: Vec<Pair> = event
        .headers
        .iter()
        .map(|(key, val)| Pair { key: Bytes::of(key.as_bytes()), val: Bytes::of(val.as_bytes()) })
        .collect();
    let raw = abi::Event {
        size: abi::size_of_u32::<abi::Event>(),
        attempt: event.attempt,
        received_unix_ms: event.received_unix_ms,
        event_id: Bytes::of(event.id.as_bytes()),
        source: Bytes::of(event.source.as_bytes()),
        topic: Bytes::of(event.event_type.as_bytes()),
        rule: Bytes::of(event.rule.as_bytes()),
        content_type: Bytes::of(event.content_type.as_bytes()),
        body: Bytes::of(&event.body),
        headers: headers.as_ptr(),
        header_count: headers.len(),
    };
    // SAFETY: made lives as long as the bench; the call and the event outlive the call of handle.
    let outcome = unsafe {
        let made = made.as_ref();
        let Some(handle) = made.plugin.handle else { unreachable!("the SDK's descriptors have it") };
        handle(made.instance, (&raw const call).cast_mut().cast(), &raw const raw)
    };
    delivered(call, outcome)
}

fn delivered(call: Call<'_>, outcome: i32) -> Delivered {
    let crashed = call.has_crashed();
    let (state, event_id) = (call.state, call.event_id);
    let mut seen = call.into_seen();
    for step in &mut seen.steps {
        step.ended = state.step_ended(event_id, &step.name);
    }
    let after = (seen.retry_after_ms > 0).then(|| Duration::from_millis(seen.retry_after_ms));
    Delivered {
        outcome: match outcome {
            _ if crashed => Said::Crashed,
            abi::DONE => Said::Done,
            abi::IGNORE => Said::Ignore,
            abi::RETRY => Said::Retry(after),
            abi::REJECT => Said::Reject,
            abi::E_PANIC => Said::Panicked,
            other => unreachable!("the SDK returned the outcome {other}"),
        },
        code: seen.code,
        message: seen.message,
        result: serde_json::from_str(&seen.result).ok(),
        steps: seen.steps,
        log: seen.log,
    }
}

/// # Safety
/// `call` is what [`handle`] passed, while it runs.
pub(super) unsafe fn call_of<'a>(call: *mut abi::Call) -> &'a Call<'a> {
    // SAFETY: the caller's promise.
    unsafe { &*call.cast::<Call<'a>>() }
}

/// # Safety
/// `ctx` is what [`create`] passed, while the bench lives.
unsafe fn state_of<'a>(ctx: *mut abi::Ctx) -> &'a State {
    // SAFETY: the caller's promise.
    unsafe { &*ctx.cast::<State>() }
}

unsafe extern "C" fn log(
    ctx: *mut abi::Ctx,
    call: *mut abi::Call,
    level: u32,
    message: Bytes,
    fields: *const Pair,
    field_count: usize,
) {
    // SAFETY: the SDK calls with live arguments, while ctx and call live.
    unsafe {
        let word = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"][level.min(4) as usize];
        let mut line = format!("{word} {}", message.text().unwrap_or("(not UTF-8)"));
        for index in 0..field_count {
            let pair = &*fields.add(index);
            let (key, val) = (pair.key.text().unwrap_or("?"), pair.val.text().unwrap_or("?"));
            line.push_str(&format!(" {key}={val}"));
        }
        if call.is_null() {
            state_of(ctx).log_line(line);
        } else {
            let call = call_of(call);
            call.tell(|| call.seen().log.push(line));
        }
    }
}

unsafe extern "C" fn remaining_ms(call: *mut abi::Call) -> u64 {
    // SAFETY: the SDK passes the call while it lives.
    let call = unsafe { call_of(call) };
    call.tell(|| {});
    u64::try_from(call.remaining.as_millis()).unwrap_or(u64::MAX)
}

unsafe extern "C" fn explain(call: *mut abi::Call, detail: *const abi::Detail) -> Status {
    // SAFETY: the SDK passes the call while it lives, and a detail that outlives this function.
    unsafe {
        let Some(detail) = abi::read(detail) else { return abi::E_INVALID };
        let call = call_of(call);
        let (code, message, result) = (detail.code.text(), detail.message.text(), detail.result.text());
        call.tell(|| {
            let mut seen = call.seen();
            seen.retry_after_ms = detail.retry_after_ms;
            seen.code = code.unwrap_or_default().to_owned();
            seen.message = message.unwrap_or_default().to_owned();
            seen.result = result.unwrap_or_default().to_owned();
        });
    }
    abi::OK
}

unsafe extern "C" fn step_begin(
    call: *mut abi::Call,
    step: Bytes,
    state: *mut u32,
    memo: *mut Bytes,
) -> Status {
    // SAFETY: the SDK calls with live arguments, while the call lives.
    unsafe {
        let (call, Some(name)) = (call_of(call), step.text()) else { return abi::E_INVALID };
        if name.len() > KEY_BYTES_MAX {
            return abi::E_TOO_LARGE;
        }
        if call.remaining.is_zero() {
            return abi::E_CANCELLED;
        }
        call.ask(|| {
            let (before, stored) = call.state.step_begin(call.event_id, name);
            *state = match before {
                Before::Run => abi::STEP_RUN,
                Before::Done => abi::STEP_DONE,
                Before::Unsure => abi::STEP_UNSURE,
            };
            *memo = call.lend(stored);
            let seen = StepSeen { name: name.to_owned(), before, ended: false, key: call.key(name) };
            call.seen().steps.push(seen);
            abi::OK
        })
    }
}

unsafe extern "C" fn step_end(call: *mut abi::Call, step: Bytes, memo: Bytes) -> Status {
    // SAFETY: as above.
    unsafe {
        let (call, Some(name), Some(memo)) = (call_of(call), step.text(), memo.get()) else {
            return abi::E_INVALID;
        };
        if memo.len() > MEMO_BYTES_MAX {
            return abi::E_TOO_LARGE;
        }
        call.ask(|| {
            call.state.step_end(call.event_id, name, memo);
            abi::OK
        })
    }
}

unsafe extern "C" fn step_key(call: *mut abi::Call, step: Bytes, key: *mut Bytes) -> Status {
    // SAFETY: as above.
    unsafe {
        let (call, Some(name)) = (call_of(call), step.text()) else { return abi::E_INVALID };
        call.ask(|| {
            *key = call.lend(call.key(name).into_bytes());
            abi::OK
        })
    }
}

unsafe extern "C" fn kv_get(
    ctx: *mut abi::Ctx,
    call: *mut abi::Call,
    key: Bytes,
    val: *mut Bytes,
    version: *mut u64,
) -> Status {
    // SAFETY: as above.
    unsafe {
        let Some(key) = key.get() else { return abi::E_INVALID };
        let call = call_of(call);
        call.ask(|| {
            let Some((value, found)) = state_of(ctx).kv_get(key) else { return abi::E_NOT_FOUND };
            *val = call.lend(value);
            *version = found;
            abi::OK
        })
    }
}

unsafe extern "C" fn kv_put(
    ctx: *mut abi::Ctx,
    call: *mut abi::Call,
    key: Bytes,
    val: Bytes,
    expect: u64,
) -> Status {
    // SAFETY: as above.
    unsafe {
        let (Some(key), Some(value)) = (key.get(), val.get()) else { return abi::E_INVALID };
        if key.len() > KEY_BYTES_MAX || value.len() > MEMO_BYTES_MAX {
            return abi::E_TOO_LARGE;
        }
        call_of(call).ask(|| state_of(ctx).kv_put(key, value, expect))
    }
}

unsafe extern "C" fn secret(
    ctx: *mut abi::Ctx,
    call: *mut abi::Call,
    name: Bytes,
    val: *mut Bytes,
) -> Status {
    // SAFETY: as above; secrets live as long as the bench.
    unsafe {
        let Some(name) = name.text() else { return abi::E_INVALID };
        let lend = || {
            let Some(value) = state_of(ctx).secret(name) else { return abi::E_NOT_FOUND };
            *val = Bytes::of(value.as_bytes());
            abi::OK
        };
        if call.is_null() { lend() } else { call_of(call).ask(lend) }
    }
}
