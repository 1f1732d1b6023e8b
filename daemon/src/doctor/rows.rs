//! The store's rows: every one of them, where no daemon holds the store; else what the daemon says of it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Check, Daemon, Request};
use crate::admin::view::StatusView;
use crate::app::{OpenError, open_for_upkeep};
use crate::config::Snapshot;
use crate::model::clock::UnixMillis;
use crate::observe::with_causes;
use crate::store::{Counts, EventQuery, Repaired, StoreError, Upkeep};

const NAME: &str = "store";
const REPAIR: &str = "repair";
/// Findings that are told one by one; the rest is counted.
const TOLD_MAX: usize = 20;
const READY: &str = "ready";

/// Looks at the rows, and mends them where that was asked for; also the time of the newest event, where it is known.
pub(super) async fn check(snapshot: &Snapshot, request: &Request<'_>) -> (Option<UnixMillis>, Vec<Check>) {
    let path = snapshot.store.path.as_path();
    if let Some(check) = not_ours(path) {
        return (newest_of(request.daemon), not_repaired(request, vec![check]));
    }
    match open_for_upkeep(snapshot, request.repair).await {
        Ok(store) => {
            let looked = look(&*store, request.repair).await;
            let closed = store.close().await;
            match looked.and_then(|looked| closed.map(|()| looked)) {
                Ok(looked) => looked,
                Err(error) => (None, vec![broken(&error)]),
            }
        }
        Err(OpenError::Locked { .. }) => {
            (newest_of(request.daemon), not_repaired(request, held(path, request.daemon)))
        }
        Err(error) => {
            let words = with_causes(&error);
            (
                None,
                vec![Check::fault(
                    NAME,
                    words,
                    "do what it says; nothing was changed that could hold an event",
                )],
            )
        }
    }
}

/// A store that this user must not open: files made by another would lock the daemon out.
fn not_ours(path: &Path) -> Option<Check> {
    let us = rustix::process::geteuid().as_raw();
    match path.metadata() {
        Ok(found) if found.uid() != us => Some(Check::skipped(
            NAME,
            format!(
                "{} belongs to user {} and this runs as user {us}: what it made there would lock the daemon out",
                path.display(),
                found.uid()
            ),
            format!("run this as that user: sudo -u '#{}' hookyard doctor", found.uid()),
        )),
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let words = format!("there is none yet in {}", path.display());
            Some(Check::skipped(NAME, words, "`hookyard serve` makes it"))
        }
        Err(error) => {
            let words = format!("{} cannot be looked at: {error}", path.display());
            Some(Check::fault(NAME, words, "run this as the user that runs the daemon"))
        }
    }
}

/// What can be said of a store that another process holds.
fn held(path: &Path, daemon: &Daemon) -> Vec<Check> {
    match daemon {
        Daemon::Answers { status, .. } => vec![said(path, status)],
        Daemon::Silent(why) => vec![Check::warn(
            NAME,
            format!("another process holds {}, and no daemon answers for it: {why}", path.display()),
            "wait if it starts or stops; else find it with `fuser` and look into its log",
        )],
    }
}

fn said(path: &Path, status: &StatusView) -> Check {
    if status.store != READY {
        let words = format!("the daemon that holds {} says: {}", path.display(), status.store);
        return Check::fault(NAME, words, "`hookyard status` and the daemon's log say more");
    }
    let counts = &status.counts;
    let words = format!(
        "a daemon holds {} and says it is ready ({} events, {} pending, {} dead); its rows were not looked at",
        path.display(),
        counts.events,
        counts.pending,
        counts.dead
    );
    Check::skipped(NAME, words, "stop the daemon and run this again to look at every row")
}

fn not_repaired(request: &Request<'_>, mut checks: Vec<Check>) -> Vec<Check> {
    if request.repair {
        let next = "stop the daemon, and run this as its user";
        checks.push(Check::fault(REPAIR, "nothing was repaired: the store could not be opened here", next));
    }
    checks
}

fn newest_of(daemon: &Daemon) -> Option<UnixMillis> {
    match daemon {
        Daemon::Answers { newest_event, .. } => *newest_event,
        Daemon::Silent(_) => None,
    }
}

async fn look(store: &dyn Upkeep, repair: bool) -> Result<(Option<UnixMillis>, Vec<Check>), StoreError> {
    let mut checks = Vec::new();
    if repair {
        checks.push(repaired(&store.repair().await?));
    }
    let findings = store.verify().await?;
    let next = match repair {
        true => "no repair can make this anew: restore a backup, or send the provider's event again",
        false => "copy the store's directory, then run `hookyard doctor --repair`",
    };
    let more = findings.len().saturating_sub(TOLD_MAX);
    checks.extend(findings.iter().take(TOLD_MAX).map(|finding| Check::fault(NAME, finding.clone(), next)));
    if more > 0 {
        checks.push(Check::fault(NAME, format!("and {more} more like these"), next));
    }
    if findings.is_empty() {
        checks.push(Check::ok(NAME, sound(&store.counts().await?)));
    }
    let newest = EventQuery { limit: 1, newest_first: true, ..EventQuery::default() };
    let newest = store.events(newest).await?.rows.pop().map(|event| event.envelope.received);
    Ok((newest, checks))
}

fn sound(counts: &Counts) -> String {
    let Counts { events, to_route, unrouted, dropped, pending, leased, delivered, ignored, dead, cancelled } =
        counts;
    let deliveries = pending + leased + delivered + ignored + dead + cancelled;
    format!(
        "every row fits: {events} events ({to_route} to be routed, {unrouted} unrouted, {dropped} dropped), {deliveries} \
         deliveries ({pending} pending, {dead} dead)"
    )
}

/// What a repair did.
fn repaired(done: &Repaired) -> Check {
    if done.is_nothing() {
        return Check::ok(REPAIR, "there was nothing to do");
    }
    let of = |rows: &std::collections::BTreeMap<&'static str, u64>, verb: &str| {
        rows.iter().map(|(name, count)| format!("{count} {name} {verb}")).collect::<Vec<_>>()
    };
    let mut words = [of(&done.written, "written"), of(&done.removed, "removed")].concat();
    if let Some((before, after)) = &done.totals {
        words.push(format!("the totals counted anew (were {before:?}, are {after:?})"));
    }
    Check::ok(REPAIR, words.join(", "))
}

fn broken(error: &StoreError) -> Check {
    Check::fault(
        NAME,
        with_causes(error),
        "look into the kernel's log whether the disk fails; copy the store's directory first",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_store_that_is_not_there_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        assert_eq!(not_ours(&path).unwrap().verdict, Verdict::Skipped);
        assert!(!path.exists());
        assert_eq!(not_ours(dir.path()), None);
    }

    #[test]
    fn what_was_repaired_is_told() {
        assert_eq!(repaired(&Repaired::default()).words, "there was nothing to do");
        let done = Repaired {
            written: [("idempotency keys", 2)].into(),
            removed: [("rows of the due index", 1)].into(),
            totals: None,
        };
        assert_eq!(repaired(&done).words, "2 idempotency keys written, 1 rows of the due index removed");
    }
}
