//! Every way in which our verdict may differ from an SDK's, and why it does.
//!
//! The rule behind them: accept only what every official SDK accepts, so that nobody can tell hookyard from them but by
//! its strictness; and judge the bytes received, where some of them judge a decoded text.

use super::cases::Case;
use super::oracle::{Sdk, Verdict};

/// A kind of request on which the verdicts differ.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) sdk: Sdk,
    pub(super) name: &'static str,
    /// For the reader.
    #[expect(dead_code, reason = "shown by Debug, and read here")]
    pub(super) reason: &'static str,
    pub(super) ours: Verdict,
    pub(super) theirs: Verdict,
    pub(super) applies: fn(&Case) -> bool,
}

macro_rules! differences {
    ($($sdk:ident: $name:literal, ours $ours:ident, theirs $theirs:ident, if $applies:expr, because $reason:literal;)*) => {
        pub(super) const DIFFERENCES: &[Difference] = &[$(Difference {
            sdk: Sdk::$sdk,
            name: $name,
            reason: $reason,
            ours: Verdict::$ours,
            theirs: Verdict::$theirs,
            applies: $applies,
        }),*];
    };
}

differences! {
    // What a body is.
    Python: "body not UTF-8, genuine", ours Accept, theirs Error, if |case| !is_text(case),
        because "the signature covers bytes; Python decodes them first and lets a UnicodeDecodeError escape";
    Python: "body not UTF-8, not genuine", ours Reject, theirs Error, if |case| !is_text(case),
        because "as above: Python does not come as far as the signature";
    Node: "body not UTF-8, genuine", ours Accept, theirs Reject, if |case| !is_text(case),
        because "Node replaces what is no UTF-8 with U+FFFD before the MAC and so misses a genuine signature";
    Node: "body not UTF-8 in place of U+FFFD", ours Reject, theirs Accept, if |case| !is_text(case),
        because "for the same reason Node takes other bytes than those that were signed";
    Node: "byte order mark, signed", ours Accept, theirs Reject, if has_bom,
        because "Node drops a byte order mark before the MAC; we never change what was signed";
    Node: "byte order mark, added on the way", ours Reject, theirs Accept, if has_bom,
        because "for the same reason Node accepts a body to which somebody added one";

    // Time.
    Python: "timestamp in the future", ours Reject, theirs Accept, if is_early,
        because "a tolerance in one direction lets a thief of one signed request choose its time; PHP, .NET and Rust refuse too";
    Node: "timestamp in the future", ours Reject, theirs Accept, if is_early,
        because "as for Python";
    Node: "part of a second too old", ours Reject, theirs Accept, if is_late_by_less_than_a_second,
        because "Node rounds the clock down to a second; Python and Go do not, and the strictest wins";

    // The timestamp's text.
    Python: "t is no plain number", ours Reject, theirs Accept, if |case| !has_only_plain_t(case),
        because "Python reads +N, 0N, ' N', N_N and more digits than 12 as numbers; then text and number are no longer one";
    Node: "t is no plain number", ours Reject, theirs Accept, if |case| !has_only_plain_t(case),
        because "parseInt reads +N, 0N, N.5 and Nabc, of which Python or Go refuse some";
    Python: "several t", ours Reject, theirs Accept, if |case| count(case, "t") > 1,
        because "Python, Ruby and PHP take the first, Node and Go the last: nobody sends this honestly";
    Node: "several t", ours Reject, theirs Accept, if |case| count(case, "t") > 1,
        because "as for Python";

    // The header's form.
    Python: "several header lines", ours Reject, theirs Accept, if |case| case.lines.len() > 1,
        because "Stripe sends one; a second was added on the way, and frameworks join, take the first or take the last";
    Node: "several header lines", ours Reject, theirs Accept, if |case| case.lines.len() > 1,
        because "as for Python";
    Python: "not visible ASCII", ours Reject, theirs Accept, if |case| !is_visible_ascii(case),
        because "Stripe sends none; what a space or a high byte means depends on the library (Ruby and .NET trim)";
    Node: "not visible ASCII", ours Reject, theirs Accept, if |case| !is_visible_ascii(case),
        because "as for Python";
    Python: "v1 not ASCII", ours Reject, theirs Error, if |case| !is_visible_ascii(case),
        because "Python's constant-time comparison lets a TypeError escape";
    Node: "v1 not ASCII", ours Reject, theirs Error, if |case| !is_visible_ascii(case),
        because "Node's constant-time comparison lets a RangeError escape";
    Python: "element without =", ours Reject, theirs Accept, if has_element_without_value,
        because "Go and the Rust library refuse the whole header";
    Node: "element without =", ours Reject, theirs Accept, if has_element_without_value,
        because "as for Python";
    Node: "v1 without a value, beside a good one", ours Accept, theirs Error, if has_empty_v1,
        because "Node's comparison lets an Error escape for an empty v1; every other library skips it";
    Node: "v1 without a value", ours Reject, theirs Error, if has_empty_v1,
        because "as above, where nothing else would have been accepted";
    Python: "v1 with something behind a second =", ours Reject, theirs Accept, if has_v1_with_second_value,
        because "Python splits it off; Go and Rust refuse";
    Node: "v1 with something behind a second =", ours Reject, theirs Accept, if has_v1_with_second_value,
        because "as for Python";
    Python: "more than 32 v1", ours Reject, theirs Accept, if |case| count(case, "v1") > 32,
        because "each costs a comparison; Stripe sends one for each secret in use";
    Node: "more than 32 v1", ours Reject, theirs Accept, if |case| count(case, "v1") > 32,
        because "as for Python";
    Python: "longer than 8 KiB", ours Reject, theirs Accept, if |case| header(case).len() > 8 * 1024,
        because "no honest header comes near; refused before any work";
    Node: "longer than 8 KiB", ours Reject, theirs Accept, if |case| header(case).len() > 8 * 1024,
        because "as for Python";
}

