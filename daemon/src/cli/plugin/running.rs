//! `hookyard plugin reload`, `rollback` and `history`: asked of the running daemon.

use bytes::Bytes;
use clap::Args;

use super::{Common, Failure, output};
use crate::admin::plugins::{LibraryRecordView, PluginChangeView};
use crate::cli::client::Operator;
use crate::cli::output::{say, short};
use crate::cli::page::escape;

#[derive(Debug, Args)]
pub(in crate::cli) struct ReloadArgs {
    /// The x of a [plugin.x]
    plugin: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RollbackArgs {
    /// The x of a [plugin.x]
    plugin: String,
    /// The beginning of the library's hash, as `plugin history` prints it; without it the one that ran before
    #[arg(long, value_name = "HASH")]
    to: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArgs {
    /// Only of this plugin
    plugin: Option<String>,
}

pub(super) async fn reload(common: &Common, args: &ReloadArgs) -> Result<(), Failure> {
    let path = format!("/v1/plugins/{}/reload?by={}", escape(&args.plugin), escape(&who()));
    let change: PluginChangeView = Operator::of(common)?.post(&path, Bytes::new()).await?;
    print(common, &change)
}

pub(super) async fn roll_back(common: &Common, args: &RollbackArgs) -> Result<(), Failure> {
    let mut path = format!("/v1/plugins/{}/rollback?by={}", escape(&args.plugin), escape(&who()));
    if let Some(to) = &args.to {
        path.push_str(&format!("&to={}", escape(to)));
    }
    let change: PluginChangeView = Operator::of(common)?.post(&path, Bytes::new()).await?;
    print(common, &change)?;
    if !common.json {
        say!(
            "It runs until `hookyard plugin reload {}`, a change of its section, or a start, which take the configured \
             library: pin {} if it is to stay.",
            change.plugin,
            change.sha256
        );
    }
    Ok(())
}

pub(super) async fn history(common: &Common, args: &HistoryArgs) -> Result<(), Failure> {
    let mut record: Vec<LibraryRecordView> = Operator::of(common)?.get("/v1/plugins/record").await?;
    record.retain(|entry| args.plugin.as_ref().is_none_or(|plugin| *plugin == entry.plugin));
    if common.json {
        return output::json(&record);
    }
    let rows: Vec<Vec<String>> = record.iter().map(row).collect();
    output::table(&["AT", "PLUGIN", "VERSION", "ABI", "LIBRARY", "BEFORE", "HOW", "BY"], &rows);
    Ok(())
}

fn print(common: &Common, change: &PluginChangeView) -> Result<(), Failure> {
    if common.json {
        return output::json(change);
    }
    let PluginChangeView { plugin, before, sha256, version, abi, handlers } = change;
    if handlers.is_empty() {
        say!("nothing has changed: {plugin} {version} ({}) runs on", short(sha256));
        return Ok(());
    }
    say!("{plugin} {version} ({}, ABI {abi}) runs, in place of {}", short(sha256), short(before));
    for handler in handlers {
        say!("  handler {handler} has a new host; the one before finishes what it began");
    }
    Ok(())
}

fn row(entry: &LibraryRecordView) -> Vec<String> {
    vec![
        entry.at.clone(),
        entry.plugin.clone(),
        entry.version.clone(),
        entry.abi.clone(),
        short(&entry.sha256).to_owned(),
        entry.before.as_deref().map(short).unwrap_or_default().to_owned(),
        entry.how.clone(),
        entry.by.clone(),
    ]
}

/// Who asks, as far as the environment knows: it is told, not proven.
fn who() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}
