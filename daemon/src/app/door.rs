//! From a snapshot's settings and sources to the door's.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::{StartError, descriptors};
use crate::config::{self, Snapshot};
use crate::ingest::{Door, DoorSettings, DoorSource, RateLimit, Sources, TlsFiles};
use crate::model::clock::Clock;
use crate::privacy::{At, Redaction};
use crate::rules::{Path, Step};
use crate::store::Store;
use crate::verify::Scheme;
use crate::verify::stripe::StripeScheme;

/// Takes the port.
pub(super) async fn bind(
    snapshot: &Snapshot,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
) -> Result<Door, StartError> {
    let server = &snapshot.server;
    let settings = DoorSettings {
        listen: server.listen,
        tls: server
            .tls
            .as_ref()
            .map(|tls| TlsFiles { certificate: tls.certificate.clone(), key: tls.key.clone() }),
        body_bytes_max: server.body_bytes_max,
        connections_max: at_least_one(descriptors::connections_max(server.connections_max)),
        in_flight_max: at_least_one(server.in_flight_max),
        header_timeout: server.header_timeout,
        body_timeout: server.body_timeout,
        idle_timeout: server.idle_timeout,
    };
    Ok(Door::bind(settings, door_sources(snapshot)?, store, clock).await?)
}

/// The snapshot's sources as the door looks them up; rates start unspent.
pub(super) fn sources(snapshot: &Snapshot) -> Result<Sources, StartError> {
    Sources::new(door_sources(snapshot)?).map_err(|error| StartError::Door(error.into()))
}

fn door_sources(snapshot: &Snapshot) -> Result<Vec<DoorSource>, StartError> {
    snapshot.sources.iter().map(door_source).collect()
}

fn door_source(source: &config::Source) -> Result<DoorSource, StartError> {
    let config::Scheme::Stripe { secrets, tolerance } = &source.scheme;
    let scheme = StripeScheme::new(secrets.clone(), *tolerance)
        .map(Scheme::Stripe)
        .map_err(|error| StartError::Scheme { source_name: source.name.to_string(), source: error })?;
    let rate = source.rate_limit.map(|rate| RateLimit { per_second: rate.per_second, burst: rate.burst });
    let redaction = Redaction::new(source.redact.iter().map(redacted).collect());
    Ok(DoorSource { name: source.name.clone(), path: source.path.clone(), scheme, rate, redaction })
}

/// A path as it is written, and as it is compared.
fn redacted(path: &Path) -> (String, Vec<At<'static>>) {
    let step = |step: &Step| match step {
        Step::Key(key) => At::Key(key.to_string().into()),
        Step::Each => At::Element,
    };
    (path.to_string(), path.steps().iter().map(step).collect())
}

/// The configuration's check has refused 0 already.
fn at_least_one(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}
