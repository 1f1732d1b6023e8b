//! Handlers in `async`, through the test kit: with a runtime of their own, and without any.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use hookyard_plugin::testkit::{Before, Bench, Said, TestEvent};
use hookyard_plugin::{AsyncHandler, CreateError, Cx, Event, Expect, Failure, Host, KvPut, Outcome};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// Owns a runtime that has no worker: attempts are driven by whoever waits.
struct Tokio {
    runtime: Runtime,
}

impl AsyncHandler for Tokio {
    type Settings = serde_json::Value;

    async fn create(settings: serde_json::Value, host: &Host<'_>) -> Result<Self, CreateError> {
        if let Some(name) = settings["secret"].as_str() {
            host.secret(name)?;
        }
        Ok(Self { runtime: Builder::new_current_thread().enable_all().build()? })
    }

    fn check(settings: &serde_json::Value) -> Result<(), CreateError> {
        if settings.is_object() { Ok(()) } else { Err(CreateError::new("settings are an object")) }
    }

    fn drive<T>(&self, attempt: impl Future<Output = T>) -> T {
        self.runtime.block_on(attempt)
    }

    async fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        timeout(cx.remaining(), work(event, cx)).await?
    }
}

async fn work(event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
    if event.event_type() == "panic" {
        sleep(Duration::from_millis(1)).await;
        panic!("in the middle");
    }
    let one: u32 = cx
        .step_async("one", async |step| {
            sleep(Duration::from_millis(1)).await;
            assert!(step.key().contains("one"));
            Ok(1)
        })
        .await?;
    let two: u32 = cx
        .step_async("two", async |_| {
            if event.event_type() == "hangs" {
                sleep(Duration::from_secs(60)).await;
            }
            Ok(one + 1)
        })
        .await?;
    // The context is the same on both sides of an await.
    let put = cx.kv_put("sum", two.to_string(), Expect::Absent)?;
    sleep(Duration::from_millis(1)).await;
    let written = put == KvPut::Written && cx.kv_get("sum")?.is_some();
    Ok(Outcome::done().with_result(serde_json::json!({ "two": two, "written": written })))
}

fn bench() -> Bench {
    Bench::new::<Tokio>(&serde_json::json!({}))
}

#[test]
fn an_attempt_is_driven_to_its_end_and_its_steps_are_kept() {
    let bench = bench();
    let first = bench.deliver(&TestEvent::default());
    assert_eq!((first.outcome, &first.result.unwrap()["two"]), (Said::Done, &2.into()));
    let second = bench.deliver(&TestEvent::default());
    let before: Vec<_> = second.steps.iter().map(|step| step.before).collect();
    assert_eq!((second.outcome, &*before), (Said::Done, &[Before::Done, Before::Done][..]));
    assert_eq!(second.result.unwrap()["written"], false);
}

#[test]
fn a_crash_at_every_call_is_survived_and_drops_the_future() {
    let crashes = bench().crash_at_every_call(&TestEvent::default(), |again| {
        assert_eq!((again.outcome, &again.result.as_ref().unwrap()["two"]), (Said::Done, &2.into()));
    });
    assert_eq!(crashes, 20, "remaining, two steps of three calls, two pairs and explain, before and after");
}

#[test]
fn what_takes_longer_than_the_attempt_has_is_a_retry_with_the_step_unsure() {
    let bench = bench();
    let hangs = TestEvent { remaining: Duration::from_millis(20), ..TestEvent::new("hangs", b"") };
    let late = bench.deliver(&hangs);
    assert_eq!((late.outcome, &*late.message), (Said::Retry(None), "deadline has elapsed"));
    assert_eq!(late.steps.iter().map(|step| step.ended).collect::<Vec<_>>(), [true, false]);
    let again = bench.deliver(&TestEvent { attempt: 2, ..TestEvent::default() });
    assert_eq!((again.outcome, again.steps[1].before), (Said::Done, Before::Unsure));
}

#[test]
fn a_panic_in_the_future_is_caught_and_the_next_attempt_is_well() {
    let bench = bench();
    let panicked = bench.deliver(&TestEvent::new("panic", b""));
    assert_eq!(panicked.outcome, Said::Panicked);
    assert!(panicked.message.contains("in the middle"), "{}", panicked.message);
    assert_eq!(bench.deliver(&TestEvent::default()).outcome, Said::Done);
}

#[test]
fn settings_and_secrets_are_refused_in_words() {
    let refused = |settings| Bench::try_new::<Tokio>(&settings, &[("b", "x")]).unwrap_err();
    assert_eq!(refused(serde_json::json!([])), "settings are an object");
    assert!(refused(serde_json::json!({ "secret": "a" })).contains("no secret `a`"));
}

/// Owns nothing: its futures are woken by other threads.
struct Plain;

static MET: AtomicUsize = AtomicUsize::new(0);

impl AsyncHandler for Plain {
    type Settings = serde_json::Value;

    async fn create(_: serde_json::Value, _: &Host<'_>) -> Result<Self, CreateError> {
        Ok(Self)
    }

    async fn handle(&self, event: &Event<'_>, _: &Cx<'_>) -> Result<Outcome, Failure> {
        let mut yields = 0;
        // Woken at once, by itself: polled again and not slept over.
        std::future::poll_fn(|context| {
            yields += 1;
            context.waker().wake_by_ref();
            if yields == 3 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let (told, hear) = oneshot::channel();
        let word = event.event_type().to_owned();
        std::thread::spawn(move || {
            MET.fetch_add(1, Ordering::SeqCst);
            drop(told.send(word));
        });
        Ok(Outcome::done().with_message(hear.await?))
    }
}

#[test]
fn without_a_runtime_each_of_many_attempts_is_woken_by_its_own_thread() {
    let bench = Bench::new::<Plain>(&serde_json::Value::Null);
    let gate = Barrier::new(32);
    std::thread::scope(|scope| {
        for number in 0..32 {
            let (bench, gate) = (&bench, &gate);
            scope.spawn(move || {
                gate.wait();
                for turn in 0..20 {
                    let word = format!("{number}/{turn}");
                    let event = TestEvent { id: word.clone(), ..TestEvent::new(&word, b"") };
                    assert_eq!(bench.deliver(&event).message, word);
                }
            });
        }
    });
    assert_eq!(MET.load(Ordering::SeqCst), 32 * 20);
}
