//! Loads one library and holds it to the ABI: every check of the descriptor that can be made before its code runs, each
//! with its own sentence. Called by `run` on the child's main thread, and by `inline` on a thread of the instance's own.
//!
//! A library is never unloaded: unloading is not dependable (thread-local destructors, runtimes of its own). A child's
//! process ends soon anyway; the daemon asks for a restart where too many are left in it.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use hookyard_plugin::abi::{self, Bytes};
use libloading::os::unix::{Library as Loaded, RTLD_LOCAL, RTLD_NOW};

use crate::protocol::{Facts, Stage};

/// Room for a plugin's sentence when it refuses.
const ERR_BYTES: usize = 4 * 1024;
/// A plugin's id, version and build info, each.
const WORD_BYTES_MAX: usize = 512;
/// Keeps the library mapped whatever happens; libloading has no name for it.
#[cfg(target_os = "macos")]
const RTLD_NODELETE: c_int = 0x80;
#[cfg(not(target_os = "macos"))]
const RTLD_NODELETE: c_int = 0x1000;

/// Why a library is no plugin for this hookyard.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("the library {named} cannot be loaded: {why}")]
    Open { named: String, why: String },
    #[error(
        "the library {named} is no hookyard plugin: it does not export the function `{}`; \
         in Rust, name the handler in hookyard_plugin::export!",
        abi::SYMBOL
    )]
    NoSymbol { named: String },
    #[error("the plugin's `{}` returned NULL instead of a descriptor", abi::SYMBOL)]
    NoDescriptor,
    #[error(
        "the plugin's descriptor is {size} bytes and ABI {}.0 needs {}: build it against this hookyard's header",
        abi::ABI_MAJOR, size_of::<abi::Plugin>()
    )]
    TooSmall { size: u32 },
    #[error(
        "the plugin was built for ABI {major}.{minor} and this hookyard speaks {}.{}: build it against this hookyard's header",
        abi::ABI_MAJOR,
        abi::ABI_MINOR
    )]
    Major { major: u16, minor: u16 },
    #[error(
        "the plugin needs a hookyard of ABI {}.{need} or newer and this one has {}.{}: update hookyard",
        abi::ABI_MAJOR,
        abi::ABI_MAJOR,
        abi::ABI_MINOR
    )]
    HostTooOld { need: u16 },
    #[error(
        "the plugin's descriptor has {field} = {value:#x}, where this hookyard's ABI {}.{} knows only {known:#x}",
        abi::ABI_MAJOR,
        abi::ABI_MINOR
    )]
    Reserved { field: &'static str, value: u32, known: u32 },
    #[error("the plugin's descriptor has no function `{field}`")]
    NoFunction { field: &'static str },
    #[error("the plugin's {field} is not text: it must be UTF-8 of at most {} bytes", WORD_BYTES_MAX)]
    NotText { field: &'static str },
    #[error("the plugin's id is empty: give it a reverse domain name, such as com.example.sumo")]
    NoId,
}

/// Why a plugin made no instance: what it said.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) stage: Stage,
    pub(crate) why: String,
}

/// Where a library is.
#[derive(Debug)]
pub(crate) struct Source<'source> {
    /// A file in memory, which stays open as long as this process lives: who looks into the process by this descriptor, as
    /// backtraces do, must find the library and nothing else.
    pub(crate) in_memory: Option<BorrowedFd<'source>>,
    /// The same bytes in a file.
    pub(crate) path: &'source Path,
    /// How people know it.
    pub(crate) named: &'source str,
}

/// A loaded plugin.
#[derive(Debug)]
pub(crate) struct Library {
    plugin: abi::Plugin,
    facts: Facts,
}

/// A plugin's instance. Calls of [`Self::handle`] may run at once.
#[derive(Debug)]
pub(crate) struct Instance {
    handle: abi::HandleFn,
    destroy: abi::DestroyFn,
    pointer: *mut c_void,
}

