//! `hookyard send`: what Stripe does, from a file; then what became of it.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use hyper::StatusCode;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::client::{self, Operator};
use super::output::say;
use super::target::Target;
use super::{Common, Failure, events, output};
use crate::admin::view::EventDetailView;
use crate::model::clock::{Clock, SystemClock};
use crate::verify::stripe;

/// Between two looks at the event while its deliveries are under way.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// A file that holds one event as Stripe would post it
    file: PathBuf,
    /// The source to post to (default: the first of the configuration)
    #[arg(long)]
    source: Option<String>,
    /// Post to this URL instead of the source's own
    #[arg(long)]
    url: Option<String>,
    /// How many seconds to wait for the handlers (0: do not look)
    #[arg(long, default_value_t = 10)]
    wait: u64,
}

/// The door's answer.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    status: String,
    event: String,
}

pub(super) async fn run(common: &Common, args: &SendArgs) -> Result<(), Failure> {
    let target = Target::find(common)?;
    let (source_url, secret) = target.source(args.source.as_deref())?;
    let url = args.url.clone().unwrap_or(source_url);
    let body = std::fs::read(&args.file)
        .map_err(|error| Failure::no_input(format!("{} cannot be read: {error}", args.file.display())))?;
    // Before anything is posted: a missing token should not be told after the event is on its way.
    let operator = (args.wait > 0 && target.has_admin()).then(|| Operator::at(&target)).transpose()?;
    let signature = stripe::sign(&SecretString::from(secret), SystemClock.now().0 / 1000, &body);
    if !common.json {
        say!("sent      {} ({} bytes) to {url}", args.file.display(), body.len());
    }
    let (status, answer) = client::post(&url, &[("stripe-signature", signature)], Bytes::from(body)).await?;
    let answer = accepted(status, &answer)?;
    if !common.json {
        say!("answer    {status}, {}", answer.status);
    }
    let Some(operator) = operator else {
        if common.json {
            return output::json(&answer);
        }
        say!("event     {}", answer.event);
        return Ok(());
    };
    let event = settled(&operator, &answer.event, Duration::from_secs(args.wait)).await?;
    if common.json {
        return output::json(&event);
    }
    events::print_detail(&event);
    Ok(())
}

fn accepted(status: StatusCode, body: &[u8]) -> Result<Answer, Failure> {
    let text = || String::from_utf8_lossy(body).into_owned();
    match status {
        StatusCode::OK => serde_json::from_slice(body)
            .map_err(|_| Failure::bad_data(format!("the answer is not hookyard's: {}", text()))),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            Err(Failure::unavailable(format!("the door answered {status}: {}", text())))
        }
        _ => Err(Failure::bad_data(format!("the door answered {status}: {}", text()))),
    }
}

/// The event once it is routed and each of its deliveries has had an attempt, or as it is when the time is up.
async fn settled(operator: &Operator, id: &str, wait: Duration) -> Result<EventDetailView, Failure> {
    let path = format!("/v1/events/{id}");
    let looking = async {
        loop {
            let event: EventDetailView = operator.get(&path).await?;
            let tried = event.deliveries.iter().all(|delivery| !delivery.tries.is_empty());
            if event.snapshot.is_some() && tried {
                return Ok(event);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    match tokio::time::timeout(wait, looking).await {
        Ok(found) => found,
        Err(_) => operator.get(&path).await,
    }
}
