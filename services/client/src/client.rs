//! Sends calls: address, token, retries, and the reading of answers. What is asked is said in the resource files.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, IF_MATCH, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use updraft_api::Problem;
use url::Url;
use uuid::Uuid;

use crate::call::Call;
use crate::{ClientError, retry};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection pool to one Updraft server, with or without a person's token. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<SecretString>,
}

// === impl Client ===

impl Client {
    /// `server` is the console's address, for example `http://localhost:7700`.
    pub fn new(server: &str) -> Result<Self, ClientError> {
        // Fails only when a provider is installed already, which is then used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("updraft/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(ClientError::Setup)?;
        Ok(Self {
            http,
            base: api_base(server)?,
            token: None,
        })
    }

    #[must_use]
    pub fn with_token(mut self, token: SecretString) -> Self {
        self.token = Some(token);
        self
    }

    /// The server's address without the API's path, for messages.
    #[must_use]
    pub fn server(&self) -> String {
        let whole = self.base.as_str();
        whole.strip_suffix("/api/v1/").unwrap_or(whole).to_owned()
    }

    pub(crate) async fn fetch<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        let response = self.send(&call).await?;
        let (url, status) = (response.url().clone(), response.status());
        let body = response
            .bytes()
            .await
            .map_err(|e| ClientError::from_transport(&url, e))?;
        serde_json::from_slice(&body).map_err(|error| not_updraft(&url, status, &error.to_string()))
    }

    /// The same where one status is an answer too, if it can be read as one. Not repeated.
    pub(crate) async fn fetch_or<T: DeserializeOwned, E>(
        &self,
        call: Call,
        status: StatusCode,
        read: impl FnOnce(&[u8]) -> Option<E>,
    ) -> Result<Result<T, E>, ClientError> {
        let url = self.url(&call)?;
        let request = self.request(&call, &url)?.timeout(call.within);
        let response = request
            .send()
            .await
            .map_err(|e| ClientError::from_transport(&url, e))?;
        let given = response.status();
        if !given.is_success() && given != status {
            return Err(refusal(response).await);
        }
        let body = response
            .bytes()
            .await
            .map_err(|e| ClientError::from_transport(&url, e))?;
        if given == status {
            let told = read(&body).ok_or_else(|| not_updraft(&url, given, "its refusal cannot be read"))?;
            return Ok(Err(told));
        }
        serde_json::from_slice(&body)
            .map(Ok)
            .map_err(|error| not_updraft(&url, given, &error.to_string()))
    }

    /// For answers whose body says nothing.
    pub(crate) async fn perform(&self, call: Call) -> Result<(), ClientError> {
        self.send(&call).await.map(drop)
    }

    async fn send(&self, call: &Call) -> Result<Response, ClientError> {
        let mut attempt = 1;
        loop {
            let (error, retry_after) = match self.send_once(call).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            let Some(pause) = retry::pause(call.repeat(), &error, attempt, retry_after, jitter()) else {
                return Err(error);
            };
            tracing::debug!(
                attempt,
                pause_ms = pause.as_millis(),
                path = call.path,
                "calling the server again"
            );
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn send_once(&self, call: &Call) -> Result<Response, (ClientError, Option<Duration>)> {
        let url = self.url(call).map_err(|e| (e, None))?;
        let request = self
            .request(call, &url)
            .map_err(|e| (e, None))?
            .timeout(call.within);
        let response = request
            .send()
            .await
            .map_err(|e| (ClientError::from_transport(&url, e), None))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let retry_after = retry_after(&response);
        Err((refusal(response).await, retry_after))
    }

    /// A call whose answer is read as it comes, with no limit on its length. Not retried here.
    pub(crate) async fn open(
        &self,
        call: &Call,
        accept: &str,
        last_event: Option<String>,
    ) -> Result<Response, ClientError> {
        let url = self.url(call)?;
        let mut request = self.request(call, &url)?.header(ACCEPT, accept);
        if let Some(id) = last_event {
            request = request.header("last-event-id", id);
        }
        let response = request
            .send()
            .await
            .map_err(|e| ClientError::from_transport(&url, e))?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(refusal(response).await)
        }
    }

    fn url(&self, call: &Call) -> Result<Url, ClientError> {
        let mut url = self.base.join(&call.path).map_err(|e| ClientError::BadAddress {
            given: call.path.clone(),
            reason: e.to_string(),
        })?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        Ok(url)
    }

    fn request(&self, call: &Call, url: &Url) -> Result<RequestBuilder, ClientError> {
        let mut request = self.http.request(call.method.clone(), url.clone());
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key.as_str());
        }
        if let Some(generation) = call.if_match {
            request = request.header(IF_MATCH, format!("\"{generation}\""));
        }
        match &call.body {
            None => Ok(request),
            Some(Ok(body)) => Ok(request.header(CONTENT_TYPE, call.content_type).body(body.clone())),
            Some(Err(error)) => Err(ClientError::BadAddress {
                given: url.path().to_owned(),
                reason: error.to_string(),
            }),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

/// `http://host:port` or the same with a path; the API hangs below it.
fn api_base(server: &str) -> Result<Url, ClientError> {
    let refuse = |reason: &str| ClientError::BadAddress {
        given: server.to_owned(),
        reason: reason.to_owned(),
    };
    let url = Url::parse(server.trim()).map_err(|e| refuse(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refuse("it must begin with http:// or https:// and name a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("credentials do not belong into an address"));
    }
    let path = format!("{}/api/v1/", url.path().trim_end_matches('/'));
    let mut base = url;
    base.set_path(&path);
    base.set_query(None);
    base.set_fragment(None);
    Ok(base)
}

async fn refusal(response: Response) -> ClientError {
    let (url, status) = (response.url().clone(), response.status());
    let body = match response.bytes().await {
        Ok(body) => body,
        Err(error) => return ClientError::from_transport(&url, error),
    };
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => ClientError::Problem(Box::new(problem)),
        Err(_) => not_updraft(&url, status, "no problem description came with it"),
    }
}

fn not_updraft(url: &Url, status: StatusCode, reason: &str) -> ClientError {
    ClientError::NotUpdraft {
        url: url.origin().ascii_serialization(),
        status: status.as_u16(),
        reason: reason.to_owned(),
    }
}

/// Seconds only: Updraft never sends the date form.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

fn jitter() -> f64 {
    f64::from(Uuid::new_v4().as_bytes()[0]) / 255.0
}

#[cfg(test)]
mod tests {
    use super::api_base;

    #[test]
    fn the_api_hangs_below_the_servers_address() {
        for (given, base) in [
            ("http://localhost:7700", "http://localhost:7700/api/v1/"),
            (
                "https://updraft.example.com/",
                "https://updraft.example.com/api/v1/",
            ),
            (
                "https://example.com/updraft/?x=1#y",
                "https://example.com/updraft/api/v1/",
            ),
        ] {
            assert_eq!(api_base(given).unwrap().as_str(), base);
        }
        for bad in ["localhost:7700", "ftp://x", "http://a:b@host", "", "http://"] {
            assert!(api_base(bad).is_err(), "{bad}");
        }
    }
}
