//! Whether EC2 is about to take this machine back, as a spot instance's metadata service says two minutes before.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html>

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::time::sleep;

/// As EC2 recommends.
const EACH: Duration = Duration::from_secs(5);
const WITHIN: Duration = Duration::from_secs(4);
const SERVICE: &str = "http://169.254.169.254";
/// Tests have another, as `infra/boot/user-data.sh` has it.
const ANOTHER: &str = "UPDRAFT_BOOT_METADATA";
/// Seconds that a session lasts; the service's most.
const SESSION: u32 = 21_600;

/// The metadata service, which answers to sessions only (IMDSv2).
struct Metadata {
    http: reqwest::Client,
    base: String,
    session: Option<SecretString>,
}

#[derive(Debug, Deserialize)]
struct Notice {
    time: DateTime<Utc>,
}

/// Waits for the notice, which is never taken back; returns when the machine will be ended.
pub(crate) async fn notice() -> reqwest::Result<DateTime<Utc>> {
    let mut metadata = Metadata::new(std::env::var(ANOTHER).unwrap_or_else(|_| SERVICE.to_owned()))?;
    loop {
        match metadata.ask().await {
            Ok(Some(notice)) => return Ok(notice.time),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "The metadata service does not say whether this machine stays");
            }
        }
        sleep(EACH).await;
    }
}

// === impl Metadata ===

impl Metadata {
    fn new(base: String) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(WITHIN)
            .build()?;
        Ok(Self {
            http,
            base,
            session: None,
        })
    }

    /// None: the machine stays.
    async fn ask(&mut self) -> reqwest::Result<Option<Notice>> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.open_session().await?,
        };
        let mut answer = self.ask_in(&session).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            session = self.open_session().await?;
            answer = self.ask_in(&session).await?;
        }
        self.session = Some(session);
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            _ => answer.error_for_status()?.json().await.map(Some),
        }
    }

    async fn open_session(&self) -> reqwest::Result<SecretString> {
        let request = self
            .http
            .put(format!("{}/latest/api/token", self.base))
            .header("X-aws-ec2-metadata-token-ttl-seconds", SESSION);
        let answer = request.send().await?.error_for_status()?;
        answer.text().await.map(SecretString::from)
    }

    async fn ask_in(&self, session: &SecretString) -> reqwest::Result<reqwest::Response> {
        let request = self
            .http
            .get(format!("{}/latest/meta-data/spot/instance-action", self.base))
            .header("X-aws-ec2-metadata-token", session.expose_secret());
        request.send().await
    }
}
