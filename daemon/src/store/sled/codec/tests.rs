//! What was written once must be read for ever: the bytes of each kind of row, as the first release wrote them.

use std::time::Duration;

use super::*;

/// Encodes to exactly these bytes, and reads them back.
macro_rules! golden {
    ($encoded:expr, $hex:literal, $decode:expr, $value:expr) => {{
        let encoded = $encoded;
        assert_eq!(hex::encode(&encoded), $hex);
        assert_eq!($decode(&encoded).unwrap(), $value);
    }};
}

fn id() -> DeliveryId {
    DeliveryId { event: EventId::from_bytes([1; 16]), handler: HandlerName::new("sumo") }
}

fn delivery(state: DeliveryState) -> DeliveryRow {
    let delivery = Delivery {
        id: id(),
        rule: RuleName::new("r"),
        snapshot: SnapshotHash::new("s"),
        created: UnixMillis(300),
        attempts: 2,
        state,
    };
    DeliveryRow { delivery, decides: false, first: None }
}

fn attempt(outcome: Outcome) -> Attempt {
    Attempt {
        number: 2,
        started: UnixMillis(300),
        duration: Duration::new(1, 5),
        outcome,
        log: vec!["l".to_owned()],
    }
}

#[test]
fn envelopes() {
    let envelope = Envelope {
        source: SourceName::new("stripe"),
        idempotency_key: IdempotencyKey::new("k"),
        provider_id: "evt_1".to_owned(),
        event_type: "t".to_owned(),
        account: Some("a".to_owned()),
        livemode: Some(true),
        content_type: "c".to_owned(),
        headers: vec![("n".to_owned(), "v".to_owned())],
        body: Bytes::new(),
        received: UnixMillis(1_800_000_000_000),
    };
    let decode = |bytes: &[u8]| decode_meta(bytes, Bytes::new());
    golden!(
        encode_meta(&envelope),
        "0106737472697065016b056576745f3101740101610101016301016e017680a0f1c2b134",
        decode,
        envelope
    );
}

#[test]
fn idempotency_keys_and_what_is_left_of_a_removed_event() {
    let event = EventId::from_bytes([1; 16]);
    let first = hex::decode("0101010101010101010101010101010101ac02").unwrap();
    assert_eq!(decode_key_entry(&first).unwrap(), KeyEntry { event, rest: None });
    let entry = KeyEntry { event, rest: Some([9; 16]) };
    golden!(
        encode_key_entry(event, UnixMillis(300), [9; 16]),
        "0201010101010101010101010101010101ac0209090909090909090909090909090909",
        decode_key_entry,
        entry
    );
    assert!(decode_key_entry(&[3, 1]).unwrap_err().contains("format 3"));
    golden!(encode_tombstone([9; 16]), "0109090909090909090909090909090909", decode_tombstone, [9; 16]);
    golden!(encode_decided(UnixMillis(300)), "01ac02", decode_decided, Some(UnixMillis(300)));
    assert_eq!(decode_decided(&[]).unwrap(), None, "marks of the first version");
}

#[test]
fn decisions() {
    let decided = |verdict| Decision { snapshot: SnapshotHash::new("s"), verdict, shadows: Vec::new() };
    let one = Assignment { handler: HandlerName::new("h"), rule: RuleName::new("r") };
    let deliver = decided(Verdict::Deliver(vec![one]));
    golden!(encode_decision(&deliver), "010173000101680172", decode_decision, deliver);
    let unrouted = decided(Verdict::Unrouted { reason: "w".to_owned() });
    golden!(encode_decision(&unrouted), "010173010177", decode_decision, unrouted);
    let dropped = decided(Verdict::Dropped { rule: RuleName::new("r"), reason: "w".to_owned() });
    golden!(encode_decision(&dropped), "0101730201720177", decode_decision, dropped);
    let shadowed = Decision { shadows: vec![RuleName::new("t")], ..dropped };
    golden!(encode_decision(&shadowed), "0201730201720177010174", decode_decision, shadowed);
}

