//! What can go wrong inside the engine, told apart by what it costs.

use crate::store::StoreError;

/// Why a read or a command did not succeed.
#[derive(Debug)]
pub(super) enum Fault {
    /// This one request cannot be served; the store goes on.
    Refused(StoreError),
    /// sled itself failed. In the writer that is final.
    Engine(::sled::Error),
}

impl From<::sled::Error> for Fault {
    fn from(error: ::sled::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// A row that does not say what it must.
    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::Refused(StoreError::Corrupt { what: what.into() })
    }

    /// For a reader: what the caller is told.
    pub(super) fn into_store_error(self) -> StoreError {
        match self {
            Self::Refused(error) => error,
            Self::Engine(error @ ::sled::Error::Corruption { .. }) => {
                StoreError::Corrupt { what: format!("sled found damaged data: {error}") }
            }
            Self::Engine(error) => StoreError::Failed { why: format!("sled could not read: {error}") },
        }
    }
}
