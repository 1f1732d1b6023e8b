//! The plugin ABI, as `include/hookyard_plugin.h` says it: the layout of what crosses the boundary, and nothing else.
//!
//! The header is the contract and tells what each field means; this is its mirror, used by the SDK (one side) and by
//! the plugin host (the other). `tests/header.rs` compiles the header and compares every size and offset with these.

pub mod http;

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;

/// The major version; also in the symbol's name.
pub const ABI_MAJOR: u16 = 1;
/// The minor version: one more for each append.
pub const ABI_MINOR: u16 = 0;
/// The name of the one symbol that a plugin exports, of type [`PluginFn`].
pub const SYMBOL: &str = "hookyard_plugin_v1";

/// What became of a call across the boundary.
pub type Status = i32;
/// It worked.
pub const OK: Status = 0;
/// An argument breaks the contract.
pub const E_INVALID: Status = -1;
/// There is none.
pub const E_NOT_FOUND: Status = -2;
/// Above a limit.
pub const E_TOO_LARGE: Status = -3;
/// The deadline has passed, or the host is stopping.
pub const E_CANCELLED: Status = -4;
/// The host could not do it; its log says why.
pub const E_IO: Status = -5;
/// Not offered.
pub const E_UNSUPPORTED: Status = -6;
/// The version was another one.
pub const E_CONFLICT: Status = -7;
/// Caught at the plugin's boundary.
pub const E_PANIC: Status = -8;
/// The settings are wrong.
pub const E_CONFIG: Status = -9;

/// Finished: never deliver again.
pub const DONE: i32 = 1;
/// Again, later.
pub const RETRY: i32 = 2;
/// A permanent failure.
pub const REJECT: i32 = 3;
/// Not for this handler.
pub const IGNORE: i32 = 4;

/// The step was never begun.
pub const STEP_RUN: u32 = 0;
/// The step was finished before.
pub const STEP_DONE: u32 = 1;
/// The step was begun and never ended.
pub const STEP_UNSURE: u32 = 2;

/// Never call `handle` of one instance from two threads at once.
pub const F_SERIAL: u32 = 1 << 0;
/// A panic ends the process.
pub const F_PANIC_ABORTS: u32 = 1 << 1;
/// Wants a process for itself: it brings a runtime of its own, or what locks by process, as SQLite does.
pub const F_NEEDS_ISOLATION: u32 = 1 << 2;
/// Every flag that this version knows.
pub const F_KNOWN: u32 = F_SERIAL | F_PANIC_ABORTS | F_NEEDS_ISOLATION;

/// `kv_put`: there must be no such key.
pub const EXPECT_ABSENT: u64 = 0;
/// `kv_put`: whatever stands there.
pub const EXPECT_ANYTHING: u64 = u64::MAX;

/// Borrowed bytes (`hookyard_bytes`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Bytes {
    pub ptr: *const u8,
    pub len: usize,
}

/// A header, or a field of a log line (`hookyard_pair`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    pub key: Bytes,
    pub val: Bytes,
}

/// The host's own (`hookyard_ctx`).
#[repr(C)]
#[derive(Debug)]
pub struct Ctx {
    _opaque: [u8; 0],
}

/// The host's own, for one call of `handle` (`hookyard_call`).
#[repr(C)]
#[derive(Debug)]
pub struct Call {
    _opaque: [u8; 0],
}

/// `hookyard_event`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Event {
    pub size: u32,
    pub attempt: u32,
    pub received_unix_ms: u64,
    pub event_id: Bytes,
    pub source: Bytes,
    pub topic: Bytes,
    pub rule: Bytes,
    pub content_type: Bytes,
    pub body: Bytes,
    pub headers: *const Pair,
    pub header_count: usize,
}

/// `hookyard_detail`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Detail {
    pub size: u32,
    pub reserved0: u32,
    pub retry_after_ms: u64,
    pub code: Bytes,
    pub message: Bytes,
    pub result: Bytes,
}

