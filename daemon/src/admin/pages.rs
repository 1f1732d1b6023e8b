//! The lists and the one-event page.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::answer::{Failure, Pretty};
use super::explain::ExplainView;
use super::view::{self, AttemptView, DeliveryView, EventDetailView, EventView, PageView, StepView};
use crate::model::event::{BODY_SHA256_HEADER, ERASED_HEADER, REDACTED_HEADER};
use crate::model::ids::{DeliveryId, EventId, HandlerName};
use crate::model::limits::PAGE_ROWS_MAX;
use crate::model::memory::Step;
use crate::store::{DeliveryQuery, EventQuery, Page, Routing, Store, StoreError};

/// `GET /v1/events?…`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    limit: Option<usize>,
    after: Option<String>,
    /// `true` (the default): newest first.
    newest: Option<bool>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    provider_id: Option<String>,
    /// waiting, routed, unrouted, dropped.
    routing: Option<String>,
}

/// `GET /v1/deliveries?…`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliveriesQuery {
    limit: Option<usize>,
    after: Option<String>,
    newest: Option<bool>,
    event: Option<String>,
    handler: Option<String>,
    state: Option<String>,
}

/// `GET /v1/events/{id}?body=true`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowQuery {
    body: Option<bool>,
}

const PAGE_ROWS_DEFAULT: usize = 50;

pub(super) async fn events(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<EventsQuery>,
) -> Result<Pretty<PageView<EventView>>, Failure> {
    let query = EventQuery {
        limit: query.limit.unwrap_or(PAGE_ROWS_DEFAULT),
        after: query.after.as_deref().map(event_id).transpose()?,
        newest_first: query.newest.unwrap_or(true),
        bodies: false,
        event_type: query.event_type,
        provider_id: query.provider_id,
        routing: query.routing.as_deref().map(routing).transpose()?,
    };
    let page = admin.store.events(query).await?;
    Ok(Pretty(PageView {
        rows: page.rows.iter().map(EventView::from).collect(),
        next: page.next.map(|id| id.to_string()),
    }))
}

pub(super) async fn event(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
    Query(query): Query<ShowQuery>,
) -> Result<Pretty<EventDetailView>, Failure> {
    let event = find(&*admin.store, &id).await?;
    let decision = admin.store.decision(event.id).await?;
    let body =
        query.body.unwrap_or(false).then(|| String::from_utf8_lossy(&event.envelope.body).into_owned());
    Ok(Pretty(EventDetailView {
        event: EventView::from(&event),
        body_bytes: event.envelope.body.len(),
        content_type: event.envelope.content_type.clone(),
        redacted: event.envelope.header(REDACTED_HEADER).unwrap_or_default().to_owned(),
        body_sha256: event.envelope.header(BODY_SHA256_HEADER).map(str::to_owned),
        erased: event.envelope.header(ERASED_HEADER).is_some(),
        routing: view::routing_words(decision.as_ref()),
        snapshot: decision.map(|decision| decision.snapshot.to_string()),
        deliveries: deliveries_with_tries(&*admin.store, event.id).await?,
        body,
    }))
}

pub(super) async fn explain(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
) -> Result<Pretty<ExplainView>, Failure> {
    let event = find(&*admin.store, &id).await?;
    let decision = admin.store.decision(event.id).await?;
    let explained = admin.control.explain(event).await;
    Ok(Pretty(ExplainView { decided: Some(view::routing_words(decision.as_ref())), ..explained }))
}

