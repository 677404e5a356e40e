//! One request, from its head to the answer's head: read it, find out who asks, decide, do it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use rand::Rng as _;
use tokio_util::sync::CancellationToken;
use updraft_api::edge::Route;
use updraft_model::{ClusterId, ClusterRole};

use crate::assets;
use crate::authz::{self, Caller, Decision};
use crate::body::{Body, Permit};
use crate::endpoints;
use crate::forward::{Passage, client_value, forward};
use crate::headers::{REQUEST_ID, Said};
use crate::pages::Notice;
use crate::pool::UpstreamError;
use crate::reply;
use crate::route::{self, Area, Destination, Target};
use crate::session::{self, Visit};
use crate::state::Worker;
use crate::table::Table;
use crate::token::Session;
use crate::websocket;

/// The connection a request came on.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) shutdown: CancellationToken,
}

/// Answers one request and leaves one line about it in the log.
pub(crate) async fn handle(worker: Arc<Worker>, line: Line, request: Request<Incoming>) -> Response<Body> {
    let started = Instant::now();
    let id = format!("{:032x}", rand::rng().random::<u128>());
    let method = request.method().clone();
    let cluster = route::split_cluster(request.uri().path()).map(|(cluster, _)| cluster);

    let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);

    let mut response = answer(&worker, line, request, &id).await;
    if chunked {
        close_after(&mut response);
    }

    worker.state.counts.record(response.status());
    tracing::info!(
        request.id = id,
        cluster.id = cluster.map(|c| c.0),
        method = method.as_str(),
        status = response.status().as_u16(),
        duration_ms = started.elapsed().as_secs_f64() * 1000.0,
        "answered"
    );
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
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

async fn answer(worker: &Arc<Worker>, line: Line, request: Request<Incoming>, id: &str) -> Response<Body> {
    let table = worker.state.table();
    let uri = request.uri().clone();
    let read = route::read(request.method(), &uri, request.version(), request.headers());
    let (host, target) = match read {
        Ok(Destination { host, target }) => (host.to_owned(), target),
        Err(refusal) => {
            let mut response = reply::notice(&Notice::Ambiguous(refusal), request.headers(), id);
            close_after(&mut response);
            return response;
        }
    };
    if target == Target::Own("health") && endpoints::is_own_host(&host, line.local) {
        return endpoints::health(worker, &table);
    }
    let visit = Visit {
        table: &table,
        host: &host,
        uri: &uri,
        headers: request.headers(),
        request_id: id,
    };
    if table.version.is_none() {
        return reply::notice(&Notice::NotReady, visit.headers, id);
    }
    if !table.knows_host(&host) {
        return reply::not_found(&visit);
    }
    match target {
        Target::Nowhere
        | Target::Cluster {
            area: Area::Execution,
            ..
        } => reply::not_found(&visit),
        Target::Own(name) => endpoints::answer(worker, &visit, name, request.method()).await,
        Target::Cluster {
            cluster,
            area: Area::Bare,
        } => bare(cluster, uri.query()),
        Target::Cluster {
            cluster,
            area: Area::Static(file),
        } => {
            let runtime = table.route(&host, cluster).map(|r| r.runtime.as_str());
            match assets::serve(
                &worker.state.assets,
                runtime,
                file,
                request.method(),
                visit.headers,
            )
            .await
            {
                assets::Served::Yes(response) => response,
                assets::Served::NotThere => reply::not_found(&visit),
                assets::Served::NoAssets => airflow(worker, &table, line, &host, cluster, request, id).await,
            }
        }
        Target::Cluster {
            cluster,
            area: Area::Airflow,
        } => airflow(worker, &table, line, &host, cluster, request, id).await,
    }
}

