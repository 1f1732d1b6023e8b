//! A plugin that asks over HTTP what each event says (`hookyard.http/1`), and tells what came of it: done with the answer, or
//! the failure that `?` makes. `tests/it/plugin_abi/http.rs` drives it, and `tests/scripted.rs` as an author's
//! tests do.

use std::time::Duration;

use hookyard_plugin::{CreateError, Cx, Event, Failure, Handler, Host, Outcome};
use serde::Deserialize;
use serde_json::{Value, json};

/// What an event's body says.
#[derive(Deserialize)]
struct Asked {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// So many bytes are sent.
    #[serde(default)]
    body_bytes: usize,
    timeout_ms: Option<u64>,
    /// So often, one after the other.
    #[serde(default = "once")]
    times: usize,
    /// Within a step of this name, whose key is sent.
    step: Option<String>,
    /// So many at once, from threads of its own.
    #[serde(default)]
    at_once: usize,
    /// Ends the process while the request is under way.
    #[serde(default)]
    dies_after_ms: u64,
}

fn once() -> usize {
    1
}

/// The handler.
#[derive(Debug)]
pub struct Asker;

impl Handler for Asker {
    type Settings = Value;

    fn create(_: Value, _: &Host<'_>) -> Result<Self, CreateError> {
        Ok(Self)
    }

    fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        let asked: Asked = event.json()?;
        if asked.dies_after_ms > 0 {
            let wait = Duration::from_millis(asked.dies_after_ms);
            std::thread::spawn(move || {
                std::thread::sleep(wait);
                std::process::abort();
            });
        }
        if asked.at_once > 0 {
            return at_once(&asked, cx);
        }
        if let Some(name) = &asked.step {
            let keyed = |key: &str| ask(cx, &asked, &[("Idempotency-Key".to_owned(), key.to_owned())]);
            let answer: Value = cx.step(name, |step| keyed(step.key()))?;
            return Ok(Outcome::done().with_result(answer));
        }
        let mut answer = ask(cx, &asked, &asked.headers)?;
        for _ in 1..asked.times {
            answer = ask(cx, &asked, &asked.headers)?;
        }
        Ok(Outcome::done().with_result(answer))
    }
}

fn ask(cx: &Cx<'_>, asked: &Asked, headers: &[(String, String)]) -> Result<Value, Failure> {
    let mut request = cx.http()?.request(&asked.method, &asked.url).body(vec![b'x'; asked.body_bytes]);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    if let Some(millis) = asked.timeout_ms {
        request = request.timeout(Duration::from_millis(millis));
    }
    let answer = request.send()?;
    let start = String::from_utf8_lossy(&answer.body()[..answer.body().len().min(100)]).into_owned();
    Ok(json!({
        "status": answer.status(),
        "bytes": answer.body().len(),
        "start": start,
        "x-far": answer.header("x-far"),
        "location": answer.header("location"),
    }))
}

/// How each ended, by its status or its code.
fn at_once(asked: &Asked, cx: &Cx<'_>) -> Result<Outcome, Failure> {
    let ends: Vec<String> = std::thread::scope(|scope| {
        let one = || match ask(cx, asked, &asked.headers) {
            Ok(answer) => answer["status"].to_string(),
            Err(failure) => failure.code().to_owned(),
        };
        let threads: Vec<_> = (0..asked.at_once).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| "panic".to_owned())).collect()
    });
    let count = |code: &str| ends.iter().filter(|end| *end == code).count();
    Ok(Outcome::done().with_result(json!({ "200": count("200"), "http_busy": count("http_busy") })))
}

hookyard_plugin::export!(Asker, id = "com.hookyard.test.asker");
