//! The checks of the file itself and of its descriptor: nothing of the plugin is made yet.

use crate::artifact::{Artifact, ENTRY};
use crate::host::{Trust, inspect};
use crate::observe::with_causes;

use super::Verdict;
use crate::workshop::rig::{NAME, Rig};

/// More exported names than the one that is needed: most often a forgotten `-fvisibility=hidden`.
pub(super) fn file(rig: &Rig) -> Result<Verdict, String> {
    let artifact = artifact(rig)?;
    if !artifact.is_plugin() {
        return Err(format!("it does not export `{ENTRY}`: it is no hookyard plugin"));
    }
    if let Some(reason) = artifact.unfit.reasons().into_iter().next() {
        return Err(reason);
    }
    if artifact.unfit.static_tls {
        let words = "it takes static thread-local memory, which may run out (Go does so; elsewhere: -ftls-model=global-dynamic)";
        return Ok(Verdict::Warned(words.to_owned()));
    }
    match artifact.exports.len() {
        1 => Ok(Verdict::Passed(format!("exports {ENTRY} alone, needs {}", artifact.needs.join(", ")))),
        more => Ok(Verdict::Warned(format!(
            "it exports {more} names where {ENTRY} is enough (Go does so; elsewhere: -fvisibility=hidden)"
        ))),
    }
}

/// Loaded in a child; and the descriptor and the notes are of one mind.
pub(super) async fn loads(rig: &Rig) -> Result<Verdict, String> {
    let inspected = inspect(NAME, &rig.subject.library, &Trust::default(), &rig.cache()).await;
    let inspected = inspected.map_err(|error| with_causes(&error))?;
    let artifact = artifact(rig)?;
    let who = format!("{} {} (ABI 1.{})", inspected.id, inspected.version, inspected.abi_minor);
    match artifact.identity {
        None => Ok(Verdict::Warned(format!(
            "{who}; it has no notes, so `plugin inspect` cannot name it: add HOOKYARD_IDENTITY and HOOKYARD_SETTINGS"
        ))),
        Some(notes) if notes.id != inspected.id || notes.version != inspected.version => {
            Err(format!("its descriptor says {who} and its notes say {notes}"))
        }
        Some(_) => Ok(Verdict::Passed(who)),
    }
}

pub(super) fn artifact(rig: &Rig) -> Result<Artifact, String> {
    let bytes = std::fs::read(&rig.subject.library).map_err(|error| error.to_string())?;
    Artifact::read(&bytes).map_err(|error| error.to_string())
}
