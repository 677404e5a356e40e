//! SCIM 2.0 for directories (RFC 7644), under `/scim/v2`: the same guards as REST, other words.
//!
//! A directory comes with an API token of the role `scim`; nothing else opens these addresses, and the token opens no
//! others. What is not supported (bulk, `.search`, `/Me`, sorting) says so in `ServiceProviderConfig`.

mod answer;
mod caller;
mod discovery;
mod groups;
mod query;
mod schemas;
mod users;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::rest::{self, ApiError, RestState};

/// A group's members come all at once.
const BODY_LIMIT: usize = 1024 * 1024;

/// Serve it beside REST, on the same host.
pub(crate) fn router(state: RestState) -> Router {
    let guards = ServiceBuilder::new()
        .layer(from_fn(answer::in_scim_words))
        .layer(from_fn(rest::render_problems))
        .layer(from_fn_with_state(state.clone(), rest::audited))
        .layer(from_fn(rest::security_headers))
        .layer(CatchPanicLayer::custom(rest::when_panicked))
        .layer(from_fn(rest::deadline))
        .layer(from_fn_with_state(state.clone(), rest::require_known_host))
        .layer(DefaultBodyLimit::max(BODY_LIMIT));
    let resources = Router::new()
        .route("/Users", get(users::list).post(users::create))
        .route(
            "/Users/{id}",
            get(users::show)
                .put(users::replace)
                .patch(users::patch)
                .delete(users::delete),
        )
        .route("/Groups", get(groups::list).post(groups::create))
        .route(
            "/Groups/{id}",
            get(groups::show)
                .put(groups::replace)
                .patch(groups::patch)
                .delete(groups::delete),
        )
        .route("/ServiceProviderConfig", get(discovery::service_provider_config))
        .route("/ResourceTypes", get(discovery::resource_types))
        .route("/ResourceTypes/{id}", get(discovery::resource_type))
        .route("/Schemas", get(discovery::schemas))
        .route("/Schemas/{id}", get(discovery::schema))
        .route("/Bulk", any(not_supported))
        .route("/Me", any(not_supported))
        .fallback(unknown)
        .method_not_allowed_fallback(rest::unknown_method)
        .layer(guards)
        .with_state(state);
    Router::new().nest("/scim/v2", resources)
}

/// What the audit log calls a request that no use case saw.
pub(crate) fn actions() -> Vec<((Method, String), String)> {
    let of = |kind: &str, what: &str| {
        let list = format!("/scim/v2/{kind}");
        let one = format!("{list}/{{id}}");
        [
            (Method::GET, &list, "list"),
            (Method::POST, &list, "add"),
            (Method::GET, &one, "show"),
            (Method::PUT, &one, "change"),
            (Method::PATCH, &one, "change"),
            (Method::DELETE, &one, "remove"),
        ]
        .map(|(method, path, verb)| ((method, path.clone()), format!("directory.{what}_{verb}")))
    };
    let mut all = Vec::from(of("Users", "person"));
    all.extend(of("Groups", "group"));
    all
}

async fn not_supported() -> ApiError {
    ApiError::new(
        StatusCode::NOT_IMPLEMENTED,
        "not-supported",
        "This part of SCIM is not supported.",
        "See /scim/v2/ServiceProviderConfig for what is.",
    )
}

async fn unknown() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "There is no such resource.",
        "The base address ends in /scim/v2; see /scim/v2/ResourceTypes for what there is.",
    )
}
