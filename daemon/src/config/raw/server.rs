//! `[server]`: where the daemon listens, and how much it takes.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::elements::address;
use crate::config::elements::secret::SecretRef;
use crate::config::faults::Spotted;
use crate::config::reader::Reader;
use crate::config::snapshot::{DRAIN_TIMEOUT_DEFAULT, LISTEN_DEFAULT, Server};
use crate::model::limits::{
    BODY_BYTES_DEFAULT_MAX, BODY_TIMEOUT_DEFAULT, CONNECTIONS_DEFAULT_MAX, EVENT_BODY_BYTES_MAX,
    HEADER_TIMEOUT_DEFAULT, IDLE_TIMEOUT_DEFAULT, IN_FLIGHT_DEFAULT_MAX,
};

/// At most what the store keeps of one event.
const BODY_BYTES_RANGE: RangeInclusive<u64> = 1024..=EVENT_BODY_BYTES_MAX as u64;
/// As many sockets as a process usually gets.
const CONNECTIONS_RANGE: RangeInclusive<usize> = 1..=65_536;
const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60 * 60);

/// `[server]` with its secret still a reference.
#[derive(Debug)]
pub(in crate::config) struct RawServer {
    /// With no operator listener yet.
    pub(in crate::config) server: Server,
    pub(in crate::config) admin: Option<RawAdmin>,
    pub(in crate::config) tls: Vec<Spotted<PathBuf>>,
}

/// `[server] admin`
#[derive(Debug)]
pub(in crate::config) struct RawAdmin {
    pub(in crate::config) listen: Spotted<SocketAddr>,
    pub(in crate::config) token: Option<Spotted<SecretRef>>,
}

pub(super) fn read(main: &mut Reader<'_, '_, '_>) -> RawServer {
    let mut raw = RawServer { server: defaults(), admin: None, tls: Vec::new() };
    let Some(mut section) = main.section("server") else { return raw };
    if let Some(listen) = section.parsed("listen", "an address", "\"127.0.0.1:8080\"", address::parse) {
        raw.server.listen = listen.value;
    }
    raw.admin = read_admin(&mut section);
    read_tls(&mut section, &mut raw);
    read_limits(&mut section, &mut raw.server);
    section.finish();
    raw
}

fn defaults() -> Server {
    Server {
        listen: LISTEN_DEFAULT,
        admin: None,
        tls: None,
        body_bytes_max: BODY_BYTES_DEFAULT_MAX,
        connections_max: CONNECTIONS_DEFAULT_MAX,
        in_flight_max: IN_FLIGHT_DEFAULT_MAX,
        header_timeout: HEADER_TIMEOUT_DEFAULT,
        body_timeout: BODY_TIMEOUT_DEFAULT,
        idle_timeout: IDLE_TIMEOUT_DEFAULT,
        drain_timeout: DRAIN_TIMEOUT_DEFAULT,
    }
}

fn read_admin(section: &mut Reader<'_, '_, '_>) -> Option<RawAdmin> {
    let mut admin = section.table("admin")?;
    admin.require("listen", "write listen = \"127.0.0.1:8081\"");
    admin.require("token", "write token = \"env:HOOKYARD_ADMIN_TOKEN\"");
    let listen = admin.parsed("listen", "an address", "\"127.0.0.1:8081\"", address::parse);
    let token = admin.secret("token");
    admin.finish();
    Some(RawAdmin { listen: listen?, token })
}

fn read_tls(section: &mut Reader<'_, '_, '_>, raw: &mut RawServer) {
    let Some(mut tls) = section.table("tls") else { return };
    tls.require(
        "certificate",
        "write certificate = \"/etc/hookyard/tls.crt\", a PEM file with the whole chain",
    );
    tls.require("key", "write key = \"/etc/hookyard/tls.key\", a PEM file");
    let files = [tls.path("certificate"), tls.path("key")];
    tls.finish();
    if let [Some(certificate), Some(key)] = &files {
        raw.server.tls =
            Some(crate::config::Tls { certificate: certificate.value.clone(), key: key.value.clone() });
    }
    raw.tls = files.into_iter().flatten().collect();
}

fn read_limits(section: &mut Reader<'_, '_, '_>, server: &mut Server) {
    let body_bytes = section.size("body_bytes_max", server.body_bytes_max as u64, BODY_BYTES_RANGE);
    server.body_bytes_max = usize::try_from(body_bytes).unwrap_or(BODY_BYTES_DEFAULT_MAX);
    server.connections_max = section.count("connections_max", server.connections_max, CONNECTIONS_RANGE);
    server.in_flight_max = section.count("in_flight_max", server.in_flight_max, CONNECTIONS_RANGE);
    server.header_timeout = section.duration("header_timeout", server.header_timeout, TIMEOUT_RANGE);
    server.body_timeout = section.duration("body_timeout", server.body_timeout, TIMEOUT_RANGE);
    server.idle_timeout = section.duration("idle_timeout", server.idle_timeout, TIMEOUT_RANGE);
    server.drain_timeout = section.duration("drain_timeout", server.drain_timeout, TIMEOUT_RANGE);
}
