//! `hookyard check`.

use std::path::PathBuf;

use clap::Args;

use super::output::say;
use super::{Common, Failure, color_on_stderr, config_failure, output};
use crate::config::{self, Diagnostic, LoadOptions};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration file, in place of `--config`
    file: Option<PathBuf>,
    /// Check as `serve --dev` would: secrets that are not set and libraries without a pin are no faults
    #[arg(long)]
    dev: bool,
}

pub(super) fn run(common: &Common, args: &CheckArgs) -> Result<(), Failure> {
    let env =
        |name: &str| std::env::var(name).ok().or_else(|| args.dev.then(|| "set-for-this-check".to_owned()));
    let path = args.file.as_ref().unwrap_or(&common.config);
    match config::load(LoadOptions { path, dev: args.dev, env: &env }) {
        Ok(loaded) if common.json => {
            let warnings: Vec<_> = loaded.warnings.iter().map(Diagnostic::to_json).collect();
            output::json(&warnings)
        }
        Ok(loaded) => {
            for warning in &loaded.warnings {
                eprintln!("{}", warning.render(color_on_stderr()));
            }
            let snapshot = &loaded.snapshot;
            say!(
                "{} is good: {} sources, {} plugins, {} handlers, {} rules, {} of them asked of every event (configuration {})",
                path.display(),
                snapshot.sources.len(),
                snapshot.plugins.len(),
                snapshot.handlers.len(),
                snapshot.rules.rules().len(),
                snapshot.rules.cost().always.len(),
                snapshot.hash,
            );
            Ok(())
        }
        Err(faults) if common.json => {
            output::json(&faults.to_json())?;
            Err(Failure::config(faults.to_string()))
        }
        Err(faults) => Err(config_failure(path, &faults)),
    }
}
