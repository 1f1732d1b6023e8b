//! `POST /v1/events/erase`: a data subject's request, one page of events a call, oldest first.
//!
//! Whoever asks goes on with `after` until there is no `next`. What is erased no longer holds the address, so a request that
//! was cut short is simply made again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Admin;
use super::answer::{Failure, Pretty};
use super::pages;
use super::view::EventView;
use crate::model::attempt::{Attempt, Outcome};
use crate::model::delivery::{DeadReason, DeliveryState};
use crate::model::event::{ERASED_HEADER, Event};
use crate::model::limits::{ERASE_PAGE_EVENTS, ERASED_BODY_BYTES_MAX, MEMO_BYTES_MAX, PAGE_ROWS_MAX};
use crate::privacy::Subject;
use crate::store::{DeliveryQuery, Erasure, EventQuery, Store, StoreError};

/// What is asked for. The address stands in the body, so that no log of URLs has it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EraseRequest {
    pub email: String,
    /// False: only look.
    pub apply: bool,
    /// Also what is not finished.
    pub force: bool,
    pub after: Option<String>,
}

/// One page.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErasePageView {
    pub looked: u64,
    pub found: Vec<FoundView>,
    /// Pass as `after` for the next page.
    pub next: Option<String>,
}

/// An event that holds the address.
#[derive(Debug, Serialize, Deserialize)]
pub struct FoundView {
    #[serde(flatten)]
    pub event: EventView,
    /// `found`, `erased`, or `unfinished` and left alone.
    pub outcome: String,
}

pub(super) async fn erase(
    State(admin): State<Arc<Admin>>,
    Json(request): Json<EraseRequest>,
) -> Result<Pretty<ErasePageView>, Failure> {
    let subject = Subject::new(&request.email)
        .ok_or_else(|| Failure::bad_request("that is no e-mail address: write one as ada@example.com"))?;
    let query = EventQuery {
        limit: ERASE_PAGE_EVENTS,
        after: request.after.as_deref().map(pages::event_id).transpose()?,
        bodies: true,
        ..EventQuery::default()
    };
    let page = admin.store.events(query).await?;
    let mut found = Vec::new();
    for event in page.rows.iter().filter(|event| subject.is_in(&event.envelope.body)) {
        let outcome = if !request.apply {
            "found"
        } else if erase_one(&*admin.store, event, &subject, request.force).await? {
            "erased"
        } else {
            "unfinished"
        };
        if outcome == "erased" {
            tracing::info!(event = %event.id, "erased at a data subject's request");
        }
        found.push(FoundView { event: EventView::from(event), outcome: outcome.to_owned() });
    }
    let next = page.next.map(|id| id.to_string());
    Ok(Pretty(ErasePageView { looked: page.rows.len() as u64, found, next }))
}

async fn erase_one(
    store: &dyn Store,
    event: &Event,
    subject: &Subject,
    force: bool,
) -> Result<bool, StoreError> {
    let (mut attempts, mut reasons, mut memos) = (Vec::new(), Vec::new(), Vec::new());
    let query = DeliveryQuery { event: Some(event.id), limit: PAGE_ROWS_MAX, ..DeliveryQuery::default() };
    for delivery in store.deliveries(query).await?.rows {
        for attempt in store.attempts(delivery.id.clone()).await? {
            let erased = erased_attempt(&attempt, subject);
            if erased != attempt {
                attempts.push((delivery.id.clone(), erased));
            }
        }
        for step in pages::steps(store, &delivery.id).await? {
            let erased = step.memo.as_deref().and_then(|memo| erased_memo(memo, subject));
            memos.extend(erased.map(|memo| (step.id, memo)));
        }
        if let DeliveryState::Dead { reason, .. } = &delivery.state {
            reasons.push((delivery.id.clone(), erased_reason(reason, subject)));
        }
    }
    let envelope = &event.envelope;
    let mut headers: Vec<(String, String)> = envelope
        .headers
        .iter()
        .filter(|(name, _)| name != ERASED_HEADER)
        .map(|(name, value)| (name.clone(), text(value, subject)))
        .collect();
    headers.push((ERASED_HEADER.to_owned(), "personal fields".to_owned()));
    let mut body = subject.erase(&envelope.body);
    if body.len() > ERASED_BODY_BYTES_MAX {
        let rest = json!({ "id": envelope.provider_id, "object": "event", "type": envelope.event_type });
        body = rest.to_string().into_bytes();
    }
    let erasure = Erasure { body: body.into(), headers, attempts, reasons, memos, even_unfinished: force };
    store.erase(event.id, erasure).await
}

fn erased_attempt(attempt: &Attempt, subject: &Subject) -> Attempt {
    let mut erased = attempt.clone();
    for line in &mut erased.log {
        *line = text(line, subject);
    }
    match &mut erased.outcome {
        Outcome::Done(detail)
        | Outcome::Ignore(detail)
        | Outcome::Retry { detail, .. }
        | Outcome::Reject(detail) => {
            detail.message = text(&detail.message, subject);
            detail.result = detail.result.take().map(|result| subject.erase_value(&result));
        }
        Outcome::Crashed { what } => *what = text(what, subject),
        Outcome::TimedOut { .. } | Outcome::Interrupted => {}
    }
    erased
}

/// `None` where the address is not in it. What is then too long to be kept is forgotten whole.
fn erased_memo(memo: &[u8], subject: &Subject) -> Option<Vec<u8>> {
    let memo = std::str::from_utf8(memo).ok()?;
    match text(&subject.erase_value(memo), subject) {
        same if same == memo => None,
        erased if erased.len() > MEMO_BYTES_MAX => Some(Vec::new()),
        erased => Some(erased.into_bytes()),
    }
}

fn erased_reason(reason: &DeadReason, subject: &Subject) -> DeadReason {
    let mut erased = reason.clone();
    match &mut erased {
        DeadReason::Rejected { message: words, .. }
        | DeadReason::Spent { last: words, .. }
        | DeadReason::Crashed { last: words, .. } => *words = text(words, subject),
    }
    erased
}

fn text(words: &str, subject: &Subject) -> String {
    subject.erase_text(words).unwrap_or_else(|| words.to_owned())
}
