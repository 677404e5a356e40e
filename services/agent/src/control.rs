//! The requests an agent makes of control, and the one that control sends it elsewhere for.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::{RequestBuilder, Response, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use updraft_api::agent::{
    AgentOffer, Assignment, EnvironmentOffer, NodeCertificate, Register, Registered, Report,
};
use updraft_model::Protocol;

use crate::error::{Error, Result};

/// Control holds the long poll for 25 s.
const POLL_WITHIN: Duration = Duration::from_secs(40);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Of a download.
const SILENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct ControlClient {
    http: reqwest::Client,
    base: String,
    token: SecretString,
}

// === impl ControlClient ===

impl ControlClient {
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(control_url: &str, token: SecretString) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(Error::ControlUnreachable)?;
        Ok(Self {
            http,
            base: format!("{}/agent/v1", control_url.trim_end_matches('/')),
            token,
        })
    }

    /// # Errors
    /// When control can't be reached or refuses.
    pub async fn register(&self, request: &Register) -> Result<Registered> {
        let request = self
            .http
            .post(format!("{}/register", self.base))
            .json(request)
            .timeout(ANSWER_WITHIN);
        answer(request).await
    }

    /// Waits for an assignment later than `after`; `None` when there was none in time.
    ///
    /// # Errors
    /// When control can't be reached or refuses.
    pub async fn assignment(&self, after: i64) -> Result<Option<Assignment>> {
        let request = self
            .http
            .get(format!("{}/assignment", self.base))
            .query(&[("after", after)])
            .bearer_auth(self.token.expose_secret())
            .timeout(POLL_WITHIN);
        let answer = send(request).await?;
        if matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Ok(None);
        }
        answer.json().await.map_err(Error::ControlUnreachable)
    }

    /// # Errors
    /// When control can't be reached or refuses.
    pub async fn report(&self, report: &Report) -> Result<()> {
        let request = self
            .http
            .post(format!("{}/report", self.base))
            .bearer_auth(self.token.expose_secret())
            .json(report)
            .timeout(ANSWER_WITHIN);
        send(request).await.map(|_| ())
    }

    /// Another certificate for this node.
    ///
    /// # Errors
    /// When control can't be reached or refuses.
    pub(crate) async fn certificate(&self) -> Result<NodeCertificate> {
        let request = self
            .http
            .post(format!("{}/certificate", self.base))
            .bearer_auth(self.token.expose_secret())
            .timeout(ANSWER_WITHIN);
        answer(request).await
    }

    /// What the node's cluster may take instead of building it.
    ///
    /// # Errors
    /// When control can't be reached or refuses.
    pub(crate) async fn environment(&self, digest: &str) -> Result<Option<EnvironmentOffer>> {
        let request = self
            .http
            .get(format!("{}/environments/{digest}", self.base))
            .bearer_auth(self.token.expose_secret())
            .timeout(ANSWER_WITHIN);
        match answer(request).await {
            Ok(offer) => Ok(Some(offer)),
            Err(Error::ControlRefused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The agent that this node was told to run.
    ///
    /// # Errors
    /// When control can't be reached or refuses.
    pub(crate) async fn agent(&self, release: &str) -> Result<AgentOffer> {
        let request = self
            .http
            .get(format!("{}/agent/{release}", self.base))
            .bearer_auth(self.token.expose_secret())
            .timeout(ANSWER_WITHIN);
        answer(request).await
    }

    /// # Errors
    /// As for `fetch`.
    pub(crate) async fn download(&self, offer: &EnvironmentOffer, into: &Path) -> Result<String> {
        self.fetch(&offer.url, offer.bytes, into).await
    }

    /// Writes what is at an address into a new file; the SHA-256 of what came. Whoever has the address may read it too, so
    /// it is in no error.
    ///
    /// # Errors
    /// When it can't be had, is larger than was said, or the disk refuses.
    pub(crate) async fn fetch(&self, url: &SecretString, most_bytes: u64, into: &Path) -> Result<String> {
        let failed = |error: reqwest::Error| {
            Error::Environment(format!("the bucket could not be read: {}", error.without_url()))
        };
        let written = || Error::file("write", into);
        let request = self.http.get(url.expose_secret());
        let answer = within(request.send()).await?.map_err(failed)?;
        let answer = answer.error_for_status().map_err(failed)?;
        let mut file = tokio::fs::File::create_new(into).await.map_err(written())?;
        let (mut stream, mut hash, mut left) = (answer.bytes_stream(), Sha256::new(), most_bytes);
        while let Some(chunk) = within(stream.next()).await? {
            let chunk = chunk.map_err(failed)?;
            left = left
                .checked_sub(chunk.len() as u64)
                .ok_or_else(|| Error::Environment("more came than control named".to_owned()))?;
            hash.update(&chunk);
            file.write_all(&chunk).await.map_err(written())?;
        }
        file.flush().await.map_err(written())?;
        Ok(hex::encode(hash.finalize()))
    }
}

async fn within<T>(answer: impl Future<Output = T>) -> Result<T> {
    let answer = tokio::time::timeout(SILENCE, answer).await;
    answer.map_err(|_| Error::Environment("the bucket fell silent".to_owned()))
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T> {
    let answer = send(request).await?;
    answer.json().await.map_err(Error::ControlUnreachable)
}

async fn send(request: RequestBuilder) -> Result<Response> {
    let request = request.header(Protocol::HEADER, Protocol::OWN.0);
    let answer = request.send().await.map_err(Error::ControlUnreachable)?;
    let said = answer.headers().get(Protocol::HEADER);
    // What is no text is no number either.
    Protocol::said(said.map(|value| value.to_str().unwrap_or_default())).meet()?;
    let status = answer.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(answer);
    }
    let retry_after = retry_after(&answer);
    let detail = answer
        .text()
        .await
        .unwrap_or_default()
        .chars()
        .take(300)
        .collect();
    Err(Error::ControlRefused {
        status: status.as_u16(),
        detail,
        retry_after,
    })
}

/// In seconds, as control and balancers say it; a date is passed over
/// (<https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>).
fn retry_after(answer: &Response) -> Option<Duration> {
    let said = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    said.trim().parse().ok().map(Duration::from_secs)
}
