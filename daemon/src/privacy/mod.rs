//! What is nobody's business: values that are taken out of bodies, and addresses that are hidden in logs.
//!
//! Pure: `ingest` redacts by a source's paths before it stores, `admin` erases for a data subject, `observe` masks. Bodies
//! are spliced, never written anew: what is not taken out keeps its bytes.

mod erase;
mod leaves;
mod mask;
mod redact;

pub use erase::Subject;
pub use leaves::At;
pub use mask::mask_emails;
pub use redact::{Redacted, Redaction};
