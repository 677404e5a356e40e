//! REST under `/api/v1`: one operation per file, put together here.

mod add_person;
mod change_password;
mod change_service;
mod config_options;
mod create_cluster;
mod delete_cluster;
mod docs;
mod health;
mod list_clusters;
mod list_events;
mod list_grants;
mod list_nodes;
mod list_operations;
mod list_people;
mod list_services;
mod openapi;
mod put_grant;
mod export_audit;
mod explain_access;
mod remove_grant;
mod list_audit;
mod list_access_rules;
mod list_cluster_people;
mod remove_person;
mod restart_cluster;
mod show_cluster;
mod show_me;
mod show_operation;
mod sign_in;
mod sign_out;
mod start_cluster;
mod stop_cluster;
mod update_cluster;
mod watch_events;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::rest::{self, RestState};

/// REST with all that guards it. Merge it with the console's router; it answers for everything below `/api/v1`.
/// Serve it with connect info, or all sign-ins count as coming from one address.
pub fn router(state: RestState) -> Router {
    let protected = Router::from(signed_in_operations())
        .route_layer(from_fn_with_state(state.clone(), rest::answer_once))
        .route_layer(from_fn_with_state(state.clone(), rest::require_caller));
    let guards = ServiceBuilder::new()
        .layer(from_fn(rest::render_problems))
        .layer(from_fn(rest::security_headers))
        .layer(CatchPanicLayer::custom(rest::when_panicked))
        .layer(from_fn(rest::deadline))
        .layer(from_fn_with_state(state.clone(), rest::require_known_host))
        .layer(DefaultBodyLimit::max(rest::BODY_LIMIT));
    let api = Router::from(public_operations())
        .merge(protected)
        .fallback(rest::unknown_path)
        .method_not_allowed_fallback(rest::unknown_method)
        .layer(guards)
        .with_state(state);
    Router::new().nest("/api/v1", api)
}

/// The OpenAPI document of exactly the operations that [`router`] serves.
#[must_use]
pub fn openapi_document() -> utoipa::openapi::OpenApi {
    let (_, public) = public_operations().split_for_parts();
    let (_, mut operations) = signed_in_operations().split_for_parts();
    operations.merge(public);
    rest::document(operations)
}

fn public_operations() -> OpenApiRouter<RestState> {
        .layer(from_fn_with_state(state.clone(), rest::audited))
    OpenApiRouter::new()
        .routes(routes!(sign_in::sign_in))
        .routes(routes!(health::health))
        .routes(routes!(openapi::openapi))
        .routes(routes!(docs::docs))
}

fn signed_in_operations() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(sign_out::sign_out))
        .routes(routes!(show_me::show_me))
        .routes(routes!(change_password::change_password))
        .routes(routes!(list_clusters::list_clusters))
        .routes(routes!(create_cluster::create_cluster))
        .routes(routes!(show_cluster::show_cluster))
        .routes(routes!(update_cluster::update_cluster))
        .routes(routes!(delete_cluster::delete_cluster))
        .routes(routes!(start_cluster::start_cluster))
        .routes(routes!(stop_cluster::stop_cluster))
        .routes(routes!(restart_cluster::restart_cluster))
        .routes(routes!(list_nodes::list_nodes))
        .routes(routes!(list_services::list_services))
        .routes(routes!(change_service::change_service))
        .routes(routes!(list_operations::list_operations))
        .routes(routes!(show_operation::show_operation))
        .routes(routes!(list_events::list_events))
        .routes(routes!(watch_events::watch_events))
        .routes(routes!(list_grants::list_grants))
        .routes(routes!(put_grant::put_grant))
        .routes(routes!(remove_grant::remove_grant))
        .routes(routes!(list_people::list_people))
        .routes(routes!(add_person::add_person))
        .routes(routes!(remove_person::remove_person))
        .routes(routes!(config_options::list_config_options))
}
        .routes(routes!(list_audit::list_audit))
        .routes(routes!(export_audit::export_audit))
