//! `hookyard plugin lock`: pins are written into the configuration, whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::Args;

use super::{Common, Failure, output};
use crate::app::library_hash;
use crate::cli::output::say;
use crate::config::lock::{Locked, lock};
use crate::model::signed_by::SignedBy;
use crate::observe::with_causes;

#[derive(Debug, Args)]
pub(in crate::cli) struct LockArgs {
    /// Only these plugins
    plugins: Vec<String>,
    /// Leave what is pinned beside the new pin, for the time of a rollout
    #[arg(long)]
    keep: bool,
    /// Write nothing; fail where a pin is not the file's
    #[arg(long)]
    check: bool,
}

pub(super) fn run(common: &Common, args: &LockArgs) -> Result<(), Failure> {
    let path = &common.config;
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::no_input(format!("{} cannot be read: {error}", path.display())))?;
    // Relative paths start here, as the daemon's do where it is started.
    let hash = |path: &Path, signed_by: Option<&SignedBy>| {
        library_hash(path, signed_by).map_err(|error| with_causes(&error))
    };
    let (new, locked) = lock(&text, &args.plugins, args.keep, hash)
        .map_err(|error| Failure::config(format!("{}: {error}", path.display())))?;
    if common.json {
        output::json(&locked.iter().map(json).collect::<Vec<_>>())?;
    } else {
        locked.iter().for_each(print);
    }
    let changed = locked.iter().filter(|plugin| plugin.before != plugin.after).count();
    match (changed, args.check) {
        (0, _) => Ok(()),
        (_, true) => {
            Err(Failure::config("pins are not those of the files; without --check they are written"))
        }
        (_, false) => {
            write(path, &new)
                .map_err(|error| Failure::denied(format!("{} cannot be written: {error}", path.display())))?;
            if !common.json {
                say!(
                    "{} is written; a running daemon takes it with `hookyard plugin reload NAME`",
                    path.display()
                );
            }
            Ok(())
        }
    }
}

fn print(locked: &Locked) {
    let Locked { plugin, path, before, after } = locked;
    let path = path.display();
    match before == after {
        true => say!("  {plugin}  {} as it was  ({path})", short(after)),
        false => say!("~ {plugin}  {} in place of {}  ({path})", short(after), short(before)),
    }
}

fn short(pins: &[String]) -> String {
    match pins {
        [] => "no pin".to_owned(),
        pins => pins.iter().map(|pin| output::short(pin)).collect::<Vec<_>>().join(" and "),
    }
}

fn json(locked: &Locked) -> serde_json::Value {
    serde_json::json!({
        "plugin": locked.plugin, "path": locked.path, "before": locked.before, "after": locked.after,
    })
}

/// Beside the file, then in its place, with its mode: a crash leaves the one or the other.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let path = path.canonicalize()?;
    let mut temporary = path.clone().into_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary).and_then(|mut file| {
        file.set_permissions(fs::metadata(&path)?.permissions())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    });
    written.inspect_err(|_| drop(fs::remove_file(&temporary)))
}
