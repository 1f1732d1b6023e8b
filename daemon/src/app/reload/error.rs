//! Why a reload was refused, for the log and for an operator's terminal.

use crate::app::{StartError, dry_run};
use crate::config::restart::NeedsRestart;
use crate::config::{ConfigError, Diagnostic};
use crate::host::HostError;
use crate::model::canary::Share;
use crate::observe::with_causes;
use crate::replay::dry_run::DryRun;
use crate::store::StoreError;

/// Why a reload was refused. The snapshot before runs on.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the new configuration changes what only a restart can change")]
    NeedsRestart(Vec<NeedsRestart>),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{} of {} events would go elsewhere, and {max} may", dry_run.changed, dry_run.looked)]
    Changes { dry_run: Box<DryRun>, max: u64 },
    #[error("the stored events cannot be read")]
    History(#[from] StoreError),
    #[error("no kept snapshot, or more than one, begins with `{0}`; `hookyard config list` shows them")]
    NotKept(String),
    #[error("the configuration has no plugin `{name}`; it has {known}")]
    NoPlugin { name: String, known: String },
    #[error(
        "the files say more that is new than the plugin `{plugin}`: {changes}; \
         `hookyard reload` takes all of it"
    )]
    MoreChanges { plugin: String, changes: String },
    #[error("plugin `{plugin}`")]
    Library { plugin: String, source: HostError },
    #[error(
        "no library of `{plugin}` to roll back to is kept; `hookyard plugin history {plugin}` shows what ran"
    )]
    NothingBefore { plugin: String },
    #[error(
        "a canary of `{plugin}` runs: `hookyard plugin promote {plugin}` gives it everything, \
         `hookyard plugin rollback {plugin}` ends it"
    )]
    CanaryRuns { plugin: String },
    #[error(
        "the library of `{plugin}` is new, and so is more of it: {changes}; it asks for a canary of {share}, which compares two \
         libraries under the same settings. Reload the one first and then the other, or take `canary` out of [plugin.{plugin}] \
         for this reload: it then takes both whole"
    )]
    MoreThanALibrary { plugin: String, share: Share, changes: String },
    #[error("no canary of `{plugin}` runs; `hookyard plugin reload {plugin} --canary 5%` begins one")]
    NoCanary { plugin: String },
    #[error("the canary of `{plugin}` is being rolled back: {why}")]
    GivenUp { plugin: String, why: String },
    #[error(
        "the canary could not be written down, so a start would take its library whole; it has not begun"
    )]
    TrialFile { source: std::io::Error },
    #[error("the daemon is stopping")]
    Stopping,
    #[error("the daemon's own task for the reload failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl ReloadError {
    /// What is wrong, in one line for the log: faults with their places.
    pub fn sentences(&self) -> String {
        let each = match self {
            Self::Config(error) => error.faults.iter().map(Diagnostic::line_of_log).collect(),
            Self::NeedsRestart(needed) => needed.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        match each[..] {
            [] => with_causes(self),
            _ => format!("{self}: {}", each.join("; ")),
        }
    }

    /// What is wrong, for an operator's terminal.
    pub fn report(&self) -> String {
        match self {
            Self::Config(error) => error.render(false),
            Self::NeedsRestart(needed) => {
                let lines: String = needed.iter().map(|needed| format!("\n  {needed}")).collect();
                format!(
                    "{self}:{lines}\nrestart the daemon for it, or take the change back and reload the rest"
                )
            }
            Self::Changes { dry_run, max } => format!(
                "{}\n\nthe reload is refused: {max} may go elsewhere; to accept it: --changes-max {}",
                dry_run::view(dry_run).words(),
                dry_run.changed
            ),
            _ => with_causes(self),
        }
    }
}
