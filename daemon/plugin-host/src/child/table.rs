//! The host table: the functions that the plugin calls. Each copies what it is handed, asks the daemon over the link,
//! and lends the answer from the call's arena. `ctx` and `call` are numbers dressed as pointers and never followed.

use std::ffi::c_void;
use std::sync::Arc;

use hookyard_plugin::abi::{self, Bytes, Pair, Status};

use super::Child;
use super::calls::{Arena, CallState};
use super::http::HTTP;
use super::registry::{call_of, child_of};
use crate::library::Instance;
use crate::protocol::{Ask, Blob, Detail, FIELD_BYTES_MAX, FromChild, LOG_FIELDS_MAX, Reply, TEXT_BYTES_MAX};

/// What the plugin is handed. No metrics yet: NULL is "not offered".
pub(crate) static HOST: abi::Host = abi::Host {
    size: abi::size_of_u32::<abi::Host>(),
    abi_major: abi::ABI_MAJOR,
    abi_minor: abi::ABI_MINOR,
    log_enabled: Some(log_enabled),
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

const WARN: u32 = 3;
const ERROR: u32 = 4;

/// Runs the plugin's `handle` on a call.
pub(super) fn handle(instance: &Instance, call: &CallState) -> i32 {
    let wire = &call.wire;
    let headers: Vec<Pair> = wire
        .headers
        .iter()
        .map(|(key, val)| Pair { key: Bytes::of(key.as_bytes()), val: Bytes::of(val.as_bytes()) })
        .collect();
    let event = abi::Event {
        size: abi::size_of_u32::<abi::Event>(),
        attempt: wire.attempt,
        received_unix_ms: wire.received_unix_ms,
        event_id: Bytes::of(wire.event_id.as_bytes()),
        source: Bytes::of(wire.source.as_bytes()),
        topic: Bytes::of(wire.event_type.as_bytes()),
        rule: Bytes::of(wire.rule.as_bytes()),
        content_type: Bytes::of(wire.content_type.as_bytes()),
        body: Bytes::of(&wire.body.0),
        headers: headers.as_ptr(),
        header_count: headers.len(),
    };
    // SAFETY: the call is in the registry until the worker ends it; wire and headers outlive this.
    unsafe { instance.handle(call.pointer(), &event) }
}

extern "C" fn log_enabled(ctx: *mut abi::Ctx, level: u32) -> i32 {
    child_of(ctx).is_some_and(|child| level >= child.level).into()
}

unsafe extern "C" fn log(
    ctx: *mut abi::Ctx,
    call: *mut abi::Call,
    level: u32,
    message: Bytes,
    fields: *const Pair,
    field_count: usize,
) {
    let running = call_of(call);
    let child = running.as_ref().map(|call| Arc::clone(&call.child)).or_else(|| child_of(ctx));
    let Some(child) = child.filter(|child| level >= child.level) else { return };
    let count = field_count.min(LOG_FIELDS_MAX);
    // SAFETY: the plugin passes field_count pairs, and bytes that live until this returns (ABI).
    let (message, fields) = unsafe {
        let fields = Pair::slice(fields, count)
            .unwrap_or_default()
            .iter()
            .map(|pair| (text_of(pair.key), text_of(pair.val)))
            .collect();
        (text_of(message), fields)
    };
    let call = running.map(|call| call.wire.call);
    say(&child, call, level.min(ERROR), message, fields);
}

extern "C" fn remaining_ms(call: *mut abi::Call) -> u64 {
    // A call that has ended has no time left.
    call_of(call).map_or(0, |call| u64::try_from(call.remaining().as_millis()).unwrap_or(u64::MAX))
}

unsafe extern "C" fn explain(call: *mut abi::Call, detail: *const abi::Detail) -> Status {
    let Some(call) = call_of(call) else { return abi::E_INVALID };
    // SAFETY: NULL or a detail that lives, as its bytes do, until this returns (ABI).
    let (detail, result) = unsafe {
        let Some(raw) = abi::read(detail).filter(|raw| raw.reserved0 == 0) else { return abi::E_INVALID };
        let Some(result) = raw.result.text() else { return abi::E_INVALID };
        let (code, message) = (text_of(raw.code), text_of(raw.message));
        (Detail { retry_after_ms: raw.retry_after_ms, code, message, result: String::new() }, result)
    };
    if result.len() > FIELD_BYTES_MAX {
        let words = format!("the plugin's result of {} bytes was left out: it is too large", result.len());
        say(&call.child, Some(call.wire.call), WARN, words, Vec::new());
        call.explain(detail);
        return abi::OK;
    }
    call.explain(Detail { result: result.to_owned(), ..detail });
    abi::OK
}

unsafe extern "C" fn step_begin(
    call: *mut abi::Call,
    step: Bytes,
    state: *mut u32,
    memo: *mut Bytes,
) -> Status {
    let Some(call) = call_of(call) else { return abi::E_INVALID };
    if state.is_null() || memo.is_null() {
        return abi::E_INVALID;
    }
    // SAFETY: the plugin's bytes live until this returns.
    let step = match unsafe { name_of(step) } {
        Ok(step) => step,
        Err(status) => return status,
    };
    if call.remaining().is_zero() {
        return abi::E_CANCELLED;
    }
    let (found, bytes) = match call.ask(Ask::StepBegin { step }) {
        Reply::StepRun => (abi::STEP_RUN, Vec::new()),
        Reply::StepDone(Blob(bytes)) => (abi::STEP_DONE, bytes),
        Reply::StepUnsure => (abi::STEP_UNSURE, Vec::new()),
        other => return refusal(&other),
    };
    // SAFETY: not NULL, and each a place for its kind of value (ABI).
    unsafe {
        *state = found;
        lend(&call.arena, bytes, memo)
    }
}

unsafe extern "C" fn step_end(call: *mut abi::Call, step: Bytes, memo: Bytes) -> Status {
    let Some(call) = call_of(call) else { return abi::E_INVALID };
    // SAFETY: the plugin's bytes live until this returns.
    let ask = match unsafe { (name_of(step), blob_of(memo)) } {
        (Ok(step), Ok(memo)) => Ask::StepEnd { step, memo },
        (Err(status), _) | (_, Err(status)) => return status,
    };
    match call.ask(ask) {
        Reply::Written => abi::OK,
        other => refusal(&other),
    }
}

unsafe extern "C" fn step_key(call: *mut abi::Call, step: Bytes, key: *mut Bytes) -> Status {
    let Some(call) = call_of(call) else { return abi::E_INVALID };
    if key.is_null() {
        return abi::E_INVALID;
    }
    // SAFETY: the plugin's bytes live until this returns.
    let step = match unsafe { name_of(step) } {
        Ok(step) => step,
        Err(status) => return status,
    };
    match call.ask(Ask::StepKey { step }) {
        // SAFETY: not NULL, and a place for bytes (ABI).
        Reply::Key(found) => unsafe { lend(&call.arena, found.into_bytes(), key) },
        other => refusal(&other),
    }
}

unsafe extern "C" fn kv_get(
    _: *mut abi::Ctx,
    call: *mut abi::Call,
    key: Bytes,
    val: *mut Bytes,
    version: *mut u64,
) -> Status {
    let Some(call) = call_of(call) else { return abi::E_INVALID };
    if val.is_null() || version.is_null() {
        return abi::E_INVALID;
    }
    // SAFETY: the plugin's bytes live until this returns.
    let key = match unsafe { blob_of(key) } {
        Ok(key) => key,
        Err(status) => return status,
    };
    match call.ask(Ask::KvGet { key }) {
        // SAFETY: not NULL, and each a place for its kind of value (ABI).
        Reply::Value { value, version: found } => unsafe {
            *version = found;
            lend(&call.arena, value.0, val)
        },
        other => refusal(&other),
    }
}

unsafe extern "C" fn kv_put(
    _: *mut abi::Ctx,
    call: *mut abi::Call,
    key: Bytes,
    val: Bytes,
    expect_version: u64,
) -> Status {
    let Some(call) = call_of(call) else { return abi::E_INVALID };
    // SAFETY: the plugin's bytes live until this returns.
    let ask = match unsafe { (blob_of(key), blob_of(val)) } {
        (Ok(key), Ok(value)) => Ask::KvPut { key, value, expect_version },
        (Err(status), _) | (_, Err(status)) => return status,
    };
    match call.ask(ask) {
        Reply::Written => abi::OK,
        other => refusal(&other),
    }
}

unsafe extern "C" fn secret(
    ctx: *mut abi::Ctx,
    call: *mut abi::Call,
    name: Bytes,
    val: *mut Bytes,
) -> Status {
    if val.is_null() {
        return abi::E_INVALID;
    }
    let running = call_of(call);
    let child = match &running {
        Some(call) => Some(Arc::clone(&call.child)),
        None if call.is_null() => child_of(ctx),
        None => None,
    };
    let Some(child) = child else { return abi::E_INVALID };
    // SAFETY: the plugin's bytes live until this returns.
    let name = match unsafe { name_of(name) } {
        Ok(name) => name,
        Err(status) => return status,
    };
    let arena = running.as_ref().map_or(&child.creating, |call| &call.arena);
    match child.link.ask(running.as_ref().map(|call| call.wire.call), Ask::Secret { name }) {
        // SAFETY: not NULL, and a place for bytes (ABI).
        Reply::Secret(found) => unsafe { lend(arena, found.0.into_bytes(), val) },
        other => refusal(&other),
    }
}

unsafe extern "C" fn extension(_: *mut abi::Ctx, id: Bytes) -> *const c_void {
    // SAFETY: the plugin's bytes live until this returns.
    match unsafe { id.text() } {
        Some(abi::http::ID) => (&raw const HTTP).cast(),
        _ => std::ptr::null(),
    }
}

/// A line to the daemon. A daemon that is gone needs no line.
fn say(child: &Child, call: Option<u64>, level: u32, message: String, fields: Vec<(String, String)>) {
    drop(child.link.send(FromChild::Log { call, level, message, fields }));
}

/// Lends the bytes into `place`.
///
/// # Safety
/// `place` is a place for bytes.
pub(super) unsafe fn lend(arena: &Arena, bytes: Vec<u8>, place: *mut Bytes) -> Status {
    let Some((ptr, len)) = arena.lend(bytes) else { return abi::E_TOO_LARGE };
    // SAFETY: the caller's promise.
    unsafe { *place = Bytes { ptr, len } };
    abi::OK
}

pub(super) fn refusal(reply: &Reply) -> Status {
    match reply {
        Reply::Refused(status) => *status,
        // The daemon answered another question.
        _ => abi::E_IO,
    }
}

/// A step's or secret's name: text, not above the limit.
///
/// # Safety
/// As [`Bytes::get`].
unsafe fn name_of(bytes: Bytes) -> Result<String, Status> {
    if bytes.len > FIELD_BYTES_MAX {
        return Err(abi::E_TOO_LARGE);
    }
    // SAFETY: the caller's promise.
    unsafe { bytes.text() }.map(str::to_owned).ok_or(abi::E_INVALID)
}

/// # Safety
/// As [`Bytes::get`].
unsafe fn blob_of(bytes: Bytes) -> Result<Blob, Status> {
    if bytes.len > FIELD_BYTES_MAX {
        return Err(abi::E_TOO_LARGE);
    }
    // SAFETY: the caller's promise.
    unsafe { bytes.get() }.map(|bytes| Blob(bytes.to_vec())).ok_or(abi::E_INVALID)
}

/// A text for people: cut to what is kept, with what is no UTF-8 replaced.
///
/// # Safety
/// As [`Bytes::get`].
unsafe fn text_of(bytes: Bytes) -> String {
    // SAFETY: the caller's promise.
    let bytes = unsafe { bytes.get() }.unwrap_or_default();
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_BYTES_MAX)]).into_owned();
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text
}
