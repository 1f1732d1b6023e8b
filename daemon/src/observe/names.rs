//! The names of the metrics: one vocabulary, each with its help.

pub const INFO: &str = "hookyard_info";
pub const STORE_READY: &str = "hookyard_store_ready";
pub const STORE_LAG_BYTES: &str = "hookyard_store_lag_bytes";
pub const RELOAD_REFUSED: &str = "hookyard_reload_refused";
pub const ROLLED_BACK: &str = "hookyard_rolled_back";
pub const EVENTS: &str = "hookyard_events";
pub const DELIVERIES: &str = "hookyard_deliveries";
pub const HANDLER_UP: &str = "hookyard_handler_up";
pub const HANDLER_WAITING: &str = "hookyard_handler_waiting";
pub const HANDLER_CRASHES: &str = "hookyard_handler_crashes_total";
pub const RULE_MATCHED: &str = "hookyard_rule_matched_total";
pub const RULE_LAST_MATCHED: &str = "hookyard_rule_last_matched_timestamp_seconds";

/// Every gauge.
pub const GAUGES: &[(&str, &str)] = &[
    (INFO, "The running version and the snapshot that it runs"),
    (STORE_READY, "Whether the store takes new events"),
    (STORE_LAG_BYTES, "How far the store is behind its journal"),
    (RELOAD_REFUSED, "Whether the last reload was refused"),
    (ROLLED_BACK, "Whether a kept snapshot runs, and not what the files say"),
    (EVENTS, "Events in the store, all of them and by how far routing came"),
    (DELIVERIES, "Deliveries in the store by their state"),
    (HANDLER_UP, "Whether the handler's plugin runs"),
    (HANDLER_WAITING, "Deliveries that are pending or under way"),
    (RULE_LAST_MATCHED, "When the rule last took an event"),
];

/// Every counter.
pub const COUNTERS: &[(&str, &str)] = &[
    (HANDLER_CRASHES, "Times that the handler's plugin died or had to be killed since the daemon started"),
    (RULE_MATCHED, "Events that the rule took, copied or dropped since it is counted"),
];
