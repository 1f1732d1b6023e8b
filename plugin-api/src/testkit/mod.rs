//! The test kit: runs a handler's real descriptor in this process, against a host whose steps, key-value pairs and
//! secrets are in memory, and whose HTTP requests are answered by a script ([`Bench::far_side`]).
//! [`Bench::crash_at_every_call`] crashes a delivery at every moment and delivers it again; [`Bench::make_unsure`] leaves one
//! step as a crash would.
//!
//! # In a real process
//!
//! With `HOOKYARD_TEST=process` in their environment, the same tests run the plugin's compiled library in a process of its own,
//! in the plugin host of the program `hookyard`: what is asked of the host crosses a process, deadlines are real, and a crash
//! is a SIGKILL. The program is found on the `PATH` or by `HOOKYARD_BIN`; the library is the one of the handler's crate
//! beside the test, where `cargo test` puts it, or `HOOKYARD_LIBRARY`.
//!
//! What differs there, because it cannot be the same ([`is_in_process`] tells a test which it is):
//! - An event's id is a ULID, as hookyard's are: [`event_id`] makes one of any text.
//! - [`TestEvent::remaining`] is a time limit: what is left gets less, and a handler that overstays it by two seconds is killed,
//!   which is [`Said::TimedOut`]. It must not be zero.
//! - The moments of a crash are before and after each thing that crosses the process (`step_begin`, `step_end`, `kv_get`,
//!   `kv_put`, an HTTP request), and one when the handler has returned and nobody heard of it. The process is gone then: no
//!   destructor runs, and nothing is logged of the attempt. So [`Bench::crash_at_every_call`] counts less than it does in
//!   memory.
//! - A request over HTTP is held to the whole contract before [`Bench::far_side`] answers it, and its own timeout and the
//!   attempt's deadline are real: a script that takes longer has answered nobody.
//! - After a panic the process is replaced, and the handler made anew.
//! - Attempts at one event are made one after the other, and eight at once of different events, as hookyard makes them.
//! - Settings are first held against the library's schema, whose sentences are hookyard's.
//! - [`Delivered::log`] is what hookyard keeps: the last 20 lines from `info` on, without their level, e-mail addresses masked.
//!   Warnings and errors go to standard error too, also those from outside of deliveries; [`Bench::log`] is empty.
//!
//! # Example
//!
//! ```
//! # use hookyard_plugin::{testkit, Handler, Host, CreateError, Event, Cx, Outcome, Failure};
//! # struct Plain;
//! # impl Handler for Plain {
//! #     type Settings = serde_json::Value;
//! #     fn create(_: serde_json::Value, _: &Host<'_>) -> Result<Self, CreateError> { Ok(Self) }
//! #     fn handle(&self, _: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
//! #         cx.step("one", |_| Ok(()))?;
//! #         Ok(Outcome::done())
//! #     }
//! # }
//! let bench = testkit::Bench::new::<Plain>(&serde_json::json!({}));
//! let event = testkit::TestEvent::new("invoice.paid", b"{}");
//! assert_eq!(bench.deliver(&event).steps[0].before, testkit::Before::Run);
//! assert_eq!(bench.deliver(&event).steps[0].before, testkit::Before::Done); // the second delivery skips the step
//! ```

mod call;
mod far_side;
mod ffi;
mod http;
mod process;
#[cfg(feature = "schema")]
mod schema;
mod state;
#[doc(hidden)]
pub mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::ptr::NonNull;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Handler;
pub use far_side::{Answer, Asked, FarSide};
use process::Process;
#[cfg(feature = "schema")]
pub use schema::assert_schema;
use state::{Kept, State};

/// What chooses where benches run: `process`; left out, or `memory`, for in memory.
const SWITCH: &str = "HOOKYARD_TEST";
/// When the made-up events of tests were received, Unix milliseconds.
const RECEIVED_UNIX_MS: u64 = 1_794_830_461_000;

/// A handler on a host in memory, or in a process of its own. Deliveries may come from several threads.
#[derive(Debug)]
pub struct Bench {
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(InMemory),
    Process(Process),
}

/// A handler in this process.
struct InMemory {
    state: Box<State>,
    instance: NonNull<ffi::Made>,
}

/// An event for a test: set the fields that matter, take the rest from [`TestEvent::new`] or `default()`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestEvent {
    /// Steps are kept by it: deliver the same id again for a retry. hookyard's own are ULIDs; see [`event_id`].
    pub id: String,
    /// The `x` of `[source.x]`.
    pub source: String,
    /// Such as `checkout.session.completed`.
    pub event_type: String,
    /// The name of the rule.
    pub rule: String,
    /// 1 for the first.
    pub attempt: u32,
    /// Unix milliseconds.
    pub received_unix_ms: u64,
    /// Such as `application/json`.
    pub content_type: String,
    /// The bytes received.
    pub body: Vec<u8>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// What [`crate::Cx::remaining`] answers, for the whole call; in a process, the time that it has.
    pub remaining: Duration,
}

