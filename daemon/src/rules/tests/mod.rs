//! The rule language by its examples, its laws, and its refusals; and the index by the language.

mod explained;
mod index;
mod properties;
mod quamina;
mod refusals;
mod semantics;
