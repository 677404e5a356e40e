//! Every address of the console, in one place.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Redirect;
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use updraft_app::App;

use crate::pages::{
    access, account, activity, change_configuration, cluster, clusters, configuration, delete_cluster,
    handover, new_cluster, nodes, operation, overview, people, sign_in,
};
use crate::state::{Console, ConsoleConfig};
use crate::{assets, audit, csrf, live, refusal, shell};

/// No form of ours is larger.
const LARGEST_FORM: usize = 256 * 1024;

/// The console. `Host` has been checked against the allow-list by whoever serves it.
pub fn router(app: App, config: ConsoleConfig) -> Router {
    let console = Console {
        app,
        config: Arc::new(config),
    };
    Router::new()
        .merge(rooms())
        .merge(one_cluster())
        .fallback(refusal::no_page)
        .method_not_allowed_fallback(refusal::no_page)
        .layer(from_fn_with_state(console.clone(), csrf::refuse_foreign))
        .layer(from_fn_with_state(console.clone(), audit::audited))
        .layer(from_fn(refusal::explain))
        .layer(CompressionLayer::new())
        .merge(live_streams())
        .layer(from_fn(shell::protect))
        .layer(RequestBodyLimitLayer::new(LARGEST_FORM))
        .route("/assets/{hash}/{name}", get(assets::serve))
        .with_state(console)
}

fn rooms() -> Router<Console> {
    Router::new()
        .route("/", get(async || Redirect::to("/clusters")))
        .route("/sign-in", get(sign_in::show).post(sign_in::submit))
        .route("/sign-out", get(sign_in::ask_sign_out).post(sign_in::sign_out))
        .route("/handover", get(handover::begin))
        .route("/theme", post(account::switch_theme))
        .route("/clusters", get(clusters::show).post(new_cluster::create))
        .route("/clusters/new", get(new_cluster::show))
        .route("/people", get(people::show).post(people::add))
        .route("/people/{user}/remove", get(people::ask).post(people::remove))
        .route("/account", get(account::show))
        .route("/account/password", post(account::change_password))
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
        .route("/clusters/{id}/nodes", get(nodes::show))
        .route("/clusters/{id}/services/{service}/{verb}", post(nodes::change))
        .route(
            "/clusters/{id}/configuration",
            get(configuration::show).post(change_configuration::change),
        )
        .route("/clusters/{id}/size", post(change_configuration::resize))
        .route("/clusters/{id}/tags", post(change_configuration::retag))
        .route("/clusters/{id}/access", get(access::show).post(access::give))
        .route("/clusters/{id}/access/remove", post(access::take))
        .route("/clusters/{id}/activity", get(activity::show))
        .route("/clusters/{id}/operations/{operation}", get(operation::show))
}

fn live_streams() -> Router<Console> {
    Router::new()
        .route("/live/clusters", get(live::clusters))
        .route("/live/clusters/{id}/{tab}", get(live::cluster))
}