#[test]
fn deliveries() {
    let at = UnixMillis(300);
    let decode = |bytes: &[u8]| decode_delivery(id(), bytes);
    let pending = delivery(DeliveryState::Pending { due: at });
    golden!(encode_delivery(&pending), "0101720173ac020200ac02", decode, pending);
    let leased = delivery(DeliveryState::Leased { until: at, token: LeaseToken(300) });
    golden!(encode_delivery(&leased), "0101720173ac020201ac02ac02", decode, leased);
    let delivered = delivery(DeliveryState::Delivered { at });
    golden!(encode_delivery(&delivered), "0101720173ac020202ac02", decode, delivered);
    let ignored = delivery(DeliveryState::Ignored { at });
    golden!(encode_delivery(&ignored), "0101720173ac020203ac02", decode, ignored);
    let reason = DeadReason::Rejected { code: "c".to_owned(), message: "m".to_owned() };
    let rejected = delivery(DeliveryState::Dead { at, reason });
    golden!(encode_delivery(&rejected), "0101720173ac020204ac02000163016d", decode, rejected);
    let spent =
        delivery(DeliveryState::Dead { at, reason: DeadReason::Spent { attempts: 2, last: "l".to_owned() } });
    golden!(encode_delivery(&spent), "0101720173ac020204ac020102016c", decode, spent);
    let reason = DeadReason::Crashed { crashes: 3, last: "l".to_owned() };
    let crashed = delivery(DeliveryState::Dead { at, reason });
    golden!(encode_delivery(&crashed), "0101720173ac020204ac020203016c", decode, crashed);
    let cancelled = delivery(DeliveryState::Cancelled { at });
    golden!(encode_delivery(&cancelled), "0101720173ac020205ac02", decode, cancelled);
    let decides = DeliveryRow { decides: true, ..delivery(DeliveryState::Pending { due: at }) };
    golden!(encode_delivery(&decides), "0201720173ac020200ac020100", decode, decides);
    let first = Some(encode_attempt(&attempt(Outcome::Interrupted)));
    let with_first = DeliveryRow { first, ..delivery(DeliveryState::Delivered { at }) };
    golden!(
        encode_delivery(&with_first),
        "0201720173ac020202ac0200010a0102ac0201050601016c",
        decode,
        with_first
    );
}

#[test]
fn attempts() {
    let detail = Detail { code: "c".to_owned(), message: "m".to_owned(), result: Some("r".to_owned()) };
    let done = attempt(Outcome::Done(detail.clone()));
    golden!(encode_attempt(&done), "0102ac020105000163016d01017201016c", decode_attempt, done);
    let ignore = attempt(Outcome::Ignore(detail.clone()));
    golden!(encode_attempt(&ignore), "0102ac020105010163016d01017201016c", decode_attempt, ignore);
    let retry = attempt(Outcome::Retry { after: Some(Duration::from_secs(9)), detail: detail.clone() });
    golden!(encode_attempt(&retry), "0102ac020105020109000163016d01017201016c", decode_attempt, retry);
    let reject = attempt(Outcome::Reject(Detail { result: None, ..detail }));
    golden!(encode_attempt(&reject), "0102ac020105030163016d0001016c", decode_attempt, reject);
    let timed_out = attempt(Outcome::TimedOut { limit: Duration::from_secs(30) });
    golden!(encode_attempt(&timed_out), "0102ac020105041e0001016c", decode_attempt, timed_out);
    let crashed = attempt(Outcome::Crashed { what: "w".to_owned() });
    golden!(encode_attempt(&crashed), "0102ac02010505017701016c", decode_attempt, crashed);
    let interrupted = attempt(Outcome::Interrupted);
    golden!(encode_attempt(&interrupted), "0102ac0201050601016c", decode_attempt, interrupted);
}

#[test]
fn what_handlers_remember_and_the_totals() {
    golden!(encode_step(&StepRow::Begun), "0100", decode_step, StepRow::Begun);
    let done = StepRow::Done(b"m".to_vec());
    golden!(encode_step(&done), "0101016d", decode_step, done);
    let pair = KvValue { value: b"v".to_vec(), version: 300 };
    golden!(encode_pair(&pair.value, pair.version), "01ac020176", decode_pair, pair);
    let counts = Counts {
        events: 1,
        to_route: 2,
        unrouted: 3,
        dropped: 4,
        pending: 5,
        leased: 6,
        delivered: 7,
        ignored: 8,
        dead: 9,
        cancelled: 10,
    };
    let totals = Totals { counts, appended: 300 };
    golden!(encode_totals(&totals), "010102030405060708090aac02", decode_totals, totals);
}

#[test]
fn rows_that_are_not_ours_are_told_apart() {
    assert!(decode_step(&[]).unwrap_err().contains("empty"));
    assert!(decode_step(&[2, 0]).unwrap_err().contains("format 2"));
    assert!(decode_step(&[1, 9]).unwrap_err().contains("damaged"));
    assert!(decode_step(&[1, 0, 0]).unwrap_err().contains("too many"));
}

#[test]
fn texts_are_cut_between_characters() {
    assert_eq!(cut("aä", 2), "a");
    assert_eq!(cut("aä", 3), "aä");
    assert_eq!(cut("ää", 0), "");
}
