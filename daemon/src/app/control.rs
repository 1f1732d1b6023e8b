//! What operators may see and change of the running daemon, in the words of their API.

use std::sync::Arc;

use async_trait::async_trait;

use super::dry_run::{self, Demand};
use super::explain::{Subject, explain};
use super::kept::Kept;
use super::library_record::Entry;
use super::reload::plugin::{PluginChange, Wish};
use super::reload::{Origin, ReloadError, Reloaded, Reloader};
use crate::admin::control::{
    ChangeView, Control, FileView, KeptFilesView, KeptView, Refused, ReloadRequest, ReloadView, WaitingView,
};
use crate::admin::dry_run::{DryRunRequest, DryRunView};
use crate::admin::explain::ExplainView;
use crate::admin::plugins::{LibraryRecordView, LibraryReload, PluginChangeView};
use crate::admin::rules::{MatchedView, ReplayView};
use crate::admin::view::{HandlerView, RefusalView, time};
use crate::config::{Change, ConfigFile, Diagnostic};
use crate::model::canary::{NoShare, Share};
use crate::model::clock::UnixMillis;
use crate::model::event::Event;
use crate::model::ids::{EventId, PluginName, RuleName};
use crate::observe::with_causes;
use crate::replay::dry_run::Last;
use crate::replay::unrouted;
use crate::route::Matched;
use crate::rules::DEFAULT_RULE;
use crate::store::StoreError;

/// The daemon's side of the operator API.
#[derive(Debug)]
pub(super) struct Operations {
    pub(super) reloader: Arc<Reloader>,
}

#[async_trait]
impl Control for Operations {
    fn handlers(&self) -> Vec<HandlerView> {
        let held = self.reloader.held();
        let mut views = self.reloader.handlers.views();
        for view in &mut views {
            let Some(held) = held.get(&PluginName::new(&view.plugin)) else { continue };
            view.rolled_back = view.canary.is_none();
            view.rolled_back_why = held.why.clone().unwrap_or_default();
        }
        views
    }

    fn snapshot(&self) -> String {
        self.reloader.snapshot().hash.to_string()
    }

    fn is_rolled_back(&self) -> bool {
        self.reloader.is_rolled_back()
    }

    fn reload_refused(&self) -> Option<RefusalView> {
        let refusal = self.reloader.refusal()?;
        Some(RefusalView { at: time(refusal.at), why: refusal.why })
    }

    fn restart_asked(&self) -> Option<String> {
        self.reloader.handlers.restart_asked()
    }

    async fn explain(&self, event: Event) -> ExplainView {
        let table = self.reloader.tables.load_full();
        let explaining = tokio::task::spawn_blocking(move || {
            let envelope = &event.envelope;
            let subject = Subject {
                event: Some(event.id),
                source: &envelope.source,
                livemode: envelope.livemode,
                received: envelope.received,
                body: &envelope.body,
            };
            explain(&table.rules, &table.snapshot, &subject)
        });
        explaining.await.expect("explaining does not panic")
    }

    fn rules(&self) -> Vec<MatchedView> {
        let (rules, counted) = (self.reloader.snapshot(), self.reloader.tally.snapshot());
        let default = RuleName::new(DEFAULT_RULE);
        let names = rules.rules.rules().iter().map(|rule| &rule.name).chain([&default]);
        let now = self.reloader.clock.now();
        names.filter_map(|name| Some(matched(name, counted.get(name)?, now))).collect()
    }

    async fn replay_unrouted(&self, after: Option<EventId>) -> Result<ReplayView, StoreError> {
        let Reloader { store, tables, tally, .. } = &*self.reloader;
        let page = unrouted::page(&**store, &tables.load_full(), tally, after).await?;
        let next = page.next.map(|next| next.to_string());
        Ok(ReplayView { looked: page.looked, routed: page.routed, next })
    }

    async fn dry_run(&self, request: DryRunRequest) -> Result<DryRunView, Refused> {
        let last = Last::parse(&request.against).map_err(refused_words)?;
        let file = |file: FileView| ConfigFile { path: file.path.into(), text: file.text };
        let (files, loader) = (request.files.into_iter().map(file).collect(), self.reloader.loader.clone());
        let loading = tokio::task::spawn_blocking(move || loader.load(files));
        let loaded = loading.await.map_err(|error| refused(&error.into()))?;
        let rules = loaded.map_err(|error| refused(&error.into()))?.snapshot.rules;
        let dry_run = self.reloader.dry_run(&rules, last).await;
        dry_run.map(|dry_run| dry_run::view(&dry_run)).map_err(|error| refused_words(error.to_string()))
    }

    async fn reload(&self, request: ReloadRequest) -> Result<ReloadView, Refused> {
        let last = request.against.as_deref().map(Last::parse).transpose().map_err(refused_words)?;
        let demand = last.map(|last| Demand { last, changes_max: request.changes_max });
        let from = request.kept.map_or(Origin::Files, Origin::Kept);
        match self.reloader.reload(from, demand).await {
            Ok(reloaded) => Ok(view(&reloaded)),
            Err(error) => Err(refused(&error)),
        }
    }

