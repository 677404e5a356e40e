//! REST under `/api/v1`: one operation per file, put together here.

mod add_domain;
mod add_person;
mod authorize_device;
mod begin_second_factor;
mod call_dag_hook;
mod change_password;
mod change_person;
mod change_service;
mod change_task_secrets;
mod check_aws_account;
mod check_domain;
mod config_options;
mod confirm_second_factor;
mod create_access_rule;
mod create_aws_account;
mod create_cluster;
mod create_credential;
mod create_identity_provider;
mod create_password_link;
mod create_service_account;
mod create_tenant;
mod create_token;
mod delete_access_rule;
mod delete_aws_account;
mod delete_cluster;
mod delete_credential;
mod delete_dag_hook;
mod delete_identity_provider;
mod delete_service_account;
mod delete_tenant;
mod disable_identity_provider;
mod docs;
mod drop_next_external_id;
mod enable_identity_provider;
mod explain_access;
mod export_audit;
mod follow_dags;
mod forgot_password;
mod health;
mod help_with_password;
mod help_with_second_factor;
mod list_access_rules;
mod list_audit;
mod list_aws_accounts;
mod list_cluster_people;
mod list_clusters;
mod list_credentials;
mod list_dag_hooks;
mod list_dag_versions;
mod list_domains;
mod list_events;
mod list_grants;
mod list_identity_providers;
mod list_logs;
mod list_my_tenants;
mod list_nodes;
mod list_operations;
mod list_people;
mod list_service_accounts;
mod list_services;
mod list_sessions;
mod list_task_secrets;
mod list_tenants;
mod list_tokens;
mod make_next_external_id;
mod openapi;
mod poll_device;
mod push_dags;
mod put_dag_hook;
mod put_grant;
mod remove_domain;
mod remove_grant;
mod remove_person;
mod remove_persons_second_factor;
mod remove_second_factor;
mod replace_credential;
mod restart_cluster;
mod revoke_session;
mod revoke_sessions;
mod revoke_token;
mod rollback_dags;
mod rotate_keys;
mod set_password;
mod show_aws_account;
mod show_boot_log;
mod show_cluster;
mod show_dags;
mod show_identity_provider;
mod show_me;
mod show_operation;
mod show_second_factor;
mod show_sign_in_rules;
mod show_tenant;
mod sign_in;
mod sign_out;
mod start_cluster;
mod stop_cluster;
mod switch_tenant;
mod sync_dags;
mod test_identity_provider;
mod update_aws_account;
mod update_cluster;
mod update_domain;
mod update_identity_provider;
mod update_sign_in_rules;
mod update_tenant;
mod use_next_external_id;
mod watch_events;
mod watch_logs;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::rest::{self, RestState};

/// REST with all that guards it. Merge it with the console's router; it answers for everything below `/api/v1` and `/scim/v2`.
/// Serve it with connect info, or all sign-ins count as coming from one address.
pub fn router(state: RestState) -> Router {
    let scim = crate::scim::router(state.clone());
    let protected = Router::from(signed_in_operations())
        .route_layer(from_fn_with_state(state.clone(), rest::answer_once))
        .route_layer(from_fn_with_state(state.clone(), rest::require_caller));
    let guards = ServiceBuilder::new()
        .layer(from_fn(rest::render_problems))
        .layer(from_fn_with_state(state.clone(), rest::audited))
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
    Router::new().nest("/api/v1", api).merge(scim)
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
    OpenApiRouter::new()
        .routes(routes!(sign_in::sign_in))
        .routes(routes!(set_password::set_password))
        .routes(routes!(forgot_password::forgot_password))
        .routes(routes!(authorize_device::authorize_device))
        .routes(routes!(poll_device::poll_device))
        .routes(routes!(call_dag_hook::call_dag_hook))
        .routes(routes!(health::health))
        .routes(routes!(openapi::openapi))
        .routes(routes!(docs::docs))
}

/// How a tenant's people sign in.
fn sign_in_operations() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(list_identity_providers::list_identity_providers))
        .routes(routes!(create_identity_provider::create_identity_provider))
        .routes(routes!(show_identity_provider::show_identity_provider))
        .routes(routes!(update_identity_provider::update_identity_provider))
        .routes(routes!(delete_identity_provider::delete_identity_provider))
        .routes(routes!(test_identity_provider::test_identity_provider))
        .routes(routes!(enable_identity_provider::enable_identity_provider))
        .routes(routes!(disable_identity_provider::disable_identity_provider))
        .routes(routes!(list_domains::list_domains))
        .routes(routes!(add_domain::add_domain))
        .routes(routes!(update_domain::update_domain))
        .routes(routes!(remove_domain::remove_domain))
        .routes(routes!(check_domain::check_domain))
        .routes(routes!(show_sign_in_rules::show_sign_in_rules))
        .routes(routes!(update_sign_in_rules::update_sign_in_rules))
}