// SAFETY: the ABI lets an instance be called from any thread, several at once (R9).
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Library {
    /// Loads the library and checks its descriptor. Runs the library's constructors, so its bytes are trusted by now.
    pub(crate) fn open(source: &Source<'_>) -> Result<Self, LoadError> {
        let named = || source.named.to_owned();
        let library = load(source).map_err(|why| LoadError::Open { named: named(), why })?;
        // SAFETY: by contract (and by its name, which holds the major) the symbol is a function of this type.
        let symbol = unsafe { library.get::<abi::PluginFn>(abi::SYMBOL) };
        let symbol = symbol.map_err(|_| LoadError::NoSymbol { named: named() })?;
        // SAFETY: the function takes nothing and returns NULL or a static descriptor that begins with its size.
        let descriptor = unsafe { abi::read(symbol()) };
        // Never unloaded; see the head.
        std::mem::forget(library);
        Self::check(descriptor.ok_or(LoadError::NoDescriptor)?)
    }

    /// Checks a descriptor that was copied from a library which stays loaded.
    fn check(plugin: abi::Plugin) -> Result<Self, LoadError> {
        if plugin.abi_major != abi::ABI_MAJOR {
            return Err(LoadError::Major { major: plugin.abi_major, minor: plugin.abi_minor });
        }
        if (plugin.size as usize) < size_of::<abi::Plugin>() {
            return Err(LoadError::TooSmall { size: plugin.size });
        }
        if plugin.min_host_minor > abi::ABI_MINOR {
            return Err(LoadError::HostTooOld { need: plugin.min_host_minor });
        }
        if plugin.reserved0 != 0 {
            return Err(LoadError::Reserved { field: "reserved0", value: plugin.reserved0.into(), known: 0 });
        }
        if plugin.flags & !abi::F_KNOWN != 0 {
            return Err(LoadError::Reserved { field: "flags", value: plugin.flags, known: abi::F_KNOWN });
        }
        if plugin.create.is_none() {
            return Err(LoadError::NoFunction { field: "create" });
        }
        if plugin.handle.is_none() {
            return Err(LoadError::NoFunction { field: "handle" });
        }
        if plugin.destroy.is_none() {
            return Err(LoadError::NoFunction { field: "destroy" });
        }
        let facts = Facts {
            id: word("id", plugin.id)?,
            version: word("version", plugin.version)?,
            build_info: word("build_info", plugin.build_info)?,
            abi_minor: plugin.abi_minor,
            serial: plugin.flags & abi::F_SERIAL != 0,
            panic_aborts: plugin.flags & abi::F_PANIC_ABORTS != 0,
            needs_isolation: plugin.flags & abi::F_NEEDS_ISOLATION != 0,
        };
        if facts.id.is_empty() {
            return Err(LoadError::NoId);
        }
        Ok(Self { plugin, facts })
    }

    /// What the library says of itself.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Lets the plugin look at the settings, then makes its instance.
    pub(crate) fn create(
        &self,
        host: &'static abi::Host,
        ctx: *mut abi::Ctx,
        settings_json: &str,
    ) -> Result<Instance, Refused> {
        let settings = Bytes::of(settings_json.as_bytes());
        let mut err = [0; ERR_BYTES];
        if let Some(check_config) = self.plugin.check_config {
            // SAFETY: the plugin's own function; settings and err outlive the call.
            let status = unsafe { check_config(settings, err.as_mut_ptr(), err.len()) };
            refused(Stage::Settings, status, &mut err)?;
        }
        let (Some(create), Some(handle), Some(destroy)) =
            (self.plugin.create, self.plugin.handle, self.plugin.destroy)
        else {
            unreachable!("check() refused the descriptor");
        };
        let mut pointer = std::ptr::null_mut();
        // SAFETY: as above; the host table is static, and ctx is opaque.
        let status = unsafe { create(host, ctx, settings, &raw mut pointer, err.as_mut_ptr(), err.len()) };
        refused(Stage::Create, status, &mut err)?;
        Ok(Instance { handle, destroy, pointer })
    }
}

impl Instance {
    /// Handles one event; returns what the plugin returned.
    ///
    /// # Safety
    /// `call` is alive at the host, and every pointer in `event` lives, until this returns.
    pub(crate) unsafe fn handle(&self, call: *mut abi::Call, event: &abi::Event) -> i32 {
        // SAFETY: the instance is alive (destroy takes self); the rest is the caller's promise.
        unsafe { (self.handle)(self.pointer, call, event) }
    }

    /// Ends the instance. No call of [`Self::handle`] can be running: this takes the instance itself.
    pub(crate) fn destroy(self) {
        // SAFETY: called once, after the last handle.
        unsafe { (self.destroy)(self.pointer) };
    }
}

fn refused(stage: Stage, status: abi::Status, err: &mut [c_char; ERR_BYTES]) -> Result<(), Refused> {
    if status == abi::OK {
        return Ok(());
    }
    err[ERR_BYTES - 1] = 0;
    // SAFETY: err ends with a NUL, now at the latest.
    let said = unsafe { CStr::from_ptr(err.as_ptr()) }.to_string_lossy();
    let why =
        if said.is_empty() { format!("it gave no reason (status {status})") } else { said.into_owned() };
    Err(Refused { stage, why })
}

fn word(field: &'static str, bytes: Bytes) -> Result<String, LoadError> {
    // SAFETY: the descriptor's texts live as long as the library, which is never unloaded.
    let text = unsafe { bytes.text() }.filter(|text| text.len() <= WORD_BYTES_MAX);
    text.map(str::to_owned).ok_or(LoadError::NotText { field })
}

/// Loads the library out of memory, or else by its path, as where a policy of the system allows no code in memory files.
fn load(source: &Source<'_>) -> Result<Loaded, String> {
    let in_memory = source.in_memory.map(|file| PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())));
    let refused = match in_memory.map(|path| open(&path)) {
        Some(Ok(library)) => return Ok(library),
        Some(Err(why)) => Some(why),
        None => None,
    };
    open(source.path).map_err(|why| match refused {
        Some(refused) if refused != why => format!("{why} (and as a file in memory: {refused})"),
        _ => why,
    })
}

fn open(path: &Path) -> Result<Loaded, String> {
    // SAFETY: the constructors that run here are the plugin's own, in a process that is the plugin's own, or that the
    // operator has it share.
    let library = unsafe { Loaded::open(Some(path), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) };
    library.map_err(|error| without_path(&error, path))
}

/// dlopen's words, without the path that they begin with.
fn without_path(error: &libloading::Error, path: &Path) -> String {
    let text = match error {
        libloading::Error::DlOpen { source } => source.to_string(),
        other => other.to_string(),
    };
    let path = format!("{}: ", path.display());
    text.strip_prefix(&path).unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests;