/// A request for an Airflow: decide, and do what was decided.
async fn airflow(
    worker: &Arc<Worker>,
    table: &Table,
    line: Line,
    host: &str,
    cluster: ClusterId,
    request: Request<Incoming>,
    id: &str,
) -> Response<Body> {
    let visit = Visit {
        table,
        host,
        uri: request.uri(),
        headers: request.headers(),
        request_id: id,
    };
    if visit.headers.contains_key("service-worker") {
        return reply::notice(&Notice::ServiceWorker, visit.headers, id);
    }
    let found = session::find(worker, table, visit.headers, host, Utc::now());
    let caller = found.as_ref().map(|(session, credential)| Caller {
        visitor: &session.visitor,
        credential: *credential,
    });
    let facts = authz::Request {
        host,
        cluster,
        method: request.method(),
        headers: request.headers(),
        scheme: worker.state.config.scheme,
    };
    match (authz::decide(facts, caller, table), found) {
        (
            Decision::Forward {
                route,
                upstream,
                role,
            },
            Some((session, _)),
        ) => {
            session.note_use(&worker.state.token_uses, Utc::now());
            let Some(passage) = passage(
                worker,
                table,
                &request,
                &line,
                &session,
                (route, upstream, role),
                id,
            ) else {
                return reply::notice(&Notice::Unreachable { route }, request.headers(), id);
            };
            // Only for the notice, should there be no answer.
            let accept = request.headers().get(header::ACCEPT).cloned();
            match forward(worker, request, passage).await {
                Ok(response) => response,
                Err(error) => no_answer(&error, route, accept, id),
            }
        }
        (Decision::NotRunning { route }, _) => {
            let console_url = &table.console_url;
            reply::notice(&Notice::NotRunning { route, console_url }, request.headers(), id)
        }
        (Decision::SignIn, _) => {
            let return_to = visit.uri.path_and_query().map_or("/", |p| p.as_str());
            session::sign_in(worker, &visit, return_to)
        }
        (Decision::Forbidden(why), _) => reply::notice(&Notice::Forbidden(why), request.headers(), id),
        (Decision::NotFound, _) => reply::not_found(&visit),
        (Decision::Unauthenticated | Decision::Forward { .. }, _) => {
            reply::notice(&Notice::Unauthenticated, request.headers(), id)
        }
    }
}

/// All that is needed to forward; `None` when the route's upstream is no address or the token cannot be signed.
fn passage(
    worker: &Worker,
    table: &Table,
    request: &Request<Incoming>,
    line: &Line,
    session: &Arc<Session>,
    (route, upstream, role): (&Route, &str, ClusterRole),
    id: &str,
) -> Option<Passage> {
    let key = table.airflow_key.as_ref()?;
    let authorization = session.authorization(key, route.cluster, role, Utc::now()).ok()?;
    let said = Said {
        authorization,
        client: client_value(line.peer),
        scheme: HeaderValue::from_static(worker.state.config.scheme.as_str()),
        host: request.headers().get(header::HOST)?.clone(),
        request_id: HeaderValue::try_from(id).ok()?,
        websocket: websocket::is_handshake(request.method(), request.version(), request.headers()),
    };
    let permit = Permit {
        seen: worker.state.change_count(),
        state: Arc::clone(&worker.state),
        session: Arc::clone(session),
        cluster: route.cluster,
        role,
    };
    let upstream = upstream.parse().ok()?;
    Some(Passage {
        upstream,
        host: route.host.clone(),
        permit,
        said,
        shutdown: line.shutdown.clone(),
    })
}

fn no_answer(error: &UpstreamError, route: &Route, accept: Option<HeaderValue>, id: &str) -> Response<Body> {
    let source = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(request.id = id, cluster.id = route.cluster.0, %error, source, "no answer from Airflow");
    let headers = accept.into_iter().map(|value| (header::ACCEPT, value)).collect();
    let notice = match error {
        UpstreamError::AnswerTimeout => Notice::TimedOut { route },
        UpstreamError::Connect(_)
        | UpstreamError::ConnectTimeout
        | UpstreamError::Broken(_)
        // Asked again, the request is answered by what is allowed now.
        | UpstreamError::Revoked
        | UpstreamError::UnaskedSwitch => Notice::Unreachable { route },
    };
    reply::notice(&notice, &headers, id)
}

/// The prefix alone is asked for with its slash: Airflow's links are relative to it.
fn bare(cluster: ClusterId, query: Option<&str>) -> Response<Body> {
    let query = query.map(|q| format!("?{q}")).unwrap_or_default();
    let mut response = reply::see_other(&format!("{}/{query}", cluster.path_prefix()));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response
}
