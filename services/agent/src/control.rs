//! The three requests an agent makes of control.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use updraft_api::agent::{Assignment, Register, Registered, Report};

use crate::error::{Error, Result};

/// Of `updraft_api::agent`.
pub(crate) const PROTOCOL: u32 = 1;
/// Control holds the long poll for 25 s.
const POLL_WITHIN: Duration = Duration::from_secs(40);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

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
        send(request)
            .await?
            .json()
            .await
            .map_err(Error::ControlUnreachable)
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
}

async fn send(request: RequestBuilder) -> Result<Response> {
    let answer = request.send().await.map_err(Error::ControlUnreachable)?;
    let status = answer.status();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        return Ok(answer);
    }
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
    })
}
