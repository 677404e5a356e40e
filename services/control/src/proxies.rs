//! Tells everything behind it where a request comes from: the one place in which `X-Forwarded-For` is read.
//!
//! Limits, sessions and the audit log read `ConnectInfo` alone. Behind a proxy that the installation named, that is the address
//! of whom it asks for; the port stays the connection's and says nothing.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderValue;
use axum::middleware;
use updraft_authz::{TrustedProxies, X_FORWARDED_FOR};

/// `router` behind these proxies.
pub fn behind(proxies: TrustedProxies, router: Router) -> Router {
    router.layer(middleware::map_request(move |mut request: Request| {
        tell(&proxies, &mut request);
        std::future::ready(request)
    }))
}

fn tell(proxies: &TrustedProxies, request: &mut Request) {
    let known = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let Some(ConnectInfo(mut address)) = known.copied() else {
        return;
    };
    let lines = request.headers().get_all(X_FORWARDED_FOR).iter();
    address.set_ip(proxies.client(address.ip(), lines.map(HeaderValue::as_bytes)));
    request.extensions_mut().insert(ConnectInfo(address));
}
