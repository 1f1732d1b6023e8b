//! `hookyard check`.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;

use super::client::Operator;
use super::output::say;
use super::{Common, Failure, color_on_stderr, config_failure, output};
use crate::admin::control::FileView;
use crate::admin::dry_run::{DryRunRequest, DryRunView};
use crate::config::{self, ConfigFile, Diagnostic, LoadOptions, Loaded};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration file, in place of `--config`
    file: Option<PathBuf>,
    /// Check as `serve --dev` would: secrets that are not set and libraries without a pin are no faults
    #[arg(long)]
    dev: bool,
    /// Also try its rules against the events that a running daemon has stored, and say what would go elsewhere than by the
    /// rules that run: last=30d, or last=1000 for the newest thousand
    #[arg(long, value_name = "last=…")]
    against: Option<String>,
}

pub(super) async fn run(common: &Common, args: &CheckArgs) -> Result<(), Failure> {
    let env =
        |name: &str| std::env::var(name).ok().or_else(|| args.dev.then(|| "set-for-this-check".to_owned()));
    let path = args.file.as_ref().unwrap_or(&common.config);
    match config::load_tested(LoadOptions { path, dev: args.dev, env: &env }) {
        Ok(loaded) if args.against.is_some() => against(common, args, &loaded).await,
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
                "{} is good: {} sources, {} plugins, {} handlers, {} rules, {} of them asked of every event, {} tests passed (configuration {})",
                path.display(),
                snapshot.sources.len(),
                snapshot.plugins.len(),
                snapshot.handlers.len(),
                snapshot.rules.rules().len(),
                snapshot.rules.cost().always.len(),
                loaded.tests.len(),
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

/// The daemon is that of `--config`, whichever file is the candidate.
async fn against(common: &Common, args: &CheckArgs, loaded: &Loaded) -> Result<(), Failure> {
    let file =
        |file: &ConfigFile| FileView { path: file.path.display().to_string(), text: file.text.clone() };
    let request = DryRunRequest {
        files: loaded.files.iter().map(file).collect(),
        against: args.against.clone().unwrap_or_default(),
    };
    let body = serde_json::to_vec(&request)
        .map_err(|error| Failure::internal(format!("the candidate cannot be sent: {error}")))?;
    let operator = Operator::of(common)?;
    let dry_run: DryRunView = operator.post("/v1/dry-run", Bytes::from(body)).await?;
    if common.json {
        return output::json(&dry_run);
    }
    say!("{}", dry_run.words());
    Ok(())
}
