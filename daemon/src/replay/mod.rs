//! Past events by other rules than those that routed them: unrouted ones are routed again, and a configuration is tried
//! against what came before it runs.
//!
//! Asked for by operators. Both go through the store page by page, from a place that the caller hands back, so that no
//! request holds more than a page in memory and a kill costs only the page that was under way.

pub mod dry_run;
pub mod unrouted;
