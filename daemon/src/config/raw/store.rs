//! `[store]`: where events are kept.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::elements::{Invalid, duration};
use crate::config::reader::Reader;
use crate::config::snapshot::{STORE_PATH_DEFAULT, StoreSettings};
use crate::model::limits::{FREE_BYTES_MIN, RETAIN_KEYS_DEFAULT, RETAIN_KEYS_MIN, STORE_CACHE_BYTES_DEFAULT};
use crate::model::retention::Retention;
use crate::rules::nearest;

const CACHE_BYTES_RANGE: RangeInclusive<u64> = 1024 * 1024..=1024 * 1024 * 1024 * 1024;
/// Below it the store could not be opened any more to be drained.
const FREE_BYTES_RANGE: RangeInclusive<u64> = 64 * 1024 * 1024..=1024 * 1024 * 1024 * 1024;

/// From what a test wants to see happen to ten years, the longest that any law asks for.
const RETAIN_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3650 * 24 * 60 * 60);

pub(super) fn read(main: &mut Reader<'_, '_, '_>) -> StoreSettings {
    let mut store = StoreSettings {
        path: PathBuf::from(STORE_PATH_DEFAULT),
        cache_bytes: STORE_CACHE_BYTES_DEFAULT,
        free_bytes_min: FREE_BYTES_MIN,
        retention: Retention::default(),
    };
    let Some(mut section) = main.section("store") else { return store };
    section.parsed("engine", "a string", "\"sled\"", engine);
    if let Some(path) = section.path("path") {
        store.path = path.value;
    }
    store.cache_bytes = section.size("cache_bytes", store.cache_bytes, CACHE_BYTES_RANGE);
    store.free_bytes_min = section.size("free_bytes_min", store.free_bytes_min, FREE_BYTES_RANGE);
    if let Some(retain) = section.table("retain") {
        read_retention(retain, &mut store.retention);
    }
    section.finish();
    store
}

fn read_retention(mut retain: Reader<'_, '_, '_>, retention: &mut Retention) {
    retention.delivered = retain.duration("delivered", retention.delivered, RETAIN_RANGE);
    retention.dead = retain.duration("dead", retention.dead, RETAIN_RANGE);
    let example = format!("\"{}\"", duration::shown(retention.keys));
    if let Some(keys) = retain.parsed("keys", "a duration", &example, keys) {
        retention.keys = keys.value;
    }
    retain.finish();
}

/// Long enough that no event that Stripe sends again finds its key gone.
fn keys(text: &str) -> Result<Duration, Invalid> {
    let keys = duration::parse(text)?;
    let help = format!(
        "write at least \"{}\"; the default is \"{}\"",
        duration::shown(RETAIN_KEYS_MIN),
        duration::shown(RETAIN_KEYS_DEFAULT)
    );
    if keys < RETAIN_KEYS_MIN {
        let message = format!(
            "`keys` is {}: Stripe can send an event again for 30 days, and without its key it would be fulfilled twice",
            duration::shown(keys)
        );
        return Err(Invalid::new(message, help));
    }
    if keys > *RETAIN_RANGE.end() {
        let longest = duration::shown(*RETAIN_RANGE.end());
        return Err(Invalid::new(format!("`keys` is longer than {longest}"), help));
    }
    Ok(keys)
}

/// Only `sled`, which is also the default.
fn engine(text: &str) -> Result<(), Invalid> {
    match text {
        "sled" => Ok(()),
        "postgres" => Err(Invalid::new(
            "the engine `postgres` comes with the fleet, and is not in this version",
            "write engine = \"sled\": it serves one daemon on one machine",
        )),
        other => {
            let help = match nearest(other, ["sled", "postgres"]) {
                Some(engine) => format!("did you mean \"{engine}\"?"),
                None => "write engine = \"sled\"".to_owned(),
            };
            Err(Invalid::new(format!("there is no engine `{other}`"), help))
        }
    }
}
