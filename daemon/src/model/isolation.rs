//! Where a handler's plugin runs.

/// `[handler.x] isolation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// In child processes of its own: a crash costs the attempts that one of them held.
    #[default]
    Process,
    /// In the daemon's process: a crash ends the daemon.
    Inline,
}

impl Isolation {
    /// Every one, by its word in a configuration.
    pub const ALL: [Self; 2] = [Self::Process, Self::Inline];

    pub fn word(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Inline => "inline",
        }
    }
}
