//! An explanation in the words of the operator API: for the daemon's stored events, and for a file under a configuration
//! that does not run.

use crate::admin::explain::{AssignmentView, ClauseView, ExplainView, FoundView, RuleView};
use crate::admin::view::routing_words;
use crate::config::Snapshot;
use crate::model::clock::UnixMillis;
use crate::model::ids::{EventId, SnapshotHash, SourceName};
use crate::model::verdict::{Decision, Verdict};
use crate::rules::{Action, Clause, Explained, Outcome, RuleSet};

/// What is explained.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) event: Option<EventId>,
    pub(super) source: &'a SourceName,
    pub(super) livemode: Option<bool>,
    pub(super) received: UnixMillis,
    pub(super) body: &'a [u8],
}

/// What the rules of `snapshot` say of a body that a source might bring at that time.
pub fn explain_body(
    snapshot: &Snapshot,
    source: &SourceName,
    received: UnixMillis,
    body: &[u8],
) -> ExplainView {
    let subject = Subject { event: None, source, livemode: livemode(body), received, body };
    explain(&snapshot.rules, &snapshot.hash, &subject)
}

/// What the door would read off the body.
fn livemode(body: &[u8]) -> Option<bool> {
    serde_json::from_slice::<serde_json::Value>(body).ok()?.get("livemode")?.as_bool()
}

pub(super) fn explain(rules: &RuleSet, snapshot: &SnapshotHash, subject: &Subject<'_>) -> ExplainView {
    let explanation = rules.explain(subject.source, subject.livemode, subject.received, subject.body);
    let (verdict, shadows) = (explanation.verdict, explanation.shadows);
    let decision = Decision { snapshot: snapshot.clone(), verdict, shadows };
    let deliveries = match &decision.verdict {
        Verdict::Deliver(to) => to
            .iter()
            .map(|one| AssignmentView { handler: one.handler.to_string(), rule: one.rule.to_string() })
            .collect(),
        Verdict::Unrouted { .. } | Verdict::Dropped { .. } => Vec::new(),
    };
    ExplainView {
        event: subject.event.map(|event| event.to_string()),
        source: subject.source.to_string(),
        snapshot: snapshot.to_string(),
        obstacle: explanation.obstacle,
        rules: explanation.rules.iter().map(rule).collect(),
        routing: routing_words(Some(&decision)),
        deliveries,
        decided: None,
    }
}

fn rule(explained: &Explained) -> RuleView {
    let (handlers, drop) = match &explained.rule.action {
        Action::Deliver(handlers) => (handlers.iter().map(ToString::to_string).collect(), None),
        Action::Drop { reason } => (Vec::new(), Some(reason.clone())),
    };
    RuleView {
        rule: explained.rule.name.to_string(),
        outcome: word(explained.outcome).to_owned(),
        handlers,
        drop,
        first_failing: explained
            .when
            .first_failing()
            .map(|it| ClauseView { parts: Vec::new(), ..clause(it) }),
        when: clause(&explained.when),
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Disabled => "disabled",
        Outcome::OtherSource => "other_source",
        Outcome::NotActive => "not_active",
        Outcome::NoMatch => "no_match",
        Outcome::NotSampled => "not_sampled",
        Outcome::Shadows => "shadows",
        Outcome::Copies => "copies",
        Outcome::Takes => "takes",
        Outcome::Drops => "drops",
        Outcome::TooLate => "too_late",
    }
}

fn clause(clause: &Clause) -> ClauseView {
    let found = clause.found.iter();
    ClauseView {
        text: clause.text.clone(),
        holds: clause.holds,
        found: found.map(|it| FoundView { kind: it.kind.to_owned(), text: it.text.clone() }).collect(),
        more: clause.more,
        parts: clause.parts.iter().map(self::clause).collect(),
    }
}
