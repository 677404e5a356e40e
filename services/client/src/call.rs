//! One request as data, before it becomes bytes.

use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use updraft_model::Generation;
use uuid::Uuid;

use crate::retry::Repeat;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Makes a repeated POST count once. Random unless a caller that must survive its own crash brings one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

pub(crate) struct Call {
    pub(crate) method: Method,
    /// Below `/api/v1/`, segments already encoded.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Result<Vec<u8>, serde_json::Error>>,
    pub(crate) content_type: &'static str,
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) if_match: Option<Generation>,
    /// Until the whole answer is there.
    pub(crate) within: Duration,
}

// === impl IdempotencyKey ===

impl IdempotencyKey {
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }

    /// At most 200 characters, as the server allows.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl Call ===

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Every POST carries a key of its own.
    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self {
            key: Some(IdempotencyKey::random()),
            ..Self::new(Method::POST, path)
        }
    }

    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            content_type: "application/json",
            key: None,
            if_match: None,
            within: ANSWER_TIMEOUT,
        }
    }

    pub(crate) fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub(crate) fn json<T: Serialize>(mut self, body: &T) -> Self {
        self.body = Some(serde_json::to_vec(body));
        self
    }

    pub(crate) fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.body = Some(Ok(form.into_bytes()));
        self.content_type = "application/x-www-form-urlencoded";
        self
    }

    /// A large body, which may take a while.
    pub(crate) fn upload(mut self, content_type: &'static str, body: Vec<u8>) -> Self {
        self.body = Some(Ok(body));
        self.content_type = content_type;
        self.within = UPLOAD_TIMEOUT;
        self
    }

    pub(crate) fn keyed(mut self, key: Option<IdempotencyKey>) -> Self {
        self.key = key;
        self
    }

    pub(crate) fn if_match(mut self, generation: Generation) -> Self {
        self.if_match = Some(generation);
        self
    }

    pub(crate) fn repeat(&self) -> Repeat {
        let idempotent = self.method.is_idempotent() || self.key.is_some();
        if idempotent && self.if_match.is_none() {
            Repeat::Safe
        } else {
            Repeat::OnlyUnsent
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_writes_that_could_count_twice_are_not_repeated() {
        assert_eq!(Call::get("me").repeat(), Repeat::Safe);
        assert_eq!(Call::post("clusters").repeat(), Repeat::Safe);
        assert_eq!(Call::post("sessions").keyed(None).repeat(), Repeat::OnlyUnsent);
        assert_eq!(Call::new(Method::DELETE, "clusters/1").repeat(), Repeat::Safe);
        let update = Call::new(Method::PATCH, "clusters/1").if_match(Generation(3));
        assert_eq!(update.repeat(), Repeat::OnlyUnsent);
    }
}
