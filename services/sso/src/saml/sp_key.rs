//! The key pair of a service provider: it signs requests and opens what is encrypted for us.

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::Refusal;

/// RSA, with a self-signed certificate around the public half (that is what metadata carries).
#[derive(Clone)]
pub struct SpKey {
    certificate_pem: String,
}

// === impl SpKey ===

impl SpKey {
    /// A new key for a provider just set up.
    ///
    /// # Errors
    /// There is no randomness.
    pub fn generate(_entity_id: &str, _now: DateTime<Utc>) -> Result<Self, Refusal> {
        Err(Refusal::new("saml.unavailable", "SAML is not available yet."))
    }

    /// # Errors
    /// It is not what [`SpKey::to_secret`] gave.
    pub fn from_secret(_secret: &SecretString) -> Result<Self, Refusal> {
        Err(Refusal::new("saml.unavailable", "SAML is not available yet."))
    }

    /// Key and certificate in one text, to be kept encrypted.
    #[must_use]
    pub fn to_secret(&self) -> SecretString {
        SecretString::from(String::new())
    }

    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }
}

impl fmt::Debug for SpKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SpKey").finish_non_exhaustive()
    }
}
