//! Speaks to control's internal listener. The token is sent nowhere else.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use updraft_api::edge::{ClusterUses, HandoverRedeemed, RedeemHandover, Snapshot, SnapshotChange, TokenUses};
use updraft_api::edge_refusals::Refusals;
use updraft_api::tunnel::TunnelCertificate;
use updraft_model::{EdgeId, Protocol};
use url::Url;

use crate::error::{ControlError, EdgeError};

/// A long poll lasts 25 s.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(35);
const REDEEM_TIMEOUT: Duration = Duration::from_secs(5);
const CERTIFICATE_TIMEOUT: Duration = Duration::from_secs(5);
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct ControlClient {
    base: String,
    token: SecretString,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// What control says of the picture that edges go by.
pub(crate) enum News {
    Whole(Box<Snapshot>),
    Change(Box<SnapshotChange>),
}

// === impl ControlClient ===

impl ControlClient {
    /// # Errors
    /// When control is to be asked over TLS and no authority is known, or the named one cannot be read.
    pub(crate) fn new(base: &Url, ca_file: Option<&Path>, token: SecretString) -> Result<Self, EdgeError> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(Duration::from_secs(3)));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let roots = match base.scheme() {
            "https" => roots(ca_file)?,
            _ => RootCertStore::empty(),
        };
        let tls = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self {
            base: base.as_str().trim_end_matches('/').to_owned(),
            token,
            client: Client::builder(TokioExecutor::new()).build(connector),
        })
    }

    /// The snapshot as soon as it is another than `after`, or what is another in it; `None` when nothing changed for the time
    /// of a long poll. `keys` are those of the installation that this edge goes by.
    pub(crate) async fn snapshot(
        &self,
        after: i64,
        edge: EdgeId,
        keys: &[String],
    ) -> Result<Option<News>, ControlError> {
        let keys = keys.join(",");
        let path = format!("/edge/v1/snapshot?after={after}&edge={edge}&changes=true&keys={keys}");
        let (status, body) = self
            .call(Method::GET, &path, Bytes::new(), SNAPSHOT_TIMEOUT)
            .await?;
        match status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => Ok(None),
            StatusCode::OK => {
                let snapshot = parse::<Snapshot>(&body)?;
                Ok((snapshot.version != after).then(|| News::Whole(Box::new(snapshot))))
            }
            StatusCode::PARTIAL_CONTENT => parse(&body).map(|change| Some(News::Change(Box::new(change)))),
            other => Err(ControlError::Refused(other)),
        }
    }

    /// Trades a hand-over code for a session token.
    pub(crate) async fn redeem(&self, code: &RedeemHandover) -> Result<HandoverRedeemed, ControlError> {
        let body = serde_json::to_vec(code).map_err(ControlError::Malformed)?;
        let (status, body) = self
            .call(Method::POST, "/edge/v1/handover", body.into(), REDEEM_TIMEOUT)
            .await?;
        match status {
            StatusCode::OK | StatusCode::CREATED => parse(&body),
            other => Err(ControlError::Refused(other)),
        }
    }

    /// What this edge shows to agents that dial it.
    pub(crate) async fn tunnel_certificate(&self) -> Result<TunnelCertificate, ControlError> {
        let path = "/edge/v1/tunnel-certificate";
        let (status, body) = self
            .call(Method::POST, path, Bytes::new(), CERTIFICATE_TIMEOUT)
            .await?;
        match status {
            StatusCode::OK => parse(&body),
            other => Err(ControlError::Refused(other)),
        }
    }

    pub(crate) async fn report_token_uses(&self, uses: &TokenUses) -> Result<(), ControlError> {
        self.report("/edge/v1/token-uses", uses).await
    }

    pub(crate) async fn report_cluster_uses(&self, uses: &ClusterUses) -> Result<(), ControlError> {
        self.report("/edge/v1/cluster-uses", uses).await
    }

    pub(crate) async fn report_refusals(&self, refusals: &Refusals) -> Result<(), ControlError> {
        self.report("/edge/v1/refusals", refusals).await
    }

    /// Nobody has to wait for this edge any more.
    pub(crate) async fn report_ended(&self, edge: EdgeId) -> Result<(), ControlError> {
        let path = format!("/edge/v1/edges/{edge}");
        self.tell(Method::DELETE, &path, Bytes::new()).await
    }

    async fn report(&self, path: &str, what: &impl Serialize) -> Result<(), ControlError> {
        let body = serde_json::to_vec(what).map_err(ControlError::Malformed)?;
        self.tell(Method::POST, path, body.into()).await
    }

    async fn tell(&self, method: Method, path: &str, body: Bytes) -> Result<(), ControlError> {
        let (status, _) = self.call(method, path, body, REPORT_TIMEOUT).await?;
        match status {
            StatusCode::NO_CONTENT => Ok(()),
            other => Err(ControlError::Refused(other)),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        timeout: Duration,
    ) -> Result<(StatusCode, Bytes), ControlError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.token.expose_secret()),
            )
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(Protocol::HEADER, Protocol::OWN.0)
            .body(Full::new(body))
            .map_err(ControlError::Request)?;
        let exchange = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(ControlError::Unreachable)?;
            understand(response.headers())?;
            let status = response.status();
            let body = response
                .into_body()
                .collect()
                .await
                .map_err(ControlError::Cut)?
                .to_bytes();
            Ok((status, body))
        };
        tokio::time::timeout(timeout, exchange)
            .await
            .map_err(|_| ControlError::TimedOut)?
    }
}

/// Also of a refusal: who is too far away says what it speaks.
fn understand(headers: &HeaderMap) -> Result<(), ControlError> {
    let said = headers.get(Protocol::HEADER);
    // What is no text is no number either.
    Protocol::said(said.map(|value| value.to_str().unwrap_or_default())).meet()?;
    Ok(())
}

/// Those of the machine, and the one that is named.
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, EdgeError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let unreadable = |error: String| EdgeError::Authority {
            path: path.to_owned(),
            source: std::io::Error::other(error),
        };
        let named = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))?;
        let known = roots.len();
        for certificate in named {
            let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| unreadable(error.to_string()))?;
        }
        if roots.len() == known {
            return Err(unreadable("it holds no certificate".to_owned()));
        }
    }
    match roots.is_empty() {
        true => Err(EdgeError::NoAuthority),
        false => Ok(roots),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ControlError> {
    serde_json::from_slice(body).map_err(ControlError::Malformed)
}