/// Passwords and second factors.
fn password_operations() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(change_password::change_password))
        .routes(routes!(create_password_link::create_password_link))
        .routes(routes!(
            show_second_factor::show_second_factor,
            begin_second_factor::begin_second_factor
        ))
        .routes(routes!(confirm_second_factor::confirm_second_factor))
        .routes(routes!(remove_second_factor::remove_second_factor))
        .routes(routes!(
            remove_persons_second_factor::remove_persons_second_factor
        ))
        .routes(routes!(help_with_password::help_with_password))
        .routes(routes!(help_with_second_factor::help_with_second_factor))
}

/// Where DAGs come from, and what became of them.
fn dag_operations() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(
            list_credentials::list_credentials,
            create_credential::create_credential
        ))
        .routes(routes!(
            replace_credential::replace_credential,
            delete_credential::delete_credential
        ))
        .routes(routes!(show_dags::show_dags))
        .routes(routes!(list_dag_versions::list_dag_versions))
        .routes(routes!(sync_dags::sync_dags))
        .routes(routes!(rollback_dags::rollback_dags))
        .routes(routes!(follow_dags::follow_dags))
        .routes(routes!(push_dags::push_dags))
        .routes(routes!(
            list_dag_hooks::list_dag_hooks,
            put_dag_hook::put_dag_hook
        ))
        .routes(routes!(delete_dag_hook::delete_dag_hook))
}

/// The AWS accounts that nodes may be in.
fn aws_account_operations() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(
            list_aws_accounts::list_aws_accounts,
            create_aws_account::create_aws_account
        ))
        .routes(routes!(
            show_aws_account::show_aws_account,
            update_aws_account::update_aws_account,
            delete_aws_account::delete_aws_account
        ))
        .routes(routes!(check_aws_account::check_aws_account))
        .routes(routes!(
            make_next_external_id::make_next_external_id,
            drop_next_external_id::drop_next_external_id
        ))
        .routes(routes!(use_next_external_id::use_next_external_id))
}

fn signed_in_operations() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .merge(aws_account_operations())
        .merge(dag_operations())
        .merge(password_operations())
        .merge(sign_in_operations())
        .routes(routes!(sign_out::sign_out))
        .routes(routes!(
            list_sessions::list_sessions,
            revoke_sessions::revoke_sessions
        ))
        .routes(routes!(revoke_session::revoke_session))
        .routes(routes!(list_tokens::list_tokens, create_token::create_token))
        .routes(routes!(revoke_token::revoke_token))
        .routes(routes!(
            list_service_accounts::list_service_accounts,
            create_service_account::create_service_account
        ))
        .routes(routes!(delete_service_account::delete_service_account))
        .routes(routes!(show_me::show_me))
        .routes(routes!(list_clusters::list_clusters))
        .routes(routes!(create_cluster::create_cluster))
        .routes(routes!(show_cluster::show_cluster))
        .routes(routes!(update_cluster::update_cluster))
        .routes(routes!(delete_cluster::delete_cluster))
        .routes(routes!(start_cluster::start_cluster))
        .routes(routes!(stop_cluster::stop_cluster))
        .routes(routes!(restart_cluster::restart_cluster))
        .routes(routes!(rotate_keys::rotate_keys))
        .routes(routes!(list_nodes::list_nodes))
        .routes(routes!(show_boot_log::show_boot_log))
        .routes(routes!(list_services::list_services))
        .routes(routes!(change_service::change_service))
        .routes(routes!(
            list_task_secrets::list_task_secrets,
            change_task_secrets::change_task_secrets
        ))
        .routes(routes!(list_operations::list_operations))
        .routes(routes!(show_operation::show_operation))
        .routes(routes!(list_events::list_events))
        .routes(routes!(watch_events::watch_events))
        .routes(routes!(list_logs::list_logs))
        .routes(routes!(watch_logs::watch_logs))
        .routes(routes!(list_grants::list_grants))
        .routes(routes!(put_grant::put_grant))
        .routes(routes!(remove_grant::remove_grant))
        .routes(routes!(list_people::list_people))
        .routes(routes!(add_person::add_person))
        .routes(routes!(remove_person::remove_person))
        .routes(routes!(change_person::change_person))
        .routes(routes!(list_cluster_people::list_cluster_people))
        .routes(routes!(explain_access::explain_access))
        .routes(routes!(list_access_rules::list_access_rules))
        .routes(routes!(create_access_rule::create_access_rule))
        .routes(routes!(delete_access_rule::delete_access_rule))
        .routes(routes!(list_tenants::list_tenants))
        .routes(routes!(create_tenant::create_tenant))
        .routes(routes!(show_tenant::show_tenant))
        .routes(routes!(update_tenant::update_tenant))
        .routes(routes!(delete_tenant::delete_tenant))
        .routes(routes!(list_my_tenants::list_my_tenants))
        .routes(routes!(switch_tenant::switch_tenant))
        .routes(routes!(config_options::list_config_options))
        .routes(routes!(list_audit::list_audit))
        .routes(routes!(export_audit::export_audit))
}
