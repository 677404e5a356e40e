//! The door to a repository over https: git speaks plainly to this node, the agent speaks TLS to the server, at an address
//! that the outbound policy has judged, and shows the credential. So git neither knows a secret nor resolves a name.
//!
//! Only what fetching needs passes: the list of references, and the request for a pack.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use updraft_api::agent::GitCredential;
use url::Url;

use super::Repository;
use super::command::{Remote, Said};
use crate::dags::archive::MOST_BYTES;
use crate::dags::source::judged::Judged;
use crate::error::{Error, Result};

const SILENCE: Duration = Duration::from_secs(60);
/// Of one request, in bytes: what git wants and has.
const LONGEST_REQUEST: usize = 16 << 20;
const GIT_PROTOCOL: HeaderName = HeaderName::from_static("git-protocol");

type Body = BoxBody<Bytes, std::io::Error>;

struct Door {
    client: reqwest::Client,
    upstream: Url,
    login: Option<(String, SecretString)>,
    /// Whoever does not know it is a stranger.
    secret: String,
    said: Said,
    passed: Arc<AtomicU64>,
}

/// Closed when it is dropped.
pub(super) struct Listener(pub(super) AbortHandle);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) async fn remote(repository: &Repository) -> Result<Remote> {
    let login = match &repository.credential {
        None => None,
        Some(GitCredential::Token { username, token }) => Some((username.clone(), token.clone())),
        Some(GitCredential::SshKey { .. }) => {
            return Err(Error::Dags(
                "an ssh key opens no https:// repository: use a token, or the ssh:// address".to_owned(),
            ));
        }
    };
    let (listener, address) = listen(repository).await?;
    let secret: String = format!("{:032x}", rand::random::<u128>());
    let said = Said::default();
    let door = Arc::new(Door {
        client: Judged::new(&repository.outbound, &repository.url, SILENCE)?
            .client()
            .clone(),
        upstream: repository.url.clone(),
        login,
        secret: secret.clone(),
        said: said.clone(),
        passed: Arc::default(),
    });
    let ours = format!("http://{address}/{secret}/");
    // Not on the command line, which everybody can read.
    let names = [
        ("GIT_CONFIG_COUNT", "13".to_owned()),
        ("GIT_CONFIG_KEY_12", format!("url.{ours}.insteadOf")),
        ("GIT_CONFIG_VALUE_12", "updraft://source/".to_owned()),
    ];
    Ok(Remote {
        url: "updraft://source/".to_owned(),
        env: names.map(|(key, value)| (key.to_owned(), value)).to_vec(),
        said,
        hidden: vec![(ours, repository.url.to_string())],
        _open: Box::new(Listener(tokio::spawn(serve(listener, door)).abort_handle())),
    })
}

