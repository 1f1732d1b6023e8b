//! The operator listener: JSON over HTTP, behind a token, apart from the door.
//!
//! Called by operators' tools, first of all by the `cli` of this same binary. It knows the store, and
//! asks `app` for the rest through [`Control`], never the insides of a stage. Its JSON shapes are mirror types ([`view`]), so that the model may
//! change without breaking a script.
//!
//! | path | what |
//! |---|---|
//! | `GET /healthz` | 200 while the process lives; no token |
//! | `GET /readyz` | 200 while events are accepted, else 503 with the reason; no token |
//! | `GET /v1/status` | versions, handlers, counts |
//! | `GET /v1/events?…` | a page of events |
//! | `GET /v1/events/{id}` | one event, its decision, deliveries and attempts |
//! | `GET /v1/events/{id}/explain` | why each rule that runs now would take it, or not |
//! | `POST /v1/events/replay?unrouted=true` | a page of unrouted events, routed by the rules that run now |
//! | `GET /v1/deliveries?…` | a page of deliveries |
//! | `GET /v1/rules` | how often each rule took an event, and when last |
//! | `GET /metrics` | the same and more for Prometheus |
//! | `POST /v1/dry-run` | what a candidate configuration would do with stored events |
//! | `POST /v1/reload?…` | the configuration's files take the place of what runs, or 422 with every fault |
//! | `GET /v1/config` | the snapshots that are kept |
//! | `GET /v1/config/{hash}` | one of them, with its files |
//! | `POST /v1/config/{hash}/rollback` | it takes the place of what runs |
//! | `GET /v1/plugins/record` | which library took whose place, when, at whose word |
//! | `POST /v1/plugins/{name}/reload` | the library at the plugin's path takes the place of the one that runs |
//! | `POST /v1/plugins/{name}/rollback?to=…` | one that ran before does |

mod answer;
mod auth;
mod config;
pub mod control;
pub mod dry_run;
pub mod erase;
pub mod explain;
mod metrics;
mod pages;
pub mod plugins;
pub mod rules;
pub mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::model::limits::CANDIDATE_BYTES_MAX;
use crate::store::{Health, Store};
use answer::{Failure, Pretty};
pub use control::{Control, Refused};
use view::StatusView;

/// What the operator API reads from.
#[derive(Debug)]
pub struct Admin {
    pub store: Arc<dyn Store>,
    /// Another after a reload that brought one.
    pub token: Arc<ArcSwap<SecretString>>,
    pub facts: Facts,
    pub control: Arc<dyn Control>,
}

/// What does not change while the daemon runs.
#[derive(Debug, Clone)]
pub struct Facts {
    pub version: &'static str,
    pub door: SocketAddr,
    pub dev: bool,
}

/// Serves until `shutdown`, then lets requests under way finish.
pub async fn serve(listener: TcpListener, admin: Admin, shutdown: CancellationToken) -> std::io::Result<()> {
    let admin = Arc::new(admin);
    let guarded = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/events", get(pages::events))
        .route("/v1/events/{id}", get(pages::event))
        .route("/v1/events/{id}/explain", get(pages::explain))
        .route("/v1/events/replay", post(rules::replay))
        .route("/v1/events/erase", post(erase::erase))
        .route("/v1/rules", get(rules))
        .route("/v1/dry-run", post(dry_run::run).layer(DefaultBodyLimit::max(CANDIDATE_BYTES_MAX)))
        .route("/metrics", get(metrics::metrics))
        .route("/v1/deliveries", get(pages::deliveries))
        .route("/v1/reload", post(config::reload))
        .route("/v1/config", get(config::list))
        .route("/v1/config/{hash}", get(config::show))
        .route("/v1/config/{hash}/rollback", post(config::rollback))
        .route("/v1/plugins/record", get(plugins::record))
        .route("/v1/plugins/{name}/reload", post(plugins::reload))
        .route("/v1/plugins/{name}/promote", post(plugins::promote))
        .route("/v1/plugins/{name}/rollback", post(plugins::rollback))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&admin), refuse_while_loading))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&admin), auth::require_token));
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .merge(guarded)
        .fallback(|| async { Failure::not_found("there is nothing here; see the paths under /v1") })
        .with_state(admin);
    axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

/// What is stored cannot be shown before it is read; better said than waited for.
async fn refuse_while_loading(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    match admin.store.health() {
        Health::Loading => Failure::loading().into_response(),
        _ => next.run(request).await,
    }
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    match admin.store.health() {
        taking @ (Health::Ready | Health::Loading) => {
            format!("{}\n", view::health_words(&taking)).into_response()
        }
        not_ready => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", view::health_words(&not_ready))).into_response()
        }
    }
}

async fn rules(State(admin): State<Arc<Admin>>) -> Pretty<Vec<rules::MatchedView>> {
    Pretty(admin.control.rules())
}

async fn status(State(admin): State<Arc<Admin>>) -> Result<Pretty<StatusView>, Failure> {
    let counts = admin.store.counts().await?;
    let waiting = admin.store.waiting_by_handler().await?;
    let rules = admin.control.rules();
    Ok(Pretty(StatusView {
        version: admin.facts.version.to_owned(),
        snapshot: admin.control.snapshot(),
        rolled_back: admin.control.is_rolled_back(),
        reload_refused: admin.control.reload_refused(),
        restart_asked: admin.control.restart_asked(),
        door: admin.facts.door.to_string(),
        dev: admin.facts.dev,
        store: view::health_words(&admin.store.health()),
        store_lag_bytes: admin.store.lag_bytes(),
        counts: counts.into(),
        rules_total: rules.len(),
        rules: rules::for_status(rules),
        handlers: view::with_waiting(admin.control.handlers(), waiting),
    }))
}
