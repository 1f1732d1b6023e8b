//! What a handler's plugin may reach of the machine.
//!
//! Checked by `config`, carried to the child by `host`, which the child makes hold before any of the plugin's code runs.

use std::path::PathBuf;

/// `[handler.x.confine]`. Without one a plugin may do what the daemon's user may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// What may be read and run, files and all below directories, beside what the system's own libraries need; `None` for
    /// all.
    pub read: Option<Vec<PathBuf>>,
    /// What may be changed.
    pub write: Vec<PathBuf>,
    /// Who its process becomes; `None` for the daemon's user.
    pub user: Option<Account>,
    /// Whether it may speak to other machines, and be spoken to.
    pub network: bool,
    /// Descriptors that each of its processes may hold open at once; `None` for
    /// [`OPEN_FILES_DEFAULT`](super::limits::OPEN_FILES_DEFAULT).
    pub open_files: Option<usize>,
    /// Bytes of address space of each of its processes; `None` for no bound.
    pub memory: Option<u64>,
}

/// As an empty table is read: nothing may be changed, all else is as it would be without one.
impl Default for Confinement {
    fn default() -> Self {
        Self { read: None, write: Vec::new(), user: None, network: true, open_files: None, memory: None }
    }
}

/// A user of this machine, as written: names, or numbers in digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub user: String,
    /// `None` for the user's own group.
    pub group: Option<String>,
}
