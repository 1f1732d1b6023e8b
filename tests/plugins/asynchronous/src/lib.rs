//! A plugin that is written with `async` and owns a tokio runtime: `tests/it/plugin_abi/asynchronous.rs` runs it in a real
//! process. The far side that it asks is a TCP address, its settings' `far`: it sends a step's key and takes a line for an
//! answer, however long that takes, unless the event's type says that it is to mind its deadline.

use hookyard_plugin::{AsyncHandler, CreateError, Cx, Event, Failure, Host, Outcome};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// The handler.
#[derive(Debug)]
pub struct Asynchronous {
    far: String,
    runtime: Runtime,
}

impl AsyncHandler for Asynchronous {
    type Settings = serde_json::Value;

    async fn create(settings: serde_json::Value, _host: &Host<'_>) -> Result<Self, CreateError> {
        let far = settings["far"].as_str().unwrap_or_default().to_owned();
        Ok(Self { far, runtime: Builder::new_multi_thread().worker_threads(1).enable_all().build()? })
    }

    fn drive<T>(&self, attempt: impl Future<Output = T>) -> T {
        self.runtime.block_on(attempt)
    }

    async fn handle(&self, event: &Event<'_>, cx: &Cx<'_>) -> Result<Outcome, Failure> {
        let asked = cx.step_async("ask", async |step| ask(&self.far, step.key()).await);
        let answer: String = match event.event_type() {
            "minds.deadline" => timeout(cx.remaining(), asked).await??,
            _ => asked.await?,
        };
        cx.info("it answered");
        Ok(Outcome::done().with_message(answer))
    }
}

async fn ask(far: &str, key: &str) -> Result<String, Failure> {
    let mut stream = BufReader::new(TcpStream::connect(far).await?);
    stream.write_all(format!("{key}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await?;
    Ok(answer.trim_end().to_owned())
}

hookyard_plugin::export!(Asynchronous, id = "com.hookyard.test.asynchronous");
