//! One run: connections that post until the time is up, on one thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use hookyard::model::clock::{Clock, Stopwatch, SystemClock};
use http::HeaderName;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;

use crate::connection::{Answer, Connection, Protocol, Signatures};
use crate::event::{Size, Template};
use crate::failure::Failure;
use crate::mix::{Mix, Shares};
use crate::report::Report;
use crate::schedule::{Beat, Rate};
use crate::signer::Signer;
use crate::tally::{Done, Tally};
use crate::target::Target;

/// How often a watching person sees something new.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// What is asked for.
#[derive(Debug)]
pub struct Settings {
    pub target: Target,
    /// Open loop at this rate; closed loop without it.
    pub rate: Option<f64>,
    pub connections: usize,
    pub protocol: Protocol,
    pub size: Size,
    pub shares: Shares,
    pub warm_up: Duration,
    pub duration: Duration,
    /// Where the MAC of the body alone goes, for receivers that know no Stripe.
    pub body_mac: Option<HeaderName>,
}

/// What all connections of a run share. One thread: no locks.
#[derive(Debug)]
struct Shared {
    template: Template,
    signer: Signer,
    body_mac: Option<HeaderName>,
    mix: RefCell<Mix>,
    tally: RefCell<Tally>,
    watch: Stopwatch,
    /// No request leaves after this.
    end: Cell<Duration>,
    pace: Option<Pace>,
}

#[derive(Debug)]
struct Pace {
    rate: Rate,
    beat: Beat,
    next: Cell<u64>,
}

impl Pace {
    /// When the next request is meant to leave; counted as taken.
    fn take_next(&self) -> Duration {
        let index = self.next.get();
        self.next.set(index + 1);
        self.rate.at(index)
    }
}

/// Makes the run. Needs a `LocalSet` around it. Ends early at Ctrl-C, with what there is by then.
pub async fn run(settings: &Settings) -> Result<Report, Failure> {
    let connections = connect(settings).await?;
    let seed = getrandom::u64().map_err(|error| Failure::Internal(format!("no randomness: {error}")))?;
    let window = settings.warm_up..settings.warm_up + settings.duration;
    let watch = Stopwatch::start();
    let pace = settings.rate.map(|rate| pace(rate, watch, window.end)).transpose()?;
    let shared = Rc::new(Shared {
        template: Template::new(settings.size, seed),
        signer: Signer::new(&settings.target.secret),
        body_mac: settings.body_mac.clone(),
        mix: RefCell::new(Mix::new(settings.shares, seed)),
        tally: RefCell::new(Tally::new(window.clone())),
        watch,
        end: Cell::new(window.end),
        pace,
    });
    let mut posting = JoinSet::new();
    for connection in connections {
        posting.spawn_local(post_until_the_end(connection, Rc::clone(&shared)));
    }
    let progress = tokio::task::spawn_local(show_progress(Rc::clone(&shared)));
    wait_for_end(&shared, window.end).await;
    while posting.join_next().await.is_some() {}
    progress.abort();
    // Its end is the abort; only then is nothing but `shared` left of the run.
    let _aborted = progress.await;
    Ok(report(settings, &shared))
}

async fn connect(settings: &Settings) -> Result<Vec<Connection>, Failure> {
    let mut connections = Vec::with_capacity(settings.connections);
    for _ in 0..settings.connections {
        let mut connection = Connection::to(&settings.target, settings.protocol);
        connection.connect().await.map_err(|why| {
            Failure::Unavailable(format!("nobody answers at {} ({why}): is it running?", settings.target.url))
        })?;
        connections.push(connection);
    }
    Ok(connections)
}

fn pace(per_second: f64, watch: Stopwatch, end: Duration) -> Result<Pace, Failure> {
    let rate = Rate::new(per_second);
    let beat = Beat::start(rate, watch, end)
        .map_err(|error| Failure::Internal(format!("no thread for the rate: {error}")))?;
    Ok(Pace { rate, beat, next: Cell::new(0) })
}

