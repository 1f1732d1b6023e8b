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
async fn idle_connections_give_their_place_to_new_ones() {
    let house = House::open_with(two_places, None, PATIENCE).await;
    let mut idle = Vec::new();
    for id in ["evt_1", "evt_2"] {
        let mut stream = house.connect().await;
        stream.write_all(&request(&event(id), &signed(&event(id)))).await.unwrap();
        assert_eq!(read_reply(&mut stream).await.status, 200);
        idle.push(stream);
    }
    assert_eq!(house.post(&event("evt_3")).await.status, 200);
    for mut stream in idle {
        read_end(&mut stream).await;
    }
}

#[tokio::test]
async fn half_open_connections_cannot_keep_an_honest_one_out() {
    let house = House::open_with(
        |settings| {
            two_places(settings);
            settings.header_timeout = Duration::from_millis(100);
        },
        None,
        PATIENCE,
    )
    .await;
    let mut lorises: Vec<TcpStream> = Vec::new();
    for _ in 0..6 {
        let mut stream = house.connect().await;
        stream.write_all(b"POST / HTTP/1.1\r\nX-Slow: ").await.unwrap();
        lorises.push(stream);
    }
    assert_eq!(house.post(&event("evt_1")).await.status, 200);
}

fn two_places(settings: &mut hookyard::ingest::DoorSettings) {
    settings.connections_max = NonZeroUsize::new(2).unwrap();
    settings.idle_timeout = PATIENCE * 10;
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
