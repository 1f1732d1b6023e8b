//! What each rule does with an event that it matches, laid out densely: it is all that a verdict reads of a rule.
//!
//! Built by [`super::RuleSet`] beside the rules themselves, which are many times as large: with many rules an event's
//! time goes into the memory that it touches.

use std::collections::HashMap;

use super::hash::BuildQuick;
use super::ruleset::{Action, Rule};
use crate::model::ids::RuleName;

/// The effects of one rule set, by the rules' numbers.
#[derive(Debug, Clone)]
pub(super) struct Effects {
    effects: Vec<Effect>,
    /// Each once: what many events ask for stays in the processor's caches.
    actions: Vec<Action>,
}

/// What a match of one rule means. Two are a cache line.
#[derive(Debug, Clone)]
pub(super) struct Effect {
    pub(super) rule: RuleName,
    action: u32,
    pub(super) shadow: bool,
    pub(super) continues: bool,
}

const _: () = assert!(size_of::<Effect>() == 32);

impl Effects {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let (mut actions, mut known) = (Vec::new(), HashMap::<_, _, BuildQuick>::default());
        let effects = rules.iter().map(|rule| {
            let action = *known.entry(&rule.action).or_insert_with(|| {
                actions.push(rule.action.clone());
                u32::try_from(actions.len() - 1).expect("a configuration file is smaller than 4 GB")
            });
            Effect { rule: rule.name.clone(), action, shadow: rule.shadow, continues: rule.continues }
        });
        Self { effects: effects.collect(), actions }
    }

    /// What rule `number` does, and its action.
    pub(super) fn of(&self, number: u32) -> (&Effect, &Action) {
        let effect = &self.effects[number as usize];
        (effect, &self.actions[effect.action as usize])
    }
}
