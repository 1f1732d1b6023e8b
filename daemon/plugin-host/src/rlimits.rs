//! What the kernel lets this process have: no core files, so many descriptors, so much address space. Soft and hard limit are
//! the same, so that a plugin without root's rights cannot raise them, and whatever it starts has them too.
//!
//! Called by `run`: [`no_core_files`] before anything is read of the daemon, [`set`] before the library is loaded.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::protocol::Limits;

/// Why this process could not be limited.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LimitError {
    #[error(
        "confine: `open_files` is {wanted}, and the daemon's processes may have {most} (its own hard limit); make it \
         smaller, or raise the daemon's (LimitNOFILE of its unit, ulimit -Hn)"
    )]
    OpenFiles { wanted: u64, most: u64 },
    #[error("confine: {what} cannot be set to {wanted}")]
    Refused { what: &'static str, wanted: u64, source: io::Error },
}

/// Core files would hold customers' data.
pub(crate) fn no_core_files() -> io::Result<()> {
    limit(Resource::Core, 0)
}

/// Bounds this process, from now on and for good.
pub(crate) fn set(limits: Limits) -> Result<(), LimitError> {
    let wanted = limits.open_files;
    if let Some(most) = getrlimit(Resource::Nofile).maximum.filter(|most| *most < wanted) {
        return Err(LimitError::OpenFiles { wanted, most });
    }
    limit(Resource::Nofile, wanted).map_err(|source| LimitError::Refused {
        what: "the limit of open files",
        wanted,
        source,
    })?;
    let Some(wanted) = limits.memory else { return Ok(()) };
    limit(Resource::As, wanted).map_err(|source| LimitError::Refused {
        what: "the limit of address space (`memory`)",
        wanted,
        source,
    })
}

fn limit(what: Resource, most: u64) -> io::Result<()> {
    Ok(setrlimit(what, Rlimit { current: Some(most), maximum: Some(most) })?)
}
