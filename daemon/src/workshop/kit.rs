//! The SDK's test kit, as `hookyard plugin testkit` has it at the other end of its standard input and output: what it is told,
//! and what its script answers to the plugin's HTTP requests. The command reads what the kit says and hands it on to here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hookyard_plugin::testkit::Asked;
use hookyard_plugin::testkit::wire::{Answer, FromProgram, HttpAnswer as Told};
use hookyard_plugin_host::protocol::{Blob, HttpAnswer, HttpFault, HttpRequest};
use tokio::sync::oneshot;

use crate::host::{FarSide, NoAnswer, Script};

/// The kit.
#[derive(Debug)]
pub struct Kit {
    /// Says a line to it.
    say: fn(&str),
    next: AtomicU64,
    waiting: Mutex<Waiting>,
}

/// Who waits for the script's answer to the request of that number; `None` once there will be no more.
type Waiting = Option<HashMap<u64, oneshot::Sender<Told>>>;

impl Kit {
    /// One that is told each line by `say`.
    pub fn new(say: fn(&str)) -> Self {
        Self { say, next: AtomicU64::new(1), waiting: Mutex::new(Some(HashMap::new())) }
    }

    /// Whom the plugin asks: the kit's script.
    pub fn far_side(self: &Arc<Self>) -> FarSide {
        let script: Arc<Self> = Arc::clone(self);
        FarSide::Script(script)
    }

    /// Answers a question of the kit's.
    pub fn tell(&self, number: u64, answer: Answer) {
        self.say(&FromProgram::Answer { number, answer });
    }

    /// Hands the script's answer to who waits for it: nobody, where the request has ended.
    pub fn hear(&self, number: u64, answer: Told) {
        let waits = self.waiting().as_mut().and_then(|waiting| waiting.remove(&number));
        if let Some(waits) = waits {
            drop(waits.send(answer));
        }
    }

    /// Nothing more is heard: who waits is told so.
    pub fn end(&self) {
        *self.waiting() = None;
    }

    fn wait(&self, number: u64) -> Option<oneshot::Receiver<Told>> {
        let mut waiting = self.waiting();
        let waiting = waiting.as_mut()?;
        // Their requests have ended.
        waiting.retain(|_, waits| !waits.is_closed());
        let (tell, hear) = oneshot::channel();
        waiting.insert(number, tell);
        Some(hear)
    }

    fn say(&self, said: &FromProgram) {
        let line = serde_json::to_string(said).expect("texts, numbers, and maps by texts are JSON");
        (self.say)(&line);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Script for Kit {
    async fn answer(&self, asked: HttpRequest) -> Result<HttpAnswer, NoAnswer> {
        let gone = || NoAnswer::new(HttpFault::Host, "the test has ended, and its script answers no more");
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let hear = self.wait(number).ok_or_else(gone)?;
        let HttpRequest { method, url, headers, body, .. } = asked;
        let asked = Asked { method, url, headers, body: body.0 };
        self.say(&FromProgram::HttpAsk { number, asked });
        match hear.await.map_err(|_| gone())? {
            Told::Answered { status, headers, body } => Ok(HttpAnswer { status, headers, body: Blob(body) }),
            Told::NoAnswer { status, words } => Err(NoAnswer::new(HttpFault::of_status(status), words)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> HttpRequest {
        let (method, url) = ("GET".to_owned(), "https://api.example.com/".to_owned());
        HttpRequest { method, url, headers: Vec::new(), body: Blob::default(), timeout_ms: 0 }
    }

    #[tokio::test]
    async fn whoever_waits_when_the_test_ends_or_asks_afterwards_is_told() {
        let kit = Kit::new(|_| {});
        let ends = async {
            while kit.waiting().as_ref().is_some_and(HashMap::is_empty) {
                tokio::task::yield_now().await;
            }
            kit.end();
        };
        let (waited, ()) = tokio::join!(kit.answer(asked()), ends);
        for refused in [waited, kit.answer(asked()).await] {
            assert!(format!("{:?}", refused.unwrap_err()).contains("the test has ended"));
        }
    }

    #[tokio::test]
    async fn a_request_that_was_given_up_takes_no_room_and_its_answer_reaches_nobody() {
        let kit = Kit::new(|_| {});
        let given_up = tokio::time::timeout(std::time::Duration::ZERO, kit.answer(asked())).await;
        assert!(given_up.is_err());
        let second = kit.wait(2).unwrap();
        assert_eq!(kit.waiting().as_ref().unwrap().keys().collect::<Vec<_>>(), [&2]);
        let told = |words: &str| Told::NoAnswer { status: 0, words: words.to_owned() };
        kit.hear(1, told("late"));
        kit.hear(2, told("well"));
        assert!(matches!(second.await, Ok(Told::NoAnswer { words, .. }) if words == "well"));
    }
}
