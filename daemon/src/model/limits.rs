//! Every bound that is not a setting, with the reason for its value.

use std::time::Duration;

const DAY_SECS: u64 = 24 * 60 * 60;

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
/// Connections open at once by default: a slow one costs a few KB, and a file descriptor of the usual 1024.
pub const CONNECTIONS_DEFAULT_MAX: usize = 800;
/// Requests worked on at once by default; each may hold one body, so this bounds the memory at 256 of them.
pub const IN_FLIGHT_DEFAULT_MAX: usize = 256;
/// From the first byte of a connection to its first whole request head, the TLS handshake included.
pub const HEADER_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// From a request's head to the end of its body.
pub const BODY_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// How long a connection may go without a request before it is closed.
pub const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
/// How long a connection that has brought nothing yet is spared while others could give way: a TLS handshake and a request
/// from the other side of the world take less.
pub const NEWCOMER_GRACE: Duration = Duration::from_secs(1);
/// How often a body is looked at that is not there yet; the first look is also how long any body is left in peace.
pub const BODY_PACE: Duration = Duration::from_millis(250);
/// A body that brings less between two looks (64 KiB/s) gives its place to the next request that wants one: Stripe sends a
/// usual event in one piece, and whoever would hold all places must send new ones by the thousand or bytes by the megabyte.
pub const BODY_PACE_BYTES_MIN: usize = 16 * 1024;
/// How long an answer waits for the disk. Stripe gives up somewhere above; what is stored later answers its retry.
pub const APPEND_WAIT_MAX: Duration = Duration::from_secs(8);
/// What `Retry-After` says where nothing better is known.
pub const RETRY_AFTER: Duration = Duration::from_secs(10);
/// Requests at once on one HTTP/2 connection: one connection must not take all that are in flight.
pub const HTTP2_STREAMS_MAX: u32 = 64;
/// Streams that a peer opened and reset before they were looked at: more is an attack (CVE-2023-44487).
pub const HTTP2_PENDING_RESETS_MAX: usize = 20;
/// How long a closed connection still swallows what the peer sends, so that the last answer is not lost to a reset.
pub const LINGER: Duration = Duration::from_secs(1);
/// How much it swallows.
pub const LINGER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a connection that was told to close may take before it is cut, where no request is in flight.
pub const CLOSE_GRACE: Duration = Duration::from_secs(2);
/// How long the door waits before it tries again: after a failed accept (no file descriptors left), and for a place where
/// every connection is at work.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the certificate files are looked at.
pub const CERTIFICATE_POLL: Duration = Duration::from_secs(1);
/// A certificate or key file; chains are below 20 KB.
pub const CERTIFICATE_BYTES_MAX: u64 = 1024 * 1024;
/// Log lines about refused requests in one second; the rest is counted and told with the next line.
pub const REFUSAL_LINES_PER_SECOND: u32 = 10;
/// Keys at the top of an event: Stripe's have 12. Bounds the search for duplicates.
pub const TOP_LEVEL_KEYS_MAX: usize = 256;
/// Ids and types that a provider names; Stripe's are below 100.
pub const PROVIDER_WORD_BYTES_MAX: usize = 512;

