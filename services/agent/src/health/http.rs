//! Services that answer over HTTP. An Airflow behind a wrong path answers 200 with a page: JSON is parsed.

use serde_json::Value;

use super::Outcome;

/// More than any health document has.
const LARGEST: usize = 1 << 20;

pub(super) async fn status(client: &reqwest::Client, url: &str) -> Outcome {
    match client.get(url).send().await {
        Ok(answer) if answer.status().is_success() => Outcome::Healthy,
        Ok(answer) => Outcome::Unhealthy(format!("{url} answered {}", answer.status())),
        Err(error) => Outcome::Unhealthy(describe(&error)),
    }
}

pub(super) async fn json(client: &reqwest::Client, url: &str, paths: &[String], expect: &str) -> Outcome {
    let document = match fetch(client, url).await {
        Ok(document) => document,
        Err(outcome) => return outcome,
    };
    for path in paths {
        match at(&document, path) {
            Some(Value::String(text)) if text == expect => {}
            Some(other) => return Outcome::Unhealthy(format!("{path} is {other}, not {expect}")),
            None => return Outcome::Unhealthy(format!("{url} says nothing of {path}")),
        }
    }
    Outcome::Healthy
}

/// The JSON at a URL; `Unknown` when nobody answers, `Unhealthy` when the answer is wrong.
pub(super) async fn fetch(client: &reqwest::Client, url: &str) -> Result<Value, Outcome> {
    let mut answer = client
        .get(url)
        .send()
        .await
        .map_err(|error| Outcome::Unhealthy(describe(&error)))?;
    if !answer.status().is_success() {
        return Err(Outcome::Unhealthy(format!("{url} answered {}", answer.status())));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer
        .chunk()
        .await
        .map_err(|error| Outcome::Unhealthy(describe(&error)))?
    {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST {
            return Err(Outcome::Unhealthy(format!("{url} answers without end")));
        }
    }
    serde_json::from_slice(&body).map_err(|_| Outcome::Unhealthy(format!("{url} answers, but not with JSON")))
}

pub(super) fn at<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(document, |value, key| value.get(key))
}

/// What went wrong, short.
pub(super) fn describe(error: &reqwest::Error) -> String {
    let url = error.url().map(ToString::to_string).unwrap_or_default();
    if error.is_timeout() {
        format!("{url} does not answer in time")
    } else if error.is_connect() {
        format!("nothing answers at {url}")
    } else {
        format!("{url} breaks off")
    }
}
