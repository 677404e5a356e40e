//! How a tenant's people sign in: identity providers, domains, and the tenant's own rules.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use updraft_model::{ProviderConfig, ProviderId};
use utoipa::ToSchema;

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIdentityProvider {
    /// A random UUID of your own, if the provider has to know the addresses below before this is created.
    #[serde(default)]
    pub id: Option<ProviderId>,
    /// What people read on the sign-in page, for example `Okta`.
    pub name: String,
    /// One of `config` and `metadata`.
    #[serde(default)]
    pub config: Option<ProviderConfig>,
    /// A SAML provider's metadata, XML: its configuration is read from it.
    #[serde(default)]
    pub metadata: Option<String>,
    /// The OIDC client's secret. It is never shown again.
    #[serde(default)]
    pub secret: Option<String>,
}

/// What is absent stays as it is. An enabled provider is tested with the change, and refuses one that fails.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateIdentityProvider {
    #[serde(default)]
    pub name: Option<String>,
    /// All of it. Kind and issuer stay: who somebody is depends on them.
    #[serde(default)]
    pub config: Option<ProviderConfig>,
    /// SAML: metadata to read the configuration from, for example with a new certificate.
    #[serde(default)]
    pub metadata: Option<String>,
    #[serde(default)]
    pub secret: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct IdentityProviderView {
    pub id: ProviderId,
    pub name: String,
    pub config: ProviderConfig,
    pub has_secret: bool,
    /// Only an enabled one signs people in.
    pub enabled: bool,
    /// Grows with each change of configuration or secret; a test is of one version.
    pub version: i64,
    pub last_test: Option<ProviderTest>,
    /// What the provider has to be told of Updraft.
    pub addresses: ProviderAddresses,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ProviderAddresses {
    Oidc {
        redirect_uri: String,
        /// Where the browser may come back to after a logout.
        post_logout_redirect_uri: String,
        backchannel_logout_uri: String,
    },
    Saml {
        /// Also the address of the metadata.
        entity_id: String,
        acs_url: String,
        slo_url: String,
    },
}

/// The last test of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderTest {
    /// It says nothing of any other version.
    pub version: i64,
    pub at: DateTime<Utc>,
    /// No check is `bad`.
    pub passed: bool,
    pub checks: Vec<ProviderCheck>,
    /// A person signed in for this test; nobody was signed in to Updraft by it.
    pub signed_in: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderCheck {
    /// For example `discovery`, `clock`, `certificate`.
    pub name: String,
    pub outcome: ProviderCheckOutcome,
    /// What was found and, unless it is good, what to do.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderCheckOutcome {
    Good,
    Warning,
    Bad,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct IdentityProviders {
    pub items: Vec<IdentityProviderView>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDomain {
    /// For example `example.com`: what comes after the @ in people's addresses.
    pub domain: String,
    /// Where its people are sent to sign in.
    #[serde(default)]
    pub provider: Option<ProviderId>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateDomain {
    /// Null: its people are asked for a password.
    pub provider: Option<ProviderId>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DomainView {
    pub domain: String,
    pub provider: Option<ProviderId>,
    /// The TXT record that proves the domain: its name …
    pub record_name: String,
    /// … and what it has to say.
    pub record_value: String,
    /// When the record was last seen. Null: not proven, and nobody is sent anywhere.
    pub verified_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Domains {
    pub items: Vec<DomainView>,
}

/// How people of the tenant sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInRules {
    /// Whether people may sign in with a password of Updraft's own.
    pub password_sign_in: bool,
    /// The longest a session lasts, in seconds, from 300 to 2,592,000 (30 days). Null: the installation's own limit.
    pub session_seconds: Option<u32>,
}

/// What is absent stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateSignInRules {
    #[serde(default)]
    pub password_sign_in: Option<bool>,
    /// 0: back to the installation's own limit.
    #[serde(default)]
    pub session_seconds: Option<u32>,
}
