//! What a handler remembers: the states of its steps, and its key-value pairs.
//!
//! Asked for by plugins through `host`, kept by `store`.

use super::ids::StepId;

/// How a step stood when it was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// Never begun: do it.
    Run,
    /// Finished before, with this memo: do not do it again.
    Done(Vec<u8>),
    /// Begun before and never ended: ask the far side, with the step's idempotency key.
    Unsure,
}

/// A step as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub id: StepId,
    /// What it remembers; `None` where it was begun and never ended.
    pub memo: Option<Vec<u8>>,
}

/// A key-value pair's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvValue {
    pub value: Vec<u8>,
    /// 1 for the first write, one more with each.
    pub version: u64,
}

/// What a write of a key-value pair expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Absent,
    Version(u64),
    Anything,
}

/// What became of a write of a key-value pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvPut {
    /// Written, with this version.
    Written(u64),
    /// Something else stood there; nothing was changed.
    Conflict,
}
