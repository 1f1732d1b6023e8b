//! What retention and compaction give back, measured: `retention_figures [EVENTS [BODY_BYTES]]`.
//!
//! In a temporary directory it accepts, routes and delivers events on a clock of its own, lets nine tenths of them grow
//! older than `delivered` keeps, removes them, accepts as many again to show that their space is used again, removes
//! those too, and compacts. It prints what sled's files take after each, and how long it took. Build it with `--release`.
#![forbid(unsafe_code)]

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hookyard::model::attempt::{Attempt, Detail, Outcome};
use hookyard::model::clock::{Clock, ManualClock, Stopwatch, SystemClock};
use hookyard::model::delivery::DeliveryState;
use hookyard::model::event::Envelope;
use hookyard::model::ids::{HandlerName, IdempotencyKey, RuleName, SnapshotHash, SourceName};
use hookyard::model::retention::Retention;
use hookyard::model::verdict::{Assignment, Decision, Verdict};
use hookyard::store::sled::{SledOptions, SledStore};
use hookyard::store::{LeaseRequest, Settlement, Store, StoreError};

const AT_ONCE: u64 = 64;
const DAY: Duration = Duration::from_secs(86_400);

type Ran = Result<(), Box<dyn std::error::Error>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Ran {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (events, body_bytes) = (number(100_000)?, number(4096)?);
    let base = std::env::temp_dir().join(format!("hookyard-retention-{}", std::process::id()));
    let measured = measure(&base, events, usize::try_from(body_bytes)?).await;
    std::fs::remove_dir_all(&base)?;
    measured
}

async fn measure(dir: &Path, events: u64, body_bytes: usize) -> Ran {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let options = SledOptions::new(dir);
    let (old, young) = (events / 10 * 9, events / 10);
    let store = Arc::new(SledStore::open(&options, clock.clone())?);
    println!("{events} events of {body_bytes} bytes");

    let watch = Stopwatch::start();
    fulfil(&store, 0..old, body_bytes).await?;
    clock.advance(31 * DAY);
    fulfil(&store, old..events, body_bytes).await?;
    tell("accepted and delivered", dir, watch)?;

    let watch = Stopwatch::start();
    println!("  {} events removed, {} left", prune(&store).await?, store.counts().await?.events);
    tell("pruned", dir, watch)?;

    let watch = Stopwatch::start();
    fulfil(&store, events..events + old, body_bytes).await?;
    tell("as many accepted again", dir, watch)?;
    clock.advance(31 * DAY);
    prune(&store).await?;
    fulfil(&store, 2 * events..2 * events + young, body_bytes).await?;
    let counts = store.counts().await?;
    println!("  {} events live, {} delivered", counts.events, counts.delivered);
    tell("pruned again", dir, watch)?;
    store.close().await?;
    drop(store);

    let watch = Stopwatch::start();
    let (copying, peak) = (dir.join("compacting"), Arc::new(AtomicU64::new(0)));
    let peak_seen = Arc::clone(&peak);
    let look = move |_| {
        peak_seen.fetch_max(disk_bytes(&copying).unwrap_or(0), Ordering::Relaxed);
    };
    let compacted = SledStore::compact(options.clone(), clock.clone(), look).await?;
    println!(
        "  {} rows of {} bytes; the copy took {} at most",
        compacted.rows,
        mib(compacted.row_bytes),
        mib(peak.load(Ordering::Relaxed))
    );
    tell("compacted", dir, watch)?;

    let watch = Stopwatch::start();
    let store = SledStore::open(&options, clock)?;
    let findings = store.verify().await?;
    println!("opened and verified in {:.1} s: {} findings", watch.elapsed().as_secs_f64(), findings.len());
    store.close().await?;
    Ok(())
}

