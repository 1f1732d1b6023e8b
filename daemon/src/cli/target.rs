//! Which daemon a command speaks to: the one that this configuration starts.
//!
//! The addresses come from the daemon's own runtime file where there is one (it knows the real port of port 0), else
//! from the configuration; the secrets from the configuration, or from a `--dev` daemon's runtime file.

use std::net::SocketAddr;

use secrecy::ExposeSecret;

use super::{Common, Failure, config_failure};
use crate::app::runtime_file::{Runtime, RuntimeFile};
use crate::config::{self, LoadOptions, Scheme, Snapshot, Source, StoreSettings};
use crate::model::ids::SourceName;

/// Stands for a variable that is not set in this shell: the daemon's may be.
const NOT_SET: &str = "\u{1}not set in this shell";

fn options(common: &Common) -> LoadOptions<'_> {
    LoadOptions {
        path: &common.config,
        dev: true,
        env: &|name| Some(std::env::var(name).unwrap_or_else(|_| NOT_SET.to_owned())),
    }
}

/// The daemon that a configuration starts.
#[derive(Debug)]
pub(super) struct Target {
    snapshot: Snapshot,
    runtime: Option<Runtime>,
}

impl Target {
    /// Reads the configuration and the runtime file.
    pub(super) fn find(common: &Common) -> Result<Self, Failure> {
        let loaded =
            config::load(options(common)).map_err(|faults| config_failure(&common.config, &faults))?;
        Ok(Self::of(loaded.snapshot))
    }

    /// The same for a command that only asks the daemon something: a daemon that runs on an earlier configuration is
    /// found though the files have faults by now.
    pub(super) fn running(common: &Common) -> Result<Self, Failure> {
        match config::load(options(common)) {
            Ok(loaded) => Ok(Self::of(loaded.snapshot)),
            Err(faults) if !common.config.exists() => Err(config_failure(&common.config, &faults)),
            Err(faults) => {
                let found = Self::of(config::glance(options(common)));
                if found.runtime.is_none() {
                    return Err(config_failure(&common.config, &faults));
                }
                eprintln!("attention: {faults} (`hookyard check` shows them); asking the daemon that runs");
                Ok(found)
            }
        }
    }

    fn of(snapshot: Snapshot) -> Self {
        let runtime = RuntimeFile::read(&snapshot.store.path);
        Self { snapshot, runtime }
    }

    /// Where the daemon's store is, and how it is opened.
    pub(super) fn store(&self) -> &StoreSettings {
        &self.snapshot.store
    }

    /// What the files say.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// A source by its name; the first where none is named.
    pub(super) fn source_name(&self, name: Option<&str>) -> Result<&SourceName, Failure> {
        Ok(&self.named_source(name)?.name)
    }

    fn named_source(&self, name: Option<&str>) -> Result<&Source, Failure> {
        let sources = &self.snapshot.sources;
        let found = match name {
            Some(name) => sources.iter().find(|source| source.name.as_str() == name),
            None => sources.first(),
        };
        found.ok_or_else(|| {
            let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            Failure::config(format!("no such source; the configuration has: {}", names.join(", ")))
        })
    }

    /// Whether the daemon can be asked anything.
    pub(super) fn has_admin(&self) -> bool {
        self.snapshot.server.admin.is_some()
    }

    /// The operator listener and its token.
    pub(super) fn admin(&self) -> Result<(SocketAddr, String), Failure> {
        let Some(admin) = &self.snapshot.server.admin else {
            return Err(Failure::config(
                "the configuration has no `server.admin`: there is no operator listener",
            ));
        };
        let listen = self.runtime.as_ref().and_then(|runtime| runtime.admin).unwrap_or(admin.listen);
        let dev_token = self.dev().map(|dev| dev.admin_token.clone());
        let token = dev_token.unwrap_or_else(|| admin.token.expose_secret().to_owned());
        if token == NOT_SET && self.runtime.is_none() {
            return Err(Failure::unavailable(format!(
                "no daemon runs on the store {}: is `hookyard serve` running, and from this folder?",
                self.snapshot.store.path.display()
            )));
        }
        if token == NOT_SET {
            return Err(Failure::denied(
                "the operator token is not known here: set the variable that `server.admin.token` names",
            ));
        }
        Ok((listen, token))
    }

    /// A source's URL and its first secret; the first source where none is named.
    pub(super) fn source(&self, name: Option<&str>) -> Result<(String, String), Failure> {
        let source = self.named_source(name)?;
        let listen = self.runtime.as_ref().map_or(self.snapshot.server.listen, |runtime| runtime.door);
        let Scheme::Stripe { secrets, .. } = &source.scheme;
        let configured = secrets.first().map(|secret| secret.expose_secret().to_owned()).unwrap_or_default();
        let dev_secret = self.dev().and_then(|dev| dev.sources.get(source.name.as_str()).cloned());
        let secret = dev_secret.unwrap_or(configured);
        if secret == NOT_SET {
            return Err(Failure::denied(format!(
                "the secret of source `{}` is not known here: set the variable that its `secrets` name",
                source.name
            )));
        }
        let scheme = if self.snapshot.server.tls.is_some() { "https" } else { "http" };
        Ok((format!("{scheme}://{listen}{}", source.path), secret))
    }

    fn dev(&self) -> Option<&crate::app::runtime_file::DevSecrets> {
        self.runtime.as_ref().and_then(|runtime| runtime.dev.as_ref())
    }
}
