//! The operator's token: `Authorization: Bearer …`, compared in constant time.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Admin;
use super::answer::Failure;

/// Lets the request through if it carries the token.
pub(super) async fn require_token(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
        .unwrap_or_default();
    if same(given, admin.token.load().expose_secret().as_bytes()) {
        next.run(request).await
    } else {
        Failure::unauthorized().into_response()
    }
}

/// Hashed first, so that not even the token's length shows in the time taken.
fn same(given: &[u8], token: &[u8]) -> bool {
    Sha256::digest(given).ct_eq(&Sha256::digest(token)).into()
}
