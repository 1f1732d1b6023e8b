//! The first message to a child: what it is to load, and how it is to be.

use std::os::unix::ffi::OsStrExt;

use hookyard_plugin_host::protocol::{Blob, FrameError, Ids, Start, ToChild};
use tracing::level_filters::LevelFilter;

use super::library::Checked;
use super::{HostError, HostSpec, wire};
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
