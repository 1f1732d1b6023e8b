//! Every bound that is not a setting, with the reason for its value.

use std::time::Duration;

/// The largest body accepted by default. Stripe publishes none; its largest seen here is 46 KB.
pub const BODY_BYTES_DEFAULT_MAX: usize = 1024 * 1024;
/// The signature header: a timestamp and some v1 take 200 bytes; ten times a roll of two secrets is far below this.
pub const SIGNATURE_HEADER_BYTES_MAX: usize = 8 * 1024;
/// v1 values looked at in one header: Stripe sends one for each active secret.
pub const SIGNATURES_MAX: usize = 32;
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
/// The largest body that the store takes at all, whatever a source is set to: its chunks are counted in 16 bits, and
/// each commit's worth of them holds up the other writers for some milliseconds.
pub const EVENT_BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Everything of an event but its body: names, ids and the kept headers, with room to spare.
pub const EVENT_META_BYTES_MAX: usize = 32 * 1024;
/// Deliveries that one lease takes, whatever is asked: each moves three rows in one commit.
pub const LEASE_MAX: usize = 256;
/// Rows that one page reads while it looks for those that match; the next page goes on from there.
pub const PAGE_SCAN_ROWS_MAX: usize = 20_000;
/// Bodies that one page or routing batch holds in memory at once; it ends early beyond that.
pub const PAGE_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// sled's cache where nothing else is asked. Resident memory is about this and 130 bytes for each stored event.
pub const STORE_CACHE_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// Space held back so that a store on a full disk can still be opened: opening writes a snapshot of the page table.
pub const BALLAST_BYTES: u64 = 8 * 1024 * 1024;
/// How often free space is looked at, at most: a `statvfs` is cheap, a commit is cheaper.
pub const SPACE_CHECK_EVERY: Duration = Duration::from_secs(1);
/// Bytes written after which free space is looked at again, however little time passed.
pub const SPACE_CHECK_BYTES: u64 = 64 * 1024 * 1024;
/// How often the store makes sure that sled made no blob file.
pub const BLOB_CHECK_EVERY: Duration = Duration::from_secs(60);
/// A commit that takes longer has hung: sled can deadlock without a word. Slow disks take a second at worst.
pub const WRITER_STALL_MAX: Duration = Duration::from_secs(30);
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
