//! One request, from its head to the answer's head: read it, find out who asks, decide, do it.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use updraft_api::edge::{Route, Upstream};
use updraft_model::{ClusterId, ClusterRole};

use crate::assets;
use crate::authz::{self, Caller, Decision};
use crate::body::{Body, Permit};
use crate::endpoints;
use crate::forward::Passage;
use crate::headers::{REQUEST_ID, Said};
use crate::line::Line;
use crate::pages::Notice;
use crate::pool::UpstreamError;
use crate::refusals::{self, Source};
use crate::reply;
use crate::request_id::RequestId;
use crate::route::{self, Area, Destination, Target};
use crate::session::{self, Found, Visit};
use crate::state::Worker;
use crate::table::Table;
use crate::websocket;

/// Of a request that is passed on, for what is said instead of an answer.
const KEPT: [HeaderName; 2] = [header::ACCEPT, header::USER_AGENT];

/// What becomes of a request.
enum Step<'r, 't> {
    Answer(Response<Body>),
    Own(Visit<'r>, &'r str),
    Asset(assets::Place),
    Forward(Passage<'t>),
}

/// One request, and whose it is.
#[derive(Clone, Copy)]
struct Asked<'r> {
    request: &'r Request<Incoming>,
    id: &'r RequestId,
    client: &'r HeaderValue,
}

/// One request's line in the log.
struct Account {
    id: RequestId,
    started: Instant,
    method: Method,
    cluster: Option<ClusterId>,
    chunked: bool,
}

/// Answers one request and leaves one line about it in the log.
///
/// What is rare is boxed and what needs no waiting is no future: the size of this one is moved about with every request.
pub(crate) async fn handle(line: Arc<Line>, mut request: Request<Incoming>) -> Response<Body> {
    let account = Account::open(&request);
    let worker = &*line.worker;
    let table = worker.state.table();
    let client = line.client(request.headers());
    let asked = Asked {
        request: &request,
        id: &account.id,
        client: &client,
    };
    let passage = match read(&line, &table, asked) {
        Step::Answer(response) => return account.close(worker, response),
        Step::Own(visit, name) => {
            let response = Box::pin(endpoints::answer(worker, &visit, name, request.method())).await;
            return account.close(worker, response);
        }
        Step::Asset(place) => {
            let response = Box::pin(assets::serve(&place, request.method(), request.headers())).await;
            return account.close(worker, response);
        }
        Step::Forward(passage) => passage,
    };
    let route = passage.route;
    let upstream = passage.upstream;
    // Only for the notice, should there be no answer.
    let kept = KEPT.map(|name| request.headers().get(name).cloned());
    let crossing = passage.begin(&mut request);
    let limit = (&*line.alarm, worker.state.config.limits.answer);
    let sent = worker.pool.send(upstream, request, limit).await;
    let response = sent
        .and_then(|(response, lease)| crossing.finish(response, lease))
        .unwrap_or_else(|error| {
            let kept = KEPT.into_iter().zip(kept);
            let from = Source {
                client: &client,
                headers: &kept.filter_map(|(name, value)| Some((name, value?))).collect(),
                request_id: account.id.as_str(),
            };
            no_answer(worker, &error, route, from)
        });
    account.close(worker, response)
}

// === impl Account ===

impl Account {
    fn open(request: &Request<Incoming>) -> Self {
        Self {
            id: RequestId::random(),
            started: Instant::now(),
            method: request.method().clone(),
            cluster: route::split_cluster(request.uri().path()).map(|(cluster, _)| cluster),
            chunked: request.headers().contains_key(header::TRANSFER_ENCODING),
        }
    }

    fn close(self, worker: &Worker, mut response: Response<Body>) -> Response<Body> {
        if self.chunked || worker.state.is_leaving() {
            close_after(&mut response);
        }
        worker.state.counts.record(response.status());
        tracing::info!(
            request.id = self.id.as_str(),
            cluster.id = self.cluster.map(|c| c.0),
            method = self.method.as_str(),
            status = response.status().as_u16(),
            duration_ms = self.started.elapsed().as_secs_f64() * 1000.0,
            "answered"
        );
        response.headers_mut().insert(REQUEST_ID, self.id.into_value());
        response
    }
}

