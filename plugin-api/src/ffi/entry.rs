//! What the host calls: the functions of the descriptor, one set for each [`Handler`] type. Each catches panics.

use std::ffi::{c_char, c_void};

#[cfg(any(feature = "tracing", feature = "log"))]
use super::current::within;
use super::host::HostTable;
use super::panic::guard;
use crate::abi::{self, Bytes, Status};
use crate::{CreateError, Cx, Event, Handler, HandlerSettings, Host, Level};

const BUILD_INFO: &str = concat!("hookyard-plugin ", env!("CARGO_PKG_VERSION"), " (Rust)");

/// A handler and the host that it was made with: what `instance` points at.
struct Instance<H> {
    handler: H,
    host: HostTable,
}

/// The descriptor of a handler type; `schema` is the JSON Schema of its settings, or empty. For [`crate::export!`].
pub const fn descriptor<H: Handler>(
    id: &'static str,
    version: &'static str,
    schema: &'static str,
) -> abi::Plugin {
    abi::Plugin {
        size: abi::size_of_u32::<abi::Plugin>(),
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        min_host_minor: 0,
        reserved0: 0,
        flags: if cfg!(panic = "abort") { abi::F_PANIC_ABORTS } else { 0 },
        id: Bytes::of_static(id),
        version: Bytes::of_static(version),
        build_info: Bytes::of_static(BUILD_INFO),
        config_schema: if schema.is_empty() { Bytes::EMPTY } else { Bytes::of_static(schema) },
        create: Some(create::<H>),
        handle: Some(handle::<H>),
        destroy: Some(destroy::<H>),
        check_config: Some(check_config::<H>),
        extension: None,
    }
}

unsafe extern "C" fn create<H: Handler>(
    host: *const abi::Host,
    ctx: *mut abi::Ctx,
    config_json: Bytes,
    instance: *mut *mut c_void,
    err: *mut c_char,
    err_cap: usize,
) -> Status {
    let made = guard(|| {
        // SAFETY: the ABI's promise for these arguments.
        let host = unsafe { HostTable::new(host, ctx) }.map_err(|why| (abi::E_UNSUPPORTED, why))?;
        // SAFETY: the settings are lent until create returns.
        let settings = unsafe { settings::<H>(config_json) }.map_err(|why| (abi::E_CONFIG, why))?;
        #[cfg(any(feature = "tracing", feature = "log"))]
        crate::forward::install();
        let create = || H::create(settings, &Host { table: &host });
        let handler = within(&host, std::ptr::null_mut(), create)
            .map_err(|error| (abi::E_IO, error.message().to_owned()))?;
        Ok(Box::new(Instance { handler, host }))
    });
    match made {
        Ok(Ok(made)) => {
            // SAFETY: instance is a place for one pointer (ABI).
            unsafe { *instance = Box::into_raw(made).cast() };
            abi::OK
        }
        Ok(Err((status, why))) => {
            // SAFETY: err has room for err_cap bytes (ABI).
            unsafe { tell(err, err_cap, &why) };
            status
        }
        Err(words) => {
            // SAFETY: as above.
            unsafe { tell(err, err_cap, &format!("the plugin panicked: {words}")) };
            abi::E_PANIC
        }
    }
}

unsafe extern "C" fn handle<H: Handler>(
    instance: *mut c_void,
    call: *mut abi::Call,
    event: *const abi::Event,
) -> i32 {
    // SAFETY: instance came from create and is not yet destroyed; it is only ever shared (H: Sync).
    let Some(instance) = (unsafe { instance.cast::<Instance<H>>().as_ref() }) else {
        return abi::E_INVALID;
    };
    let table = instance.host.call(call);
    let said = guard(|| {
        // SAFETY: the event is lent until handle returns.
        let Some(event) = (unsafe { borrow_event(event) }) else {
            table.log(
                Level::Error,
                "the event breaks the plugin ABI: a text is not UTF-8 or a pointer is NULL",
                &[],
            );
            return abi::E_INVALID;
        };
        let handle = || instance.handler.handle(&event, &Cx { call: table });
        table.conclude(within(&instance.host, call, handle))
    });
    said.unwrap_or_else(|words| {
        table.log(Level::Error, "the plugin panicked", &[("panic", &words)]);
        table.explain(0, "panic", &format!("the plugin panicked: {words}"), "");
        abi::E_PANIC
    })
}

