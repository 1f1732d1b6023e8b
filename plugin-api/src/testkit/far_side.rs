//! The far side of HTTP requests on the bench: what it answers is scripted, what it was asked is kept.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::abi::{self, http};
use crate::http::ErrorKind;

/// Whom the handler's HTTP requests reach on the bench: whatever is scripted with [`Self::answer`]. A request that nothing
/// was scripted for is refused, as one that the configuration does not allow. Requests are answered one at a time, in the
/// order in which they came.
#[derive(Default)]
pub struct FarSide {
    inner: Mutex<Inner>,
    /// Of a script, until its test is told. By itself: a delivery that asks nothing never waits for another's script.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

#[derive(Default)]
struct Inner {
    scripts: Vec<Script>,
    asked: Vec<Asked>,
}

struct Script {
    method: String,
    url: String,
    answer: Box<dyn FnMut(&Asked) -> Answer + Send>,
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Such as `POST`.
    pub method: String,
    /// As the handler wrote it.
    pub url: String,
    /// As the handler wrote them.
    pub headers: Vec<(String, String)>,
    /// The bytes sent.
    pub body: Vec<u8>,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    fails: Option<ErrorKind>,
}

impl FarSide {
    /// Answers each request of this method to this very URL so. A later script for the same takes its place.
    pub fn answer(&self, method: &str, url: &str, answer: Answer) {
        self.answer_by(method, url, move |_| answer.clone());
    }

    /// Answers each request of this method to this very URL by what is asked: by its body or its key, or another time
    /// otherwise. It may assert: where it panics, so does the delivery that is under way, with the same words. It must not
    /// ask this far side, which waits for it.
    ///
    /// ```
    /// use hookyard_plugin::testkit::{Answer, FarSide};
    /// let far_side = FarSide::default();
    /// let mut busy = 1;
    /// far_side.answer_by("POST", "https://api.example.com/v1/charges", move |asked| match busy {
    ///     _ if asked.header("idempotency-key").is_none() => Answer::status(400),
    ///     0 => Answer::status(201),
    ///     _ => {
    ///         busy -= 1;
    ///         Answer::status(503).header("retry-after", "2")
    ///     }
    /// });
    /// ```
    pub fn answer_by(&self, method: &str, url: &str, answer: impl FnMut(&Asked) -> Answer + Send + 'static) {
        let mut inner = self.inner();
        inner.scripts.retain(|script| script.method != method || script.url != url);
        let (method, url) = (method.to_owned(), url.to_owned());
        inner.scripts.push(Script { method, url, answer: Box::new(answer) });
    }

    /// Every request that came, or may have come, oldest first. A crash takes none back.
    pub fn asked(&self) -> Vec<Asked> {
        self.inner().asked.clone()
    }

    /// The same, and forgets them.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.inner().asked)
    }

    /// Keeps the request and answers it; or a status and a sentence.
    pub(super) fn ask(&self, asked: Asked) -> Result<Answer, (abi::Status, String)> {
        let inner = &mut *self.inner();
        let is_for = |script: &&mut Script| script.method == asked.method && script.url == asked.url;
        let Some(script) = inner.scripts.iter_mut().find(is_for) else {
            let Asked { method, url, .. } = asked;
            let words =
                format!("the bench's far side has no answer to {method} {url}: script one with `answer`");
            return Err((http::E_REFUSED, words));
        };
        let answered = match catch_unwind(AssertUnwindSafe(|| (script.answer)(&asked))) {
            Ok(answer) => answer.checked(),
            Err(panic) => {
                lock(&self.panic).get_or_insert(panic);
                Err((ErrorKind::Host, "the bench's far side panicked".to_owned()))
            }
        };
        if answered.as_ref().err().is_none_or(|(kind, _)| kind.may_have_arrived()) {
            inner.asked.push(asked);
        }
        answered.map_err(|(kind, words)| (kind.status().unwrap_or(abi::E_IO), words))
    }

    /// Panics where a script has: with what it said, in the test that wrote it.
    pub(super) fn panic_as_scripted(&self) {
        let panic = lock(&self.panic).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one: scripts are caught.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Asked {
    /// The first header of that name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Answer {
    /// This status, and nothing else.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), fails: None }
    }

    /// This status, and this as JSON.
    ///
    /// # Panics
    /// Where it is no JSON.
    pub fn json<T: Serialize + ?Sized>(status: u16, body: &T) -> Self {
        let body = serde_json::to_vec(body).unwrap_or_else(|error| panic!("the answer is no JSON: {error}"));
        Self::status(status).header("content-type", "application/json").body(body)
    }

    /// No answer, for this reason. The request is one that came where [`ErrorKind::may_have_arrived`] says so.
    pub fn fails(kind: ErrorKind) -> Self {
        Self { fails: Some(kind), ..Self::status(0) }
    }

    /// With a header more; the name in lower case.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// With these bytes.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The answer, where it is one and hookyard would keep it; or why there is none.
    fn checked(self) -> Result<Self, (ErrorKind, String)> {
        if let Some(kind) = self.fails {
            return Err((kind, format!("the bench plays: {}", kind.word())));
        }
        let header_bytes: usize = self.headers.iter().map(|(key, value)| key.len() + value.len()).sum();
        let is_above = |words| Err((ErrorKind::AnswerTooLarge, format!("the bench's answer has {words}")));
        if self.headers.len() > http::HEADERS_MAX || header_bytes > http::HEADER_BYTES_MAX {
            is_above("too many or too long headers")
        } else if self.body.len() > http::ANSWER_BODY_BYTES_MAX {
            is_above("a body above 4 MiB")
        } else {
            Ok(self)
        }
    }

    /// Status, headers and body, for the host.
    pub(super) fn into_parts(self) -> (u16, Vec<(String, String)>, Vec<u8>) {
        (self.status, self.headers, self.body)
    }
}

impl fmt::Debug for FarSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner();
        write!(f, "FarSide({} scripts, {} asked)", inner.scripts.len(), inner.asked.len())
    }
}
