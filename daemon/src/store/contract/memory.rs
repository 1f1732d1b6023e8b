//! What handlers remember: steps and key-value pairs.

use super::bench::{Bench, delivery_id};
use crate::model::ids::{EventId, PluginId, StepId};
use crate::model::limits::{KEY_BYTES_MAX, MEMO_BYTES_MAX};
use crate::model::memory::{Expect, KvPut, KvValue, Step, StepState};
use crate::store::StoreError;

fn step(handler: &str, name: &str) -> StepId {
    StepId { delivery: delivery_id(EventId::from_bytes([1; 16]), handler), step: name.into() }
}

fn plugin() -> PluginId {
    PluginId::new("com.acme.sumo")
}

pub(super) async fn a_step_is_run_then_unsure_then_done(bench: &Bench) {
    let store = &bench.store;
    assert_eq!(store.step_begin(step("sumo", "user")).await.unwrap(), StepState::Run);
    assert_eq!(store.step_begin(step("sumo", "user")).await.unwrap(), StepState::Unsure);
    store.step_end(step("sumo", "user"), b"42".to_vec()).await.unwrap();
    assert_eq!(store.step_begin(step("sumo", "user")).await.unwrap(), StepState::Done(b"42".to_vec()));
    assert_eq!(store.step_begin(step("sumo", "mail")).await.unwrap(), StepState::Run);
    assert_eq!(store.step_begin(step("sumou", "ser")).await.unwrap(), StepState::Run);
    store.step_end(step("direct", "never begun"), Vec::new()).await.unwrap();
    assert_eq!(store.step_begin(step("direct", "never begun")).await.unwrap(), StepState::Done(Vec::new()));
}

pub(super) async fn a_finished_step_keeps_its_first_memo(bench: &Bench) {
    let store = &bench.store;
    store.step_end(step("sumo", "user"), b"first".to_vec()).await.unwrap();
    store.step_end(step("sumo", "user"), b"second".to_vec()).await.unwrap();
    assert_eq!(store.step_begin(step("sumo", "user")).await.unwrap(), StepState::Done(b"first".to_vec()));
}

pub(super) async fn steps_are_listed_by_name_and_apart_by_handler(bench: &Bench) {
    let store = &bench.store;
    let delivery = step("sumo", "").delivery;
    assert_eq!(store.steps(delivery.clone(), None).await.unwrap(), []);
    store.step_end(step("sumo", "user"), b"42".to_vec()).await.unwrap();
    store.step_begin(step("sumo", "mail")).await.unwrap();
    store.step_begin(step("sumou", "ser")).await.unwrap();
    let mail = Step { id: step("sumo", "mail"), memo: None };
    let user = Step { id: step("sumo", "user"), memo: Some(b"42".into()) };
    assert_eq!(store.steps(delivery.clone(), None).await.unwrap(), [mail, user.clone()]);
    assert_eq!(store.steps(delivery.clone(), Some("mail".into())).await.unwrap(), [user]);
    assert_eq!(store.steps(delivery, Some("user".into())).await.unwrap(), []);
}

pub(super) async fn step_keys_are_stable_and_apart(bench: &Bench) {
    let key = bench.store.step_key(&step("sumo", "user"));
    assert_eq!(key.len(), 64);
    assert!(key.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit)));
    assert_eq!(bench.store.step_key(&step("sumo", "user")), key);
    assert_ne!(bench.store.step_key(&step("sumo", "mail")), key);
    assert_ne!(bench.store.step_key(&step("direct", "user")), key);
}

pub(super) async fn a_pair_is_written_only_over_the_version_expected(bench: &Bench) {
    let put = |value: &str, expect| bench.store.kv_put(plugin(), b"k".to_vec(), value.into(), expect);
    let get = || bench.store.kv_get(plugin(), b"k".to_vec());
    assert_eq!(get().await.unwrap(), None);
    assert_eq!(put("0", Expect::Version(1)).await.unwrap(), KvPut::Conflict);
    assert_eq!(put("a", Expect::Absent).await.unwrap(), KvPut::Written(1));
    assert_eq!(put("b", Expect::Absent).await.unwrap(), KvPut::Conflict);
    assert_eq!(put("c", Expect::Version(1)).await.unwrap(), KvPut::Written(2));
    assert_eq!(put("d", Expect::Version(1)).await.unwrap(), KvPut::Conflict);
    assert_eq!(get().await.unwrap(), Some(KvValue { value: b"c".to_vec(), version: 2 }));
    assert_eq!(put("", Expect::Anything).await.unwrap(), KvPut::Written(3));
    assert_eq!(get().await.unwrap(), Some(KvValue { value: Vec::new(), version: 3 }));
}

pub(super) async fn of_many_writers_that_expect_one_version_one_wins(bench: &Bench) {
    bench.store.kv_put(plugin(), b"k".to_vec(), vec![0], Expect::Absent).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for number in 1..=20 {
        let store = bench.store.clone();
        let write = async move {
            store.kv_put(plugin(), b"k".to_vec(), vec![number], Expect::Version(1)).await.unwrap()
        };
        writers.spawn(write);
    }
    let written = writers.join_all().await.into_iter().filter(|put| *put == KvPut::Written(2)).count();
    assert_eq!(written, 1);
}

pub(super) async fn pairs_are_apart_by_plugin(bench: &Bench) {
    let (short, long) = (PluginId::new("a"), PluginId::new("ab"));
    bench.store.kv_put(short.clone(), b"bc".to_vec(), vec![1], Expect::Absent).await.unwrap();
    assert_eq!(bench.store.kv_get(long.clone(), b"c".to_vec()).await.unwrap(), None);
    bench.store.kv_put(long, b"c".to_vec(), vec![2], Expect::Absent).await.unwrap();
    assert_eq!(bench.store.kv_get(short, b"bc".to_vec()).await.unwrap().unwrap().value, [1]);
}

pub(super) async fn keys_and_values_have_limits(bench: &Bench) {
    let store = &bench.store;
    let (key, value) = (vec![7; KEY_BYTES_MAX], vec![7; MEMO_BYTES_MAX]);
    store.kv_put(plugin(), key.clone(), value.clone(), Expect::Absent).await.unwrap();
    assert_eq!(store.kv_get(plugin(), key).await.unwrap().unwrap().value, value);
    let long_key = store.kv_put(plugin(), vec![7; KEY_BYTES_MAX + 1], value.clone(), Expect::Absent).await;
    assert!(matches!(long_key, Err(StoreError::TooLarge { .. })));
    let long_value = store.kv_put(plugin(), vec![8], vec![7; MEMO_BYTES_MAX + 1], Expect::Absent).await;
    assert!(matches!(long_value, Err(StoreError::TooLarge { .. })));
    store.step_end(step("sumo", "a"), value.clone()).await.unwrap();
    assert_eq!(store.step_begin(step("sumo", "a")).await.unwrap(), StepState::Done(value));
    let long_memo = store.step_end(step("sumo", "b"), vec![7; MEMO_BYTES_MAX + 1]).await;
    assert!(matches!(long_memo, Err(StoreError::TooLarge { .. })));
    let long_step = store.step_begin(step("sumo", &"s".repeat(KEY_BYTES_MAX + 1))).await;
    assert!(matches!(long_step, Err(StoreError::TooLarge { .. })));
    assert_eq!(store.step_begin(step("sumo", "b")).await.unwrap(), StepState::Run);
}
