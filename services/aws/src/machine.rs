//! Updraft's own credentials: the environment's where it has some, else those of the machine's role, by IMDSv2.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::{AwsError, CredentialSource, Credentials, FixedCredentials, Renewed};

const METADATA: &str = "http://169.254.169.254/";
const ROLES: &str = "latest/meta-data/iam/security-credentials/";
const WITHIN: Duration = Duration::from_secs(2);
/// Of the session with the metadata service, in seconds.
const SESSION: &str = "300";

/// Who Updraft is. Put it into a [`crate::Renewed`].
pub struct OwnCredentials {
    http: reqwest::Client,
    metadata: Url,
    environment: fn(&str) -> Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    access_key_id: String,
    secret_access_key: SecretString,
    token: SecretString,
    expiration: DateTime<Utc>,
}

/// What a file of keys holds, for object storage that knows no roles.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    access_key: String,
    secret_key: SecretString,
}

/// Those of the file, if one is named, else [`OwnCredentials`].
///
/// # Errors
/// When the file cannot be read, or is not `{"access_key": "…", "secret_key": "…"}`.
pub fn own_credentials(keys_file: Option<&Path>) -> Result<Arc<dyn CredentialSource>, AwsError> {
    let Some(path) = keys_file else {
        return Ok(Arc::new(Renewed::new(OwnCredentials::new()?)));
    };
    let named = |why: String| AwsError::Credentials(format!("keys_file {}: {why}", path.display()));
    let text = std::fs::read(path).map_err(|error| named(error.to_string()))?;
    // What serde says of a field could hold the secret.
    let keys: KeysFile = serde_json::from_slice(&text)
        .map_err(|_| named("has to hold {\"access_key\": \"…\", \"secret_key\": \"…\"}".to_owned()))?;
    Ok(Arc::new(FixedCredentials(Credentials {
        access_key: keys.access_key,
        secret_key: keys.secret_key,
        session_token: None,
        expires_at: None,
    })))
}

// === impl OwnCredentials ===

impl OwnCredentials {
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new() -> Result<Self, AwsError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| AwsError::Setup(error.to_string()))?;
        let metadata = Url::parse(METADATA).map_err(|error| AwsError::Setup(error.to_string()))?;
        Ok(Self {
            http,
            metadata,
            environment: |name| std::env::var(name).ok().filter(|value| !value.is_empty()),
        })
    }

    fn of_environment(&self) -> Option<Credentials> {
        Some(Credentials {
            access_key: (self.environment)("AWS_ACCESS_KEY_ID")?,
            secret_key: (self.environment)("AWS_SECRET_ACCESS_KEY")?.into(),
            session_token: (self.environment)("AWS_SESSION_TOKEN").map(Into::into),
            expires_at: None,
        })
    }

    async fn of_machine(&self) -> Result<Credentials, reqwest::Error> {
        let session = self.http.put(self.at("latest/api/token"));
        let session = session.header("x-aws-ec2-metadata-token-ttl-seconds", SESSION);
        let session = session.send().await?.error_for_status()?.text().await?;
        let roles = self.ask(ROLES, &session).await?.text().await?;
        let role = roles.lines().next().unwrap_or_default().trim().to_owned();
        let given: Given = self
            .ask(&format!("{ROLES}{role}"), &session)
            .await?
            .json()
            .await?;
        Ok(Credentials {
            access_key: given.access_key_id,
            secret_key: given.secret_access_key,
            session_token: Some(given.token),
            expires_at: Some(given.expiration),
        })
    }

    async fn ask(&self, path: &str, session: &str) -> Result<reqwest::Response, reqwest::Error> {
        let request = self
            .http
            .get(self.at(path))
            .header("x-aws-ec2-metadata-token", session);
        request.send().await?.error_for_status()
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.metadata)
    }
}

#[async_trait]
impl CredentialSource for OwnCredentials {
    async fn credentials(&self) -> Result<Credentials, AwsError> {
        if let Some(found) = self.of_environment() {
            return Ok(found);
        }
        self.of_machine().await.map_err(|_| {
            AwsError::Credentials(
                "AWS_ACCESS_KEY_ID is not set, and this machine has no role: give its instance an instance profile".to_owned(),
            )
        })
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
