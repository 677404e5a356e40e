//! What people reach: REST and console on one address.

use anyhow::Context as _;
use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use tokio_util::sync::CancellationToken;
use updraft_app::App;
use updraft_console::ConsoleConfig;
use updraft_control::{RestConfig, RestState};
use url::Url;

const HEALTH: &str = "/api/v1/health";

/// # Errors
/// When the console's address is no URL.
pub(crate) fn router(app: &App, console_url: &str, shutdown: CancellationToken) -> anyhow::Result<Router> {
    let url = Url::parse(console_url).with_context(|| format!("{console_url} is no address"))?;
    let host = url
        .host_str()
        .with_context(|| format!("{console_url} names no host"))?;
    let authority = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let rest = RestConfig {
        allowed_hosts: vec![authority.clone()],
        allowed_origins: vec![url.origin().ascii_serialization()],
    };
    let rest = updraft_control::rest_router(RestState::new(app.clone(), rest, shutdown));
    let console = updraft_console::router(
        app.clone(),
        ConsoleConfig {
            console_url: url.clone(),
        },
    );
    let (named, app) = (authority.clone(), app.clone());
    let home = url.to_string();
    let known =
        move |request: Request, next: Next| only_known_host(request, next, authority.clone(), home.clone());
    let whole = rest.merge(console.layer(middleware::from_fn(known)));
    Ok(
        whole.layer(middleware::from_fn(move |request: Request, next: Next| {
            by_whatever_name(request, next, named.clone(), app.clone())
        })),
    )
}

/// A balancer asks by address. It is told whether control works, and nothing else.
async fn by_whatever_name(request: Request, next: Next, authority: String, app: App) -> Response {
    let asks = request.method() == Method::GET && request.uri().path() == HEALTH;
    if !asks || is_for(&request, &authority) {
        return next.run(request).await;
    }
    match app.health().await.database {
        true => StatusCode::OK.into_response(),
        false => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn is_for(request: &Request, authority: &str) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = hosts
        .next()
        .and_then(|host| host.to_str().ok())
        .filter(|_| hosts.next().is_none());
    named.is_some_and(|named| named.eq_ignore_ascii_case(authority))
}

/// A name that was rebound to this machine reaches nothing; somebody who typed the number is shown the way.
async fn only_known_host(request: Request, next: Next, authority: String, home: String) -> Response {
    if is_for(&request, &authority) {
        return next.run(request).await;
    }
    (
        StatusCode::MISDIRECTED_REQUEST,
        format!("The console is at {home}\n"),
    )
        .into_response()
}