fn header(case: &Case) -> String {
    case.lines.join(", ")
}

/// The elements with this key, as their values; `None` for one without `=`.
fn values<'a>(header: &'a str, key: &str) -> Vec<Option<&'a str>> {
    header
        .split(',')
        .map(|element| match element.split_once('=') {
            Some((found, value)) => (found, Some(value)),
            None => (element, None),
        })
        .filter(|(found, _)| *found == key)
        .map(|(_, value)| value)
        .collect()
}

fn count(case: &Case, key: &str) -> usize {
    values(&header(case), key).len()
}

fn is_text(case: &Case) -> bool {
    std::str::from_utf8(&case.body).is_ok()
}

fn has_bom(case: &Case) -> bool {
    case.body.starts_with("\u{feff}".as_bytes())
}

fn is_visible_ascii(case: &Case) -> bool {
    header(case).bytes().all(|byte| byte.is_ascii_graphic())
}

fn has_only_plain_t(case: &Case) -> bool {
    values(&header(case), "t").into_iter().all(|value| {
        value.is_some_and(|text| {
            text.len() <= 12 && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

fn has_element_without_value(case: &Case) -> bool {
    header(case).split(',').any(|element| !element.contains('='))
}

fn has_empty_v1(case: &Case) -> bool {
    values(&header(case), "v1")
        .into_iter()
        .any(|value| value.is_none_or(|text| text.split('=').next() == Some("")))
}

fn has_v1_with_second_value(case: &Case) -> bool {
    values(&header(case), "v1").into_iter().flatten().any(|text| text.contains('='))
}

/// How old the last `t` is, milliseconds.
fn age_millis(case: &Case) -> Option<i64> {
    let header = header(case);
    let seconds: i64 = (*values(&header, "t").last()?)?.parse().ok()?;
    Some(i64::try_from(case.now_millis).unwrap() - seconds.checked_mul(1000)?)
}

fn tolerance_millis(case: &Case) -> i64 {
    i64::try_from(case.tolerance_seconds).unwrap() * 1000
}

fn is_early(case: &Case) -> bool {
    age_millis(case).is_some_and(|age| -age > tolerance_millis(case))
}

fn is_late_by_less_than_a_second(case: &Case) -> bool {
    age_millis(case).is_some_and(|age| (1..1000).contains(&(age - tolerance_millis(case))))
}
