//! The rules: which handlers get an event.
//!
//! `config` parses every `[[rule]]` through [`Parser`] and compiles one [`RuleSet`]; `route` asks it for a verdict on
//! each stored event. Nothing here does I/O, and a compiled set cannot fail: what cannot be decided is unrouted, with
//! the reason. A verdict is a pure function of the set, the source and the body's bytes, so a kill between deciding
//! and storing costs only the same computation again.
//!
//! ```text
//!  TOML with spans ─► parse ─► Condition + Watch (the trie of the paths that any rule looks at)
//!  Conditions ─► index (each rule under its rarest keys)
//!  body bytes ─► extract (one pass, only watched paths) ─► Found ─► index ─► the few rules that may match
//!                                                            └────► brief, evaluate: in file order ─► Verdict
//! ```
//!
//! The semantics in short: two-valued logic; a test on a missing, null or otherwise typed value is false; `not` is the
//! exact complement; kinds are strict (`"1"` is not `1`); rules are asked in file order and the first that matches
//! takes the event; a rule that says `continue = true` only gets a copy.

mod alias;
mod analysis;
mod ask;
mod brief;
mod condition;
mod evaluate;
mod explain;
mod extract;
mod fault;
mod glob;
mod hash;
mod index;
mod number;
mod operators;
mod parse;
mod path;
mod pattern;
mod place;
mod ruleset;
mod sample;
mod scope;
mod stripe_fields;
mod stripe_types;
mod suggest;
mod watch;

pub use alias::Aliases;
pub use analysis::Finding;
pub use condition::{Bound, Check, Condition, Kind, Literal, Test};
pub use evaluate::holds;
pub use explain::{Clause, Explained, Explanation, Outcome, Shown};
pub use extract::{Extracted, Found, Unreadable, extract};
pub use fault::Fault;
pub use glob::Glob;
pub use number::Number;
pub use operators::OPERATORS;
pub use parse::{Parser, is_word_of_the_language};
pub use path::{Path, PathFault, Step};
pub use pattern::{Pattern, PatternFault};
pub use place::place;
pub use ruleset::{
    Action, Cost, DEFAULT_RULE, Fallback, Livemode, Rule, RuleSet, Ruling, SHADOWS_MAX, Window,
};
pub use sample::Sample;
pub use scope::Paths;
pub use suggest::nearest;
pub use watch::{Watch, Watched};

#[cfg(test)]
mod tests;
