//! What is answered to whom, over HTTP/1.1: accepted, duplicate, and every refusal with its reason word.

use hookyard::model::event::Appended;
use hookyard::store::{Health, Store, StoreError};
use hookyard::verify::stripe::sign;
use secrecy::SecretString;
use tokio::io::AsyncWriteExt;

use super::house::{House, NOW, PATH, SECRET, event, read_end, read_reply, request, signed, source};

#[tokio::test]
async fn a_signed_event_is_stored_as_the_very_bytes_received() {
    let house = House::open().await;
    let body = b"{\n  \"id\": \"evt_1\",\n  \"account\": \"acct_1\", \"type\": \"charge.refunded\", \"n\": 1.50e1}\n";
    let lines = format!(
        "{}Content-Type: application/json; charset=utf-8\r\nUser-Agent: Stripe/1.0\r\nAuthorization: Bearer x\r\n",
        signed(body)
    );
    let reply = house.send(&request(body, &lines)).await;

    let [stored] = house.store.stored().await.try_into().unwrap();
    assert_eq!((reply.status, reply.field("status")), (200, "accepted"));
    assert_eq!(reply.field("event"), stored.id.to_string());
    let envelope = stored.envelope;
    assert_eq!(envelope.body, &body[..]);
    assert_eq!(envelope.idempotency_key.as_str(), "evt_1/acct_1");
    assert_eq!(envelope.content_type, "application/json; charset=utf-8");
    assert_eq!(envelope.received.0, NOW * 1000);
    let kept: Vec<&str> = envelope.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(kept, ["host", "content-length", "stripe-signature", "content-type", "user-agent"]);
}

#[tokio::test]
async fn the_same_event_again_is_a_duplicate_with_the_first_ones_id() {
    let house = House::open().await;
    let first = house.post(&event("evt_1")).await;
    let mut stream = house.connect().await;
    for _ in 0..3 {
        stream.write_all(&request(&event("evt_1"), &signed(&event("evt_1")))).await.unwrap();
        let again = read_reply(&mut stream).await;
        assert_eq!((again.status, again.field("status")), (200, "duplicate"));
        assert_eq!(again.field("event"), first.field("event"));
    }
    assert_eq!(house.store.stored().await.len(), 1);
}

#[tokio::test]
async fn of_32_copies_at_once_one_is_accepted() {
    let house = std::sync::Arc::new(House::open().await);
    let mut copies = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let house = std::sync::Arc::clone(&house);
        copies.spawn(async move { house.post(&event("evt_1")).await });
    }
    let replies = copies.join_all().await;
    let id = replies[0].field("event");
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.field("event") == id));
    let accepted = replies.iter().filter(|reply| reply.field("status") == "accepted").count();
    assert_eq!((accepted, house.store.stored().await.len()), (1, 1));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let house = House::open().await;
    let elsewhere = house.send(b"POST /other HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").await;
    elsewhere.is_refused(404, "unknown_path");
    let slash = format!("POST {PATH}/ HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n");
    house.send(slash.as_bytes()).await.is_refused(404, "unknown_path");
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let reply = house.send(format!("{method} {PATH} HTTP/1.1\r\nHost: d\r\n\r\n").as_bytes()).await;
        reply.is_refused(405, "wrong_method");
        assert_eq!(reply.header("allow"), Some("POST"), "{method}");
    }
    let query = String::from_utf8(request(&event("evt_1"), &signed(&event("evt_1")))).unwrap();
    let query = query.replacen(PATH, &format!("{PATH}?a=b"), 1);
    assert_eq!(house.send(query.as_bytes()).await.status, 200, "a query is no part of the path");
}

