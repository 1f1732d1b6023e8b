//! What plugins ask for while they work, answered by [`super::Services`]. Steps belong to the delivery, key-value pairs to the
//! plugin's id, secrets to the handler. A change is on disk before its answer is sent. HTTP requests are made by
//! [`super::http`].

use std::sync::Arc;

use hookyard_plugin_host::protocol::{Ask, Blob, Hidden, HttpRequest, Reply, ToChild};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::child::{CallName, Child};
use super::shared::Shared;
use super::{ServiceError, http};
use crate::model::ids::{PluginId, StepId};
use crate::model::memory::{Expect, KvPut, StepState};
use crate::observe::with_causes;

/// The ABI's statuses; `include/hookyard_plugin.h` tells their meaning.
const E_INVALID: i32 = -1;
const E_NOT_FOUND: i32 = -2;
const E_TOO_LARGE: i32 = -3;
const E_IO: i32 = -5;
const E_CONFLICT: i32 = -7;
/// The ABI's two versions that are none.
const EXPECT_ABSENT: u64 = 0;
const EXPECT_ANYTHING: u64 = u64::MAX;

/// Answers in a task of its own. An error is a breach by the child.
pub(super) fn accept(
    shared: &Arc<Shared>,
    child: &Arc<Child>,
    upcall: u64,
    call: Option<u64>,
    ask: Ask,
) -> Result<(), String> {
    let Ok(permit) = Arc::clone(&child.upcall_permits).try_acquire_owned() else {
        return too_many(shared, child, upcall);
    };
    let name = call.and_then(|id| Some((child.name(id)?, child.over(id)?)));
    let (shared, answering) = (Arc::clone(shared), Arc::clone(child));
    child.upcalls.spawn(async move {
        let (reply, held) = answer(&shared, &answering, name, ask).await;
        if let Err(error) = answering.send(ToChild::Reply { upcall, reply }).await {
            tracing::error!(handler = %shared.spec.handler, error = %with_causes(&error), "a plugin got no answer");
        }
        drop((permit, held));
    });
    Ok(())
}

/// A process is killed for it; what shares the daemon's is told that it cannot be.
fn too_many(shared: &Shared, child: &Child, upcall: u64) -> Result<(), String> {
    let breach = "it asked for too many things at once";
    if !child.refuse(upcall, E_IO) {
        return Err(breach.to_owned());
    }
    shared.count_breach(breach);
    Ok(())
}

/// The answer, with what it holds of the room for HTTP answers until it is passed on.
async fn answer(
    shared: &Shared,
    child: &Child,
    call: Option<(CallName, CancellationToken)>,
    ask: Ask,
) -> (Reply, Option<http::Held>) {
    if let Ask::Secret { name } = ask {
        return (secret(shared, &name), None);
    }
    // Everything else belongs to a running call, which a plugin has only once it is ready.
    let (Some((call, over)), Some(facts)) = (call, child.facts.get()) else {
        return (Reply::Refused(E_INVALID), None);
    };
    let plugin = PluginId::new(&facts.id);
    let step = |step: &str| StepId { delivery: call.delivery.clone(), step: Arc::from(step) };
    let services = &shared.services;
    let answered = match ask {
        Ask::Secret { .. } => unreachable!("answered above"),
        Ask::Http(request) => return ask_over_http(shared, &call, &over, request).await,
        Ask::StepBegin { step: name } => services.step_begin(step(&name)).await.map(|state| match state {
            StepState::Run => Reply::StepRun,
            StepState::Done(memo) => Reply::StepDone(Blob(memo)),
            StepState::Unsure => Reply::StepUnsure,
        }),
        Ask::StepEnd { step: name, memo } => {
            services.step_end(step(&name), memo.0).await.map(|()| Reply::Written)
        }
        Ask::StepKey { step: name } => Ok(Reply::Key(services.step_key(&step(&name)))),
        Ask::KvGet { key } => services.kv_get(plugin, key.0).await.map(|found| match found {
            Some(found) => Reply::Value { value: Blob(found.value), version: found.version },
            None => Reply::Refused(E_NOT_FOUND),
        }),
        Ask::KvPut { key, value, expect_version } => {
            services.kv_put(plugin, key.0, value.0, expect(expect_version)).await.map(|put| match put {
                KvPut::Written(_) => Reply::Written,
                KvPut::Conflict => Reply::Refused(E_CONFLICT),
            })
        }
    };
    (answered.unwrap_or_else(|error| refused(&call, &error)), None)
}

async fn ask_over_http(
    shared: &Shared,
    call: &CallName,
    over: &CancellationToken,
    request: HttpRequest,
) -> (Reply, Option<http::Held>) {
    let mut answered = None;
    let asking = async { answered = Some(shared.http.ask(call, over, request, &shared.counters).await) };
    shared.services.around_http(Box::pin(asking)).await;
    answered.unwrap_or((Reply::Refused(E_IO), None))
}

fn secret(shared: &Shared, name: &str) -> Reply {
    match shared.spec.secrets.get(name) {
        Some(value) => Reply::Secret(Hidden(value.expose_secret().to_owned())),
        None => Reply::Refused(E_NOT_FOUND),
    }
}

fn expect(version: u64) -> Expect {
    match version {
        EXPECT_ABSENT => Expect::Absent,
        EXPECT_ANYTHING => Expect::Anything,
        version => Expect::Version(version),
    }
}

fn refused(call: &CallName, error: &ServiceError) -> Reply {
    let CallName { delivery, attempt, .. } = call;
    match error {
        ServiceError::TooLarge { .. } => {
            tracing::warn!(%delivery, attempt, %error, "a plugin's request was refused");
            Reply::Refused(E_TOO_LARGE)
        }
        ServiceError::Failed(_) => {
            tracing::error!(%delivery, attempt, %error, "a plugin's request failed");
            Reply::Refused(E_IO)
        }
    }
}
