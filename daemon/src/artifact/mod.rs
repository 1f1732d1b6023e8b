//! What a library's file says of itself before anything of it runs: who it is and which settings it takes (ELF notes that
//! the SDK's macro and the C header write), what it needs and exports, and what makes it unfit to be loaded.
//!
//! `host` holds a handler's settings against the schema, and `plugin inspect` and `plugin check` show the rest. Reads
//! bytes that are in memory; keeps nothing. A library without notes is a library all the same: notes are an offer.

mod elf;
mod schema;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use schema::{Property, Schema, SettingsFault};

/// The function that makes a library a plugin.
pub const ENTRY: &str = "hookyard_plugin_v1";

/// A shared library's own words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Artifact {
    /// Absent where the library was built without the notes.
    pub identity: Option<Identity>,
    /// The JSON Schema of the handler's settings.
    pub settings: Option<Schema>,
    /// The libraries that it needs, by their names.
    pub needs: Vec<String>,
    /// The functions and data that it exports.
    pub exports: Vec<String>,
    pub unfit: Unfit,
}

/// Who a plugin is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub id: String,
    pub version: String,
    /// The ABI that it was built for, `major.minor`.
    pub abi: String,
}

/// What makes a library unfit to be loaded into a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Unfit {
    /// Folders of its own that its libraries would be looked for in.
    pub run_paths: Vec<String>,
    /// Its code is written to while it is loaded.
    pub text_relocations: bool,
    /// It takes thread-local memory that a loaded library may find used up. Go does, and a host has room for one.
    pub static_tls: bool,
    pub executable_stack: bool,
}

/// Why a file is no library that could be read.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    #[error("it is not a shared library (no ELF file)")]
    NotElf,
    #[error("its ELF structure is broken: {0}")]
    Broken(#[from] object::Error),
    #[error("its note of {what} cannot be read: {why}")]
    Note { what: &'static str, why: String },
}

impl Artifact {
    /// Reads a library's bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, ArtifactError> {
        elf::read(bytes)
    }

    /// Whether it exports the function of a plugin.
    pub fn is_plugin(&self) -> bool {
        self.exports.iter().any(|name| name == ENTRY)
    }
}

impl Unfit {
    /// One sentence for each reason not to load it.
    pub fn reasons(&self) -> Vec<String> {
        let paths = self.run_paths.iter().map(|path| {
            format!(
                "it looks for libraries in {path} (RPATH or RUNPATH): link it without -rpath, or statically"
            )
        });
        let mut reasons: Vec<String> = paths.collect();
        let mut add = |is: bool, reason: &str| reasons.extend(is.then(|| reason.to_owned()));
        add(self.text_relocations, "its code is changed while it is loaded (TEXTREL): build it with -fPIC");
        add(self.executable_stack, "it wants an executable stack: link it with -z noexecstack");
        reasons
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (ABI {})", self.id, self.version, self.abi)
    }
}
