//! Whom the plugins' processes are to become (`confine.user` and `group`): whether this system knows them, and whether the
//! daemon may make a process somebody else's at all.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Check;
use crate::config::{Handler, Snapshot};
use crate::host::{AccountError, look_up_account};
use crate::observe::with_causes;

const NAME: &str = "user";

/// Each handler that names one. `running` is the daemon's process, where it runs.
pub(super) async fn check(snapshot: &Snapshot, running: Option<u32>) -> Vec<Check> {
    let daemon = user(&snapshot.store.path, running);
    let mut checks = Vec::new();
    for handler in snapshot.handlers.values() {
        checks.extend(of(handler, daemon).await);
    }
    checks
}

async fn of(handler: &Handler, daemon: u32) -> Option<Check> {
    let (name, account) = (&handler.name, handler.confine.as_ref()?.user.clone()?);
    let looking = tokio::task::spawn_blocking(move || {
        let found = look_up_account(&account, daemon == 0);
        (account, found)
    });
    let (account, found) = match looking.await {
        Ok(looked) => looked,
        Err(error) => {
            return Some(Check::skipped(NAME, format!("handler `{name}`: {error}"), "run this again"));
        }
    };
    Some(match found {
        Ok(ids) => {
            let words =
                format!("handler `{name}` runs as `{}` (user {}, group {})", account.user, ids.uid, ids.gid);
            Check::ok(NAME, words)
        }
        Err(AccountError::NotRoot) => {
            let words = format!(
                "handler `{name}` is to run as `{}`, and the daemon is user {daemon}'s: it does not start, for only root can give \
                 a process to another user",
                account.user
            );
            Check::fault(NAME, words, "run the daemon as root, or take `user` out of `confine`")
        }
        Err(error) => {
            let words = format!("handler `{name}` does not start: {}", with_causes(&error));
            Check::fault(NAME, words, format!("mend [handler.{name}.confine], or the system's users"))
        }
    })
}

/// Who runs the daemon: whose the process is, else whose the store is, or who asks where there is none yet.
pub(super) fn user(store: &Path, running: Option<u32>) -> u32 {
    let process = running.and_then(|pid| Path::new(&format!("/proc/{pid}")).metadata().ok());
    let found = process.or_else(|| store.metadata().ok());
    found.map_or_else(|| rustix::process::geteuid().as_raw(), |found| found.uid())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::Verdict;
    use crate::model::confinement::{Account, Confinement};
    use crate::model::http_access::HttpAccess;
    use crate::model::ids::{HandlerName, PluginName};
    use crate::model::isolation::Isolation;
    use crate::model::retry::RetrySchedule;

    async fn told(user: Option<&str>, daemon: u32) -> Option<Check> {
        let user = user.map(|user| Account { user: user.to_owned(), group: None });
        let handler = Handler {
            name: HandlerName::new("sumo"),
            plugin: PluginName::new("sumo"),
            concurrency: 1,
            processes: 1,
            isolation: Isolation::Process,
            timeout: Duration::from_secs(1),
            retry: RetrySchedule::default(),
            settings: serde_json::json!({}),
            secrets: std::collections::BTreeMap::default(),
            confine: Some(Confinement { user, ..Confinement::default() }),
            http: HttpAccess::default(),
        };
        of(&handler, daemon).await
    }

    #[tokio::test]
    async fn who_is_known_who_is_not_and_a_daemon_that_may_not_are_each_told() {
        assert_eq!(told(None, 0).await, None, "nobody is named");
        let known = told(Some("daemon"), 0).await.unwrap();
        assert_eq!(known.verdict, Verdict::Ok);
        assert!(known.words.starts_with("handler `sumo` runs as `daemon` (user "), "{known:?}");
        for (user, daemon, words) in [
            ("no-such-user", 0, "does not start: there is no user `no-such-user` here; make it"),
            ("root", 0, "does not start: the user `root` is root"),
            ("daemon", 54321, "is to run as `daemon`, and the daemon is user 54321's: it does not start"),
        ] {
            let told = told(Some(user), daemon).await.unwrap();
            assert_eq!(told.verdict, Verdict::Fault, "{told:?}");
            assert!(told.words.contains(words), "{told:?}");
        }
    }

    #[test]
    fn the_daemons_user_is_that_of_its_process_then_of_its_store_then_who_asks() {
        let own = rustix::process::geteuid().as_raw();
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(user(Path::new("/no/such/store"), None), own);
        assert_eq!(user(directory.path(), None), directory.path().metadata().unwrap().uid());
        assert_eq!(user(Path::new("/no/such/store"), Some(1)), 0, "the first process is root's");
    }
}