/// The chunk that values are cut into: from about 7.7 KB on sled makes files that it never syncs.
pub const CHUNK_BYTES_MAX: usize = 4096;
/// Bodies below this are stored as they are: they fit their chunk anyhow.
pub const PACK_BYTES_MIN: usize = 512;
/// Bodies above this are stored as they are: packing runs where requests are served, and takes a millisecond or two for that.
pub const PACK_BYTES_MAX: usize = 1024 * 1024;
/// Commands that one commit takes: more brings no more throughput, only latency.
pub const COMMIT_COMMANDS_MAX: usize = 256;
/// Bytes that one commit writes: some milliseconds of a plain disk, so that nobody waits long behind it.
pub const COMMIT_BYTES_MAX: usize = 1024 * 1024;
/// A commit's frame in the journal: a commit and its overhead, with room for one command that guessed its size too low.
pub const JOURNAL_FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
/// One file of the journal: switched several times a second at the highest rate; the first is written through at the
/// first start, which this keeps short.
pub const JOURNAL_SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Files of the journal that are kept for the next use; more are removed after a burst.
pub const JOURNAL_SPARES_MAX: usize = 8;
/// What sled may be behind the journal, in bytes: a burst of ten seconds; beyond it the door waits for sled.
pub const BACKLOG_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// What sled may be behind the journal, in rows: each takes about 120 bytes of memory.
pub const BACKLOG_ROWS_MAX: usize = 700_000;
/// A commit waits this long at the most before sled gets it, and half of it at the least: what comes and goes in between (an
/// event on its way to being delivered) never reaches sled, or only as it ended. Long enough for deliveries that wait a
/// moment for their handler; at the highest rate some 150 MB of the journal and 30 MB of memory.
pub const APPLY_AFTER: Duration = Duration::from_secs(4);
/// How long the journal's threads wait before they ask a full disk again.
pub const JOURNAL_RETRY: Duration = Duration::from_secs(1);
/// What the applier takes at a time.
pub const APPLY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Where that much is behind, it waits no longer: a few seconds of the highest rate.
pub const APPLY_PRESSED_BYTES: u64 = 256 * 1024 * 1024;
/// One batch of sled's: with what sled writes beside, two or three of its segments of 512 KB, and some milliseconds of its
/// lock over the whole process, which whoever looks into sled waits for. Each batch takes a sync, and wakes all seven threads
/// of sled's pool for the one that writes: at half of this they took a tenth of the daemon's time.
pub const SLED_BATCH_BYTES_MAX: usize = 256 * 1024;
/// How long the writer waits for the next segment of the journal: making one takes a tenth of a second, of a disk that is
/// busy some seconds.
pub const SEGMENT_WAIT_MAX: Duration = Duration::from_secs(20);
/// sled is given nothing while less is free: what the applier takes at a time, with sled's own overhead and snapshot.
pub const SLED_FREE_BYTES_MIN: u64 = 24 * 1024 * 1024;
/// How long opening waits for sled before the door opens without it: small stores need a tenth of it.
pub const LOAD_WAIT_MAX: Duration = Duration::from_millis(300);
/// How long closing goes on bringing sled up to date; the next start finds the rest in the journal.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Idempotency keys that the first filter is made for, at 14 bits each; each further filter is made for twice as many.
pub const KEY_FILTER_KEYS_MIN: usize = 64 * 1024;
/// The newest events that the store keeps in memory, for routing and dispatch: some thousand usual ones.
pub const RECENT_EVENTS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Commands that wait for the writer: beyond that the door answers 503.
pub const WRITER_QUEUE_MAX: usize = 4096;
/// The largest body that the store takes at all, whatever a source is set to: its chunks are counted in 16 bits, and
/// each commit's worth of them holds up the other writers for some milliseconds.
pub const EVENT_BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A body that is written anew without a person's data goes in one commit, with what was said of its attempts; of a larger one
/// only id and type are kept.
pub const ERASED_BODY_BYTES_MAX: usize = 512 * 1024;
/// Events that one call of an erasure looks at: bounded in memory by [`PAGE_BODY_BYTES_MAX`] too.
pub const ERASE_PAGE_EVENTS: usize = 500;
/// Everything of an event but its body: names, ids and the kept headers, with room to spare.
pub const EVENT_META_BYTES_MAX: usize = 32 * 1024;
/// Deliveries that one lease takes, whatever is asked: each moves three rows in one commit.
pub const LEASE_MAX: usize = 256;
/// Rows that one page reads while it looks for those that match; the next page goes on from there.
pub const PAGE_SCAN_ROWS_MAX: usize = 20_000;
/// Marks of events that cannot be read which one routing batch settles: each writes three rows in one commit.
pub const UNREADABLE_MARKS_MAX: usize = 128;
/// Bodies that one page or routing batch holds in memory at once; it ends early beyond that.
pub const PAGE_BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// sled's cache where nothing else is asked. Resident memory is about this and 130 bytes for each stored event.
pub const STORE_CACHE_BYTES_DEFAULT: u64 = 48 * 1024 * 1024;
/// Space held back so that a store on a full disk can still be opened: opening writes two segments of the journal, the one in use
/// and the next, and sled a snapshot of its page table and a segment of its own.
pub const BALLAST_BYTES: u64 = 48 * 1024 * 1024;
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

