//! Every address of the console, in one place.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Redirect;
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;
use updraft_app::App;

use crate::pages::{
    access, access_rules, account, account_help, activity, aws_account, aws_accounts, boot_log,
    change_configuration, choices, cluster, clusters, configuration, credentials, dags, delete_cluster,
    device, forgot_password, handover, log_keeping, logs, new_cluster, new_provider, next_external_id, nodes,
    operation, overview, people, person_sign_in, provider, rotate_keys, schedule, second_factor, sessions,
    set_password, settings, sign_in, sign_in_code, sign_out, sso, switch_tenant, tenants, through_provider,
    tokens,
};
use crate::state::{Console, ConsoleConfig};
use crate::{assets, audit, csrf, live, pages, refusal, shell};

/// No form of ours is larger.
const LARGEST_FORM: usize = 256 * 1024;
/// What providers post: a response as large as any that is read, in base64 and escaped, with room to say that it is larger.
const LARGEST_PROOF: usize = 1024 * 1024;

/// The console. `Host` has been checked against the allow-list by whoever serves it.
pub fn router(app: App, config: ConsoleConfig) -> Router {
    let console = Console {
        app,
        config: Arc::new(config),
    };
    Router::new()
        .merge(rooms())
        .merge(one_cluster())
        .merge(signing_in_elsewhere())
        .merge(sign_in_setup())
        .fallback(refusal::no_page)
        .method_not_allowed_fallback(refusal::no_page)
        .layer(from_fn_with_state(console.clone(), csrf::refuse_foreign))
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .merge(from_providers().layer(DefaultBodyLimit::max(LARGEST_PROOF)))
        .layer(from_fn_with_state(console.clone(), audit::audited))
        .layer(from_fn(refusal::explain))
        .layer(CompressionLayer::new())
        .merge(live_streams().layer(from_fn_with_state(console.clone(), audit::audited)))
        .layer(from_fn(shell::protect))
        .route("/assets/{hash}/{name}", get(assets::serve))
        .with_state(console)
}

fn rooms() -> Router<Console> {
    Router::new()
        .route("/", get(async || Redirect::to("/clusters")))
        .route("/sign-in", get(sign_in::show).post(sign_in::submit))
        .route("/sign-out", get(sign_out::ask).post(sign_out::sign_out))
        .route("/handover", get(handover::begin))
        .route("/theme", post(account::switch_theme))
        .route("/clusters", get(clusters::show).post(new_cluster::create))
        .route("/clusters/new", get(new_cluster::show))
        .route("/people", get(people::show).post(people::add))
        .route("/people/{user}/remove", get(people::ask).post(people::remove))
        .route("/people/{user}/sign-in", get(person_sign_in::show))
        .route("/people/{user}/password-link", post(person_sign_in::make_link))
        .route(
            "/people/{user}/second-factor/remove",
            post(person_sign_in::remove_second_factor),
        )
        .route("/people/{user}/role", post(people::change_role))
        .route("/access-rules", get(access_rules::show).post(access_rules::add))
        .route("/access-rules/{rule}/remove", post(access_rules::remove))
        .route("/audit", get(pages::audit::show))
        .route("/tenant", get(switch_tenant::show).post(switch_tenant::switch))
        .route("/tenants", get(tenants::show).post(tenants::create))
        .route("/tenants/{tenant}", post(tenants::update))
        .route("/accounts/password-link", post(account_help::make_link))
        .route(
            "/accounts/remove-second-factor",
            post(account_help::remove_second_factor),
        )
        .route(
            "/tenants/{tenant}/delete",
            get(tenants::ask).post(tenants::delete),
        )
        .route("/account", get(account::show))
        .route("/account/password", post(account::change_password))
        .merge(credentials_of_ones_own())
}

fn credentials_of_ones_own() -> Router<Console> {
    Router::new()
        .route("/account/sessions/end", post(sessions::end_others))
        .route("/account/sessions/{session}/end", post(sessions::end))
        .route(
            "/account/second-factor",
            get(second_factor::show).post(second_factor::begin),
        )
        .route("/account/second-factor/confirm", post(second_factor::confirm))
        .route("/account/second-factor/remove", post(second_factor::remove))
        .route("/device", get(device::show).post(device::decide))
        .route("/aws-accounts", get(aws_accounts::show).post(aws_accounts::make))
        .route(
            "/aws-accounts/{account}",
            get(aws_account::show).post(aws_account::save),
        )
        .route("/aws-accounts/{account}/check", post(aws_account::check))
        .route("/aws-accounts/{account}/delete", post(aws_account::delete))
        .route(
            "/aws-accounts/{account}/next-external-id",
            post(next_external_id::make),
        )
        .route(
            "/aws-accounts/{account}/next-external-id/use",
            post(next_external_id::take),
        )
        .route(
            "/aws-accounts/{account}/next-external-id/drop",
            post(next_external_id::forget),
        )
        .route("/credentials", get(credentials::show).post(credentials::make))
        .route("/credentials/{credential}/delete", post(credentials::delete))
        .route("/tokens", get(tokens::show).post(tokens::make))
        .route("/tokens/{token}/revoke", post(tokens::revoke))
        .route("/service-accounts", post(tokens::make_account))
        .route(
            "/service-accounts/{user}/delete",
            get(tokens::ask_delete_account).post(tokens::delete_account),
        )
}

