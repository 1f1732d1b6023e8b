//! `hookyard plugin reload`, `promote`, `rollback` and `history`: asked of the running daemon.

use bytes::Bytes;
use clap::Args;

use super::{Common, Failure, output};
use crate::admin::plugins::{LibraryRecordView, PluginChangeView};
use crate::cli::client::Operator;
use crate::cli::output::{say, short};
use crate::cli::page::escape;
use crate::model::canary::Share;

/// How the daemon tells one change from another.
const ROLLBACK: &str = "plugin rollback";
const PROMOTE: &str = "promote";
const CANARY_ROLLBACK: &str = "canary rollback";

#[derive(Debug, Args)]
pub(in crate::cli) struct ReloadArgs {
    /// The x of a [plugin.x]
    plugin: String,
    /// Give it this share of new events first, such as 5%, beside the library that runs; without it what the
    /// configuration's `canary` says, or all
    #[arg(long, value_name = "SHARE")]
    canary: Option<Share>,
    /// Give the canary everything once it was done with so many deliveries
    #[arg(long, value_name = "DELIVERIES", value_parser = clap::value_parser!(u64).range(1..))]
    promote_after: Option<u64>,
    /// Give it everything at once, whatever the configuration's `canary` says
    #[arg(long, conflicts_with_all = ["canary", "promote_after"])]
    whole: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PromoteArgs {
    /// The x of a [plugin.x]
    plugin: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RollbackArgs {
    /// The x of a [plugin.x]
    plugin: String,
    /// The beginning of the library's hash, as `plugin history` prints it; without it the one that ran before, or that a
    /// canary runs beside
    #[arg(long, value_name = "HASH")]
    to: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArgs {
    /// Only of this plugin
    plugin: Option<String>,
}

pub(super) async fn reload(common: &Common, args: &ReloadArgs) -> Result<(), Failure> {
    let mut path =
        format!("/v1/plugins/{}/reload?by={}&whole={}", escape(&args.plugin), escape(&who()), args.whole);
    if let Some(share) = args.canary {
        path.push_str(&format!("&canary={}", share.fraction()));
    }
    if let Some(deliveries) = args.promote_after {
        path.push_str(&format!("&promote_after={deliveries}"));
    }
    let change: PluginChangeView = Operator::of(common)?.post(&path, Bytes::new()).await?;
    print(common, &change)
}

pub(super) async fn promote(common: &Common, args: &PromoteArgs) -> Result<(), Failure> {
    let path = format!("/v1/plugins/{}/promote?by={}", escape(&args.plugin), escape(&who()));
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
    if !common.json && change.how == ROLLBACK {
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
    output::table(&["AT", "PLUGIN", "VERSION", "ABI", "LIBRARY", "BEFORE", "HOW", "BY", "WHY"], &rows);
    Ok(())
}

fn print(common: &Common, change: &PluginChangeView) -> Result<(), Failure> {
    if common.json {
        return output::json(change);
    }
    let PluginChangeView { plugin, how, share, before, sha256, version, abi, handlers } = change;
    if handlers.is_empty() {
        say!("nothing has changed: {plugin} {version} ({}) runs on", short(sha256));
        return Ok(());
    }
    if let Some(share) = share {
        say!(
            "{plugin} {version} ({}, ABI {abi}) gets {share} of new events, beside {}",
            short(sha256),
            short(before)
        );
        say!(
            "  for {}; it is rolled back by itself if it dies, or fails more of them than the other",
            handlers.join(", ")
        );
        say!("  all to it: hookyard plugin promote {plugin}   end it: hookyard plugin rollback {plugin}");
        return Ok(());
    }
    if how == CANARY_ROLLBACK {
        say!(
            "{plugin} {version} ({}) has everything again; the canary {} ended",
            short(sha256),
            short(before)
        );
        return Ok(());
    }
    say!("{plugin} {version} ({}, ABI {abi}) runs, in place of {}", short(sha256), short(before));
    if how == PROMOTE {
        return Ok(());
    }
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
        entry.why.clone(),
    ]
}

/// Who asks, as far as the environment knows: it is told, not proven.
fn who() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}