#[tokio::test]
async fn each_bad_signature_has_its_reason_and_nothing_is_stored() {
    let house = House::open().await;
    let body = event("evt_1");
    let at =
        |timestamp| format!("Stripe-Signature: {}\r\n", sign(&SecretString::from(SECRET), timestamp, &body));
    let other = sign(&SecretString::from("whsec_other"), NOW, &body);
    let rows = [
        (String::new(), "header_missing", "Stripe-Signature"),
        ("Stripe-Signature: nonsense\r\n".to_owned(), "header_malformed", "`=`"),
        (signed(&body).repeat(2), "header_malformed", "more than once"),
        (at(NOW - 301), "timestamp_outside_tolerance", "is 301 s old"),
        (at(NOW + 86_400), "timestamp_outside_tolerance", "is -86400 s old"),
        (format!("Stripe-Signature: {other}\r\n"), "no_v1_matches", "secret"),
        (signed(b"another body"), "no_v1_matches", "secret"),
    ];
    for (lines, reason, told) in rows {
        let reply = house.send(&request(&body, &lines)).await;
        reply.is_refused(400, reason);
        assert_eq!(reply.field("error"), "Invalid signature");
        assert!(reply.field("detail").contains(told), "{reply:?}");
    }
    assert_eq!(house.store.stored().await.len(), 0);
}

