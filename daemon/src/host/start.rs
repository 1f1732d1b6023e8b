//! The first message to a child: what it is to load, and how it is to be.

use std::os::unix::ffi::OsStrExt;

use hookyard_plugin_host::protocol::{Blob, FrameError, Ids, Limits, Start, ToChild};
use rustix::process::{Resource, getrlimit};
use tracing::level_filters::LevelFilter;

use super::library::Checked;
use super::{HostError, HostSpec, wire};
use crate::model::confinement::Confinement;
use crate::model::limits::OPEN_FILES_DEFAULT;
use crate::observe::with_causes;

/// The information that is kept with attempts, as the ABI counts levels.
const LEVEL_KEPT: u32 = 2;

/// The same for every child of a host. Refused where it would not go through a socket.
pub(super) fn start(
    spec: &HostSpec,
    library: &Checked,
    user: Option<Ids>,
    workers: u16,
) -> Result<Start, HostError> {
    let start = Start {
        settings_json: spec.settings_json.clone(),
        workers,
        level: lowest_level(),
        load_only: false,
        confine: spec.confine.as_ref().map(|confinement| wire::confine(confinement, user)),
        limits: limits(spec.confine.as_ref()),
        ..load_only(library)
    };
    match wire::frame(&ToChild::Start(start.clone())) {
        Ok(_) => Ok(start),
        Err(error) => Err(too_large(spec, &error)),
    }
}

/// Of a child that only loads the library and says what it is.
pub(super) fn load_only(library: &Checked) -> Start {
    Start {
        library: Blob(library.path.as_os_str().as_bytes().to_vec()),
        named: library.named.clone(),
        settings_json: "{}".to_owned(),
        workers: 1,
        level: LEVEL_KEPT,
        load_only: true,
        confine: None,
        limits: limits(None),
    }
}

/// Where nothing is written, an operator who gives the daemon's own processes fewer descriptors than usual has said enough.
fn limits(confinement: Option<&Confinement>) -> Limits {
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let open_files = confinement.and_then(|confinement| confinement.open_files);
    Limits {
        open_files: open_files.map_or(most.min(OPEN_FILES_DEFAULT as u64), |written| written as u64),
        memory: confinement.and_then(|confinement| confinement.memory),
    }
}

/// The lowest level that is sent up: at least [`LEVEL_KEPT`].
fn lowest_level() -> u32 {
    match LevelFilter::current() {
        LevelFilter::TRACE => 0,
        LevelFilter::DEBUG => 1,
        _ => LEVEL_KEPT,
    }
}

fn too_large(spec: &HostSpec, error: &FrameError) -> HostError {
    match error {
        FrameError::TooLarge { max, .. } => {
            HostError::SettingsTooLarge { bytes: spec.settings_json.len(), max: *max }
        }
        error => HostError::Load { why: with_causes(error) },
    }
}