/// What came of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    /// What the handler said.
    pub outcome: Said,
    /// The short word for machines; empty where it gave none.
    pub code: String,
    /// The sentence for people; empty where it gave none.
    pub message: String,
    /// What was done.
    pub result: Option<serde_json::Value>,
    /// The steps that were asked for, in that order.
    pub steps: Vec<StepSeen>,
    /// The lines logged, as `LEVEL message key=value`.
    pub log: Vec<String>,
}

/// What the handler said of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// Finished.
    Done,
    /// Not for this handler.
    Ignore,
    /// Again, after this time or by the schedule.
    Retry(Option<Duration>),
    /// Never.
    Reject,
    /// It panicked: hookyard takes that as a retry.
    Panicked,
    /// The test kit cut it short, as a crash would, or its process died: hookyard takes that as a retry.
    Crashed,
    /// It went on after its time, and its process was killed: hookyard takes that as a retry. Only in a process.
    TimedOut,
}

/// A step that a delivery asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSeen {
    /// Its name.
    pub name: String,
    /// How it stood.
    pub before: Before,
    /// Whether it was ended, by this delivery or an earlier one.
    pub ended: bool,
    /// Its idempotency key.
    pub key: String,
}

/// How a step stood when it was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Before {
    /// Never begun.
    Run,
    /// Finished.
    Done,
    /// Begun and not ended.
    Unsure,
}

impl Bench {
    /// Makes the handler with these settings.
    ///
    /// # Panics
    /// With the handler's sentence, where it refuses; see [`Self::try_new`].
    pub fn new<H: Handler>(settings: &serde_json::Value) -> Self {
        Self::try_new::<H>(settings, &[]).unwrap_or_else(|why| panic!("the handler was not made: {why}"))
    }

    /// Makes the handler with these settings and secrets (names and values).
    ///
    /// # Errors
    /// The handler's sentence, where it refuses.
    ///
    /// # Panics
    /// Where the tests are to run in a process and cannot: the words say what is missing.
    pub fn try_new<H: Handler>(
        settings: &serde_json::Value,
        secrets: &[(&str, &str)],
    ) -> Result<Self, String> {
        let secrets: BTreeMap<String, String> =
            secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let place = if is_in_process() {
            Place::Process(Process::start::<H>(settings, secrets)?)
        } else {
            let state = Box::new(State::new(secrets));
            let instance = ffi::create::<H>(&state, &settings.to_string())?;
            Place::Memory(InMemory { state, instance })
        };
        Ok(Self { place })
    }

    /// Delivers an event: one call of `handle`. The same id again is a retry: finished steps are skipped.
    pub fn deliver(&self, event: &TestEvent) -> Delivered {
        self.attempt(event, None)
    }

    /// Delivers an event and cuts the delivery short at a moment, as a crash would: no more of the handler's code runs, and
    /// nothing more reaches the host. Each host call has two moments, one before its effect and one after it, so 0 is
    /// before the first call took effect, 1 after it. A handler that is finished earlier is not cut short.
    ///
    /// In memory unwinding stands for the crash, so destructors do run; a process is killed.
    pub fn deliver_crashing(&self, event: &TestEvent, moment: usize) -> Delivered {
        self.attempt(event, Some(moment))
    }

    /// Crashes at every moment of a delivery in turn ([`Self::deliver_crashing`]), each time from what is kept now, and
    /// delivers the event again; `check` looks at that second delivery and at the far side, and clears the far side for
    /// the next round. Returns how often it crashed.
    ///
    /// ```
    /// # use hookyard_plugin::{testkit, Handler, Host, CreateError, Event, Cx, Outcome, Failure};
    /// # use std::sync::atomic::{AtomicUsize, Ordering};
    /// # static CHARGED: AtomicUsize = AtomicUsize::new(0);
    /// # struct Charge;
    /// # impl Handler for Charge {
    /// #     type Settings = serde_json::Value;
    /// #     fn create(_: serde_json::Value, _: &Host<'_>) -> Result<Self, CreateError> { Ok(Self) }
    /// #     fn handle(&self, _: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
    /// #         cx.step("charge", |step| { if !step.unsure() || CHARGED.load(Ordering::SeqCst) == 0 { CHARGED.fetch_add(1, Ordering::SeqCst); } Ok(()) })?;
    /// #         Ok(Outcome::done())
    /// #     }
    /// # }
    /// let bench = testkit::Bench::new::<Charge>(&serde_json::json!({}));
    /// let crashes = bench.crash_at_every_call(&testkit::TestEvent::default(), |again| {
    ///     assert_eq!(again.outcome, testkit::Said::Done);
    ///     assert_eq!(CHARGED.swap(0, Ordering::SeqCst), 1); // charged once, whenever it crashed
    /// });
    /// assert_eq!(crashes, 8); // step_begin, step_key, step_end and explain, before and after
    /// ```
    pub fn crash_at_every_call(&self, event: &TestEvent, mut check: impl FnMut(&Delivered)) -> usize {
        let kept = self.keep();
        let again = TestEvent { attempt: event.attempt + 1, ..event.clone() };
        for moment in 0.. {
            self.restore(kept.as_ref());
            let crashed = self.deliver_crashing(event, moment).outcome == Said::Crashed;
            check(&self.deliver(&again));
            if !crashed {
                return moment;
            }
        }
        unreachable!("a delivery makes a finite number of host calls")
    }

