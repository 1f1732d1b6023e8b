//! What the door's tests share: a door on a port of its own, a store that does as it is told, and raw HTTP/1.1.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hookyard::ingest::{Door, DoorSettings, DoorSource, RateLimit};
use hookyard::model::attempt::Attempt;
use hookyard::model::clock::{ManualClock, SystemClock, UnixMillis};
use hookyard::model::delivery::{Delivery, LeaseToken};
use hookyard::model::event::{Appended, Envelope, Event};
use hookyard::model::ids::{DeliveryId, EventId, HandlerName, PluginId, SourceName, StepId};
use hookyard::model::memory::{Expect, KvPut, KvValue, Step, StepState};
use hookyard::model::retention::Retention;
use hookyard::model::verdict::Decision;
use hookyard::store::memory::MemoryStore;
use hookyard::store::wake::Wakes;
use hookyard::store::{
    Counts, DeliveryQuery, Erasure, EventQuery, Foresight, Health, LeaseRequest, Leased, Page, Pruned,
    Settled, Settlement, Store, StoreError,
};
use hookyard::verify::Scheme;
use hookyard::verify::stripe::{StripeScheme, sign};
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(super) const NOW: u64 = 1_796_000_000;
pub(super) const SECRET: &str = "whsec_test_secret";
pub(super) const PATH: &str = "/webhooks/stripe";
/// No wait of these tests may take longer; reaching it is a failure.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A served door and its store.
pub(super) struct House {
    pub(super) addr: SocketAddr,
    pub(super) store: Arc<Shelf>,
    pub(super) shutdown: CancellationToken,
    pub(super) served: tokio::task::JoinHandle<()>,
}

impl House {
    pub(super) async fn open() -> Self {
        Self::open_with(|_| {}, None, PATIENCE).await
    }

    pub(super) async fn open_with(
        adjust: impl FnOnce(&mut DoorSettings),
        rate: Option<RateLimit>,
        drain: Duration,
    ) -> Self {
        let mut settings = DoorSettings::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        adjust(&mut settings);
        let store = Arc::new(Shelf::default());
        let clock = Arc::new(ManualClock::at(UnixMillis(NOW * 1000)));
        let source = DoorSource { rate, ..source(PATH) };
        let door = Door::bind(settings, vec![source], Arc::<Shelf>::clone(&store), clock).await.unwrap();
        let (addr, shutdown) = (door.local_addr(), CancellationToken::new());
        let served = tokio::spawn(door.serve(shutdown.clone(), drain));
        Self { addr, store, shutdown, served }
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// One request over a connection of its own.
    pub(super) async fn send(&self, request: &[u8]) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        read_reply(&mut stream).await
    }

    pub(super) async fn post(&self, body: &[u8]) -> Reply {
        self.send(&request(body, &signed(body))).await
    }
}

pub(super) fn source(path: &str) -> DoorSource {
    let scheme = StripeScheme::new(vec![SecretString::from(SECRET)], Duration::from_secs(300)).unwrap();
    DoorSource {
        name: SourceName::new("stripe"),
        path: path.to_owned(),
        scheme: Scheme::Stripe(scheme),
        rate: None,
        redaction: Default::default(),
    }
}