/// Accepts, routes and delivers.
async fn fulfil(store: &Arc<SledStore>, numbers: std::ops::Range<u64>, body_bytes: usize) -> Ran {
    let (first, end) = (numbers.start, numbers.end);
    let mut accepting = tokio::task::JoinSet::new();
    for lane in 0..AT_ONCE {
        let store = Arc::clone(store);
        accepting.spawn(async move {
            for number in (first + lane..end).step_by(AT_ONCE as usize) {
                store.append(envelope(number, body_bytes)).await?;
            }
            Ok::<(), StoreError>(())
        });
    }
    while let Some(accepted) = accepting.join_next().await {
        accepted??;
    }
    let handler = HandlerName::new("sumo");
    loop {
        let waiting = store.to_route(128).await?;
        if waiting.is_empty() {
            break;
        }
        let to = Verdict::Deliver(vec![Assignment { handler: handler.clone(), rule: RuleName::new("rule") }]);
        let decision =
            Decision { snapshot: SnapshotHash::new("0123456789abcdef"), verdict: to, shadows: Vec::new() };
        store.route(waiting.iter().map(|event| (event.id, decision.clone())).collect()).await?;
    }
    let lease = Duration::from_secs(30);
    loop {
        let request = LeaseRequest::at_once(handler.clone(), 256, lease);
        let leased = store.lease(request).await?.deliveries;
        if leased.is_empty() {
            return Ok(());
        }
        let settled = leased.into_iter().map(|held| {
            let at = held.delivery.created;
            let detail =
                Detail { code: String::new(), message: String::new(), result: Some("{}".to_owned()) };
            let attempt = Attempt {
                number: 1,
                started: at,
                duration: Duration::from_millis(5),
                outcome: Outcome::Done(detail),
                log: Vec::new(),
            };
            let next = DeliveryState::Delivered { at };
            let settlement = Settlement { delivery: held.delivery.id, token: held.token, attempt, next };
            let store = Arc::clone(store);
            async move { store.settle(settlement).await }
        });
        let mut settling: tokio::task::JoinSet<_> = settled.collect();
        while let Some(settled) = settling.join_next().await {
            settled??;
        }
    }
}

async fn prune(store: &SledStore) -> Result<u64, StoreError> {
    let (mut events, mut after) = (0, None);
    loop {
        let pruned = store.prune(Retention::default(), after).await?;
        events += pruned.events;
        after = pruned.reached;
        if !pruned.more {
            return Ok(events);
        }
    }
}

/// Text that looks like JSON and does not repeat.
fn envelope(number: u64, body_bytes: usize) -> Envelope {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut body = format!("{{\"id\":\"evt_{number}\",\"noise\":\"").into_bytes();
    while body.len() < body_bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.extend_from_slice(format!("{state:x}").as_bytes());
    }
    body.truncate(body_bytes);
    Envelope {
        source: SourceName::new("stripe"),
        idempotency_key: IdempotencyKey::new(&format!("evt_1T1QufhQNB9reosf{number:08}")),
        provider_id: format!("evt_1T1QufhQNB9reosf{number:08}"),
        event_type: "checkout.session.completed".to_owned(),
        account: None,
        livemode: Some(true),
        content_type: "application/json; charset=utf-8".to_owned(),
        headers: vec![("user-agent".to_owned(), "Stripe/1.0 (+https://stripe.com/docs/webhooks)".to_owned())],
        body: Bytes::from(body),
        received: SystemClock.now(),
    }
}

fn tell(what: &str, dir: &Path, watch: Stopwatch) -> std::io::Result<()> {
    println!("{what:<24} {:>10} on disk, {:.1} s", mib(disk_bytes(dir)?), watch.elapsed().as_secs_f64());
    Ok(())
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// What sled's files in `dir` take.
fn disk_bytes(dir: &Path) -> std::io::Result<u64> {
    let mut blocks = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == "db" || name == "conf" || name.starts_with("snap.") {
            blocks += entry.metadata()?.blocks();
        }
    }
    Ok(blocks * 512)
}
