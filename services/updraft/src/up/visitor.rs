//! A person's way to an Airflow, walked without a browser: hand-over from the console to the edge, then requests.

use anyhow::{Context as _, bail};
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

pub(crate) struct Visitor {
    http: reqwest::Client,
    airflow: Url,
    cookie: String,
}

// === impl Visitor ===

impl Visitor {
    /// Follows the sign-in redirects with a console session.
    ///
    /// # Errors
    /// When a step of the hand-over is refused.
    pub(crate) async fn sign_in(
        console: &str,
        session: &SecretString,
        airflow: &str,
    ) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .build()?;
        let airflow = Url::parse(airflow)?;
        let console = Url::parse(console)?;
        let mut cookies: Vec<String> = Vec::new();
        let mut next = airflow.clone();
        for _ in 0..6 {
            let cookie = if next.origin() == console.origin() {
                format!("updraft_session={}", session.expose_secret())
            } else {
                cookies.join("; ")
            };
            let response = http
                .get(next.clone())
                .header("accept", "text/html")
                .header(COOKIE, cookie)
                .send()
                .await?;
            let set = response
                .headers()
                .get_all(SET_COOKIE)
                .iter()
                .filter_map(|value| value.to_str().ok());
            cookies.extend(
                set.filter_map(|value| value.split(';').next())
                    .map(ToOwned::to_owned),
            );
            match response.headers().get(LOCATION) {
                Some(location) => next = next.join(location.to_str()?)?,
                None if response.status().is_success() => {
                    return Ok(Self {
                        http,
                        airflow,
                        cookie: cookies.join("; "),
                    });
                }
                None => bail!("signing in to {airflow} was answered {}", response.status()),
            }
        }
        bail!("signing in to {airflow} goes round in circles")
    }

    /// # Errors
    /// When the answer is not JSON or not a success.
    pub(crate) async fn get_json(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        let url = self.airflow.join(path)?;
        let response = self
            .http
            .get(url)
            .header(COOKIE, &self.cookie)
            .send()
            .await?
            .error_for_status()?;
        let text = response.text().await?;
        serde_json::from_str(&text).context("Airflow's answer is not JSON")
    }
}
