//! Too much, and the end: rates, caps, a flood of half-open connections, and a shutdown that answers what it took.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use hookyard::ingest::RateLimit;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::house::{House, PATIENCE, event, read_end, read_reply, request, signed};

#[tokio::test]
async fn a_source_over_its_rate_is_told_to_wait() {
    // One a minute is less than `per_second` can say; a burst of 3 and then 1 a second is enough to see it.
    let rate = RateLimit { per_second: NonZeroU32::MIN, burst: NonZeroU32::new(3).unwrap() };
    let house = House::open_with(|_| {}, Some(rate), PATIENCE).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        // Unsigned requests count too: they cost the same.
        let reply = house.send(&request(b"", "")).await;
        if reply.status == 429 {
            reply.is_refused(429, "rate_limited");
            assert_eq!(reply.header("retry-after"), Some("1"));
        }
        statuses.push(reply.status);
    }
    assert_eq!(statuses[..3], [400; 3]);
    assert!(statuses[3..].contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn more_than_the_requests_in_flight_are_refused_until_one_is_done() {
    let house = House::open_with(|settings| settings.in_flight_max = NonZeroUsize::MIN, None, PATIENCE).await;
    house.store.hold();
    let mut first = house.connect().await;
    first.write_all(&request(&event("evt_1"), &signed(&event("evt_1")))).await.unwrap();
    house.store.begun(1).await;
    let second = house.post(&event("evt_2")).await;
    second.is_refused(503, "overloaded");
    assert_eq!(second.header("retry-after"), Some("10"));
    house.store.release();
    assert_eq!(read_reply(&mut first).await.status, 200);
    assert_eq!(house.post(&event("evt_2")).await.status, 200);
}

#[tokio::test]
async fn the_connection_that_is_idle_longest_gives_its_place_to_a_new_one() {
    let house = House::open_with(two_places, None, PATIENCE).await;
    let mut idle = Vec::new();
    for id in ["evt_1", "evt_2"] {
        let mut stream = house.connect().await;
        assert_eq!(post_on(&mut stream, id).await, 200);
        idle.push(stream);
    }
    assert_eq!(house.post(&event("evt_3")).await.status, 200);
    read_end(&mut idle[0]).await;
    assert_eq!(post_on(&mut idle[1], "evt_4").await, 200);
}

#[tokio::test]
async fn one_that_never_brought_a_verified_request_goes_before_one_that_did() {
    let house = House::open_with(two_places, None, PATIENCE).await;
    let (mut proven, mut stranger) = (house.connect().await, house.connect().await);
    assert_eq!(post_on(&mut proven, "evt_1").await, 200);
    stranger.write_all(&request(&event("evt_2"), &signed(b"another body"))).await.unwrap();
    read_reply(&mut stranger).await.is_refused(400, "no_v1_matches");
    assert_eq!(house.post(&event("evt_3")).await.status, 200);
    read_end(&mut stranger).await;
    assert_eq!(post_on(&mut proven, "evt_4").await, 200);
}

#[tokio::test]
async fn half_open_connections_cannot_keep_an_honest_one_out() {
    let house = House::open_with(two_places, None, PATIENCE).await;
    let mut lorises: Vec<TcpStream> = Vec::new();
    for _ in 0..6 {
        let mut stream = house.connect().await;
        stream.write_all(b"POST / HTTP/1.1\r\nX-Slow: ").await.unwrap();
        lorises.push(stream);
    }
    assert_eq!(house.post(&event("evt_1")).await.status, 200);
    read_end(&mut lorises[0]).await;
}

#[tokio::test]
async fn bodies_that_trickle_in_give_way_to_one_that_is_there() {
    let house = House::open_with(
        |settings| {
            patient(settings);
            settings.in_flight_max = NonZeroUsize::MIN;
        },
        None,
        PATIENCE,
    )
    .await;
    let mut trickling = half_a_body(&house).await;
    let refused = tokio::spawn(async move {
        read_reply(&mut trickling).await.is_refused(503, "overloaded");
        read_end(&mut trickling).await;
    });
    // While the slow one is new, the others are refused; once it is known as slow, it is.
    let mut posted = 0;
    while posted == 0 || !refused.is_finished() {
        let reply = house.post(&event(&format!("evt_{posted}"))).await;
        match reply.status {
            200 => posted += 1,
            _ => reply.is_refused(503, "overloaded"),
        }
    }
    refused.await.unwrap();
    assert_eq!(house.store.stored().await.len(), posted);
}

#[tokio::test]
async fn connections_that_are_all_busy_with_half_a_body_cannot_keep_an_honest_one_out() {
    let house = House::open_with(two_places, None, PATIENCE).await;
    let mut trickling = Vec::new();
    for _ in 0..4 {
        trickling.push(half_a_body(&house).await);
    }
    assert_eq!(house.post(&event("evt_1")).await.status, 200);
    assert_eq!(house.store.stored().await.len(), 1);
}

/// A post whose head could be genuine, and whose body does not come.
async fn half_a_body(house: &House) -> TcpStream {
    let mut stream = house.connect().await;
    let body = event("evt_slow");
    let whole = request(&body, &signed(b"another body"));
    stream.write_all(&whole[..whole.len() - body.len() + 1]).await.unwrap();
    stream
}

async fn post_on(stream: &mut TcpStream, id: &str) -> u16 {
    stream.write_all(&request(&event(id), &signed(&event(id)))).await.unwrap();
    read_reply(stream).await.status
}

/// No timeout of this door ends anything while a test runs.
fn patient(settings: &mut hookyard::ingest::DoorSettings) {
    settings.header_timeout = PATIENCE * 10;
    settings.body_timeout = PATIENCE * 10;
    settings.idle_timeout = PATIENCE * 10;
}

fn two_places(settings: &mut hookyard::ingest::DoorSettings) {
    patient(settings);
    settings.connections_max = NonZeroUsize::new(2).unwrap();
}

#[tokio::test]
async fn a_shutdown_answers_what_was_taken_and_takes_no_more() {
    let house = House::open().await;
    house.store.hold();
    let mut idle = house.connect().await;
    let mut busy = house.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n").await.unwrap();
    assert_eq!(read_reply(&mut idle).await.status, 404);
    busy.write_all(&request(&event("evt_1"), &signed(&event("evt_1")))).await.unwrap();
    house.store.begun(1).await;

    house.shutdown.cancel();
    read_end(&mut idle).await;
    assert!(TcpStream::connect(house.addr).await.is_err(), "the port is closed");
    assert!(!house.served.is_finished(), "a request is still being answered");
    house.store.release();
    let reply = read_reply(&mut busy).await;
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    drop(busy);
    tokio::time::timeout(PATIENCE, house.served).await.expect("an end in time").unwrap();
}

#[tokio::test]
async fn a_drain_that_takes_too_long_is_cut() {
    let house = House::open_with(|_| {}, None, Duration::from_millis(50)).await;
    house.store.hold();
    let mut busy = house.connect().await;
    busy.write_all(&request(&event("evt_1"), &signed(&event("evt_1")))).await.unwrap();
    house.store.begun(1).await;
    house.shutdown.cancel();
    read_end(&mut busy).await;
    tokio::time::timeout(PATIENCE, house.served).await.expect("an end in time").unwrap();
    house.store.release();
    house.store.holds(1).await;
}
