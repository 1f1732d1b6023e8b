//! `[store]`: where events are kept.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use crate::config::elements::Invalid;
use crate::config::reader::Reader;
use crate::config::snapshot::{STORE_PATH_DEFAULT, StoreSettings};
use crate::model::limits::{FREE_BYTES_MIN, STORE_CACHE_BYTES_DEFAULT};
use crate::rules::nearest;

const CACHE_BYTES_RANGE: RangeInclusive<u64> = 1024 * 1024..=1024 * 1024 * 1024 * 1024;
/// Below it the store could not be opened any more to be drained.
const FREE_BYTES_RANGE: RangeInclusive<u64> = 64 * 1024 * 1024..=1024 * 1024 * 1024 * 1024;

pub(super) fn read(main: &mut Reader<'_, '_, '_>) -> StoreSettings {
    let mut store = StoreSettings {
        path: PathBuf::from(STORE_PATH_DEFAULT),
        cache_bytes: STORE_CACHE_BYTES_DEFAULT,
        free_bytes_min: FREE_BYTES_MIN,
    };
    let Some(mut section) = main.section("store") else { return store };
    section.parsed("engine", "a string", "\"sled\"", engine);
    if let Some(path) = section.path("path") {
        store.path = path.value;
    }
    store.cache_bytes = section.size("cache_bytes", store.cache_bytes, CACHE_BYTES_RANGE);
    store.free_bytes_min = section.size("free_bytes_min", store.free_bytes_min, FREE_BYTES_RANGE);
    section.not_yet("retain");
    section.finish();
    store
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
