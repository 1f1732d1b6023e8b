//! SIGKILL at random moments under load: what was acknowledged is fulfilled exactly once.
//!
//! Short form 20 kills; `HOOKYARD_KILLS=200 tests/run kill` is the long one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::stripe::{self, Poster, SECRET, another_purchase, now};
use crate::yard::{Yard, rows};

/// Buyers that post at once, each the next purchase as soon as the one before is answered.
const BUYERS: usize = 4;
/// What a buyer waits between two purchases, so that dispatch keeps up and kills meet every stage.
const PAUSE: Duration = Duration::from_millis(40);

/// Buyers that post until they are told to stop, and what was acknowledged to them.
#[derive(Debug, Default)]
pub(crate) struct Load {
    number: AtomicUsize,
    stop: AtomicBool,
    /// Every eighth event is made larger, up to this.
    padding_bytes_max: usize,
    pub(crate) acknowledged: Mutex<BTreeSet<usize>>,
}

impl Load {
    /// With events of every size.
    pub(crate) fn of_sizes(padding_bytes_max: usize) -> Self {
        Self { padding_bytes_max, ..Self::default() }
    }

    /// Buyers at a door that may come and go.
    pub(crate) fn start(self, door: SocketAddr) -> (Arc<Self>, Vec<JoinHandle<()>>) {
        let (load, poster) = (Arc::new(self), Poster::to(door));
        let buyers = (0..BUYERS).map(|_| tokio::spawn(buy(Arc::clone(&load), poster.clone()))).collect();
        (load, buyers)
    }

    pub(crate) async fn stop(&self, buyers: Vec<JoinHandle<()>>) {
        self.stop.store(true, Ordering::SeqCst);
        for buyer in buyers {
            buyer.await.unwrap();
        }
    }

    pub(crate) async fn acknowledged_count(&self) -> usize {
        self.acknowledged.lock().await.len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_under_load_loses_nothing_and_fulfils_nothing_twice() {
    let kills: usize = std::env::var("HOOKYARD_KILLS").map_or(20, |text| text.parse().unwrap());
    let mut yard = Yard::shipped();
    let port = free_port();
    yard.edit_config(|text| text.replacen("127.0.0.1:0", &format!("127.0.0.1:{port}"), 1));
    let (load, buyers) = Load::default().start(([127, 0, 0, 1], port).into());

    for kill in 0..kills {
        yard.start().await;
        let before = load.acknowledged_count().await;
        tokio::time::sleep(random_moment()).await;
        yard.kill();
        let after = load.acknowledged_count().await;
        println!("kill {kill}: {} acknowledged before it", after - before);
    }
    load.stop(buyers).await;

    yard.start().await;
    let counts = yard
        .wait_for_counts("settled", |counts| {
            counts["to_route"] == 0 && counts["pending"] == 0 && counts["leased"] == 0
        })
        .await;
    let acknowledged = load.acknowledged.lock().await;
    println!("{} acknowledged, {counts}", acknowledged.len());
    assert!(acknowledged.len() > kills, "the load was too small to show anything");
    assert_eq!(counts["delivered"], counts["events"], "{counts}");
    assert_each_fulfilled_once(&yard, &acknowledged).await;
    yard.kill();
    yard.wait_for_no_hosts().await;
}

pub(crate) async fn assert_each_fulfilled_once(yard: &Yard, acknowledged: &BTreeSet<usize>) {
    let database = yard.database().await;
    let sessions = rows(&database, "SELECT session_id FROM purchases").await;
    let fulfilled: BTreeSet<String> = sessions.iter().cloned().collect();
    assert_eq!(fulfilled.len(), sessions.len());
    let missing: Vec<_> =
        acknowledged.iter().filter(|n| !fulfilled.contains(&format!("cs_test_{n:08}"))).collect();
    assert!(missing.is_empty(), "acknowledged and never fulfilled: {missing:?}");

    assert_eq!(rows(&database, "SELECT count(*) FROM users").await, [sessions.len().to_string()]);
    assert_eq!(rows(&database, "SELECT count(*) FROM mails WHERE state <> 'sent'").await, ["0"]);
    let mails = yard.mails();
    assert_eq!(mails.len(), sessions.len(), "one mail a purchase");
    let mut mails_to: BTreeMap<usize, usize> = BTreeMap::new();
    for buyer in mails.iter().flat_map(|mail| buyers_in(mail)) {
        *mails_to.entry(buyer).or_default() += 1;
    }
    for number in acknowledged {
        assert_eq!(mails_to.get(number), Some(&1), "mails to buyer {number}");
    }
}

/// The buyers whose addresses stand in a mail.
fn buyers_in(mail: &str) -> BTreeSet<usize> {
    let before = mail.split("@buyer.example");
    before.filter_map(|text| text.rsplit_once("buyer.")?.1.parse().ok()).collect()
}

async fn buy(load: Arc<Load>, poster: Poster) {
    while !load.stop.load(Ordering::SeqCst) {
        let number = load.number.fetch_add(1, Ordering::SeqCst);
        let body = padded(another_purchase("01", number), number, load.padding_bytes_max);
        // Like Stripe: the same event again until it is acknowledged or the test ends.
        while !load.stop.load(Ordering::SeqCst) {
            let signature = stripe::sign(&body, SECRET, now());
            match poster.try_post(&body, &signature).await {
                Some(answer) if answer.status == 200 => {
                    load.acknowledged.lock().await.insert(number);
                    tokio::time::sleep(PAUSE).await;
                    break;
                }
                Some(answer) => assert_eq!(answer.status, 503, "{answer:?}"),
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
}

/// Every eighth event with a field of some length more.
fn padded(body: Vec<u8>, number: usize, bytes_max: usize) -> Vec<u8> {
    if bytes_max == 0 || !number.is_multiple_of(8) {
        return body;
    }
    let padding = "p".repeat(bytes_max / 8 * (number / 8 % 8 + 1));
    [format!("{{\"padding\":\"{padding}\",").as_bytes(), &body[1..]].concat()
}

/// From at once to well into the work.
fn random_moment() -> Duration {
    let mut random = [0_u8; 2];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut random).unwrap();
    Duration::from_millis(u64::from(u16::from_le_bytes(random)) % 700)
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