#[tokio::test]
async fn a_signed_body_that_is_no_event_is_refused() {
    let house = House::open().await;
    let rows: [(&[u8], &str); 6] = [
        (b"", "body_not_json"),
        (b"not json", "body_not_json"),
        (b"\xff\xfe", "body_not_json"),
        (b"[]", "not_an_object"),
        (br#"{"type":"t"}"#, "id_missing"),
        (br#"{"id":"e","id":"f","type":"t"}"#, "duplicate_key"),
    ];
    for (body, reason) in rows {
        let reply = house.post(body).await;
        reply.is_refused(400, reason);
        assert_eq!(reply.field("error"), "Invalid payload");
    }
    assert_eq!(house.store.stored().await.len(), 0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_however_it_comes() {
    let house =
        House::open_with(|settings| settings.body_bytes_max = 1000, None, super::house::PATIENCE).await;
    let huge = vec![b'x'; 4 * 1024 * 1024];
    // Told by its length: refused before a byte of it was sent …
    let head = request(&huge, &signed(b""));
    let head = &head[..head.len() - huge.len()];
    house.send(head).await.is_refused(413, "too_large");
    // … and the answer is not lost to a client that sends everything first.
    house.send(&request(&huge, &signed(b""))).await.is_refused(413, "too_large");
    // Not told: refused where the limit is passed.
    let chunked = |length: usize| {
        let body = vec![b' '; length];
        let head =
            format!("POST {PATH} HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n{}\r\n", signed(&body));
        [head.as_bytes(), format!("{length:x}\r\n").as_bytes(), &body, b"\r\n0\r\n\r\n"].concat()
    };
    house.send(&chunked(1001)).await.is_refused(413, "too_large");
    house.send(&chunked(1000)).await.is_refused(400, "body_not_json");
}

#[tokio::test]
async fn an_encoded_body_is_refused() {
    let house = House::open().await;
    let body = event("evt_1");
    for (encoding, status) in [("gzip", 415), ("br", 415), ("identity", 200)] {
        let lines = format!("{}Content-Encoding: {encoding}\r\n", signed(&body));
        assert_eq!(house.send(&request(&body, &lines)).await.status, status, "{encoding}");
    }
}

#[tokio::test]
async fn a_continue_is_given_only_where_the_body_is_wanted() {
    let house = House::open().await;
    let body = event("evt_1");
    let mut stream = house.connect().await;
    let whole = request(&body, &format!("{}Expect: 100-continue\r\n", signed(&body)));
    let (head, rest) = whole.split_at(whole.len() - body.len());
    stream.write_all(head).await.unwrap();
    assert_eq!(read_reply(&mut stream).await.status, 100);
    stream.write_all(rest).await.unwrap();
    assert_eq!(read_reply(&mut stream).await.status, 200);

    let unsigned = request(&body, "Expect: 100-continue\r\n");
    house.send(&unsigned[..unsigned.len() - body.len()]).await.is_refused(400, "header_missing");
}

#[tokio::test]
async fn too_many_header_bytes_are_refused() {
    let house = House::open().await;
    let lines = format!("X-Long: {}\r\n", "y".repeat(64 * 1024));
    assert_eq!(house.send(&request(b"", &lines)).await.status, 431);
}

#[tokio::test]
async fn a_store_that_cannot_take_events_is_a_503_that_tells_nothing_of_the_machine() {
    let house = House::open().await;
    let failed = || "sync of /secret/path failed".to_owned();
    for (health, reason) in [
        (Health::Full { free_bytes: 5, need_bytes: 6 }, "disk_full"),
        (Health::Closed, "store_closed"),
        (Health::Failed { why: failed() }, "store_failed"),
    ] {
        house.store.set_health(health);
        let reply = house.post(&event("evt_1")).await;
        reply.is_refused(503, reason);
        assert_eq!(reply.header("retry-after"), Some("10"));
        assert!(!reply.body.to_string().contains("/secret"), "{reply:?}");
    }
    house.store.set_health(Health::Ready);
    for (refusal, status, reason) in [
        (StoreError::Full { free_bytes: 5, need_bytes: 6 }, 503, "disk_full"),
        (StoreError::Busy { waiting: 9 }, 503, "store_busy"),
        (StoreError::Closed, 503, "store_closed"),
        (StoreError::Failed { why: failed() }, 503, "store_failed"),
        (StoreError::Corrupt { what: failed() }, 503, "store_failed"),
        (StoreError::TooLarge { what: "body", bytes: 2, max: 1 }, 413, "too_large"),
    ] {
        house.store.refuse(Some(refusal));
        let reply = house.post(&event("evt_1")).await;
        reply.is_refused(status, reason);
        assert_eq!(reply.header("retry-after").is_some(), status == 503);
        assert!(!reply.body.to_string().contains("/secret"), "{reply:?}");
    }
    house.store.refuse(None);
    assert_eq!(house.post(&event("evt_1")).await.field("status"), "accepted");
}

#[tokio::test]
async fn a_request_cut_off_stores_nothing() {
    let house = House::open().await;
    let whole = request(&event("evt_1"), &signed(&event("evt_1")));
    for length in [0, 10, whole.len() - event("evt_1").len(), whole.len() - 1] {
        let mut stream = house.connect().await;
        stream.write_all(&whole[..length]).await.unwrap();
        stream.shutdown().await.unwrap();
        if length < whole.len() - event("evt_1").len() {
            read_end(&mut stream).await;
        } else {
            read_reply(&mut stream).await.is_refused(400, "body_incomplete");
        }
    }
    assert_eq!(house.store.stored().await.len(), 0);
    // A client that ends its side after the whole request is answered all the same.
    house.store.hold();
    let mut stream = house.connect().await;
    stream.write_all(&whole).await.unwrap();
    stream.shutdown().await.unwrap();
    house.store.begun(1).await;
    // Time for the door to see the end; were it taken for a departure, no answer would come however long this is.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    house.store.release();
    assert_eq!(read_reply(&mut stream).await.status, 200);
}

#[tokio::test]
async fn an_append_goes_on_though_its_client_is_gone() {
    let house = House::open().await;
    house.store.hold();
    let mut stream = house.connect().await;
    stream.write_all(&request(&event("evt_1"), &signed(&event("evt_1")))).await.unwrap();
    house.store.begun(1).await;
    drop(stream);
    house.store.release();
    house.store.holds(1).await;
    let again = house.post(&event("evt_1")).await;
    assert_eq!(again.field("status"), "duplicate");
    let id = Appended::Duplicate(house.store.stored().await[0].id).event().to_string();
    assert_eq!(again.field("event"), id);
}

#[tokio::test]
async fn sources_can_be_exchanged_while_serving() {
    use hookyard::ingest::{Door, DoorSettings, Sources};
    use hookyard::model::clock::SystemClock;
    let store: std::sync::Arc<dyn Store> = std::sync::Arc::new(super::house::Shelf::default());
    let settings = DoorSettings::new(([127, 0, 0, 1], 0).into());
    let door =
        Door::bind(settings, vec![source("/a")], store, std::sync::Arc::new(SystemClock)).await.unwrap();
    let (addr, sources) = (door.local_addr(), door.sources());
    tokio::spawn(door.serve(Default::default(), super::house::PATIENCE));
    let get = async |path: &str| {
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: d\r\n\r\n").as_bytes()).await.unwrap();
        read_reply(&mut stream).await.status
    };
    assert_eq!((get("/a").await, get("/b").await), (405, 404));
    sources.store(std::sync::Arc::new(Sources::new(vec![source("/b")]).unwrap()));
    assert_eq!((get("/a").await, get("/b").await), (404, 405));
}