    async fn reload_plugin(&self, plugin: &str, request: LibraryReload) -> Result<PluginChangeView, Refused> {
        let LibraryReload { by, canary, promote_after, whole } = request;
        let share = canary.map(|share| share.parse()).transpose();
        let share: Option<Share> = share.map_err(|error: NoShare| refused_words(error.to_string()))?;
        let change = self.reloader.reload_plugin(plugin, Wish { share, promote_after, whole }, &by).await;
        change.map(|change| plugin_change(&change)).map_err(|error| refused(&error))
    }

    async fn promote_plugin(&self, plugin: &str, by: &str) -> Result<PluginChangeView, Refused> {
        let change = self.reloader.promote_plugin(plugin, by).await;
        change.map(|change| plugin_change(&change)).map_err(|error| refused(&error))
    }

    async fn roll_back_plugin(
        &self,
        plugin: &str,
        to: Option<&str>,
        by: &str,
    ) -> Result<PluginChangeView, Refused> {
        let change = self.reloader.roll_back_plugin(plugin, to, by).await;
        change.map(|change| plugin_change(&change)).map_err(|error| refused(&error))
    }

    async fn library_record(&self) -> Vec<LibraryRecordView> {
        let record = Arc::clone(&self.reloader.record);
        let entries = tokio::task::spawn_blocking(move || record.entries()).await.unwrap_or_default();
        entries.into_iter().rev().map(record_view).collect()
    }

    async fn kept(&self) -> Vec<KeptView> {
        let running = self.snapshot();
        let view = |kept: Kept| KeptView {
            running: kept.hash == running,
            began: time(UnixMillis(kept.began)),
            files: kept.files().iter().map(|file| file.path.display().to_string()).collect(),
            snapshot: kept.hash,
        };
        self.look(|reloader| reloader.kept().into_iter().collect()).await.into_iter().map(view).collect()
    }

    async fn kept_files(&self, hash: &str) -> Option<KeptFilesView> {
        let hash = hash.to_owned();
        let found = self.look(move |reloader| reloader.kept.find(&hash).into_iter().collect()).await;
        let kept = found.into_iter().next()?;
        let file = |file: ConfigFile| FileView { path: file.path.display().to_string(), text: file.text };
        Some(KeptFilesView {
            began: time(UnixMillis(kept.began)),
            files: kept.files().into_iter().map(file).collect(),
            snapshot: kept.hash,
        })
    }
}

impl Operations {
    /// Looks at files, beside the async threads.
    async fn look(&self, look: impl FnOnce(&Reloader) -> Vec<Kept> + Send + 'static) -> Vec<Kept> {
        let reloader = Arc::clone(&self.reloader);
        tokio::task::spawn_blocking(move || look(&reloader)).await.unwrap_or_default()
    }
}

fn plugin_change(change: &PluginChange) -> PluginChangeView {
    PluginChangeView {
        plugin: change.plugin.to_string(),
        how: change.how.to_owned(),
        share: change.share.map(|share| share.to_string()),
        before: change.before.clone(),
        sha256: change.after.sha256.clone(),
        version: change.after.version.clone(),
        abi: change.after.abi.clone(),
        handlers: change.handlers.iter().map(ToString::to_string).collect(),
    }
}

fn record_view(entry: Entry) -> LibraryRecordView {
    LibraryRecordView {
        at: time(UnixMillis(entry.at)),
        plugin: entry.plugin,
        how: entry.how,
        by: entry.by,
        before: entry.before,
        sha256: entry.sha256,
        version: entry.version,
        abi: entry.abi,
        why: entry.why,
    }
}

fn view(reloaded: &Reloaded) -> ReloadView {
    let waiting = |(handler, deliveries): &(crate::model::ids::HandlerName, u64)| WaitingView {
        handler: handler.to_string(),
        deliveries: *deliveries,
    };
    ReloadView {
        before: reloaded.before.hash.to_string(),
        snapshot: reloaded.after.hash.to_string(),
        changes: reloaded.changes.iter().map(change).collect(),
        new_hosts: reloaded.fresh.iter().map(ToString::to_string).collect(),
        canaries: reloaded.canaries.iter().map(|(plugin, _)| plugin.to_string()).collect(),
        waiting_for_nobody: reloaded.unnamed.iter().map(waiting).collect(),
        dry_run: reloaded.dry_run.as_ref().map(dry_run::view),
        warnings: reloaded.warnings.iter().map(|warning| warning.render(false)).collect(),
    }
}

fn change(change: &Change) -> ChangeView {
    ChangeView {
        part: change.part.word().to_owned(),
        name: change.name.clone(),
        how: change.how.word().to_owned(),
        text: change.to_string(),
    }
}

fn matched(rule: &RuleName, matched: &Matched, now: UnixMillis) -> MatchedView {
    const DAY_SECS: u64 = 24 * 60 * 60;
    MatchedView {
        rule: rule.to_string(),
        matched: matched.events,
        last_matched: matched.last.map(time),
        counted_since: time(matched.since),
        quiet_days: now.since(matched.last.unwrap_or(matched.since)).as_secs() / DAY_SECS,
    }
}

fn refused_words(error: String) -> Refused {
    Refused { report: error.clone(), error, faults: serde_json::Value::Array(Vec::new()) }
}

fn refused(error: &ReloadError) -> Refused {
    let faults = match error {
        ReloadError::Config(error) => error.faults.iter().map(Diagnostic::to_json).collect(),
        _ => Vec::new(),
    };
    Refused { error: with_causes(error), report: error.report(), faults: faults.into() }
}
