//! Who is asking: the session cookie, and the extractor that every page behind sign-in begins with.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::Method;
use axum::http::header::{HeaderValue, SET_COOKIE};
use axum::http::request::Parts;
use axum::response::Response;
use chrono::{DateTime, Utc};
use cookie::{Cookie, SameSite};
use updraft_api::rest::Me;
use updraft_authz::Actor;

use crate::frame::Frame;
use crate::local_path::LocalPath;
use crate::refusal::{Asking, Refusal};
use crate::shell::{Shell, cookie};
use crate::state::{Console, ConsoleConfig};

pub(crate) const COOKIE: &str = "updraft_session";

/// A signed-in person and the page around what they asked for.
pub(crate) struct Visit {
    pub(crate) shell: Shell,
    pub(crate) actor: Actor,
    pub(crate) me: Me,
    pub(crate) token: String,
}

// === impl Visit ===

impl Visit {
    pub(crate) fn frame(&self) -> Frame {
        self.shell.frame(Some(&self.me))
    }
}

impl FromRequestParts<Console> for Visit {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Refusal> {
        let Ok(shell) = Shell::from_request_parts(parts, console).await;
        let back = if parts.method == Method::GET {
            LocalPath::or_home(shell.path())
        } else {
            LocalPath::home()
        };
        let Some(token) = cookie(&parts.headers, COOKIE) else {
            return Err(Refusal::SignedOut(back));
        };
        let Some(actor) = who(console, &token).await? else {
            return Err(Refusal::SignedOut(back));
        };
        let me = console.app.me(&actor).await?;
        if let Some(asking) = parts.extensions.get::<Asking>() {
            asking.is(&me);
        }
        Ok(Self {
            shell,
            actor,
            me,
            token,
        })
    }
}

/// None when the session ended.
pub(crate) async fn who(console: &Console, token: &str) -> Result<Option<Actor>, Refusal> {
    match console.app.authenticate_session(token).await {
        Ok(actor) => Ok(Some(actor)),
        Err(error) => match Refusal::from(error) {
            Refusal::Refused(problem, _) if problem.status == 401 => Ok(None),
            failure => Err(failure),
        },
    }
}

pub(crate) fn keep(response: &mut Response, config: &ConsoleConfig, token: &str, until: DateTime<Utc>) {
    let seconds = (until - Utc::now()).num_seconds().max(0);
    set(response, config, token, seconds);
}

pub(crate) fn forget(response: &mut Response, config: &ConsoleConfig) {
    set(response, config, "", 0);
}

fn set(response: &mut Response, config: &ConsoleConfig, token: &str, seconds: i64) {
    let cookie = Cookie::build((COOKIE, token))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(config.console_url.scheme() == "https")
        .max_age(cookie::time::Duration::seconds(seconds));
    if let Ok(value) = HeaderValue::try_from(cookie.build().to_string()) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

/// The address a request came from, for the limits on guessing. Headers about it are read by what the installation put before
/// this, if at all.
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip());
        Ok(Self(known.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}
