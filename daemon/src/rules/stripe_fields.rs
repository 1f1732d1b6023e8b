//! What stands at the root of Stripe's events, to tell a mistyped path: it would be good TOML, and never match.
//!
//! Only what is nearly a field, and none, is warned of: a field that Stripe adds tomorrow is nobody's fault.

use std::ops::Range;

use super::alias::Aliases;
use super::fault::Fault;
use super::path::Step;
use super::suggest::nearest;

/// Of snapshot events and of thin ones, as of API version 2026-10-28.
const AT_ROOT: [&str; 13] = [
    "account",
    "api_version",
    "context",
    "created",
    "data",
    "id",
    "livemode",
    "object",
    "pending_webhooks",
    "reason",
    "related_object",
    "request",
    "type",
];
const IN_DATA: [&str; 2] = ["object", "previous_attributes"];

/// The warning, at `span`, of a path that goes on from `above`, which is the root or below it, with the steps `written`.
pub(super) fn mistyped(
    above: &[Step],
    written: &[Step],
    aliases: &Aliases,
    span: Range<usize>,
) -> Option<Fault> {
    let mut keys = above.iter().chain(written).map_while(|step| match step {
        Step::Key(key) => Some(&**key),
        Step::Each => None,
    });
    let (root, below) = (keys.next()?, keys.next());
    match (above.len(), root, below) {
        (0 | 1, "data", Some(below)) => {
            let meant = mistyped_in_data(below)?;
            let fault = Fault::new(span, format!("the `data` of Stripe's events holds no `{below}`"));
            Some(fault.help(format!("did you mean `{meant}`? if not, write \"$.data.{below}\"")))
        }
        (0, _, _) => {
            let known = mistyped_root(root, aliases)?;
            let fault = Fault::new(span, format!("Stripe's events have no `{root}` at their root"));
            Some(fault.help(format!("did you mean `{known}`? if not, write \"$.{root}\"")))
        }
        _ => None,
    }
}

/// The field or alias that a path's first word is most likely meant to be, where it is neither.
fn mistyped_root<'known>(written: &str, aliases: &'known Aliases) -> Option<&'known str> {
    let known = || aliases.names().chain(AT_ROOT);
    if known().any(|name| name == written) {
        return None;
    }
    nearest(written, known())
}

/// What was most likely meant by `data.WRITTEN`, where an event's `data` holds no such field.
fn mistyped_in_data(written: &str) -> Option<String> {
    if IN_DATA.contains(&written) {
        return None;
    }
    Some(match nearest(written, IN_DATA) {
        Some(field) => format!("data.{field}"),
        None => format!("data.object.{written}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_nearly_a_field_is_told() {
        let mut aliases = Aliases::stripe();
        aliases.set("campaign", "data.object.metadata.sumo_campaign_id").unwrap();
        for (written, meant) in [
            ("metdata", Some("metadata")),
            ("metadata", None),
            ("typ", Some("type")),
            ("livemod", Some("livemode")),
            ("campain", Some("campaign")),
            ("campaign", None),
            ("a_field_of_tomorrow", None),
        ] {
            assert_eq!(mistyped_root(written, &aliases), meant, "{written}");
        }
    }

    #[test]
    fn data_holds_the_object_and_what_it_was_before() {
        assert_eq!(mistyped_in_data("object"), None);
        assert_eq!(mistyped_in_data("previous_attributes"), None);
        assert_eq!(mistyped_in_data("objct").as_deref(), Some("data.object"));
        assert_eq!(mistyped_in_data("metadata").as_deref(), Some("data.object.metadata"));
    }
}
