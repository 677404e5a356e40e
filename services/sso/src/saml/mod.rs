//! SAML 2.0 service provider: where to send people, what to believe of what comes back, metadata in and out, logout.
//!
//! Pure: no IO, no clock, no database. The caller keeps three things that make a response good once and for one browser:
//! the [`Attempt`] (encrypted, found again by the relay state, bound to the browser by its cookie), the [`AssertionUse`]
//! (a row per provider; a second one of the same id is a replay and refused by the caller), and the session's cap.
//!
//! Only the HTTP-Redirect binding is spoken towards the provider and only HTTP-POST from it (logout: HTTP-Redirect both
//! ways), which every provider has.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

mod assertion;
mod attributes;
mod check;
mod decryption;
mod logout;
mod metadata;
mod name_id;
mod pins;
mod redirect;
mod request;
mod response;
mod signature;
mod sp_key;
mod time;
mod xml;

pub use check::test;
pub use logout::{logout_request, logout_response, verify_logout};
pub use metadata::{metadata, read_metadata};
pub use request::begin;
pub use response::finish;
pub use sp_key::SpKey;

/// How far two clocks may be apart.
pub const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);

/// SAML never tells of changes: after so long the provider is asked again who someone is.
pub const LONGEST_SESSION: TimeDelta = TimeDelta::hours(8);

/// What Updraft is to one identity provider. Each provider of a tenant has its own addresses and key.
#[derive(Clone, Debug)]
pub struct ServiceProvider {
    /// By convention where its metadata is.
    pub entity_id: String,
    /// Assertion consumer service: where responses are posted.
    pub acs_url: String,
    /// Single logout service (HTTP-Redirect).
    pub slo_url: String,
    pub key: SpKey,
}

/// A sign-in under way: kept (encrypted) until the response comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub request_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Where to send the browser.
    pub url: String,
    pub attempt: Attempt,
}

/// An assertion that was believed. To be written down before anybody is signed in; if it is there already, this is a replay
/// (`saml.replay`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertionUse {
    pub id: String,
    /// After this it would be refused anyway.
    pub expires_at: DateTime<Utc>,
}

/// What a provider said at its logout address.
#[derive(Clone, Debug)]
pub enum LogoutMessage {
    /// The provider ends a person's sessions. Answer with [`logout_response`].
    Request(LogoutRequest),
    /// The answer to ours.
    Response {
        in_response_to: String,
        success: bool,
        relay_state: Option<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutRequest {
    pub id: String,
    /// The `subject` of [`VouchedIdentity`](crate::VouchedIdentity).
    pub subject: String,
    /// Its `provider_session`s. Empty: all sessions of the subject.
    pub sessions: Vec<String>,
    pub relay_state: Option<String>,
}

/// Whom the provider shall sign out.
#[derive(Clone, Debug)]
pub struct LogoutSubject {
    pub subject: String,
    /// `id_token` of the [`VouchedIdentity`](crate::VouchedIdentity): the whole NameID, which some providers compare.
    pub name_id: Option<SecretString>,
    pub provider_session: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutBegun {
    pub url: String,
    pub request_id: String,
}
