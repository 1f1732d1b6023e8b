//! Learning which idempotency keys sled holds, once it is open.
//!
//! Started by `load.rs`, on a thread of its own: a store may hold millions. Until it is done the writer looks each new key
//! up in sled. What the applier gives to sled meanwhile it tells the horizon itself.

use std::io;
use std::sync::{Arc, Weak};

use super::engine::Engine;
use super::keys;

/// Keys learnt between two looks at whether the store is still there: some milliseconds.
const LEARNT_AT_A_TIME: usize = 1024;

/// Starts the thread. It ends when it knows all keys, or when the store is closed.
pub(super) fn start(engine: &Arc<Engine>) -> io::Result<()> {
    let engine = Arc::downgrade(engine);
    std::thread::Builder::new().name("store-learner".to_owned()).spawn(move || learn(&engine)).map(drop)
}

fn learn(engine: &Weak<Engine>) {
    let mut from = vec![keys::IDEMPOTENCY];
    while let Some(engine) = engine.upgrade() {
        let range = from.clone()..keys::after(&[keys::IDEMPOTENCY]);
        let some: Result<Vec<_>, _> = engine.db.range(range).keys().take(LEARNT_AT_A_TIME).collect();
        let some = match some {
            Ok(some) => some,
            Err(error) => {
                tracing::warn!(%error, "the idempotency keys cannot all be read; each new one is looked up");
                return;
            }
        };
        let horizon = &engine.rows.horizon;
        horizon.learn_keys(some.iter().map(AsRef::as_ref));
        match some.last() {
            Some(last) if some.len() == LEARNT_AT_A_TIME => from = [last.as_ref(), &[0]].concat(),
            _ => return horizon.keys_learnt(),
        }
    }
}
