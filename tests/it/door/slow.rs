//! Slow peers: every phase of a connection ends by itself, and what was slow stored nothing.

use std::time::Duration;

use hookyard::ingest::DoorSettings;
use tokio::io::AsyncWriteExt;

use super::house::{House, PATIENCE, event, read_end, read_reply, request, signed};

const SHORT: Duration = Duration::from_millis(100);

fn impatient(settings: &mut DoorSettings) {
    settings.header_timeout = SHORT;
    settings.body_timeout = SHORT;
    settings.idle_timeout = SHORT;
}

#[tokio::test]
async fn a_slow_body_is_a_408_and_stores_nothing() {
    let house = House::open_with(impatient, None, PATIENCE).await;
    let whole = request(&event("evt_1"), &signed(&event("evt_1")));
    let mut stream = house.connect().await;
    stream.write_all(&whole[..whole.len() - 1]).await.unwrap();
    read_reply(&mut stream).await.is_refused(408, "slow_body");
    read_end(&mut stream).await;
    assert_eq!(house.store.stored().await.len(), 0);
}

#[tokio::test]
async fn a_connection_without_a_whole_head_is_closed() {
    let house = House::open_with(impatient, None, PATIENCE).await;
    let slow_starts: [&[u8]; 4] =
        [b"", b"P", b"POST /webhooks/stripe HTTP/1.1\r\nHost: d\r\nX: ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"];
    for start in slow_starts {
        let mut stream = house.connect().await;
        stream.write_all(start).await.unwrap();
        read_end(&mut stream).await;
    }
}

#[tokio::test]
async fn a_head_that_dribbles_in_forever_is_cut_all_the_same() {
    let house = House::open_with(impatient, None, PATIENCE).await;
    let (mut reading, mut writing) = house.connect().await.into_split();
    let dribble = tokio::spawn(async move {
        let mut sent = writing.write_all(b"POST / HTTP/1.1\r\nX: ").await;
        while sent.is_ok() {
            tokio::time::sleep(SHORT / 4).await;
            sent = writing.write_all(b"y").await;
        }
    });
    read_end(&mut reading).await;
    tokio::time::timeout(PATIENCE, dribble).await.expect("the door stops reading").unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_request() {
    let house = House::open_with(impatient, None, PATIENCE).await;
    let mut stream = house.connect().await;
    stream.write_all(&request(&event("evt_1"), &signed(&event("evt_1")))).await.unwrap();
    assert_eq!(read_reply(&mut stream).await.status, 200);
    read_end(&mut stream).await;
}

#[tokio::test]
async fn a_request_in_work_is_not_taken_for_idle() {
    let house = House::open_with(impatient, None, PATIENCE).await;
    house.store.hold();
    let mut stream = house.connect().await;
    stream.write_all(&request(&event("evt_1"), &signed(&event("evt_1")))).await.unwrap();
    house.store.begun(1).await;
    // Longer than every time-out of this door: they would have fired.
    tokio::time::sleep(SHORT * 5).await;
    house.store.release();
    assert_eq!(read_reply(&mut stream).await.status, 200);
}
