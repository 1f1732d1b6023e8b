//! Every bound that is not a setting, with the reason for its value.

use std::time::Duration;

/// The largest body accepted by default. Stripe publishes none; its largest seen here is 46 KB.
pub const BODY_BYTES_DEFAULT_MAX: usize = 1024 * 1024;
/// The signature header: a timestamp and some v1 take 200 bytes; ten times a roll of two secrets is far below this.
pub const SIGNATURE_HEADER_BYTES_MAX: usize = 8 * 1024;
/// v1 values looked at in one header: Stripe sends one for each active secret.
pub const SIGNATURES_MAX: usize = 32;
/// Secrets of one source: two while one is rolled, live and test beside each other; each costs a MAC per request.
pub const SECRETS_MAX: usize = 8;
/// All headers of one request together; hyper refuses more with 431.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;
/// The headers kept with an event, names and values together; the rest is left out.
pub const KEPT_HEADER_BYTES_MAX: usize = 8 * 1024;
/// Ids and types that a provider names; Stripe's are below 100.
pub const PROVIDER_WORD_BYTES_MAX: usize = 512;

/// The chunk that values are cut into: from about 7.7 KB on sled makes files that it never syncs.
pub const CHUNK_BYTES_MAX: usize = 4096;
/// Commands that one commit takes: more brings no more throughput, only latency.
pub const COMMIT_COMMANDS_MAX: usize = 256;
/// Bytes that one commit writes: below half of sled's segment of 512 KB, so that it spans no several of them.
pub const COMMIT_BYTES_MAX: usize = 256 * 1024;
/// Commands that wait for the writer: beyond that the door answers 503.
pub const WRITER_QUEUE_MAX: usize = 4096;
/// Free space under which the store refuses new events, so that it can still be opened and drained.
pub const FREE_BYTES_MIN: u64 = 1024 * 1024 * 1024;

/// A step's memo and a key-value pair's value: both fit one chunk with their key.
pub const MEMO_BYTES_MAX: usize = 3 * 1024;
/// A step's name and a key-value pair's key.
pub const KEY_BYTES_MAX: usize = 256;
/// Log lines kept with an attempt: enough to see the cause, small beside the event.
pub const ATTEMPT_LOG_LINES_MAX: usize = 20;
/// One line of a plugin's log.
pub const LOG_LINE_BYTES_MAX: usize = 512;
/// What a plugin may explain of an outcome: message and result each.
pub const DETAIL_BYTES_MAX: usize = 2 * 1024;

/// Events that the route stage takes in one go.
pub const ROUTE_BATCH_MAX: usize = 128;
/// How long a loop sleeps without a wake-up: a lost one is only this delay.
pub const IDLE_POLL: Duration = Duration::from_secs(1);
/// Rows of one page of the operator API.
pub const PAGE_ROWS_MAX: usize = 1000;
