//! Which child takes a call, held against what an operator expects of several.

use tokio::sync::mpsc;

use super::*;
use crate::host::child::Outbox;

/// A pool whose seats are all taken.
fn full(seats: usize, workers: usize) -> Arc<Pool> {
    let pool = Pool::new(seats, workers);
    (0..seats).for_each(|seat| pool.up(seat, &child()));
    pool
}

fn child() -> Arc<Child> {
    Arc::new(Child::new(None, Outbox::Process(mpsc::channel(1).0)))
}

/// A place that is there at once.
async fn now(pool: &Arc<Pool>, company: Company) -> Option<Place> {
    tokio::select! {
        biased;
        place = pool.place(company) => Some(place.unwrap()),
        () = tokio::task::yield_now() => None,
    }
}

fn open(pool: &Pool, seat: usize) {
    while !pool.died(seat, Duration::ZERO) {}
}

#[tokio::test]
async fn calls_are_shared_evenly_and_by_those_that_are_up() {
    let pool = full(3, 2);
    let mut places = Vec::new();
    for _ in 0..6 {
        places.push(now(&pool, Company::Others).await.unwrap());
    }
    let seats: Vec<usize> = places.iter().map(|place| place.seat).collect();
    assert_eq!(seats, [0, 1, 2, 0, 1, 2]);
    assert!(now(&pool, Company::Others).await.is_none(), "each has as many as it may");
    places.truncate(1);
    pool.down(2, "it died");
    for seat in [1, 0, 1] {
        places.push(now(&pool, Company::Others).await.unwrap());
        assert_eq!(places.last().unwrap().seat, seat);
    }
    assert!(now(&pool, Company::Others).await.is_none());
}

#[tokio::test]
async fn one_that_is_to_be_alone_waits_for_its_seat_and_the_others_go_on() {
    let pool = full(2, 8);
    let (first, second) =
        (now(&pool, Company::Others).await.unwrap(), now(&pool, Company::Others).await.unwrap());
    let waiting = {
        let pool = Arc::clone(&pool);
        tokio::spawn(async move { pool.place(Company::Nobody).await.unwrap() })
    };
    tokio::task::yield_now().await;
    let other = now(&pool, Company::Others).await.unwrap();
    assert_eq!(other.seat, second.seat, "nothing more begins where one is to be alone");
    assert!(!waiting.is_finished());
    drop(first);
    let alone = waiting.await.unwrap();
    assert_ne!(alone.seat, other.seat);
    assert!(now(&pool, Company::Nobody).await.is_none(), "one seat is for the others");
    assert_eq!(now(&pool, Company::Others).await.unwrap().seat, other.seat);
    drop((second, other));
    assert!(now(&pool, Company::Nobody).await.is_none());
    drop(alone);
    assert!(now(&pool, Company::Nobody).await.is_some());
}

#[tokio::test]
async fn with_one_seat_one_that_is_to_be_alone_holds_up_the_others() {
    let pool = full(1, 8);
    let alone = now(&pool, Company::Nobody).await.unwrap();
    assert!(now(&pool, Company::Others).await.is_none());
    drop(alone);
    assert!(now(&pool, Company::Others).await.is_some());
}

#[tokio::test]
async fn one_that_is_to_be_alone_goes_elsewhere_when_its_child_dies() {
    let pool = full(2, 8);
    let places = [now(&pool, Company::Others).await.unwrap(), now(&pool, Company::Others).await.unwrap()];
    let waiting = {
        let pool = Arc::clone(&pool);
        tokio::spawn(async move { pool.place(Company::Nobody).await.unwrap() })
    };
    tokio::task::yield_now().await;
    pool.down(0, "it died");
    tokio::task::yield_now().await;
    drop(places);
    assert_eq!(waiting.await.unwrap().seat, 1);
    pool.up(0, &child());
    assert_eq!(now(&pool, Company::Others).await.unwrap().seat, 0, "its claim went with it");
}

#[tokio::test]
async fn a_seat_that_rests_is_tried_by_one_call_alone_and_closes_no_other() {
    let pool = full(2, 8);
    open(&pool, 0);
    pool.down(0, "it died");
    assert_eq!(now(&pool, Company::Others).await.unwrap().seat, 1);
    pool.up(0, &child());
    let trying = now(&pool, Company::Others).await.unwrap();
    assert_eq!(trying.seat, 0);
    assert_eq!(now(&pool, Company::Others).await.unwrap().seat, 1);
    assert!(pool.answered(0));
    drop(trying);
    let both = [now(&pool, Company::Others).await.unwrap(), now(&pool, Company::Others).await.unwrap()];
    assert_eq!(both.map(|place| place.seat), [0, 1]);
}

#[tokio::test]
async fn where_every_seat_rests_or_all_is_stopped_there_is_no_place() {
    let pool = full(2, 8);
    for seat in [0, 1] {
        assert!(now(&pool, Company::Others).await.is_some());
        open(&pool, seat);
        pool.down(seat, "it died");
    }
    assert_eq!(pool.place(Company::Others).await.err(), Some(NoPlace::AllRest));
    pool.stop();
    pool.ready().await;
    assert_eq!(pool.place(Company::Nobody).await.err(), Some(NoPlace::Stopped));
}

#[tokio::test]
async fn a_call_that_hangs_keeps_its_worker_and_nobody_waits_for_it() {
    let pool = full(1, 2);
    let mut hung = now(&pool, Company::Others).await.unwrap();
    hung.hang();
    let standing = pool.standings().remove(0);
    assert_eq!((standing.calls, standing.hanging), (0, 1));
    let second = now(&pool, Company::Others).await.unwrap();
    assert!(now(&pool, Company::Others).await.is_none(), "its worker is lost");
    drop(second);
    open(&pool, 0);
    assert!(now(&pool, Company::Others).await.is_some(), "one call alone tries it beside what hangs");
    drop(hung);
    assert_eq!(pool.standings()[0].hanging, 0);
}
