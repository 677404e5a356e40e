//! One call: its turn, its signature, its answer, and again where that helps.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Request, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};
use url::Url;

use crate::pace::Pace;
use crate::retry::{self, ATTEMPTS, WITHIN};
use crate::service::{Protocol, Service};
use crate::sign::signed;
use crate::{AwsError, CredentialSource, Params, Said};

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(15);
/// In bytes, of one answer: a page of a thousand instances is 3 MB.
const LONGEST: usize = 32 << 20;
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// Where AWS is asked.
#[derive(Clone, Debug)]
pub struct Place {
    /// `eu-central-1`
    pub region: String,
    /// Instead of AWS's own addresses, for every service.
    pub endpoint: Option<Url>,
}

/// Asks AWS as one account in one region. Clones share pace and credentials.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    place: Place,
    credentials: Arc<dyn CredentialSource>,
    pace: Pace,
}

// === impl Place ===

impl Place {
    fn url(&self, service: Service) -> String {
        if let Some(endpoint) = &self.endpoint {
            return endpoint.to_string();
        }
        let domain = match self.region.starts_with("cn-") {
            true => "amazonaws.com.cn",
            false => "amazonaws.com",
        };
        format!("https://{}.{}.{domain}/", service.name, self.region)
    }
}

// === impl Client ===

impl Client {
    /// # Errors
    /// When there is no TLS to be had.
    pub fn new(place: Place, credentials: Arc<dyn CredentialSource>) -> Result<Self, AwsError> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("updraft/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| AwsError::Setup(error.to_string()))?;
        Ok(Self {
            http,
            place,
            credentials,
            pace: Pace::default(),
        })
    }

    /// The same, waiting for its turns with all who have this pace: what was used up of an account's limits stays used up.
    #[must_use]
    pub fn at_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Asks by the Query protocol. The action has to be idempotent: it may be sent more than once.
    ///
    /// # Errors
    /// When AWS refuses, does not answer, or answers something else.
    pub async fn query<T: DeserializeOwned>(
        &self,
        service: Service,
        action: &'static str,
        params: &Params,
    ) -> Result<T, AwsError> {
        let Protocol::Query { version } = service.protocol else {
            return Err(AwsError::Setup(format!(
                "{} does not speak the Query protocol",
                service.name
            )));
        };
        let mut form = vec![("Action", action), ("Version", version)];
        form.extend(
            params
                .pairs()
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let body = serde_urlencoded::to_string(form).map_err(|error| AwsError::Setup(error.to_string()))?;
        let answer = self.ask(service, action, &body).await?;
        quick_xml::de::from_str(&answer).map_err(|error| unreadable(action, &error))
    }

    /// Asks by the JSON protocol. The action has to be idempotent: it may be sent more than once.
    ///
    /// # Errors
    /// When AWS refuses, does not answer, or answers something else.
    pub async fn json<T: DeserializeOwned>(
        &self,
        service: Service,
        action: &'static str,
        asked: &(impl Serialize + Sync),
    ) -> Result<T, AwsError> {
        let body = serde_json::to_string(asked).map_err(|error| AwsError::Setup(error.to_string()))?;
        let answer = self.ask(service, action, &body).await?;
        serde_json::from_str(&answer).map_err(|error| unreadable(action, &error))
    }

    async fn ask(&self, service: Service, action: &'static str, body: &str) -> Result<String, AwsError> {
        let begun = Instant::now();
        let mut attempt = 1;
        loop {
            self.pace.turn(service, action).await;
            let error = match self.ask_once(service, action, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = retry::pause(attempt, error.is_throttling(), retry::share());
            if !error.is_passing() || attempt >= ATTEMPTS || begun.elapsed() + pause >= WITHIN {
                return Err(error);
            }
            tracing::debug!(aws.action = action, attempt, %error, "AWS is asked again");
            sleep(pause).await;
            attempt += 1;
        }
    }

    async fn ask_once(&self, service: Service, action: &'static str, body: &str) -> Result<String, AwsError> {
        let credentials = self.credentials.credentials().await?;
        let request = self.request(service, action, body)?;
        let request = signed(
            request,
            &credentials,
            service.name,
            &self.place.region,
            SystemTime::now(),
        )?;
        let request =
            reqwest::Request::try_from(request).map_err(|error| AwsError::Setup(error.to_string()))?;
        let no_answer = |error: reqwest::Error| AwsError::NoAnswer {
            action,
            why: reason(&error),
        };
        let mut answer = self.http.execute(request).await.map_err(no_answer)?;
        let status = answer.status().as_u16();
        let mut whole = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(no_answer)? {
            whole.extend_from_slice(&piece);
            if whole.len() > LONGEST {
                return Err(unreadable(action, &"it is too long"));
            }
        }
        let text = String::from_utf8(whole).map_err(|error| unreadable(action, &error))?;
        match status {
            200..=299 => Ok(text),
            _ => Err(refusal(service, action, status, &text)),
        }
    }

    fn request(&self, service: Service, action: &str, body: &str) -> Result<Request<String>, AwsError> {
        let request = Request::post(self.place.url(service));
        let request = match service.protocol {
            Protocol::Query { .. } => request.header(header::CONTENT_TYPE, FORM),
            Protocol::Json { target, version } => request
                .header(header::CONTENT_TYPE, format!("application/x-amz-json-{version}"))
                .header("x-amz-target", format!("{target}.{action}")),
        };
        let request = request.body(body.to_owned());
        request.map_err(|error| AwsError::Setup(format!("{} has no address: {error}", service.name)))
    }
}

/// The innermost reason: "connection refused" instead of "error sending request".
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn unreadable(action: &'static str, why: &dyn std::fmt::Display) -> AwsError {
    AwsError::Unreadable {
        action,
        why: why.to_string(),
    }
}

fn refusal(service: Service, action: &'static str, status: u16, text: &str) -> AwsError {
    let told = match service.protocol {
        Protocol::Query { .. } => crate::refusal::of_xml(text),
        Protocol::Json { .. } => crate::refusal::of_json(text),
    };
    // A balancer's own page, for example: its status is all there is.
    let told = told.unwrap_or_default();
    AwsError::Said(Box::new(Said {
        action,
        status,
        code: told.code.unwrap_or_else(|| format!("HTTP {status}")),
        message: told.message.unwrap_or_else(|| "it gave no reason".to_owned()),
        request_id: told.request_id,
    }))
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
