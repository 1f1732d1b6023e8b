//! `hookyard plugin inspect`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::artifact::{Artifact, ENTRY};
use crate::cli::output::{self, say};
use crate::cli::{Common, Failure};
use crate::model::limits::LIBRARY_BYTES_MAX;

/// More names than this are counted instead of listed.
const EXPORTS_SHOWN: usize = 4;

#[derive(Debug, Args)]
pub(in crate::cli) struct InspectArgs {
    /// The library
    library: PathBuf,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct InspectView<'a> {
    file: &'a Path,
    sha256: String,
    bytes: usize,
    #[serde(flatten)]
    artifact: &'a Artifact,
    /// Why no host should load it; empty where nothing speaks against it.
    faults: Vec<String>,
}

pub(super) fn run(common: &Common, args: &InspectArgs) -> Result<(), Failure> {
    let file = &args.library;
    let bytes = read(file)?;
    let artifact = Artifact::read(&bytes)
        .map_err(|error| Failure::bad_data(format!("{} is no plugin: {error}", file.display())))?;
    let mut faults = artifact.unfit.reasons();
    if !artifact.is_plugin() {
        faults.insert(0, format!("it does not export `{ENTRY}`: it is no hookyard plugin"));
    }
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let view = InspectView { file, sha256, bytes: bytes.len(), artifact: &artifact, faults };
    if common.json {
        output::json(&view)?;
    } else {
        print(&view);
    }
    match view.faults.first() {
        None => Ok(()),
        Some(fault) => Err(Failure::bad_data(format!("{}: {fault}", file.display()))),
    }
}

/// The bytes of a library, up to what is ever loaded.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::no_input(format!("{} cannot be read: {error}", file.display()));
    let bytes = std::fs::metadata(file).map_err(unreadable)?.len();
    if bytes > LIBRARY_BYTES_MAX {
        let words = format!("{} is {bytes} bytes; at most {LIBRARY_BYTES_MAX} are loaded", file.display());
        return Err(Failure::bad_data(words));
    }
    std::fs::read(file).map_err(unreadable)
}

fn print(view: &InspectView<'_>) {
    let artifact = view.artifact;
    let line = |key: &str, value: &str| say!("{key:<9}{value}");
    match &artifact.identity {
        Some(identity) => {
            line("id", &identity.id);
            line("version", &identity.version);
            line("abi", &identity.abi);
        }
        None => line(
            "id",
            "unknown: it was built without notes (HOOKYARD_IDENTITY); `plugin check` loads it and asks",
        ),
    }
    line("sha256", &view.sha256);
    line("bytes", &view.bytes.to_string());
    line("exports", &exports(&artifact.exports));
    line("needs", &artifact.needs.join(", "));
    match &artifact.settings {
        None => line("settings", "no schema: it does not say which it takes"),
        Some(schema) => {
            for (number, property) in schema.properties().iter().enumerate() {
                let key = if number == 0 { "settings" } else { "" };
                let must = if property.required { ", required" } else { "" };
                let words = format!("{}: {}{must}  {}", property.name, property.kind, property.description);
                line(key, words.trim_end());
            }
        }
    }
}

fn exports(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        few if few.len() <= EXPORTS_SHOWN => few.join(", "),
        many => format!(
            "{} names, {} among them",
            many.len(),
            if many.iter().any(|name| name == ENTRY) { ENTRY } else { "no hookyard_plugin_v1" }
        ),
    }
}
