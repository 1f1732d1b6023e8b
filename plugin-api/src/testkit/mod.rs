//! The test kit: runs a handler's real descriptor in this process, against a host whose steps, key-value pairs and
//! secrets are in memory. [`Bench::crash_at_every_call`] crashes a delivery at every moment and delivers it again;
//! [`Bench::make_unsure`] leaves one step as a crash would.
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
mod ffi;
#[cfg(feature = "schema")]
mod schema;
mod state;

use std::collections::BTreeMap;
use std::fmt;
use std::ptr::NonNull;
use std::time::Duration;

use crate::Handler;
#[cfg(feature = "schema")]
pub use schema::assert_schema;
use state::State;

/// A handler on a host in memory. Deliveries may come from several threads.
pub struct Bench {
    state: Box<State>,
    instance: NonNull<ffi::Made>,
}

/// An event for a test: set the fields that matter, take the rest from [`TestEvent::new`] or `default()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestEvent {
    /// Steps are kept by it: deliver the same id again for a retry.
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
    /// What [`crate::Cx::remaining`] answers, for the whole call.
    pub remaining: Duration,
}

/// What came of a delivery.
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The test kit cut it short, as a crash would: hookyard takes that as a retry.
    Crashed,
}

/// A step that a delivery asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

    /// Makes the handler with these settings and secrets (names and values), or says why it refuses.
    pub fn try_new<H: Handler>(
        settings: &serde_json::Value,
        secrets: &[(&str, &str)],
    ) -> Result<Self, String> {
        let secrets: BTreeMap<String, String> =
            secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let state = Box::new(State::new(secrets));
        let instance = ffi::create::<H>(&state, &settings.to_string())?;
        Ok(Self { state, instance })
    }

    /// Delivers an event: one call of `handle`. The same id again is a retry: finished steps are skipped.
    pub fn deliver(&self, event: &TestEvent) -> Delivered {
        ffi::handle(&self.state, self.instance, event, None)
    }

    /// Delivers an event and cuts the delivery short at a moment, as a crash would: no more of the handler's code runs, and
    /// nothing more reaches the host. Each host call has two moments, one before its effect and one after it, so 0 is
    /// before the first call took effect, 1 after it. A handler that is finished earlier is not cut short.
    ///
    /// Unwinding stands for the crash, so destructors do run.
    pub fn deliver_crashing(&self, event: &TestEvent, moment: usize) -> Delivered {
        ffi::handle(&self.state, self.instance, event, Some(moment))
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
        let kept = self.state.kept();
        let again = TestEvent { attempt: event.attempt + 1, ..event.clone() };
        for moment in 0.. {
            self.state.restore(&kept);
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
        self.state.make_unsure(event_id, step);
    }

    /// A key-value pair that the handler wrote: its value and version.
    pub fn kv(&self, key: impl AsRef<[u8]>) -> Option<(Vec<u8>, u64)> {
        self.state.kv_get(key.as_ref())
    }

    /// The lines logged outside of deliveries (while the handler was made), as `LEVEL message key=value`.
    pub fn log(&self) -> Vec<String> {
        self.state.log()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        ffi::destroy(self.instance);
    }
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").field("state", &self.state).finish_non_exhaustive()
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
            received_unix_ms: 1_794_830_461_000,
            content_type: "application/json".to_owned(),
            body: b"{}".to_vec(),
            headers: Vec::new(),
            remaining: Duration::from_secs(30),
        }
    }
}
