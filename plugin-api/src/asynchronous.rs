//! Handlers that are written with `async`: [`AsyncHandler`] is a [`Handler`] whose attempts are futures.
//!
//! hookyard calls a handler on several threads of its own, and a call may block. So an attempt's future is driven to its
//! end on the very thread that hookyard called, by [`AsyncHandler::drive`]: it need not be `Send`, may borrow the event and
//! the [`Cx`] across every `.await`, and no runtime is brought in. A handler whose libraries need one (tokio's sockets and
//! timers do) owns it.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

use crate::cx::Begun;
use crate::{CreateError, Cx, Event, Failure, Handler, HandlerSettings, Host, Outcome, Step, StepResult};

/// A plugin whose work is asynchronous. [`crate::export!`] and the test kit take it as they take a [`Handler`].
///
/// With tokio: own a runtime, and let it drive the attempts.
///
/// ```
/// use std::time::Duration;
///
/// use hookyard_plugin::{AsyncHandler, CreateError, Cx, Event, Failure, Host, Outcome};
/// use tokio::runtime::{Builder, Runtime};
/// use tokio::time::{sleep, timeout};
///
/// struct Greeter {
///     runtime: Runtime,
/// }
///
/// impl AsyncHandler for Greeter {
///     type Settings = serde_json::Value;
///
///     async fn create(_: serde_json::Value, _: &Host<'_>) -> Result<Self, CreateError> {
///         // A worker of its own keeps sockets and timers going while no attempt runs.
///         Ok(Self { runtime: Builder::new_multi_thread().worker_threads(1).enable_all().build()? })
///     }
///
///     // All attempts are driven inside of the runtime: its timers, sockets and `tokio::spawn` work in them.
///     fn drive<T>(&self, attempt: impl Future<Output = T>) -> T {
///         self.runtime.block_on(attempt)
///     }
///
///     async fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
///         // What is left of the handler's `timeout`. Nothing ends the future for you: see `AsyncHandler::handle`.
///         timeout(cx.remaining(), greet(event, cx)).await?
///     }
/// }
///
/// async fn greet(event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
///     let millis: u64 = event.json()?;
///     let greeted: String = cx
///         .step_async("greet", async |step| {
///             sleep(Duration::from_millis(millis)).await; // a request, which carries step.key()
///             Ok(format!("hello, {}", step.key()))
///         })
///         .await?;
///     Ok(Outcome::done().with_message(greeted))
/// }
///
/// hookyard_plugin::export!(Greeter, id = "com.example.greeter");
///
/// use hookyard_plugin::testkit::{Bench, Said, TestEvent};
/// let bench = Bench::new::<Greeter>(&serde_json::json!({}));
/// assert_eq!(bench.deliver(&TestEvent::new("greeting.asked", b"1")).outcome, Said::Done);
/// // A far side that does not answer in the time that the attempt has: a retry, and the step is unsure.
/// let short = TestEvent { remaining: Duration::from_millis(10), ..TestEvent::new("greeting.asked", b"60000") };
/// let late = bench.deliver(&TestEvent { id: "another".to_owned(), ..short });
/// assert_eq!((late.outcome, &*late.message), (Said::Retry(None), "deadline has elapsed"));
/// assert!(!late.steps[0].ended);
/// ```
pub trait AsyncHandler: Sized + Send + Sync + 'static {
    /// The handler's `settings` of the configuration.
    type Settings: HandlerSettings;

    /// Makes the handler, as [`Handler::create`] does. There is no handler yet whose [`Self::drive`] could be asked, so
    /// this future is always driven by the SDK, outside of any runtime. What needs one (a pool that connects) is made
    /// with `runtime.block_on(…)` here.
    ///
    /// # Errors
    /// The sentence is the operator's; the handler that ran before runs on.
    fn create(settings: Self::Settings, host: &Host<'_>) -> impl Future<Output = Result<Self, CreateError>>;

    /// As [`Handler::check`].
    ///
    /// # Errors
    /// As [`Handler::check`].
    fn check(settings: &Self::Settings) -> Result<(), CreateError> {
        let _ = settings;
        Ok(())
    }

    /// Works on one event. Several attempts run at once, each on its own thread.
    ///
    /// The future is driven to its end. At the deadline nothing drops it: [`Cx::remaining`] is zero from then on, new steps
    /// are refused, and two seconds later the process is killed, with every attempt that it holds. So give what may take
    /// long a time of its own, such as `tokio::time::timeout(cx.remaining(), …)`. What is dropped by that inside a step
    /// leaves the step unsure.
    ///
    /// # Errors
    /// As [`Handler::handle`].
    fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> impl Future<Output = Result<Outcome, Failure>>;

    /// Drives one attempt to its end on the thread that hookyard called, which may block.
    ///
    /// As it stands, the thread polls the future and sleeps until it is woken: enough for futures that are woken from
    /// elsewhere (channels, other threads, a runtime that was entered with `runtime.enter()` and has workers of its own).
    /// A handler that owns a runtime writes `self.runtime.block_on(attempt)`, which needs no workers.
    fn drive<T>(&self, attempt: impl Future<Output = T>) -> T {
        block_on(attempt)
    }
}

#[diagnostic::do_not_recommend]
impl<H: AsyncHandler> Handler for H {
    type Settings = <H as AsyncHandler>::Settings;

    fn create(settings: Self::Settings, host: &Host<'_>) -> Result<Self, CreateError> {
        block_on(<H as AsyncHandler>::create(settings, host))
    }

    fn check(settings: &Self::Settings) -> Result<(), CreateError> {
        <H as AsyncHandler>::check(settings)
    }

    fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        self.drive(<H as AsyncHandler>::handle(self, event, cx))
    }
}

impl Cx<'_> {
    /// [`Cx::step`] for work that is asynchronous. Recording waits for the disk on this thread, as [`Cx::step`] does.
    ///
    /// # Errors
    /// As [`Cx::step`]. Where the future is dropped before its end (by a timeout around it), the step stays unsure.
    pub async fn step_async<T, F>(&self, name: &str, work: F) -> Result<T, Failure>
    where
        T: StepResult,
        F: AsyncFnOnce(&Step) -> Result<T, Failure>,
    {
        let step = match self.begin(name)? {
            Begun::Before(result) => return Ok(result),
            Begun::Now(step) => step,
        };
        let result = work(&step).await?;
        self.end(name, &result)?;
        Ok(result)
    }
}

/// Polls the future on this thread, which sleeps while there is nothing to do.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            // Woken before this, it returns at once; woken for nothing, the future is polled once more.
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
