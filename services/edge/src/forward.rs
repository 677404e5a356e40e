//! Forwards one authorized request to one Airflow, streaming both ways.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderValue, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::body::{Body, Permit};
use crate::headers::{self, Said};
use crate::pool::UpstreamError;
use crate::state::Worker;
use crate::websocket;

/// What was decided about a request, with all that forwarding it needs.
pub(crate) struct Passage {
    pub(crate) upstream: SocketAddr,
    pub(crate) host: String,
    pub(crate) permit: Permit,
    pub(crate) said: Said,
    pub(crate) shutdown: CancellationToken,
}

pub(crate) async fn forward(
    worker: &Arc<Worker>,
    mut request: Request<Incoming>,
    passage: Passage,
) -> Result<Response<Body>, UpstreamError> {
    let Passage {
        upstream,
        host,
        mut permit,
        said,
        shutdown,
    } = passage;
    let cluster = permit.cluster;
    let client = said.websocket.then(|| hyper::upgrade::on(&mut request));
    to_origin_form(&mut request);
    headers::towards_airflow(request.headers_mut(), said);

    let exchange = worker.pool.send(upstream, request);
    let (mut response, lease) = tokio::time::timeout(worker.state.config.limits.answer, exchange)
        .await
        .map_err(|_| UpstreamError::AnswerTimeout)??;

    if !permit.holds() {
        return Err(UpstreamError::Revoked);
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let client = client.ok_or(UpstreamError::UnaskedSwitch)?;
        let upstream = hyper::upgrade::on(&mut response);
        headers::from_airflow(response.headers_mut(), cluster, &host, true);
        tokio::spawn(websocket::join(client, upstream, permit, shutdown));
        return Ok(response.map(|_| Body::empty()));
    }
    headers::from_airflow(response.headers_mut(), cluster, &host, false);
    Ok(response.map(|incoming| Body::upstream(incoming, lease, permit)))
}

/// Towards an origin server the request line carries the path alone (RFC 9112 section 3.2.1).
fn to_origin_form(request: &mut Request<Incoming>) {
    if request.uri().authority().is_none() {
        return;
    }
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(path);
    }
}

/// A header's value for an address.
pub(crate) fn client_value(peer: SocketAddr) -> HeaderValue {
    HeaderValue::try_from(peer.ip().to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