fn signing_in_elsewhere() -> Router<Console> {
    Router::new()
        .route("/password", get(set_password::show).post(set_password::set))
        .route(
            "/password/forgotten",
            get(forgot_password::show).post(forgot_password::ask),
        )
        .route(
            "/sign-in/code",
            get(async || Redirect::to("/sign-in")).post(sign_in_code::submit),
        )
        .route("/sign-in/{tenant}", get(choices::show))
        .route("/sign-in/through/{provider}", get(through_provider::begin))
        .route(
            "/sign-in/oidc/{provider}/callback",
            get(through_provider::oidc_callback),
        )
        .route(
            "/sign-in/saml/{provider}/metadata",
            get(through_provider::saml_metadata),
        )
        .route(
            "/sign-in/saml/{provider}/logout",
            get(through_provider::saml_logout),
        )
}

/// Posted from elsewhere, by right: each carries its own proof.
fn from_providers() -> Router<Console> {
    Router::new()
        .route(
            "/sign-in/saml/{provider}/acs",
            post(through_provider::saml_answer),
        )
        .route(
            "/sign-in/oidc/{provider}/logout",
            post(through_provider::oidc_logout),
        )
}

fn sign_in_setup() -> Router<Console> {
    Router::new()
        .route("/sso", get(sso::show))
        .route("/sso/new", get(new_provider::show))
        .route("/sso/rules", post(sso::change_rules))
        .route("/sso/domains", post(sso::add_domain))
        .route("/sso/domains/{domain}/check", post(sso::check_domain))
        .route("/sso/domains/{domain}/provider", post(sso::send_domain))
        .route("/sso/domains/{domain}/remove", post(sso::remove_domain))
        .route("/sso/providers", post(new_provider::create))
        .route("/sso/providers/{id}", get(provider::show).post(provider::update))
        .route("/sso/providers/{id}/test", post(provider::test))
        .route("/sso/providers/{id}/test-sign-in", get(provider::test_sign_in))
        .route("/sso/providers/{id}/enable", post(provider::enable))
        .route("/sso/providers/{id}/disable", post(provider::disable))
        .route("/sso/providers/{id}/delete", post(provider::delete))
}

fn one_cluster() -> Router<Console> {
    Router::new()
        .route("/clusters/{id}", get(overview::show))
        .route("/clusters/{id}/start", post(cluster::start))
        .route("/clusters/{id}/stop", post(cluster::stop))
        .route("/clusters/{id}/restart", post(cluster::restart))
        .route(
            "/clusters/{id}/delete",
            get(delete_cluster::ask).post(delete_cluster::delete),
        )
        .route(
            "/clusters/{id}/rotate-keys",
            get(rotate_keys::ask).post(rotate_keys::rotate),
        )
        .route("/clusters/{id}/nodes", get(nodes::show))
        .route("/clusters/{id}/nodes/{node}/boot-log", get(boot_log::show))
        .merge(dags_of_a_cluster())
        .route("/clusters/{id}/logs", get(logs::show))
        .route("/clusters/{id}/logs/older", get(logs::older))
        .route("/clusters/{id}/logs/text", get(logs::text))
        .route("/clusters/{id}/services/{service}/{verb}", post(nodes::change))
        .route(
            "/clusters/{id}/configuration",
            get(configuration::show).post(change_configuration::change),
        )
        .route("/clusters/{id}/size", post(change_configuration::resize))
        .route("/clusters/{id}/environment", post(change_configuration::repack))
        .route("/clusters/{id}/tags", post(change_configuration::retag))
        .route("/clusters/{id}/variables", post(settings::vary))
        .route("/clusters/{id}/secrets", post(settings::conceal))
        .route("/clusters/{id}/bootstrap", post(settings::reboot))
        .route("/clusters/{id}/log-keeping", post(log_keeping::keep))
        .route("/clusters/{id}/schedule", post(schedule::change))
        .route("/clusters/{id}/access", get(access::show).post(access::give))
        .route("/clusters/{id}/access/remove", post(access::take))
        .route("/clusters/{id}/activity", get(activity::show))
        .route("/clusters/{id}/operations/{operation}", get(operation::show))
}

fn dags_of_a_cluster() -> Router<Console> {
    Router::new()
        .route("/clusters/{id}/dags", get(dags::show))
        .route("/clusters/{id}/dags/sources", post(dags::change))
        .route("/clusters/{id}/dags/sync", post(dags::sync))
        .route("/clusters/{id}/dags/rollback", post(dags::roll_back))
        .route("/clusters/{id}/dags/follow", post(dags::follow))
        .route("/clusters/{id}/dags/hooks", post(dags::make_hook))
        .route("/clusters/{id}/dags/hooks/{hook}/delete", post(dags::delete_hook))
}

fn live_streams() -> Router<Console> {
    Router::new()
        .route("/live/clusters", get(live::clusters))
        .route("/live/clusters/{id}/logs", get(logs::stream))
        .route("/live/clusters/{id}/{tab}", get(live::cluster))
}
