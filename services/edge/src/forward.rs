//! Forwards one authorized request to one Airflow, streaming both ways.

use http::{Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use updraft_api::edge::{Route, Upstream};

use crate::body::{Body, Permit};
use crate::headers::{self, Said};
use crate::line::Line;
use crate::pool::{Lease, UpstreamError};
use crate::websocket;

/// What was decided about a request, with all that forwarding it needs.
pub(crate) struct Passage<'a> {
    pub(crate) line: &'a Line,
    pub(crate) route: &'a Route,
    pub(crate) upstream: Upstream,
    pub(crate) permit: Permit,
    pub(crate) said: Said,
}

/// An exchange on its way.
pub(crate) struct Crossing<'a> {
    line: &'a Line,
    route: &'a Route,
    permit: Permit,
    /// The client's end of a websocket.
    client: Option<OnUpgrade>,
}

// === impl Passage ===

impl<'a> Passage<'a> {
    /// Makes a client's request into the one that Airflow gets.
    pub(crate) fn begin(self, request: &mut Request<Incoming>) -> Crossing<'a> {
        let client = self.said.websocket.then(|| hyper::upgrade::on(&mut *request));
        to_origin_form(request);
        headers::towards_airflow(request.headers_mut(), self.said);
        Crossing {
            line: self.line,
            route: self.route,
            permit: self.permit,
            client,
        }
    }
}

// === impl Crossing ===

impl Crossing<'_> {
    /// Makes Airflow's answer into the one that the client gets.
    pub(crate) fn finish(
        mut self,
        mut response: Response<Incoming>,
        lease: Lease,
    ) -> Result<Response<Body>, UpstreamError> {
        if !self.permit.holds() {
            return Err(match self.permit.ended() {
                Some(refusal) => UpstreamError::SignedOut(refusal),
                None => UpstreamError::Revoked,
            });
        }
        let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        headers::from_airflow(response.headers_mut(), self.route, switching);
        if switching {
            let client = self.client.ok_or(UpstreamError::UnaskedSwitch)?;
            let upstream = hyper::upgrade::on(&mut response);
            let shutdown = self.line.shutdown.clone();
            let tasks = &self.line.worker.tasks;
            tasks.spawn(websocket::join(client, upstream, self.permit, shutdown));
            return Ok(response.map(|_| Body::empty()));
        }
        Ok(response.map(|incoming| Body::upstream(incoming, lease, self.permit, &self.line.alarm)))
    }
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