    /// Leaves a step as a crash between its work and its record would: begun, not ended.
    pub fn make_unsure(&self, event_id: &str, step: &str) {
        match &self.place {
            Place::Memory(here) => here.state.make_unsure(event_id, step),
            Place::Process(there) => there.make_unsure(event_id, step),
        }
    }

    /// Whom the handler's HTTP requests reach: scripted here, wherever the handler runs.
    pub fn far_side(&self) -> &FarSide {
        match &self.place {
            Place::Memory(here) => &here.state.far_side,
            Place::Process(there) => there.far_side(),
        }
    }

    /// A key-value pair that the handler wrote: its value and version.
    pub fn kv(&self, key: impl AsRef<[u8]>) -> Option<(Vec<u8>, u64)> {
        match &self.place {
            Place::Memory(here) => here.state.kv_get(key.as_ref()),
            Place::Process(there) => there.kv(key.as_ref()),
        }
    }

    /// The lines logged outside of deliveries (while the handler was made), as `LEVEL message key=value`.
    pub fn log(&self) -> Vec<String> {
        match &self.place {
            Place::Memory(here) => here.state.log(),
            Place::Process(_) => Vec::new(),
        }
    }

    fn attempt(&self, event: &TestEvent, crash_at: Option<usize>) -> Delivered {
        let delivered = match &self.place {
            Place::Memory(here) => ffi::handle(&here.state, here.instance, event, crash_at),
            Place::Process(there) => there.deliver(event, crash_at),
        };
        self.far_side().panic_as_scripted();
        delivered
    }

    /// What is kept now; the process remembers it itself.
    fn keep(&self) -> Option<Kept> {
        match &self.place {
            Place::Memory(here) => Some(here.state.kept()),
            Place::Process(there) => {
                there.keep();
                None
            }
        }
    }

    /// Goes back to what was kept.
    fn restore(&self, kept: Option<&Kept>) {
        match (&self.place, kept) {
            (Place::Memory(here), Some(kept)) => here.state.restore(kept),
            (Place::Process(there), _) => there.restore(),
            (Place::Memory(_), None) => {}
        }
    }
}

/// Whether benches run the plugin's library in a process (`HOOKYARD_TEST=process`), for a test that can only be made in one
/// of the two.
///
/// ```
/// if !hookyard_plugin::testkit::is_in_process() {
///     // here: what counts every single host call
/// }
/// ```
///
/// # Panics
/// Where `HOOKYARD_TEST` is another word: a test must not be run elsewhere than where it was meant to.
pub fn is_in_process() -> bool {
    match std::env::var(SWITCH).as_deref() {
        Err(_) | Ok("" | "memory") => false,
        Ok("process") => true,
        Ok(other) => panic!("{SWITCH}={other}: it is `process`, or `memory` (as without it)"),
    }
}

/// An id as hookyard's events have them (a ULID, 26 letters and digits), always the same for a text.
///
/// ```
/// use hookyard_plugin::testkit::event_id;
///
/// assert_eq!(event_id("a"), event_id("a"));
/// assert_ne!(event_id("a"), event_id("b"));
/// assert_eq!(event_id("a").len(), 26);
/// ```
pub fn event_id(name: &str) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    // FNV-1a in 128 bits, of which an id has room for 80 beside its time.
    let hash = name.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    let id = (u128::from(RECEIVED_UNIX_MS) << 80) | (hash >> 48);
    (0..26).rev().map(|digit| char::from(DIGITS[(id >> (5 * digit)) as usize % DIGITS.len()])).collect()
}

impl Drop for InMemory {
    fn drop(&mut self) {
        ffi::destroy(self.instance);
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory").field("state", &self.state).finish_non_exhaustive()
    }
}

impl TestEvent {
    /// A first attempt at an event of this type, as JSON.
    pub fn new(event_type: &str, body: &[u8]) -> Self {
        Self { event_type: event_type.to_owned(), body: body.to_vec(), ..Self::default() }
    }
}

impl Default for TestEvent {
    fn default() -> Self {
        Self {
            id: "01JD5Y3V0Q8Z6M4T2K9W7B1C5R".to_owned(),
            source: "test".to_owned(),
            event_type: "test".to_owned(),
            rule: "test".to_owned(),
            attempt: 1,
            received_unix_ms: RECEIVED_UNIX_MS,
            content_type: "application/json".to_owned(),
            body: b"{}".to_vec(),
            headers: Vec::new(),
            remaining: Duration::from_secs(30),
        }
    }
}
