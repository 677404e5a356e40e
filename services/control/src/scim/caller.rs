//! Which tenant's directory asks: a bearer token of the role `scim`, and nothing else.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use updraft_app::{AppError, Directory};

use crate::rest::{ApiError, RestState};

pub(super) struct Caller(pub(super) Directory);

impl FromRequestParts<RestState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> Result<Self, ApiError> {
        let mut sent = parts.headers.get_all(AUTHORIZATION).iter();
        let only = sent.next().filter(|_| sent.next().is_none());
        let token = only.and_then(|value| {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let directory = state
            .app
            .scim_directory(token.ok_or(AppError::NotSignedIn)?)
            .await?;
        Ok(Self(directory))
    }
}
