//! How the operator API answers: pretty JSON, and one place that maps errors to statuses.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::control::Refused;
use crate::store::{Health, StoreError};

/// A JSON answer that a person can read with curl.
#[derive(Debug)]
pub(super) struct Pretty<T>(pub T);

impl<T: Serialize> IntoResponse for Pretty<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec_pretty(&self.0) {
            Ok(mut body) => {
                body.push(b'\n');
                ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
            }
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

/// An error answer: `{"error": "…"}`, and where a configuration was refused also `report` and `faults`.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    error: String,
    refused: Option<Refused>,
}

impl Failure {
    pub(super) fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error)
    }

    pub(super) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    pub(super) fn loading() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, super::view::health_words(&Health::Loading))
    }

    pub(super) fn unauthorized() -> Self {
        let error = "the operator token is missing or wrong: send `Authorization: Bearer <token>`";
        Self::new(StatusCode::UNAUTHORIZED, error)
    }

    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), refused: None }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let failure = Self::new(StatusCode::UNPROCESSABLE_ENTITY, refused.error.clone());
        Self { refused: Some(refused), ..failure }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::Full { .. }
            | StoreError::Busy { .. }
            | StoreError::Loading
            | StoreError::Closed
            | StoreError::Failed { .. } => StatusCode::SERVICE_UNAVAILABLE,
            StoreError::TooLarge { .. } => StatusCode::BAD_REQUEST,
            StoreError::Corrupt { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self.refused {
            Some(refused) => (self.status, Json(refused)).into_response(),
            None => (self.status, Json(serde_json::json!({ "error": self.error }))).into_response(),
        }
    }
}
