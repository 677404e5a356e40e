//! `/scim/v2/Users`

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use updraft_app::App;
use updraft_model::UserId;
use updraft_sso::scim::PatchRequest;

use super::answer::{Answer, Refusal, Sent, if_match, resource, scim};
use super::caller::Caller;
use super::query::Query;
use crate::rest::ApiQuery;

pub(super) async fn list(
    State(app): State<App>,
    Caller(directory): Caller,
    ApiQuery(query): ApiQuery<Query>,
) -> Answer {
    let projection = query.projection();
    let list = app.scim_list_users(&directory, &query.into()).await?;
    Ok(scim(StatusCode::OK, &projection.of_list(list)))
}

pub(super) async fn create(
    State(app): State<App>,
    Caller(directory): Caller,
    ApiQuery(query): ApiQuery<Query>,
    headers: HeaderMap,
    Sent(body): Sent,
) -> Answer {
    let made = app.scim_create_user(&directory, &body).await?;
    Ok(resource(StatusCode::CREATED, made, &headers, &query.projection()))
}

pub(super) async fn show(
    State(app): State<App>,
    Caller(directory): Caller,
    Path(id): Path<String>,
    ApiQuery(query): ApiQuery<Query>,
    headers: HeaderMap,
) -> Answer {
    let shown = app.scim_show_user(&directory, parsed(&id)?).await?;
    Ok(resource(StatusCode::OK, shown, &headers, &query.projection()))
}

pub(super) async fn replace(
    State(app): State<App>,
    Caller(directory): Caller,
    Path(id): Path<String>,
    ApiQuery(query): ApiQuery<Query>,
    headers: HeaderMap,
    Sent(body): Sent,
) -> Answer {
    let version = if_match(&headers);
    let changed = app
        .scim_replace_user(&directory, parsed(&id)?, version.as_deref(), &body)
        .await?;
    Ok(resource(StatusCode::OK, changed, &headers, &query.projection()))
}

pub(super) async fn patch(
    State(app): State<App>,
    Caller(directory): Caller,
    Path(id): Path<String>,
    ApiQuery(query): ApiQuery<Query>,
    headers: HeaderMap,
    Sent(body): Sent,
) -> Answer {
    let version = if_match(&headers);
    let patch: PatchRequest =
        serde_json::from_value(body).map_err(|error| Refusal::syntax(error.to_string()))?;
    let changed = app
        .scim_patch_user(&directory, parsed(&id)?, version.as_deref(), &patch)
        .await?;
    Ok(resource(StatusCode::OK, changed, &headers, &query.projection()))
}

pub(super) async fn delete(
    State(app): State<App>,
    Caller(directory): Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let version = if_match(&headers);
    app.scim_delete_user(&directory, parsed(&id)?, version.as_deref())
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What is no id is nobody's.
fn parsed(id: &str) -> Result<UserId, Refusal> {
    id.parse().map_err(|_| Refusal::no_such_resource())
}