/// What a compacted copy may take on the disk, in percent of its keys and values: measured are 240 to 270, because sled
/// writes a leaf anew each time that it splits.
pub const COMPACT_SPACE_PERCENT: u64 = 350;
/// And on top of that, whatever its size: sled's segments are 512 KB, its page table a snapshot.
pub const COMPACT_SPACE_MIN: u64 = 16 * 1024 * 1024;

/// A step's memo and a key-value pair's value: both fit one chunk with their key.
pub const MEMO_BYTES_MAX: usize = 3 * 1024;
/// A step's name and a key-value pair's key.
pub const KEY_BYTES_MAX: usize = 256;
/// Log lines kept with an attempt: enough to see the cause, small beside the event.
pub const ATTEMPT_LOG_LINES_MAX: usize = 20;
/// A first attempt up to this stands in its delivery's row, which with a dead letter's longest reason still fits one chunk.
pub const FIRST_ATTEMPT_BYTES_MAX: usize = 1024;
/// One line of a plugin's log.
pub const LOG_LINE_BYTES_MAX: usize = 512;
/// What a plugin may explain of an outcome: message and result each.
pub const DETAIL_BYTES_MAX: usize = 2 * 1024;

/// A plugin's library: debug builds with a database driver reach 150 MB; it is read into memory once.
pub const LIBRARY_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Descriptors of a plugin's process where nothing else is asked: pools of a few databases, an HTTP client and files at 64
/// calls at once stay far below; a leak is told long before it costs the machine. The usual limit, which `select` needs too.
pub const OPEN_FILES_DEFAULT: usize = 1024;
/// The fewest that may be asked: the plugin host itself has about ten, and a library brings a few.
pub const OPEN_FILES_MIN: usize = 64;
/// The most: what Linux gives one process at all (`fs.nr_open`), where nobody changed it.
pub const OPEN_FILES_MAX: usize = 1024 * 1024;
/// The least address space that a plugin's process may be bounded to, beside its calls' stacks: the host's own program,
/// allocator and system libraries, and a library with a database driver.
pub const HOST_MEMORY_BYTES_MIN: u64 = 256 * 1024 * 1024;
/// And for each of its calls at once: its thread's stack.
pub const HOST_STACK_BYTES: u64 = hookyard_plugin_host::protocol::WORKER_STACK_BYTES as u64;
/// Pins of one plugin: the old and the new file during a rollout, each for a few kinds of machine.
pub const PINS_MAX: usize = 8;
/// Keys that may sign plugins: a few people's, and the old and the new while one is rolled.
pub const TRUSTED_KEYS_MAX: usize = 16;
/// A minisign signature: four lines, of which two are comments.
pub const SIGNATURE_BYTES_MAX: u64 = 8 * 1024;
/// The last libraries of each plugin that ran here are kept, so that it can be rolled back.
pub const LIBRARIES_KEPT_MAX: usize = 3;
/// Records of which library took whose place; the oldest go. Years of weekly releases.
pub const LIBRARY_RECORDS_MAX: usize = 500;
/// How long a host may take to load its library and make the plugin: connecting to a database and migrating it.
pub const HOST_START_MAX: Duration = Duration::from_secs(30);
/// How long a call that was cancelled at its deadline may take to return before its host is killed.
pub const CANCEL_GRACE: Duration = Duration::from_secs(2);
/// How long a host may take to end once it is told to; it kills itself after 2 s.
pub const HOST_EXIT_MAX: Duration = Duration::from_secs(3);
/// How long a host whose connection ended may take to show its exit status, and its last words to be read.
pub const HOST_LAST_WORDS_MAX: Duration = Duration::from_millis(500);
/// How long the steps that a dead host had begun to record may take to reach the disk.
pub const HOST_SETTLE_MAX: Duration = Duration::from_secs(10);
/// How long after its deadline a call to a host may end, at the worst: cancelled, killed, its steps and last words waited
/// for. A lease outlives the deadline by this.
pub const CALL_GRACE_MAX: Duration = Duration::from_secs(20);
/// The first wait before a host that died is started again; it doubles up to the next.
pub const HOST_RESTART_FIRST: Duration = Duration::from_millis(100);
/// The longest wait before a host that died is started again.
pub const HOST_RESTART_MAX: Duration = Duration::from_secs(60);
/// So many deaths of a host within [`HOST_DEATHS_WITHIN`] are bad luck; one more opens its circuit, and events wait.
pub const HOST_DEATHS_MAX: usize = 5;
/// The time in which a host's deaths are counted together.
pub const HOST_DEATHS_WITHIN: Duration = Duration::from_secs(60);
/// The first wait of a host whose circuit is open, before it is tried; it doubles up to [`HOST_RESTART_MAX`].
pub const HOST_CIRCUIT_WAIT: Duration = Duration::from_secs(5);
/// A plugin that dies so often in a row with the same delivery would die with it again: a dead letter.
pub const CRASHES_MAX: u32 = 3;
/// The last lines of an attempt's log that a dead letter's reason repeats; all of them stand with the attempt.
pub const DEAD_LETTER_LINES_MAX: usize = 3;
/// Frames that wait for a host to read them.
pub const HOST_OUTBOX_MAX: usize = 64;
/// Messages of a plugin inside the daemon that wait to be read: then its threads wait.
pub const INLINE_INBOX_MAX: usize = 64;
/// Libraries that are still mapped into the daemon and that no handler uses any more: then it asks for a restart. A small
/// plugin's takes half a megabyte.
pub const INLINE_LIBRARIES_LEFT_MAX: usize = 16;
/// Upcalls of one host served at once: its workers have one each, and a plugin's own threads a few.
pub const HOST_UPCALLS_MAX: usize = 256;
/// HTTP requests of one host under way: one for each call that it can have.
pub const HTTP_IN_FLIGHT_MAX: usize = 64;
/// The bodies of the answers together that one host's requests hold until its process is given them: sixteen of the largest.
pub const HTTP_ANSWERS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long one address has to take a connection; a name may have several, and an attempt has half a minute.
pub const HTTP_CONNECT_MAX: Duration = Duration::from_secs(5);
/// Lines of a host's stdout and stderr that go to the log; a plugin that prints more than this floods.
pub const HOST_OUTPUT_LINES_MAX: usize = 1000;
/// Lines of a dead host's output that are told with its death.
pub const HOST_LAST_LINES_MAX: usize = 3;
/// A plugin's short word for an outcome.
pub const CODE_BYTES_MAX: usize = 64;
/// The longest wait that a plugin may ask for: a delivery must not sleep for ever by an arithmetic slip.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The smallest share of a canary: one delivery of ten thousand would take a busy shop a day.
pub const CANARY_SHARE_MIN: f64 = 0.0001;
/// The largest: what it is compared with must be as much.
pub const CANARY_SHARE_MAX: f64 = 0.5;
/// Fewer failures than this never end a canary: one bad event, sent twice, is no evidence.
pub const CANARY_FAILED_MIN: u64 = 3;
/// How far from its count a side's true rate is allowed to lie, in standard errors, before the two sides are said to differ.
/// They are looked at after each answer, so it is more than the usual two.
pub const CANARY_SIGMAS: f64 = 3.0;
/// Deliveries that a canary rejected whose next attempt is remembered to be the other library's; the oldest go, and the
/// canary may be asked once more.
pub const CANARY_REJECTED_MAX: usize = 10_000;

