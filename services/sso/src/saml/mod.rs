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
use updraft_model::SamlConfig;

use crate::{Check, Refusal, VouchedIdentity};

mod sp_key;

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

/// Where to send the browser to sign in. `relay_state` (at most 80 bytes) comes back beside the response.
///
/// # Errors
/// The configuration names no address to go to.
pub fn begin(
    _config: &SamlConfig,
    _sp: &ServiceProvider,
    _relay_state: &str,
    _now: DateTime<Utc>,
) -> Result<Begun, Refusal> {
    Err(unavailable())
}

/// Whom a response (form field `SAMLResponse`, as it came) vouches for. Without an attempt it has to be unsolicited, and the
/// provider allowed to begin.
///
/// # Errors
/// Why it was not believed.
pub fn finish(
    _config: &SamlConfig,
    _sp: &ServiceProvider,
    _form_response: &str,
    _attempt: Option<&Attempt>,
    _now: DateTime<Utc>,
) -> Result<(VouchedIdentity, AssertionUse), Refusal> {
    Err(unavailable())
}

/// What to give to the provider.
#[must_use]
pub fn metadata(_sp: &ServiceProvider) -> String {
    String::new()
}

/// Reads what a provider says of itself.
///
/// # Errors
/// What the metadata lacks.
pub fn read_metadata(_xml: &str) -> Result<SamlConfig, Refusal> {
    Err(unavailable())
}

/// What can be said of a configuration without asking anyone.
#[must_use]
pub fn test(_config: &SamlConfig, _sp: &ServiceProvider, _now: DateTime<Utc>) -> Vec<Check> {
    Vec::new()
}

/// Asks the provider to sign a person out; none if it has no address for that.
///
/// # Errors
/// The key cannot sign.
pub fn logout_request(
    _config: &SamlConfig,
    _sp: &ServiceProvider,
    _subject: &LogoutSubject,
    _relay_state: &str,
    _now: DateTime<Utc>,
) -> Result<Option<LogoutBegun>, Refusal> {
    Err(unavailable())
}

/// Reads what came to the logout address: `query` is the query string, byte for byte.
///
/// # Errors
/// Why it was not believed.
pub fn verify_logout(
    _config: &SamlConfig,
    _sp: &ServiceProvider,
    _query: &str,
    _now: DateTime<Utc>,
) -> Result<LogoutMessage, Refusal> {
    Err(unavailable())
}

/// The answer to a provider's logout request, as an address for the browser; none if the provider has none.
///
/// # Errors
/// The key cannot sign.
pub fn logout_response(
    _config: &SamlConfig,
    _sp: &ServiceProvider,
    _request: &LogoutRequest,
    _now: DateTime<Utc>,
) -> Result<Option<String>, Refusal> {
    Err(unavailable())
}

fn unavailable() -> Refusal {
    Refusal::new("saml.unavailable", "SAML is not available yet.")
}