unsafe extern "C" fn destroy<H: Handler>(instance: *mut c_void) {
    if instance.is_null() {
        return;
    }
    // SAFETY: instance came from create's Box::into_raw, and destroy is called once, after the last handle.
    let Instance { handler, host } = *unsafe { Box::from_raw(instance.cast::<Instance<H>>()) };
    if let Err(words) = guard(move || drop(handler)) {
        host.log(None, Level::Error, "the plugin panicked while it was destroyed", &[("panic", &words)]);
    }
}

unsafe extern "C" fn check_config<H: Handler>(
    config_json: Bytes,
    err: *mut c_char,
    err_cap: usize,
) -> Status {
    // SAFETY: the settings are lent until check_config returns.
    let checked = guard(|| unsafe { settings::<H>(config_json) }.map(drop));
    let (status, why) = match checked {
        Ok(Ok(())) => return abi::OK,
        Ok(Err(why)) => (abi::E_CONFIG, why),
        Err(words) => (abi::E_PANIC, format!("the plugin panicked: {words}")),
    };
    // SAFETY: err has room for err_cap bytes (ABI).
    unsafe { tell(err, err_cap, &why) };
    status
}

/// Nothing asks whom this thread works for.
#[cfg(not(any(feature = "tracing", feature = "log")))]
fn within<T>(_: &HostTable, _: *mut abi::Call, work: impl FnOnce() -> T) -> T {
    work()
}

/// Reads and checks the settings.
///
/// # Safety
/// As [`Bytes::get`].
unsafe fn settings<H: Handler>(config_json: Bytes) -> Result<H::Settings, String> {
    // SAFETY: the caller's promise.
    let json = unsafe { config_json.get() }.ok_or("hookyard passed no settings")?;
    let settings = H::Settings::read(json).map_err(|error| format!("the settings are wrong: {error}"))?;
    H::check(&settings).map_err(|error: CreateError| error.message().to_owned())?;
    Ok(settings)
}

/// The event as safe borrows, or `None` where it breaks the contract.
///
/// # Safety
/// `event` is an event as the header describes, unchanged for `'a`.
unsafe fn borrow_event<'a>(event: *const abi::Event) -> Option<Event<'a>> {
    // SAFETY: the caller's promise, for this and for each field.
    unsafe {
        let raw = abi::read(event)?;
        let headers = abi::Pair::slice(raw.headers, raw.header_count)?;
        Some(Event {
            id: raw.event_id.text()?,
            source: raw.source.text()?,
            event_type: raw.topic.text()?,
            rule: raw.rule.text()?,
            attempt: raw.attempt,
            received_unix_ms: raw.received_unix_ms,
            content_type: raw.content_type.text()?,
            body: raw.body.get()?,
            headers: headers.iter().map(|pair| pair.texts()).collect::<Option<_>>()?,
        })
    }
}

/// Writes a sentence and the NUL that ends it, cut to what fits.
///
/// # Safety
/// `err` is NULL or has room for `cap` bytes.
unsafe fn tell(err: *mut c_char, cap: usize, sentence: &str) {
    if err.is_null() || cap == 0 {
        return;
    }
    let fits = sentence.floor_char_boundary(cap - 1);
    // SAFETY: fits + 1 <= cap bytes are written.
    unsafe {
        std::ptr::copy_nonoverlapping(sentence.as_ptr(), err.cast::<u8>(), fits);
        *err.add(fits) = 0;
    }
}