/// Deliveries are leased ahead for this long of a handler's work: a lease takes a commit, some milliseconds.
pub const AHEAD: Duration = Duration::from_millis(100);
/// Deliveries leased ahead at the most, however fast the handler is: with those under way, a commit's worth.
pub const AHEAD_MAX: usize = 128;
/// Their bodies together, about: each handler holds so much of them in memory.
pub const AHEAD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A delivery that was leased ahead waits this long for a worker; then it is given back.
pub const AHEAD_WAIT_MAX: Duration = Duration::from_secs(10);
/// Outcomes of one handler on their way to disk at once: a commit's worth.
pub const SETTLING_MAX: usize = 256;
/// Events that the route stage takes in one go.
pub const ROUTE_BATCH_MAX: usize = 128;
/// How long a loop sleeps without a wake-up: a lost one is only this delay.
pub const IDLE_POLL: Duration = Duration::from_secs(1);
/// How long what is delivered, ignored, cancelled or dropped is kept by default: long enough for a complaint of last month.
pub const RETAIN_DELIVERED_DEFAULT: Duration = Duration::from_secs(30 * DAY_SECS);
/// How long a dead letter or an unrouted event is kept by default: somebody has half a year to look at it.
pub const RETAIN_DEAD_DEFAULT: Duration = Duration::from_secs(180 * DAY_SECS);
/// How long an idempotency key is kept by default, counted from when its event was received: above the next.
pub const RETAIN_KEYS_DEFAULT: Duration = Duration::from_secs(35 * DAY_SECS);
/// The shortest that it may be kept: Stripe can send an event again for 30 days, and what comes later than its key is
/// fulfilled a second time.
pub const RETAIN_KEYS_MIN: Duration = Duration::from_secs(31 * DAY_SECS);
/// Events that one call of `prune` removes at most: with a handful of rows each, a commit of some milliseconds.
pub const PRUNE_EVENTS_MAX: usize = 64;
/// Rows that one call of `prune` removes, about: 15 ms of the writer's time on a slow disk. An event with more goes in
/// several rounds.
pub const PRUNE_ROWS_MAX: usize = 1024;
/// Idempotency keys whose event is gone already that one call of `prune` removes.
pub const PRUNE_KEYS_MAX: usize = 256;
/// Decided events that one call of `prune` looks at: what is kept for long is walked over, not held in memory.
pub const PRUNE_SCAN_EVENTS_MAX: usize = 1000;
/// How often retention runs; more often where something is kept for less than ten times this.
pub const RETAIN_EVERY: Duration = Duration::from_secs(5 * 60);
/// How often it begins at the oldest event again, where the shortest time that is kept allows it: what was kept before,
/// a dead letter or an unfinished delivery, may have to go now. Each such run walks over all that is kept.
pub const RETAIN_FROM_OLDEST_EVERY: Duration = Duration::from_secs(6 * 60 * 60);
/// The least time between two runs, however short the times are.
pub const RETAIN_EVERY_MIN: Duration = Duration::from_secs(1);
/// What retention waits between two batches while events or deliveries move: it takes a fifth of the writer at most.
pub const RETAIN_PAUSE: Duration = Duration::from_millis(50);

/// Rows of one page of the operator API.
pub const PAGE_ROWS_MAX: usize = 1000;

/// Configurations that are kept to be shown and rolled back to: a month of one change a day; each is some kilobytes.
pub const SNAPSHOTS_KEPT_MAX: usize = 32;
/// Ways from one place to another that a dry run tells one by one, and the examples of each: what a person reads.
pub const DRY_RUN_WAYS_MAX: usize = 100;
pub const DRY_RUN_EXAMPLES_MAX: usize = 3;
/// A candidate configuration that is sent to the daemon: ten thousand rules are 3 MB.
pub const CANDIDATE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often the counts of rules are written beside the store: what a kill may cost of them.
pub const TALLY_WRITE_EVERY: Duration = Duration::from_secs(60);
/// Rules that are told by name where many have something in common.
pub const RULES_NAMED_MAX: usize = 10;
/// Rules that are gone whose counts are remembered: more than a team renames between two looks.
pub const RULES_GONE_MAX: usize = 1000;
