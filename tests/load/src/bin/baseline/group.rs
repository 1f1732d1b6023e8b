//! Group commit without a server: submitters that each wait for their event to be on disk, and one thread that writes.
//!
//! The same shape as the store's writer: a bounded queue, a round takes what is queued (at most so many events and so
//! many bytes), one commit, then the answers. While one round is on its way to disk the next one's events queue up.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use hookyard::model::clock::Stopwatch;
use hookyard::model::limits::{COMMIT_BYTES_MAX, COMMIT_COMMANDS_MAX};
use hookyard_load::event::{Size, Template};
use hookyard_load::failure::Failure;
use hookyard_load::tally::{Latencies, Percentiles};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};

use super::event_rows::EventRows;
use super::{Submitted, disk_failed};

/// Something that events are made durable in.
pub(super) trait Sink: Send + 'static {
    /// Writes the events. When it returns, a power cut takes none of them away.
    fn commit(&mut self, events: &[EventRows]) -> std::io::Result<()>;
}

/// One run, in the words of the load generator's report.
#[derive(Debug, Serialize)]
pub(super) struct GroupReport {
    connections: u16,
    body_bytes: usize,
    /// What is written for each event.
    event_bytes: usize,
    duration_seconds: f64,
    throughput_per_second: f64,
    events_per_commit: f64,
    latency_us: Percentiles,
}

struct Job {
    event: EventRows,
    answer: oneshot::Sender<()>,
}

/// What all submitters share.
struct Submitting {
    template: Template,
    jobs: mpsc::Sender<Job>,
    window: Range<Duration>,
    watch: Stopwatch,
}

/// What the submitters found.
#[derive(Default)]
struct Found {
    latencies: Latencies,
    count: u64,
}

pub(super) fn measure(submitted: &Submitted, sink: impl Sink) -> Result<GroupReport, Failure> {
    let measured = &submitted.measured;
    let seed = getrandom::u64().map_err(|error| Failure::Internal(format!("no randomness: {error}")))?;
    let template = Template::new(Size::K4, seed);
    let event_bytes = EventRows::new(0, &template.body(0)).bytes();
    let (jobs, queue) = mpsc::channel(usize::from(submitted.submitters));
    let writer = std::thread::spawn(move || write(sink, queue));
    let body_bytes = template.bytes();
    let found = submit(submitted, template, jobs)?;
    let (commits, events) = writer
        .join()
        .map_err(|_| Failure::Internal("the writer panicked".to_owned()))?
        .map_err(|error| disk_failed("commit", &error))?;
    let seconds = measured.duration.as_secs_f64();
    Ok(GroupReport {
        connections: submitted.submitters,
        body_bytes,
        event_bytes,
        duration_seconds: seconds,
        throughput_per_second: found.count as f64 / seconds,
        events_per_commit: events as f64 / commits.max(1) as f64,
        latency_us: found.latencies.percentiles(),
    })
}

/// Runs the submitters on this thread until the time is up.
fn submit(submitted: &Submitted, template: Template, jobs: mpsc::Sender<Job>) -> Result<Found, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Failure::Internal(format!("no runtime: {error}")))?;
    let warm_up = submitted.measured.warm_up;
    let window = warm_up..warm_up + submitted.measured.duration;
    let submitting = Rc::new(Submitting { template, jobs, window, watch: Stopwatch::start() });
    Ok(LocalSet::new().block_on(&runtime, async {
        let mut submitters = JoinSet::new();
        for first in 0..u64::from(submitted.submitters) {
            let numbers = (first..).step_by(usize::from(submitted.submitters));
            submitters.spawn_local(one_by_one(Rc::clone(&submitting), numbers));
        }
        drop(submitting);
        let mut found = Found::default();
        for one in submitters.join_all().await {
            found.latencies.add(&one.latencies);
            found.count += one.count;
        }
        found
    }))
}

/// Submits these events, each when the one before is on disk. Ends with the time, or where the writer has failed.
async fn one_by_one(submitting: Rc<Submitting>, numbers: impl Iterator<Item = u64>) -> Found {
    let (mut found, window, watch) = (Found::default(), &submitting.window, submitting.watch);
    for number in numbers {
        let body = submitting.template.body(number);
        let begun = watch.elapsed();
        if begun >= window.end {
            break;
        }
        let (answer, answered) = oneshot::channel();
        let job = Job { event: EventRows::new(number, &body), answer };
        if submitting.jobs.send(job).await.is_err() || answered.await.is_err() {
            break;
        }
        let now = watch.elapsed();
        if window.contains(&now) {
            found.count += 1;
        }
        if window.contains(&begun) {
            found.latencies.record(now.saturating_sub(begun));
        }
    }
    found
}

/// The writer: rounds until every submitter is gone. Says how many commits there were, and of how many events.
fn write(mut sink: impl Sink, mut queue: mpsc::Receiver<Job>) -> std::io::Result<(u64, u64)> {
    let (mut commits, mut events) = (0, 0);
    let mut first = queue.blocking_recv();
    while let Some(job) = first.take() {
        let mut bytes = job.event.bytes();
        let (mut round, mut answers) = (vec![job.event], vec![job.answer]);
        while round.len() < COMMIT_COMMANDS_MAX
            && let Ok(job) = queue.try_recv()
        {
            if bytes + job.event.bytes() > COMMIT_BYTES_MAX {
                first = Some(job);
                break;
            }
            bytes += job.event.bytes();
            round.push(job.event);
            answers.push(job.answer);
        }
        sink.commit(&round)?;
        commits += 1;
        events += round.len() as u64;
        for answer in answers {
            // A submitter that is gone has its time behind it.
            let _gone = answer.send(());
        }
        first = first.or_else(|| queue.blocking_recv());
    }
    Ok((commits, events))
}
