//! Pages of the plain model: everything that fits is there, and a part of it is cut out.

use crate::model::limits::PAGE_ROWS_MAX;
use crate::store::Page;

/// Cuts a page out of `rows`, which are in ascending order and fit the query.
pub(super) fn page<T, C: Ord + Clone>(
    mut rows: Vec<T>,
    key: impl Fn(&T) -> C,
    after: Option<C>,
    newest_first: bool,
    limit: usize,
) -> Page<T, C> {
    if newest_first {
        rows.reverse();
    }
    if let Some(after) = after {
        rows.retain(|row| if newest_first { key(row) < after } else { key(row) > after });
    }
    let limit = if limit == 0 { PAGE_ROWS_MAX } else { limit.min(PAGE_ROWS_MAX) };
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.last().map(key) } else { None };
    Page { rows, next }
}
