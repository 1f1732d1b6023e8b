//! Each plugin's file: there, nobody else's to change, the one that was pinned, loadable here, and the one that the running
//! daemon has.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::accounts::user;
use super::{Check, Daemon};
use crate::admin::view::HandlerView;
use crate::app::{LIBRARY_CACHE, trust};
use crate::config::{Handler, Plugin, Snapshot};
use crate::host::{Inspected, inspect};
use crate::model::isolation::Isolation;
use crate::observe::with_causes;

const NAME: &str = "plugin";

/// Where a library is kept while it is loaded.
#[derive(Debug)]
enum Cache {
    /// The daemon's own.
    Store(PathBuf),
    /// For this look alone; removed at the end.
    Own(PathBuf),
}

/// Loads the plugin in a child as the daemon would, but makes no instance.
pub(super) async fn check(plugin: &Plugin, snapshot: &Snapshot, daemon: &Daemon) -> Vec<Check> {
    let cache = match Cache::make(&snapshot.store.path) {
        Ok(cache) => cache,
        Err(error) => {
            let words =
                format!("`{}` cannot be loaded: no directory for it could be made: {error}", plugin.name);
            return vec![Check::fault(
                NAME,
                words,
                "see that the system's temporary directory can be written to",
            )];
        }
    };
    let trust = trust(plugin, user(&snapshot.store.path, None));
    match inspect(plugin.name.as_str(), &plugin.path, &trust, cache.path()).await {
        Ok(found) => {
            let mut checks = told(plugin, &found, &running(plugin, snapshot, daemon));
            checks.extend(inside_the_daemon(plugin, &found, snapshot));
            checks
        }
        Err(error) => {
            let words = format!("`{}`: {}", plugin.name, with_causes(&error));
            vec![Check::fault(NAME, words, format!("mend the file, or [plugin.{}]", plugin.name))]
        }
    }
}

fn told(plugin: &Plugin, found: &Inspected, running: &[HandlerView]) -> Vec<Check> {
    let Inspected { id, version, abi_minor, sha256, .. } = found;
    let pin = if plugin.sha256.is_empty() { "not pinned: --dev" } else { "as pinned" };
    let signed = if plugin.signed_by.is_some() { ", signed" } else { "" };
    let words = format!(
        "`{}` loads: {id} {version}, ABI 1.{abi_minor}, SHA-256 {}… ({pin}{signed})",
        plugin.name,
        &sha256[..12]
    );
    let mut checks = vec![Check::ok(NAME, words)];
    let has = |handler: &&HandlerView| {
        let canary = handler.canary.as_ref();
        handler.sha256 == *sha256 || canary.is_some_and(|canary| canary.host.sha256 == *sha256)
    };
    for handler in running.iter().filter(|handler| !has(handler)) {
        let words = format!(
            "handler `{}` of the running daemon has another file of `{}` loaded (SHA-256 {}…)",
            handler.handler,
            plugin.name,
            handler.sha256.get(..12).unwrap_or("unknown")
        );
        checks.push(Check::warn(
            NAME,
            words,
            format!("`hookyard plugin reload {}` takes the one on disk", plugin.name),
        ));
    }
    checks
}

/// What becomes of the daemon by handlers that have the plugin run inside it.
fn inside_the_daemon(plugin: &Plugin, found: &Inspected, snapshot: &Snapshot) -> Vec<Check> {
    let its = snapshot.handlers.values().filter(|handler| handler.plugin == plugin.name);
    let inside = its.filter(|handler| handler.isolation == Isolation::Inline);
    let check = |handler: &Handler| match &found.needs_process {
        Some(why) => {
            let words = format!("handler `{}` cannot start: {why}", handler.name);
            Check::fault(NAME, words, format!("mend `isolation` in [handler.{}]", handler.name))
        }
        None => {
            let words = format!(
                "handler `{}` runs `{}` inside the daemon: a crash or a hang of it is the daemon's",
                handler.name, plugin.name
            );
            Check::warn(NAME, words, "isolation = \"process\" keeps them apart, for some tens of µs a call")
        }
    };
    inside.map(check).collect()
}

/// The plugin's handlers in the running daemon.
fn running(plugin: &Plugin, snapshot: &Snapshot, daemon: &Daemon) -> Vec<HandlerView> {
    let handlers = daemon.status().map_or(&[][..], |status| &status.handlers);
    let is_its = |handler: &&HandlerView| {
        snapshot
            .handlers
            .values()
            .any(|known| known.plugin == plugin.name && known.name.as_str() == handler.handler)
    };
    handlers.iter().filter(is_its).filter(|handler| !handler.sha256.is_empty()).cloned().collect()
}

impl Cache {
    /// The store's own where this user may use it as the daemon does, else one that is removed again.
    fn make(store: &Path) -> io::Result<Self> {
        if store.exists() && user(store, None) == rustix::process::geteuid().as_raw() {
            return Ok(Self::Store(store.join(LIBRARY_CACHE)));
        }
        let path = (0_u32..)
            .map(|number| {
                std::env::temp_dir().join(format!("hookyard-doctor-{}-{number}", std::process::id()))
            })
            .find(|path| !path.exists())
            .ok_or_else(|| io::Error::other("no name is left for it"))?;
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self::Own(path))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Store(path) | Self::Own(path) => path,
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        if let Self::Own(path) = self {
            // What stays is a copy of a library in the temporary directory.
            drop(std::fs::remove_dir_all(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use crate::model::ids::PluginName;

    #[test]
    fn a_daemon_with_another_file_is_told() {
        let plugin = Plugin {
            name: PluginName::new("sumo"),
            path: PathBuf::new(),
            sha256: Vec::new(),
            owner_counts: false,
            signed_by: None,
            canary: None,
        };
        let found = Inspected {
            id: "x".to_owned(),
            version: "1".to_owned(),
            abi_minor: 0,
            sha256: "ab".repeat(32),
            needs_process: None,
        };
        let runs =
            |sha256: String| HandlerView { handler: "sumo".to_owned(), sha256, ..HandlerView::default() };
        assert_eq!(told(&plugin, &found, &[runs("ab".repeat(32))]).len(), 1);
        let two = told(&plugin, &found, &[runs("cd".repeat(32))]);
        assert_eq!(two[1].verdict, Verdict::Warn);
        assert!(two[1].words.contains("cdcdcdcdcdcd…"), "{two:?}");
    }

    #[test]
    fn a_cache_of_its_own_is_removed() {
        let cache = Cache::make(Path::new("/no/such/store")).unwrap();
        let path = cache.path().to_owned();
        assert!(path.is_dir());
        drop(cache);
        assert!(!path.exists());
    }
}
