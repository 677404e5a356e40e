//! `POST /domains`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use updraft_api::sign_in::{DomainView, NewDomain};
use updraft_app::App;

use crate::rest::{ApiJson, ApiResult, Caller};

/// Claim a domain
///
/// Its people are sent to the identity provider once the TXT record was seen. For owners of the organisation.
#[utoipa::path(post, path = "/domains", tag = "sign-in", operation_id = "add_domain",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition safe"),),
    request_body = NewDomain,
    responses((status = 201, description = "The domain, with the record to make", body = DomainView)))]
pub(super) async fn add_domain(
    State(app): State<App>,
    Caller(actor): Caller,
    ApiJson(body): ApiJson<NewDomain>,
) -> ApiResult<(StatusCode, Json<DomainView>)> {
    Ok((StatusCode::CREATED, Json(app.add_domain(&actor, body).await?)))
}