/// On the node's own address, where the cluster's user may go.
pub(super) async fn listen(repository: &Repository) -> Result<(TcpListener, SocketAddr)> {
    let failed = |source| Error::Listen {
        address: repository.address.to_string(),
        source,
    };
    let listener = TcpListener::bind((repository.address, 0)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

async fn serve(listener: TcpListener, door: Arc<Door>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let door = Arc::clone(&door);
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let door = Arc::clone(&door);
                        async move { Ok::<_, Infallible>(door.answer(request).await) }
                    });
                    // One that breaks off is git's to notice.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

// === impl Door ===

impl Door {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let Some(target) = self.target(&request) else {
            return plain(StatusCode::NOT_FOUND);
        };
        match self.pass(request, target).await {
            Ok(response) => response,
            Err(what) => {
                self.said.say(what);
                plain(StatusCode::BAD_GATEWAY)
            }
        }
    }

    /// Where a request that fetching needs goes to.
    fn target(&self, request: &Request<Incoming>) -> Option<Url> {
        let path = request
            .uri()
            .path()
            .strip_prefix('/')?
            .strip_prefix(&self.secret)?;
        let wanted = (
            request.method(),
            path.trim_start_matches('/'),
            request.uri().query(),
        );
        let (rest, query) = match wanted {
            (&Method::GET, rest @ "info/refs", Some(query @ "service=git-upload-pack")) => {
                (rest, Some(query))
            }
            (&Method::POST, rest @ "git-upload-pack", None) => (rest, None),
            _ => return None,
        };
        let mut target = self.upstream.clone();
        target.set_path(&format!("{}/{rest}", self.upstream.path().trim_end_matches('/')));
        target.set_query(query);
        Some(target)
    }

    async fn pass(&self, request: Request<Incoming>, target: Url) -> Result<Response<Body>, String> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, LONGEST_REQUEST).collect().await;
        let body = body.map_err(|_| "git's request is too large".to_owned())?;
        let mut asked = self.client.request(head.method, target).body(body.to_bytes());
        for name in [ACCEPT, CONTENT_TYPE, CONTENT_ENCODING, USER_AGENT, GIT_PROTOCOL] {
            if let Some(value) = head.headers.get(&name) {
                asked = asked.header(name, value);
            }
        }
        if let Some((username, token)) = &self.login {
            asked = asked.basic_auth(username, Some(token.expose_secret()));
        }
        let answer = asked.send().await.map_err(|error| unreached(&error))?;
        let status = answer.status();
        if let Some(reason) = refusal(status, self.login.is_some()) {
            return Err(reason);
        }
        let mut response = Response::builder().status(status);
        if let Some(kind) = answer.headers().get(CONTENT_TYPE) {
            response = response.header(CONTENT_TYPE, kind);
        }
        response
            .body(self.counted(answer))
            .map_err(|_| "the answer is no HTTP".to_owned())
    }

    /// Breaks off what is larger than any source may be.
    fn counted(&self, answer: reqwest::Response) -> Body {
        let (passed, said) = (Arc::clone(&self.passed), self.said.clone());
        let stream = answer
            .bytes_stream()
            .map_err(std::io::Error::other)
            .and_then(move |chunk: Bytes| {
                let sum = passed.fetch_add(chunk.len() as u64, Ordering::Relaxed) + chunk.len() as u64;
                if sum > MOST_BYTES {
                    said.say(
                        "the repository is too large: use one whose latest commit is smaller than 2 GiB",
                    );
                }
                let passes = sum <= MOST_BYTES;
                async move {
                    match passes {
                        true => Ok(Frame::data(chunk)),
                        false => Err(std::io::ErrorKind::FileTooLarge.into()),
                    }
                }
            });
        StreamBody::new(stream).boxed()
    }
}

fn refusal(status: StatusCode, logged_in: bool) -> Option<String> {
    let text = match status.as_u16() {
        200 => return None,
        401 | 403 if logged_in => {
            "the server refuses the credential: has it expired, and may it read this repository?".to_owned()
        }
        401 | 403 => "the repository is not public: name a credential for it".to_owned(),
        404 if logged_in => {
            "the server has no such repository, or the credential may not see it: look for a typing error"
                .to_owned()
        }
        404 => "the server has no such repository, or it is not public: name a credential for it".to_owned(),
        301 | 302 | 303 | 307 | 308 => "the repository has moved: write its new address".to_owned(),
        other => format!("the server answered {other}"),
    };
    Some(text)
}

/// The policy's own words, where it was the policy.
fn unreached(error: &reqwest::Error) -> String {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(source) = next {
        if let Some(outbound) = source.downcast_ref::<updraft_outbound::OutboundError>() {
            return outbound.to_string();
        }
        next = source.source();
    }
    let what = if error.is_timeout() {
        "does not answer in time"
    } else {
        "can't be reached, or has no valid certificate"
    };
    format!("the repository's server {what}")
}

fn plain(status: StatusCode) -> Response<Body> {
    let body = Full::new(Bytes::new())
        .map_err(|never: Infallible| match never {})
        .boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