/// Tells whether a log line of this level would be kept.
pub type LogEnabledFn = unsafe extern "C" fn(*mut Ctx, u32) -> i32;
/// Takes a log line.
pub type LogFn = unsafe extern "C" fn(*mut Ctx, *mut Call, u32, Bytes, *const Pair, usize);
/// Takes a measurement.
pub type MetricFn = unsafe extern "C" fn(*mut Ctx, u32, Bytes, f64, *const Pair, usize);
/// Milliseconds left.
pub type RemainingMsFn = unsafe extern "C" fn(*mut Call) -> u64;
/// Takes what is said beside the outcome.
pub type ExplainFn = unsafe extern "C" fn(*mut Call, *const Detail) -> Status;
/// Begins a step.
pub type StepBeginFn = unsafe extern "C" fn(*mut Call, Bytes, *mut u32, *mut Bytes) -> Status;
/// Ends a step.
pub type StepEndFn = unsafe extern "C" fn(*mut Call, Bytes, Bytes) -> Status;
/// A step's idempotency key.
pub type StepKeyFn = unsafe extern "C" fn(*mut Call, Bytes, *mut Bytes) -> Status;
/// Reads a key-value pair.
pub type KvGetFn = unsafe extern "C" fn(*mut Ctx, *mut Call, Bytes, *mut Bytes, *mut u64) -> Status;
/// Writes a key-value pair.
pub type KvPutFn = unsafe extern "C" fn(*mut Ctx, *mut Call, Bytes, Bytes, u64) -> Status;
/// Reads a secret.
pub type SecretFn = unsafe extern "C" fn(*mut Ctx, *mut Call, Bytes, *mut Bytes) -> Status;
/// A table of more functions.
pub type HostExtensionFn = unsafe extern "C" fn(*mut Ctx, Bytes) -> *const c_void;

/// `hookyard_host`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Host {
    pub size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub log_enabled: Option<LogEnabledFn>,
    pub log: Option<LogFn>,
    pub metric: Option<MetricFn>,
    pub remaining_ms: Option<RemainingMsFn>,
    pub explain: Option<ExplainFn>,
    pub step_begin: Option<StepBeginFn>,
    pub step_end: Option<StepEndFn>,
    pub step_key: Option<StepKeyFn>,
    pub kv_get: Option<KvGetFn>,
    pub kv_put: Option<KvPutFn>,
    pub secret: Option<SecretFn>,
    pub extension: Option<HostExtensionFn>,
}

/// Makes an instance.
pub type CreateFn =
    unsafe extern "C" fn(*const Host, *mut Ctx, Bytes, *mut *mut c_void, *mut c_char, usize) -> Status;
/// Works on one event.
pub type HandleFn = unsafe extern "C" fn(*mut c_void, *mut Call, *const Event) -> i32;
/// Ends an instance.
pub type DestroyFn = unsafe extern "C" fn(*mut c_void);
/// Looks at settings.
pub type CheckConfigFn = unsafe extern "C" fn(Bytes, *mut c_char, usize) -> Status;
/// A table of more functions.
pub type PluginExtensionFn = unsafe extern "C" fn(*mut c_void, Bytes) -> *const c_void;

/// `hookyard_plugin`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Plugin {
    pub size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub min_host_minor: u16,
    pub reserved0: u16,
    pub flags: u32,
    pub id: Bytes,
    pub version: Bytes,
    pub build_info: Bytes,
    pub config_schema: Bytes,
    pub create: Option<CreateFn>,
    pub handle: Option<HandleFn>,
    pub destroy: Option<DestroyFn>,
    pub check_config: Option<CheckConfigFn>,
    pub extension: Option<PluginExtensionFn>,
}

/// The type of the one exported symbol.
pub type PluginFn = unsafe extern "C" fn() -> *const Plugin;

// SAFETY: a descriptor is read only, and its pointers are to static data.
unsafe impl Sync for Plugin {}
// SAFETY: as above.
unsafe impl Send for Plugin {}

impl Plugin {
    /// The same, with these flags too.
    pub const fn and_flags(self, more: u32) -> Self {
        Self { flags: self.flags | more, ..self }
    }
}

impl Bytes {
    /// No bytes.
    pub const EMPTY: Self = Self { ptr: std::ptr::null(), len: 0 };

    /// The bytes of a text that lives for ever.
    pub const fn of_static(text: &'static str) -> Self {
        Self { ptr: text.as_ptr(), len: text.len() }
    }