async fn wait_for_end(shared: &Shared, end: Duration) {
    tokio::select! {
        () = tokio::time::sleep(end.saturating_sub(shared.watch.elapsed())) => {}
        asked = tokio::signal::ctrl_c() => if asked.is_ok() {
            let now = shared.watch.elapsed();
            shared.end.set(now);
            shared.tally.borrow_mut().window.end = now;
        },
    }
    if let Some(pace) = &shared.pace {
        pace.beat.due().close();
    }
}

async fn post_until_the_end(mut connection: Connection, shared: Rc<Shared>) {
    while let Some(meant) = shared.next_moment().await {
        if !connection.ready().await {
            shared.tally_failure(meant);
            continue;
        }
        let request = shared.mix.borrow_mut().choose();
        let body = shared.template.body(request.number);
        let stripe = shared.signer.header(SystemClock.now().0 / 1000, &body, request.forged);
        let of_body = shared.body_mac.clone().map(|name| (name, shared.signer.body_mac(&body)));
        let sent = shared.watch.elapsed();
        let answer = connection.post(body, Signatures { stripe, body: of_body }).await;
        if answer == Answer::Accepted {
            shared.mix.borrow_mut().accepted(request.number);
        }
        let answered = shared.watch.elapsed();
        // In the closed loop a request is meant to leave when it does.
        let meant = if shared.pace.is_some() { meant } else { sent };
        shared.tally.borrow_mut().add(Done { meant, sent, answered, answer });
    }
}

impl Shared {
    /// When the next request is meant to leave, as soon as it may; `None` at the end.
    async fn next_moment(&self) -> Option<Duration> {
        if let Some(pace) = &self.pace {
            // Closed at the end of the run.
            pace.beat.due().acquire().await.ok()?.forget();
        }
        let now = self.watch.elapsed();
        if now >= self.end.get() {
            return None;
        }
        Some(self.pace.as_ref().map_or(now, Pace::take_next))
    }

    /// The server could not even be reached.
    fn tally_failure(&self, meant: Duration) {
        let now = self.watch.elapsed();
        self.tally.borrow_mut().add(Done { meant, sent: now, answered: now, answer: Answer::Failed });
    }
}

async fn show_progress(shared: Rc<Shared>) {
    let seconds = shared.end.get().as_secs();
    // Draws nothing where standard error is no terminal.
    let bar = ProgressBar::new(seconds).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} s  {msg}").expect("the template is well formed"),
    );
    loop {
        tokio::time::sleep(PROGRESS_EVERY).await;
        let elapsed = shared.watch.elapsed();
        bar.set_position(elapsed.as_secs().min(seconds));
        let answers = shared.tally.borrow().whole_run.sum();
        bar.set_message(format!("{:.0} answers a second", answers as f64 / elapsed.as_secs_f64()));
    }
}

fn report(settings: &Settings, shared: &Shared) -> Report {
    let mut tally = shared.tally.borrow_mut();
    let mut unsent = 0;
    if let Some(pace) = &shared.pace {
        for index in pace.next.get()..pace.rate.due(shared.end.get()) {
            unsent += 1;
            tally.add_unsent(pace.rate.at(index));
        }
    }
    let measured = tally.window.end.saturating_sub(tally.window.start);
    Report {
        target: settings.target.url.to_string(),
        mode: if shared.pace.is_some() { "open" } else { "closed" },
        rate_per_second: settings.rate,
        connections: settings.connections,
        http: if settings.protocol == Protocol::Http2 { "2" } else { "1.1" },
        body_bytes: shared.template.bytes(),
        warm_up_seconds: settings.warm_up.as_secs_f64(),
        duration_seconds: measured.as_secs_f64(),
        throughput_per_second: tally.answered_in_window as f64 / measured.as_secs_f64().max(f64::EPSILON),
        counts: tally.counts.clone(),
        whole_run: tally.whole_run.clone(),
        unsent,
        latency_us: tally.latencies.percentiles(),
        refusal_latency_us: tally.refusals.percentiles(),
        late_us: tally.late.percentiles(),
    }
}