pub(super) async fn deliveries(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Pretty<PageView<DeliveryView>>, Failure> {
    let query = DeliveryQuery {
        limit: query.limit.unwrap_or(PAGE_ROWS_DEFAULT),
        after: query.after.as_deref().map(delivery_id).transpose()?,
        newest_first: query.newest.unwrap_or(true),
        event: query.event.as_deref().map(event_id).transpose()?,
        handler: query.handler.as_deref().map(HandlerName::new),
        state: query.state.map(state).transpose()?,
    };
    let page = admin.store.deliveries(query).await?;
    Ok(Pretty(PageView {
        rows: page.rows.iter().map(DeliveryView::from).collect(),
        next: page.next.map(|id| id.to_string()),
    }))
}

/// By our own id, or by the provider's (`evt_…`), because that is the one an operator has from Stripe's dashboard.
async fn find(store: &dyn Store, id: &str) -> Result<crate::model::event::Event, Failure> {
    let found = match id.parse::<EventId>() {
        Ok(id) => store.event(id).await?,
        Err(_) => by_provider_id(store, id).await?,
    };
    found.ok_or_else(|| {
        Failure::not_found(format!("no event `{id}` is stored, neither as our id nor as the provider's"))
    })
}

/// Page by page: a page may be empty though older events follow.
async fn by_provider_id(
    store: &dyn Store,
    id: &str,
) -> Result<Option<crate::model::event::Event>, StoreError> {
    let mut query = EventQuery {
        limit: 1,
        newest_first: true,
        bodies: true,
        provider_id: Some(id.to_owned()),
        ..EventQuery::default()
    };
    loop {
        let mut page = store.events(query.clone()).await?;
        match (page.rows.pop(), page.next) {
            (Some(event), _) => return Ok(Some(event)),
            (None, None) => return Ok(None),
            (None, next) => query.after = next,
        }
    }
}

async fn deliveries_with_tries(store: &dyn Store, event: EventId) -> Result<Vec<DeliveryView>, StoreError> {
    let query = DeliveryQuery { event: Some(event), ..DeliveryQuery::default() };
    let Page { rows, .. } = store.deliveries(query).await?;
    let mut views = Vec::with_capacity(rows.len());
    for delivery in rows {
        let attempts = store.attempts(delivery.id.clone()).await?;
        let tries = attempts.iter().map(AttemptView::from).collect();
        let recorded = steps(store, &delivery.id).await?;
        let steps = recorded.iter().map(|step| step_view(store, step)).collect();
        views.push(DeliveryView { tries, steps, ..DeliveryView::from(&delivery) });
    }
    Ok(views)
}

/// Every step of a delivery.
pub(super) async fn steps(store: &dyn Store, delivery: &DeliveryId) -> Result<Vec<Step>, StoreError> {
    let mut steps: Vec<Step> = Vec::new();
    loop {
        let after = steps.last().map(|step| Arc::clone(&step.id.step));
        let more = store.steps(delivery.clone(), after).await?;
        let full = more.len() == PAGE_ROWS_MAX;
        steps.extend(more);
        if !full {
            return Ok(steps);
        }
    }
}

fn step_view(store: &dyn Store, step: &Step) -> StepView {
    StepView {
        name: step.id.step.to_string(),
        state: if step.memo.is_some() { "done" } else { "unsure" }.to_owned(),
        memo: step.memo.as_deref().filter(|memo| !memo.is_empty()).map(view::memo),
        key: store.step_key(&step.id),
    }
}

pub(super) fn event_id(text: &str) -> Result<EventId, Failure> {
    text.parse().map_err(|error: crate::model::ids::NotAnEventId| Failure::bad_request(error.to_string()))
}

fn delivery_id(text: &str) -> Result<DeliveryId, Failure> {
    let (event, handler) = text.split_once('/').ok_or_else(|| {
        Failure::bad_request(format!("`{text}` is not a delivery: those are EVENT/HANDLER"))
    })?;
    Ok(DeliveryId { event: event_id(event)?, handler: HandlerName::new(handler) })
}

fn routing(word: &str) -> Result<Routing, Failure> {
    match word {
        "waiting" => Ok(Routing::Waiting),
        "routed" => Ok(Routing::Routed),
        "unrouted" => Ok(Routing::Unrouted),
        "dropped" => Ok(Routing::Dropped),
        _ => Err(Failure::bad_request(format!("`{word}` is none of waiting, routed, unrouted, dropped"))),
    }
}

fn state(word: String) -> Result<String, Failure> {
    const WORDS: [&str; 6] = ["pending", "leased", "delivered", "ignored", "dead", "cancelled"];
    if WORDS.contains(&word.as_str()) {
        Ok(word)
    } else {
        Err(Failure::bad_request(format!("`{word}` is none of {}", WORDS.join(", "))))
    }
}
