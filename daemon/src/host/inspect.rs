//! What a library says of itself: loaded in a child that makes no instance, so that nothing of the plugin's work begins.
//!
//! `doctor` asks, and `inline` before it lets a library into the daemon. The child is gone when the answer is there,
//! whatever the library does.

use std::path::Path;
use std::time::Duration;

use hookyard_plugin_host::protocol::{self, FROM_CHILD_BYTES_MAX, Facts, FromChild, ToChild};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::drive::failed;
use super::library::Checked;
use super::start::load_only;
use super::{HostError, HostProgram, Trust, death, inline, library, process, report, wire};
use crate::model::ids::HandlerName;
use crate::model::limits::{HOST_START_MAX, LOG_LINE_BYTES_MAX};
use crate::observe::with_causes;

/// A library that loads here, and its descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    pub id: String,
    pub version: String,
    /// The ABI minor that it was built for.
    pub abi_minor: u16,
    /// 64 lower-case hex digits.
    pub sha256: String,
    /// Why it cannot run inside the daemon, if so: a sentence.
    pub needs_process: Option<String>,
}

/// Checks the library's file as a handler's start does, loads it in a child, and reads its descriptor. `name` is what its
/// output is logged under; the cache is made if need be.
pub async fn inspect(
    name: &str,
    library: &Path,
    trust: &Trust,
    cache: &Path,
) -> Result<Inspected, HostError> {
    let (path, trust, cache) = (library.to_owned(), trust.clone(), cache.to_owned());
    let loading = tokio::task::spawn_blocking(move || library::load(&path, &trust, &cache));
    let checked = loading.await.map_err(HostError::Task)??;
    let facts = facts(&HostProgram::default(), &HandlerName::new(name), &checked).await?;
    let needs_process = inline::refusal(&facts).map(|refusal| refusal.to_string());
    let Facts { id, version, abi_minor, .. } = facts;
    Ok(Inspected { id, version, abi_minor, sha256: checked.sha256, needs_process })
}

/// Has a child load a checked library and say what it is.
pub(super) async fn facts(
    program: &HostProgram,
    handler: &HandlerName,
    library: &Checked,
) -> Result<Facts, HostError> {
    let (mut process, socket) = process::spawn(program, handler, library)
        .map_err(|source| HostError::Spawn { program: program.path.clone(), source })?;
    let asked = timeout(HOST_START_MAX, ask(socket, library)).await;
    match asked {
        Ok(Ok(facts)) => Ok(facts),
        Ok(Err(Silent::Told(error))) => Err(error),
        Ok(Err(Silent::Gone)) => {
            let status = timeout(Duration::from_secs(1), process.child.wait()).await.ok();
            let what = death::words(&death::Cause::Itself, status.as_ref(), &process.last_lines().await);
            Err(HostError::Died { what })
        }
        Err(_) => Err(HostError::Slow { limit: HOST_START_MAX }),
    }
}

/// Why there is no descriptor.
enum Silent {
    Told(HostError),
    /// The connection ended.
    Gone,
}

impl From<protocol::FrameError> for Silent {
    fn from(error: protocol::FrameError) -> Self {
        match error {
            protocol::FrameError::Io(_) => Self::Gone,
            error => Self::Told(HostError::Load { why: with_causes(&error) }),
        }
    }
}

async fn ask(mut socket: UnixStream, library: &Checked) -> Result<Facts, Silent> {
    let said = wire::read(&mut socket, FROM_CHILD_BYTES_MAX).await?.ok_or(Silent::Gone)?;
    if said != protocol::BUILD.as_bytes() {
        let said = report::clean(&String::from_utf8_lossy(&said), LOG_LINE_BYTES_MAX);
        return Err(Silent::Told(HostError::OtherBuild { said, ours: protocol::BUILD }));
    }
    socket
        .write_all(&wire::frame(&ToChild::Start(load_only(library)))?)
        .await
        .map_err(protocol::FrameError::Io)?;
    loop {
        let frame = wire::read(&mut socket, FROM_CHILD_BYTES_MAX).await?.ok_or(Silent::Gone)?;
        match protocol::decode(&frame)? {
            FromChild::Ready(facts) => return Ok(facts),
            FromChild::Failed { stage, why } => return Err(Silent::Told(failed(stage, &why))),
            FromChild::Log { .. } => {}
            FromChild::Upcall { .. } | FromChild::Ended { .. } => {
                let why = "it asked for something before it was made".to_owned();
                return Err(Silent::Told(HostError::Load { why }));
            }
        }
    }
}
