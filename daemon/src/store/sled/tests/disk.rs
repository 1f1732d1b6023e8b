//! Full disks.

use super::Place;
use crate::model::clock::Clock;
use crate::model::delivery::DeliveryState;
use crate::model::event::Appended;
use crate::model::ids::HandlerName;
use crate::model::limits::SPACE_CHECK_EVERY;
use crate::store::contract::bench::{LEASE, deliver, envelope, settlement};
use crate::store::sled::{SledOptions, SledStore};
use crate::store::{Health, LeaseRequest, Settled, Store, StoreError};

#[tokio::test]
async fn a_nearly_full_disk_refuses_events_and_works_off_the_rest() {
    let place = Place::new();
    let store = place.open();
    let id = store.append(envelope("a")).await.unwrap().event();
    store.route(vec![(id, deliver(&["sumo"]))]).await.unwrap();
    store.close().await.unwrap();

    let options = SledOptions { free_bytes_min: u64::MAX, ..place.options() };
    let store = SledStore::open(&options, place.clock.clone()).unwrap();
    let refused = store.append(envelope("b")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Full { need_bytes: u64::MAX, .. }), "{refused}");
    let large = crate::store::contract::bench::with_body("c", vec![7; 1 << 20].into());
    assert!(matches!(store.append(large).await, Err(StoreError::Full { .. })));
    assert!(matches!(store.health(), Health::Full { free_bytes: 1.. }));
    // What is stored already is no new event.
    assert_eq!(store.append(envelope("a")).await.unwrap(), Appended::Duplicate(id));
    let request = LeaseRequest { handler: HandlerName::new("sumo"), max: 1, lease: LEASE };
    let held = store.lease(request).await.unwrap().deliveries.remove(0);
    let next = DeliveryState::Delivered { at: place.clock.now() };
    assert_eq!(store.settle(settlement(&held, next)).await.unwrap(), Settled::Applied);
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_ballast_is_made_where_there_is_room() {
    let place = Place::new();
    let store = place.open();
    assert_eq!(place.file("ballast").metadata().unwrap().len(), crate::model::limits::BALLAST_BYTES);
    place.clock.advance(SPACE_CHECK_EVERY);
    assert!(matches!(store.append(envelope("a")).await.unwrap(), Appended::New(_)));
    store.close().await.unwrap();
}
