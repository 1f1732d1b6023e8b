//! How many deliveries wait for each handler: one row a handler (`w`), which counts its rows in the due index.
//!
//! So that nobody walks over that index to say how long it is. Whoever puts a row there or takes one away says so here, in
//! the same commit. A handler for which nothing waits has no row. A count that is wrong stops nothing: `verify` tells of it,
//! and `repair` counts again.

use std::collections::BTreeMap;

use super::codec;
use super::derived;
use super::events::{Scan, View};
use super::fault::Fault;
use super::keys;
use super::round::Round;
use super::rows::Rows;
use crate::model::ids::HandlerName;

/// Rows of the due index held in memory at once.
const SLICE_ROWS: usize = 500;

/// Counts by handler.
pub(super) type Counts = BTreeMap<HandlerName, u64>;

/// One more row of this handler is in the due index.
pub(super) fn more(round: &mut Round, handler: &HandlerName) -> Result<(), Fault> {
    let waiting = standing(round, handler)?;
    Ok(round.put(keys::waiting(handler), encode(waiting + 1))?)
}

/// One fewer.
pub(super) fn fewer(round: &mut Round, handler: &HandlerName) -> Result<(), Fault> {
    match standing(round, handler)? {
        0 | 1 => round.remove(keys::waiting(handler)),
        waiting => round.put(keys::waiting(handler), encode(waiting - 1))?,
    }
    Ok(())
}

/// What the row says. One that is lost or unreadable counts from nothing on.
fn standing(round: &Round, handler: &HandlerName) -> Result<u64, Fault> {
    let row = round.get(&keys::waiting(handler))?;
    Ok(row.and_then(|row| decode(&row).ok()).unwrap_or_default())
}

/// The counts as they stand.
pub(super) fn by_handler(rows: &Rows) -> Result<Counts, Fault> {
    let mut counts = Counts::new();
    for key in rows.with_prefix(&[keys::WAITING]) {
        let key = key?;
        let Some(row) = View::get(rows, &key)? else { continue };
        if let (Some(handler), Ok(count)) = (keys::waiting_in(&key), decode(&row)) {
            counts.insert(handler, count);
        }
    }
    Ok(counts)
}

/// A count as it stands in its row.
pub(super) fn encode(count: u64) -> Vec<u8> {
    codec::pack(&count)
}

/// The count that a row holds, or why it holds none.
pub(super) fn decode(row: &[u8]) -> Result<u64, String> {
    codec::unpack(row)
}

/// What the counts must be.
pub(super) fn counted(rows: &impl Scan) -> Result<Counts, Fault> {
    let (mut counts, mut from) = (Counts::new(), Some(vec![keys::DUE]));
    while let Some(at) = from {
        let slice = derived::rows(rows, &[keys::DUE], &at, SLICE_ROWS)?;
        slice.rows.iter().for_each(|(key, _)| count_row(&mut counts, key));
        from = slice.next;
    }
    Ok(counts)
}

/// Counts a row of the due index. One that names no delivery is nobody's.
pub(super) fn count_row(counts: &mut Counts, key: &[u8]) {
    if let Some((id, _)) = keys::due_in(key) {
        *counts.entry(id.handler).or_default() += 1;
    }
}
