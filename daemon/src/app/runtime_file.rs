//! `<store>/runtime.json`: where this daemon listens, for the `cli` on the same machine.
//!
//! Written once everything is bound (so that port 0 is told as the real port), mode 0600, removed at the end; after a
//! kill it stays and the next start writes it anew. It holds secrets only with `--dev`: the throw-away ones that were made
//! for this run, so that `hookyard send` can sign and `hookyard events` can ask.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{StartError, json_file};
use crate::config::{Scheme, Snapshot};

const FILE_NAME: &str = "runtime.json";

/// What the file says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Runtime {
    pub pid: u32,
    /// Where the door listens.
    pub door: SocketAddr,
    /// Whether the door speaks TLS.
    pub tls: bool,
    pub admin: Option<SocketAddr>,
    /// With `--dev` only.
    pub dev: Option<DevSecrets>,
}

/// The throw-away secrets of a `--dev` run.
#[derive(Clone, Serialize, Deserialize)]
pub struct DevSecrets {
    pub admin_token: String,
    /// The first secret of each source.
    pub sources: BTreeMap<String, String>,
}

impl std::fmt::Debug for DevSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DevSecrets(..)")
    }
}

/// The file of this process.
#[derive(Debug)]
pub struct RuntimeFile {
    path: PathBuf,
    door: SocketAddr,
    admin: Option<SocketAddr>,
    dev: bool,
}

impl RuntimeFile {
    /// Not written yet.
    pub(super) fn new(snapshot: &Snapshot, dev: bool, door: SocketAddr, admin: Option<SocketAddr>) -> Self {
        Self { path: Self::path(&snapshot.store.path), door, admin, dev }
    }

    /// Writes it, atomically; again after a reload, which with `--dev` may have brought other secrets.
    pub(super) fn write(&self, snapshot: &Snapshot) -> Result<(), StartError> {
        let runtime = Runtime {
            pid: std::process::id(),
            door: self.door,
            tls: snapshot.server.tls.is_some(),
            admin: self.admin,
            dev: self.dev.then(|| dev_secrets(snapshot)),
        };
        serde_json::to_vec_pretty(&runtime)
            .map_err(io::Error::from)
            .and_then(|text| json_file::write(&self.path, &text))
            .map_err(|source| StartError::RuntimeFile { path: self.path.clone(), source })
    }

    /// Reads what the daemon on this store wrote; `None` where no daemon has.
    pub fn read(store: &Path) -> Option<Runtime> {
        let text = fs::read_to_string(Self::path(store)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Where it is for this store.
    pub fn path(store: &Path) -> PathBuf {
        store.join(FILE_NAME)
    }

    pub(super) fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            warn!(path = %self.path.display(), %error, "the runtime file could not be removed");
        }
    }
}

fn dev_secrets(snapshot: &Snapshot) -> DevSecrets {
    let first_secret = |scheme: &Scheme| match scheme {
        Scheme::Stripe { secrets, .. } => secrets.first().map(|secret| secret.expose_secret().to_owned()),
    };
    let admin_token = snapshot.server.admin.as_ref().map(|admin| admin.token.expose_secret().to_owned());
    DevSecrets {
        admin_token: admin_token.unwrap_or_default(),
        sources: snapshot
            .sources
            .iter()
            .filter_map(|source| Some((source.name.to_string(), first_secret(&source.scheme)?)))
            .collect(),
    }
}