/// What follows on this connection may not be what a proxy before this one takes it for: where a body was chunked, a
/// `Content-Length` beside it has been ignored here (RFC 9112 section 6.3), but perhaps not there.
fn close_after(response: &mut Response<Body>) {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

fn read<'r, 't>(line: &'t Line, table: &'t Table, asked: Asked<'r>) -> Step<'r, 't>
where
    't: 'r,
{
    let Asked { request, id, client } = asked;
    let worker = &*line.worker;
    let read = route::read(
        request.method(),
        request.uri(),
        request.version(),
        request.headers(),
    );
    let Destination { host, target } = match read {
        Ok(destination) => destination,
        Err(refusal) => {
            let mut response = reply::notice(&Notice::Ambiguous(refusal), request.headers(), id.as_str());
            close_after(&mut response);
            return Step::Answer(response);
        }
    };
    if target == Target::Own("health") && endpoints::is_own_host(host, line.local) {
        return Step::Answer(endpoints::health(worker, table));
    }
    let visit = Visit {
        table,
        host,
        uri: request.uri(),
        headers: request.headers(),
        request_id: id.as_str(),
        client,
    };
    if table.version.is_none() {
        return Step::Answer(reply::notice(&Notice::NotReady, visit.headers, id.as_str()));
    }
    if !table.knows_host(host) {
        return Step::Answer(reply::not_found(&visit));
    }
    let (cluster, area) = match target {
        Target::Nowhere => return Step::Answer(reply::not_found(&visit)),
        Target::Own(name) => return Step::Own(visit, name),
        Target::Cluster { cluster, area } => (cluster, area),
    };
    match area {
        Area::Execution => Step::Answer(reply::not_found(&visit)),
        Area::Bare => Step::Answer(bare(cluster, visit.uri.query())),
        Area::Airflow => decide(line, table, &visit, cluster, asked),
        Area::Static(file) => {
            let runtime = table.route(host, cluster).map(|r| r.runtime.as_str());
            match assets::look(&worker.state.assets, runtime, file) {
                assets::Looked::There(place) => Step::Asset(place),
                assets::Looked::NotThere => Step::Answer(reply::not_found(&visit)),
                assets::Looked::NoAssets => decide(line, table, &visit, cluster, asked),
            }
        }
    }
}

/// A request for an Airflow: may it, and if not, what is said instead.
fn decide<'r, 't>(
    line: &'t Line,
    table: &'t Table,
    visit: &Visit<'_>,
    cluster: ClusterId,
    asked: Asked<'_>,
) -> Step<'r, 't> {
    let Asked { request, id, .. } = asked;
    if visit.headers.contains_key("service-worker") {
        return Step::Answer(reply::notice(&Notice::ServiceWorker, visit.headers, id.as_str()));
    }
    let now = Utc::now();
    let found = session::find_again(line, table, visit.headers, visit.host, now);
    let facts = authz::Request {
        host: visit.host,
        cluster,
        method: request.method(),
        headers: visit.headers,
        scheme: line.worker.state.config.scheme,
    };
    let caller = found.as_ref().ok().map(|found| Caller {
        visitor: &found.session.visitor,
        credential: found.credential,
    });
    let decision = authz::decide(facts, caller, table);
    let shown = found.as_ref().map(|found| &found.session.visitor);
    if let Some(refusal) = refusals::telling(&decision, shown.map_err(|refusal| *refusal)) {
        let pending = &line.worker.state.refusals;
        pending.note(refusal, Some(cluster), visit.source(), now.timestamp());
    }
    let notice = match (decision, found) {
        (
            Decision::Forward {
                route,
                upstream,
                role,
            },
            Ok(found),
        ) => {
            found.session.note_use(&line.worker.state.token_uses, now);
            if route.tells_uses {
                let asked = (request.method(), request.uri().path());
                let pending = &line.worker.state.cluster_uses;
                pending.note(cluster, &found.session.visitor, asked, now.timestamp());
            }
            match passage(line, table, asked, found, (route, upstream, role), now) {
                Some(passage) => return Step::Forward(passage),
                None => Notice::Unreachable { route },
            }
        }
        (Decision::NotRunning { route }, _) => Notice::NotRunning {
            route,
            console_url: &table.console_url,
        },
        (Decision::SignIn, _) => {
            let return_to = visit.uri.path_and_query().map_or("/", |p| p.as_str());
            return Step::Answer(session::sign_in(&line.worker, visit, return_to));
        }
        (Decision::Forbidden(why), _) => Notice::Forbidden(why),
        (Decision::NotFound, _) => return Step::Answer(reply::not_found(visit)),
        (Decision::Unauthenticated | Decision::Forward { .. }, _) => Notice::Unauthenticated,
    };
    Step::Answer(reply::notice(&notice, visit.headers, id.as_str()))
}

/// All that is needed to forward; `None` when the token cannot be signed.
fn passage<'a>(
    line: &'a Line,
    table: &'a Table,
    asked: Asked<'_>,
    found: Found,
    (route, upstream, role): (&'a Route, Upstream, ClusterRole),
    now: DateTime<Utc>,
) -> Option<Passage<'a>> {
    let Asked { request, id, client } = asked;
    let state = &line.worker.state;
    let key = table.airflow_key.as_ref()?;
    let authorization = found.session.authorization(key, route.cluster, role, now).ok()?;
    Some(Passage {
        line,
        upstream,
        route,
        permit: Permit {
            seen: table.change,
            state: Arc::clone(state),
            session: found.session,
            cluster: route.cluster,
            role,
        },
        said: Said {
            authorization,
            cookies: found.cookies,
            client: client.clone(),
            scheme: HeaderValue::from_static(state.config.scheme.as_str()),
            host: request.headers().get(header::HOST)?.clone(),
            request_id: id.value(),
            websocket: websocket::is_handshake(request.method(), request.version(), request.headers()),
        },
    })
}

fn no_answer(worker: &Worker, error: &UpstreamError, route: &Route, from: Source<'_>) -> Response<Body> {
    let source = std::error::Error::source(error).map(ToString::to_string);
    let id = from.request_id;
    tracing::warn!(request.id = id, cluster.id = route.cluster.0, %error, source, "no answer from Airflow");
    let notice = match error {
        UpstreamError::AnswerTimeout => Notice::TimedOut { route },
        UpstreamError::SignedOut(refusal) => {
            let now = Utc::now().timestamp();
            worker.state.refusals.note(*refusal, Some(route.cluster), from, now);
            Notice::Unauthenticated
        }
        UpstreamError::Connect(_)
        | UpstreamError::ConnectTimeout
        | UpstreamError::Tunnel(_)
        | UpstreamError::Broken(_)
        // Asked again, the request is answered by what is allowed now.
        | UpstreamError::Revoked
        | UpstreamError::UnaskedSwitch => Notice::Unreachable { route },
    };
    reply::notice(&notice, from.headers, id)
}

/// The prefix alone is asked for with its slash: Airflow's links are relative to it.
fn bare(cluster: ClusterId, query: Option<&str>) -> Response<Body> {
    let query = query.map(|q| format!("?{q}")).unwrap_or_default();
    let mut response = reply::see_other(&format!("{}/{query}", cluster.path_prefix()));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response
}
