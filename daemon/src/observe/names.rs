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
pub const HANDLER_PROCESSES: &str = "hookyard_handler_processes";
pub const HANDLER_CIRCUIT_OPEN: &str = "hookyard_handler_circuit_open";
pub const HANDLER_IN_FLIGHT: &str = "hookyard_handler_in_flight";
pub const HANDLER_HANGING: &str = "hookyard_handler_hanging_calls";
pub const HANDLER_RESIDENT_BYTES: &str = "hookyard_handler_resident_bytes";
pub const HANDLER_CPU: &str = "hookyard_handler_cpu_seconds";
pub const HANDLER_CALLS: &str = "hookyard_handler_calls_total";
pub const HANDLER_CALL_BUCKET: &str = "hookyard_handler_call_seconds_bucket";
pub const HANDLER_CALL_COUNT: &str = "hookyard_handler_call_seconds_count";
pub const HANDLER_CALL_SUM: &str = "hookyard_handler_call_seconds_sum";
pub const HANDLER_HTTP: &str = "hookyard_handler_http_requests_total";
pub const HANDLER_HTTP_BUCKET: &str = "hookyard_handler_http_seconds_bucket";
pub const HANDLER_HTTP_COUNT: &str = "hookyard_handler_http_seconds_count";
pub const HANDLER_HTTP_SUM: &str = "hookyard_handler_http_seconds_sum";
pub const HANDLER_DEATHS: &str = "hookyard_handler_deaths_total";
pub const HANDLER_RESTARTS: &str = "hookyard_handler_restarts_total";
pub const HANDLER_BREACHES: &str = "hookyard_handler_breaches_total";
pub const PLUGIN_INFO: &str = "hookyard_plugin_info";
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
    (HANDLER_PROCESSES, "Processes of the handler's plugin, by whether they are up"),
    (HANDLER_WAITING, "Deliveries that are pending or under way"),
    (HANDLER_CIRCUIT_OPEN, "Whether the handler's events wait because its plugin died too often"),
    (HANDLER_IN_FLIGHT, "Calls that the handler's plugin works on"),
    (HANDLER_HANGING, "Calls inside the daemon that hang until it is started again"),
    (HANDLER_RESIDENT_BYTES, "Memory of the handler's processes"),
    (HANDLER_CPU, "Processor time of the handler's processes since they began"),
    (HANDLER_CALL_SUM, "How long all calls took together, since the host was started"),
    (HANDLER_HTTP_SUM, "How long all HTTP requests took together, since the host was started"),
    (PLUGIN_INFO, "The plugin that the handler runs"),
    (RULE_LAST_MATCHED, "When the rule last took an event"),
];

/// Every counter.
pub const COUNTERS: &[(&str, &str)] = &[
    (HANDLER_CRASHES, "Times that the handler's plugin died or had to be killed since the daemon started"),
    (HANDLER_CALLS, "Calls by their outcome, since the host was started"),
    (HANDLER_CALL_BUCKET, "Calls that took at most `le` seconds, since the host was started"),
    (HANDLER_CALL_COUNT, "Calls, since the host was started"),
    (HANDLER_HTTP, "HTTP requests made for the plugin, by status or by why there was no answer"),
    (HANDLER_HTTP_BUCKET, "HTTP requests that took at most `le` seconds, since the host was started"),
    (HANDLER_HTTP_COUNT, "HTTP requests, since the host was started"),
    (HANDLER_DEATHS, "Processes by what they died of, since the host was started"),
    (HANDLER_RESTARTS, "Times that one of the handler's processes was started again"),
    (HANDLER_BREACHES, "Outcomes that are none, panics, and breaches of the protocol"),
    (RULE_MATCHED, "Events that the rule took, copied or dropped since it is counted"),
];
