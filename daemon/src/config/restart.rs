//! What a reload cannot change, because a running daemon holds it: sockets, the door's limits, the store's place.

use std::fmt;

use super::snapshot::{Admin, Server, Snapshot, Tls};

/// A setting that is another in the new configuration, and needs a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedsRestart {
    pub setting: &'static str,
    /// What the daemon runs with.
    pub running: String,
    pub wanted: String,
}

impl fmt::Display for NeedsRestart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is {} in the running daemon and {} in the new configuration",
            self.setting, self.running, self.wanted
        )
    }
}

/// Every setting that keeps `new` from replacing `old` without a restart.
pub fn needed(old: &Snapshot, new: &Snapshot) -> Vec<NeedsRestart> {
    let of_server = settings(&old.server).into_iter().zip(settings(&new.server));
    let of_store = store(old).into_iter().zip(store(new));
    of_server
        .chain(of_store)
        .filter(|((_, running), (_, wanted))| running != wanted)
        .map(|((setting, running), (_, wanted))| NeedsRestart { setting, running, wanted })
        .collect()
}

fn settings(server: &Server) -> [(&'static str, String); 9] {
    let admin = |admin: &Option<Admin>| {
        admin.as_ref().map_or_else(|| "absent".to_owned(), |admin| admin.listen.to_string())
    };
    let tls = |tls: &Option<Tls>| {
        tls.as_ref().map_or_else(
            || "absent".to_owned(),
            |tls| format!("{} with {}", tls.certificate.display(), tls.key.display()),
        )
    };
    [
        ("server.listen", server.listen.to_string()),
        ("server.admin.listen", admin(&server.admin)),
        ("server.tls", tls(&server.tls)),
        ("server.body_bytes_max", server.body_bytes_max.to_string()),
        ("server.connections_max", server.connections_max.to_string()),
        ("server.in_flight_max", server.in_flight_max.to_string()),
        ("server.header_timeout", format!("{:?}", server.header_timeout)),
        ("server.body_timeout", format!("{:?}", server.body_timeout)),
        ("server.idle_timeout", format!("{:?}", server.idle_timeout)),
    ]
}

fn store(snapshot: &Snapshot) -> [(&'static str, String); 3] {
    let store = &snapshot.store;
    [
        ("store.path", store.path.display().to_string()),
        ("store.cache_bytes", store.cache_bytes.to_string()),
        ("store.free_bytes_min", store.free_bytes_min.to_string()),
    ]
}