/// A small event with this id.
pub(super) fn event(id: &str) -> Vec<u8> {
    format!(r#"{{"id": "{id}", "object": "event", "type": "charge.refunded", "livemode": true}}"#)
        .into_bytes()
}

/// A signature header line for `body`, by the right secret, now.
pub(super) fn signed(body: &[u8]) -> String {
    format!("Stripe-Signature: {}\r\n", sign(&SecretString::from(SECRET), NOW, body))
}

/// A POST with a content length and these header lines, each ending in CRLF.
pub(super) fn request(body: &[u8], lines: &str) -> Vec<u8> {
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: door\r\nContent-Length: {}\r\n{lines}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// An answer, taken apart.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: serde_json::Value,
}

impl Reply {
    pub(super) fn field(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    #[track_caller]
    pub(super) fn is_refused(&self, status: u16, reason: &str) {
        assert_eq!((self.status, self.field("reason")), (status, reason), "{self:?}");
        assert!(self.field("detail").len() > 10, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
    }
}

/// The next answer on the stream; the connection stays usable.
pub(super) async fn read_reply(stream: &mut (impl AsyncRead + Unpin)) -> Reply {
    tokio::time::timeout(PATIENCE, async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer before the end of the connection"));
        }
        let head = String::from_utf8(head).unwrap();
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let reply = Reply { status, head, body: serde_json::Value::Null };
        let length: usize = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let body = if body.is_empty() { reply.body } else { serde_json::from_slice(&body).unwrap() };
        Reply { body, ..reply }
    })
    .await
    .expect("an answer in time")
}

/// Waits for the peer to end the connection without a word.
pub(super) async fn read_end(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("an end in time");
    // A reset is an end too.
    assert!(read.is_err() || rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}

/// The store in memory, but a test decides the health, the refusal and the moment of an append. The rest of the trait is
/// closed: the door must not need it.
#[derive(Debug)]
pub(super) struct Shelf {
    inner: MemoryStore,
    health: Mutex<Health>,
    refusal: Mutex<Option<StoreError>>,
    /// Appends wait while it is false.
    released: watch::Sender<bool>,
    /// Appends that have begun.
    begun: watch::Sender<usize>,
}

impl Default for Shelf {
    fn default() -> Self {
        Self {
            inner: MemoryStore::new(Arc::new(SystemClock)),
            health: Mutex::new(Health::Ready),
            refusal: Mutex::default(),
            released: watch::Sender::new(true),
            begun: watch::Sender::new(0),
        }
    }
}

impl Shelf {
    /// Every event, oldest first.
    pub(super) async fn stored(&self) -> Vec<Event> {
        self.inner.events(EventQuery { bodies: true, ..EventQuery::default() }).await.unwrap().rows
    }

    pub(super) fn set_health(&self, health: Health) {
        *self.health.lock().unwrap() = health;
    }

    pub(super) fn refuse(&self, refusal: Option<StoreError>) {
        *self.refusal.lock().unwrap() = refusal;
    }

    pub(super) fn hold(&self) {
        self.released.send_replace(false);
    }

    pub(super) fn release(&self) {
        self.released.send_replace(true);
    }

    /// Waits until this many appends have begun in all.
    pub(super) async fn begun(&self, count: usize) {
        let mut begun = self.begun.subscribe();
        tokio::time::timeout(PATIENCE, begun.wait_for(|begun| *begun >= count)).await.unwrap().unwrap();
    }

    pub(super) async fn holds(&self, count: usize) {
        let waiting = async {
            while self.stored().await.len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the events in time");
    }
}

#[async_trait]
impl Store for Shelf {
    async fn append(&self, envelope: Envelope) -> Result<Appended, StoreError> {
        self.begun.send_modify(|begun| *begun += 1);
        self.released.subscribe().wait_for(|released| *released).await.expect("the sender is self");
        if let Some(refusal) = self.refusal.lock().unwrap().clone() {
            return Err(refusal);
        }
        self.inner.append(envelope).await
    }

    fn health(&self) -> Health {
        self.health.lock().unwrap().clone()
    }

    fn lag_bytes(&self) -> u64 {
        0
    }

    fn wakes(&self) -> &Wakes {
        self.inner.wakes()
    }

    fn step_key(&self, _: &StepId) -> String {
        String::new()
    }

    async fn to_route(&self, _: usize) -> Result<Vec<Event>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn route_unrouted(&self, _: Vec<(EventId, Decision)>) -> Result<usize, StoreError> {
        Err(StoreError::Closed)
    }

    async fn route(&self, _: Vec<(EventId, Decision)>) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    fn foresee(&self, _: Arc<dyn Foresight>) {}

    async fn lease(&self, _: LeaseRequest) -> Result<Leased, StoreError> {
        Err(StoreError::Closed)
    }

    async fn settle(&self, _: Settlement) -> Result<Settled, StoreError> {
        Err(StoreError::Closed)
    }

    async fn give_back(&self, _: DeliveryId, _: LeaseToken) -> Result<Settled, StoreError> {
        Err(StoreError::Closed)
    }

    async fn take_back_leases(&self) -> Result<usize, StoreError> {
        Err(StoreError::Closed)
    }

    async fn waiting_by_handler(&self) -> Result<Vec<(HandlerName, u64)>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn prune(&self, _: Retention, _: Option<EventId>) -> Result<Pruned, StoreError> {
        Err(StoreError::Closed)
    }

    async fn erase(&self, _: EventId, _: Erasure) -> Result<bool, StoreError> {
        Err(StoreError::Closed)
    }

    async fn step_begin(&self, _: StepId) -> Result<StepState, StoreError> {
        Err(StoreError::Closed)
    }

    async fn step_end(&self, _: StepId, _: Vec<u8>) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    async fn steps(&self, _: DeliveryId, _: Option<Arc<str>>) -> Result<Vec<Step>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn kv_get(&self, _: PluginId, _: Vec<u8>) -> Result<Option<KvValue>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn kv_put(&self, _: PluginId, _: Vec<u8>, _: Vec<u8>, _: Expect) -> Result<KvPut, StoreError> {
        Err(StoreError::Closed)
    }

    async fn event(&self, _: EventId) -> Result<Option<Event>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn decision(&self, _: EventId) -> Result<Option<Decision>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn events(&self, _: EventQuery) -> Result<Page<Event, EventId>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn deliveries(&self, _: DeliveryQuery) -> Result<Page<Delivery, DeliveryId>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn attempts(&self, _: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        Err(StoreError::Closed)
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        Err(StoreError::Closed)
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
