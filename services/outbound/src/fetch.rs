//! One request, from its address to the whole answer.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::task::JoinSet;
use url::{Position, Url};

use crate::connect::{connect, system_trust, trusting};
use crate::{OutboundError, OutboundPolicy, OutboundRequest, OutboundResponse, Resolve, SystemResolver};

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("updraft/", env!("CARGO_PKG_VERSION")));
/// In bytes, of an answer's head.
const HEAD: usize = 64 * 1024;

/// The one way out. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    pub(super) policy: Arc<OutboundPolicy>,
    pub(super) resolver: Arc<dyn Resolve>,
    /// None: the machine's authorities.
    trust: Option<Arc<ClientConfig>>,
    /// The only one, where it is not the machine's.
    authority: Option<CertificateDer<'static>>,
}

// === impl Outbound ===

impl Outbound {
    #[must_use]
    pub fn new(policy: OutboundPolicy) -> Self {
        Self::with_resolver(policy, Arc::new(SystemResolver))
    }

    /// With names of one's own.
    #[must_use]
    pub fn with_resolver(policy: OutboundPolicy, resolver: Arc<dyn Resolve>) -> Self {
        Self {
            policy: Arc::new(policy),
            resolver,
            trust: None,
            authority: None,
        }
    }

    /// The same, to servers that this authority (DER) vouches for, and no other; by none, what the machine trusts.
    ///
    /// # Errors
    /// [`OutboundError::Authority`]
    pub fn trusting(&self, authority: Option<CertificateDer<'static>>) -> Result<Self, OutboundError> {
        let trust = authority.clone().map(|one| {
            let mut roots = RootCertStore::empty();
            roots.add(one).map_err(|_| OutboundError::Authority)?;
            trusting(roots)
        });
        Ok(Self {
            trust: trust.transpose()?,
            authority,
            ..self.clone()
        })
    }

    /// Who alone vouches for servers, for those who speak TLS themselves.
    #[must_use]
    pub fn authority(&self) -> Option<&CertificateDer<'static>> {
        self.authority.as_ref()
    }

    /// Asks, and takes the whole answer. Any status but a redirect is an answer.
    ///
    /// # Errors
    /// When the address is not to be asked, or gave no whole answer.
    pub async fn fetch(&self, request: OutboundRequest) -> Result<OutboundResponse, OutboundError> {
        tokio::time::timeout(self.policy.limits.time, self.follow(request))
            .await
            .unwrap_or(Err(OutboundError::Slow))
    }

    async fn follow(&self, mut request: OutboundRequest) -> Result<OutboundResponse, OutboundError> {
        loop {
            let answer = self.ask(&request).await?;
            let Some(next) = redirect(&request.url, &answer) else {
                return Ok(answer);
            };
            if request.redirects == 0 || request.method != Method::GET {
                return Err(OutboundError::Redirect);
            }
            request.redirects -= 1;
            request.headers.remove(header::AUTHORIZATION);
            request.url = next?;
        }
    }

    async fn ask(&self, request: &OutboundRequest) -> Result<OutboundResponse, OutboundError> {
        let target = self.policy.target(&request.url)?;
        let trust = self.trust.clone().map_or_else(system_trust, Ok)?;
        let stream = connect(&target, &*self.resolver, trust).await?;
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_buf_size(HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| OutboundError::Broken)?;
        // Ends with this function, whatever the server still has to say.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let answer = sender.send_request(wire(request)?).await;
        self.whole(answer.map_err(|_| OutboundError::Broken)?, &request.url)
            .await
    }

    async fn whole(&self, answer: Response<Incoming>, url: &Url) -> Result<OutboundResponse, OutboundError> {
        let (head, body) = answer.into_parts();
        let plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
        if !head.headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
            return Err(OutboundError::Compressed);
        }
        let body = Limited::new(body, self.policy.limits.body).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => OutboundError::TooLarge,
            false => OutboundError::Broken,
        })?;
        Ok(OutboundResponse {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
            url: url.clone(),
        })
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Outbound")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

fn wire(request: &OutboundRequest) -> Result<Request<Full<Bytes>>, OutboundError> {
    let url = &request.url;
    let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
    let mut wire = Request::new(Full::new(request.body.clone()));
    *wire.method_mut() = request.method.clone();
    *wire.uri_mut() = url[Position::BeforePath..Position::AfterQuery]
        .parse()
        .map_err(|_| OutboundError::Url)?;
    *wire.headers_mut() = request.headers.clone();
    let headers = wire.headers_mut();
    headers.insert(header::HOST, host.map_err(|_| OutboundError::Url)?);
    headers.insert(header::USER_AGENT, USER_AGENT);
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(wire)
}

/// Where the answer sends us instead, if it does.
fn redirect(from: &Url, answer: &OutboundResponse) -> Option<Result<Url, OutboundError>> {
    if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers.get(header::LOCATION)?.to_str();
    let next = location.ok().and_then(|location| from.join(location).ok());
    Some(next.ok_or(OutboundError::Redirect))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
