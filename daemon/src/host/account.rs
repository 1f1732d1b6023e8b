//! Who a confined plugin's process becomes: the names of the configuration, looked up where the system keeps its users (the
//! files of /etc, or whatever the C library asks beside them). Blocks.

use hookyard_plugin_host::protocol::Ids;
use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User};

use crate::model::confinement::Account;

/// Why the process cannot become that user: a sentence for the operator.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    #[error(
        "only root can run a plugin as another user, and this daemon is not root's; take `user` out of `confine`"
    )]
    NotRoot,
    #[error("there is no user `{0}` here; make it (`useradd --system {0}`), or mend `user` in `confine`")]
    NoUser(String),
    #[error("there is no group `{0}` here; make it (`groupadd --system {0}`), or mend `group` in `confine`")]
    NoGroup(String),
    #[error("user {0} has no entry here that would name its group; write `group` beside `user` in `confine`")]
    NoGroupOf(u32),
    #[error("the user `{0}` is root, which is no bound for a plugin; name another in `confine`")]
    Root(String),
    #[error(
        "this kernel gives no sealed memory to load the library from, and another user cannot read the store's cache; take \
         `user` out of `confine`, or allow memfd_create (sysctl vm.memfd_noexec, or what filters the daemon's system calls)"
    )]
    NoSealedMemory,
    #[error("the system's users cannot be looked up")]
    LookUp(#[from] Errno),
}

/// The numbers of a user and its group, for a daemon that runs as root or does not.
pub fn look_up(account: &Account, is_root: bool) -> Result<Ids, AccountError> {
    if !is_root {
        return Err(AccountError::NotRoot);
    }
    let (uid, own_group) = user(&account.user)?;
    if uid == 0 {
        return Err(AccountError::Root(account.user.clone()));
    }
    let gid = match &account.group {
        Some(group) => self::group(group)?,
        None => own_group.ok_or(AccountError::NoGroupOf(uid))?,
    };
    Ok(Ids { uid, gid })
}

/// The user's number, and its group's where the system knows the user.
fn user(written: &str) -> Result<(u32, Option<u32>), AccountError> {
    let found = match number(written) {
        Some(uid) => User::from_uid(Uid::from_raw(uid))?,
        None => User::from_name(written)?,
    };
    match (found, number(written)) {
        (Some(user), _) => Ok((user.uid.as_raw(), Some(user.gid.as_raw()))),
        (None, Some(uid)) => Ok((uid, None)),
        (None, None) => Err(AccountError::NoUser(written.to_owned())),
    }
}

fn group(written: &str) -> Result<u32, AccountError> {
    if let Some(gid) = number(written) {
        return Ok(gid);
    }
    let found = Group::from_name(written)?.map(|group| group.gid);
    found.map(Gid::as_raw).ok_or_else(|| AccountError::NoGroup(written.to_owned()))
}

/// What is written as a number is one; the largest means "nobody's" to the kernel, and is none.
fn number(written: &str) -> Option<u32> {
    written.parse().ok().filter(|number| *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No system has so high a number in its files.
    const UNKNOWN: u32 = 4_000_000_000;

    fn looked_up(user: &str, group: Option<&str>) -> Result<Ids, String> {
        let account = Account { user: user.to_owned(), group: group.map(str::to_owned) };
        look_up(&account, true).map_err(|error| error.to_string())
    }

    #[test]
    fn names_and_numbers_are_found_and_a_group_may_be_another() {
        let daemon = User::from_name("daemon").unwrap().expect("every system has the user daemon");
        let (uid, gid) = (daemon.uid.as_raw(), daemon.gid.as_raw());
        assert_eq!(looked_up("daemon", None), Ok(Ids { uid, gid }));
        assert_eq!(looked_up(&uid.to_string(), None), Ok(Ids { uid, gid }));
        assert_eq!(looked_up("daemon", Some("7")), Ok(Ids { uid, gid: 7 }));
        assert_eq!(looked_up(&UNKNOWN.to_string(), Some("daemon")), Ok(Ids { uid: UNKNOWN, gid }));
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let account = Account { user: "daemon".to_owned(), group: None };
        assert_eq!(look_up(&account, false), Err(AccountError::NotRoot));
        let said = |user: &str, group| looked_up(user, group).unwrap_err();
        assert!(said("no-such-user", None).contains("there is no user `no-such-user` here; make it"));
        assert!(said("daemon", Some("no-such-group")).contains("there is no group `no-such-group` here"));
        assert!(said(&UNKNOWN.to_string(), None).contains("write `group` beside `user`"));
        assert!(said(&u32::MAX.to_string(), Some("7")).contains("there is no user `4294967295`"));
        for root in ["root", "0"] {
            assert!(said(root, None).contains("is root, which is no bound"));
        }
    }
}