    /// Points at `bytes`; the caller sees to it that they outlive the use.
    pub fn of(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes, or `None` where the contract is broken: NULL with a length, or a length that no memory has.
    ///
    /// # Safety
    /// `ptr` points at `len` readable bytes that live, unchanged, for `'a`.
    pub unsafe fn get<'a>(self) -> Option<&'a [u8]> {
        if self.len == 0 {
            return Some(&[]);
        }
        if self.ptr.is_null() || isize::try_from(self.len).is_err() {
            return None;
        }
        // SAFETY: not NULL, not above isize::MAX; the rest is the caller's promise.
        Some(unsafe { std::slice::from_raw_parts(self.ptr, self.len) })
    }

    /// The bytes as text, or `None` where they are not UTF-8 or the contract is broken.
    ///
    /// # Safety
    /// As [`Self::get`].
    pub unsafe fn text<'a>(self) -> Option<&'a str> {
        // SAFETY: the caller's promise.
        unsafe { self.get() }.and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}

impl Pair {
    /// `count` pairs, or `None` where the contract is broken: NULL with a count, or a count that no memory has.
    ///
    /// # Safety
    /// `pairs` points at `count` readable pairs that live, unchanged, for `'a`.
    pub unsafe fn slice<'a>(pairs: *const Self, count: usize) -> Option<&'a [Self]> {
        if count == 0 {
            return Some(&[]);
        }
        if pairs.is_null()
            || count.checked_mul(size_of::<Self>()).is_none_or(|size| isize::try_from(size).is_err())
        {
            return None;
        }
        // SAFETY: not NULL, not above isize::MAX bytes; the rest is the caller's promise.
        Some(unsafe { std::slice::from_raw_parts(pairs, count) })
    }

    /// Key and value as text, or `None` as [`Bytes::text`] says it.
    ///
    /// # Safety
    /// As [`Bytes::get`], for both.
    pub unsafe fn texts<'a>(self) -> Option<(&'a str, &'a str)> {
        // SAFETY: the caller's promise.
        unsafe { Some((self.key.text()?, self.val.text()?)) }
    }
}

/// A struct that begins with its size and may grow (R1).
///
/// # Safety
/// `repr(C)`, the first field is a `u32` size in bytes, and all-zero bytes are a valid value.
pub unsafe trait SizePrefixed: Copy {}

// SAFETY: numbers, pointers and Bytes after a u32 size.
unsafe impl SizePrefixed for Event {}
// SAFETY: as above.
unsafe impl SizePrefixed for Detail {}
// SAFETY: as above; Option<fn> is None when zero.
unsafe impl SizePrefixed for Host {}
// SAFETY: as above.
unsafe impl SizePrefixed for Plugin {}

/// Reads what the other side built: as much as both know, the rest zero (R1). A field that is cut in half is zero.
/// `None` for NULL. The copy's `size` is what the other side said.
///
/// # Safety
/// `from` is NULL or points at a `T` of which at least the first `size` bytes are readable.
pub unsafe fn read<T: SizePrefixed>(from: *const T) -> Option<T> {
    if from.is_null() {
        return None;
    }
    // SAFETY: every such struct begins with a u32 size.
    let size = unsafe { from.cast::<u32>().read() } as usize;
    let whole_words = size - size % align_of::<usize>();
    let mut out = MaybeUninit::<T>::zeroed();
    let known = whole_words.clamp(size_of::<u32>(), size_of::<T>());
    // SAFETY: `known` is within both; a valid struct's first four bytes are there even where size says less.
    unsafe { std::ptr::copy_nonoverlapping(from.cast::<u8>(), out.as_mut_ptr().cast::<u8>(), known) };
    // SAFETY: zero is a valid value for every field (SizePrefixed), and whole fields were copied over it.
    Some(unsafe { out.assume_init() })
}

/// Writes what the other side makes room for: as much as both know (R1). Its `size` stays what it said. `false` for NULL.
///
/// # Safety
/// `to` is NULL or points at a `T` of which at least the first `size` bytes are writable.
pub unsafe fn write<T: SizePrefixed>(to: *mut T, value: &T) -> bool {
    if to.is_null() {
        return false;
    }
    // SAFETY: every such struct begins with a u32 size.
    let size = unsafe { to.cast::<u32>().read() } as usize;
    let whole_words = size - size % align_of::<usize>();
    let known = whole_words.clamp(size_of::<u32>(), size_of::<T>());
    let (from, after) = (std::ptr::from_ref(value).cast::<u8>(), size_of::<u32>());
    // SAFETY: `known` is within both, and is at least the size, which is left as it stands.
    unsafe { std::ptr::copy_nonoverlapping(from.add(after), to.cast::<u8>().add(after), known - after) };
    true
}

/// `size_of` as the `u32` that the structs begin with.
pub const fn size_of_u32<T>() -> u32 {
    let size = size_of::<T>();
    assert!(size <= u32::MAX as usize);
    size as u32
}
