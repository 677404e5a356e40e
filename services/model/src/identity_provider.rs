//! How a tenant's identity provider is set up. Secrets are elsewhere.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a tenant says of its identity provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ProviderConfig {
    Oidc(OidcConfig),
    Saml(SamlConfig),
}

/// OpenID Connect, found by discovery (`<issuer>/.well-known/openid-configuration`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// For example `https://login.example.com/realms/acme`, exactly as the provider calls itself.
    pub issuer: String,
    pub client_id: String,
    #[serde(default)]
    pub preset: OidcPreset,
    /// Besides `openid email profile`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The claim with the person's groups, in the ID token or from userinfo. None: this provider has no groups.
    #[serde(default)]
    pub groups_claim: Option<String>,
    /// Only people of these hosted domains (claim `hd`). Empty: everyone the provider knows, but nobody with Google, which
    /// knows everyone.
    #[serde(default)]
    pub hosted_domains: Vec<String>,
    /// By what a first sign-in is found to be a person of the directory (SCIM). None: what is safe with this preset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_scim_by: Option<ScimLink>,
}

/// By what somebody who signs in for the first time is taken for a person whom the directory told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScimLink {
    /// By nothing that the person might have chosen: they are somebody new.
    Nothing,
    /// The directory's `externalId` is what the provider calls the person for ever: `sub`, Entra's `oid`.
    ExternalId,
    /// The directory's `userName` is the provider's `preferred_username`. Whoever may choose that may be anybody.
    UserName,
}

/// What is known of a provider beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OidcPreset {
    #[default]
    Generic,
    Google,
    Okta,
    Entra,
    Keycloak,
}

// === impl OidcConfig ===

impl OidcConfig {
    /// Okta never changes a user's `sub`, nor Entra an `oid`, and both can give them to their SCIM client as `externalId`.
    #[must_use]
    pub fn scim_link(&self) -> ScimLink {
        self.link_scim_by.unwrap_or(match self.preset {
            OidcPreset::Okta | OidcPreset::Entra => ScimLink::ExternalId,
            OidcPreset::Generic | OidcPreset::Google | OidcPreset::Keycloak => ScimLink::Nothing,
        })
    }
}

// === impl ScimLink ===

impl ScimLink {
    pub const ALL: [Self; 3] = [Self::Nothing, Self::ExternalId, Self::UserName];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::ExternalId => "external_id",
            Self::UserName => "user_name",
        }
    }
}

/// A SAML 2.0 identity provider, usually read from its metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlConfig {
    pub entity_id: String,
    /// Where people are sent (HTTP-Redirect binding).
    pub sso_url: String,
    /// Where single logout is asked for (HTTP-Redirect binding).
    #[serde(default)]
    pub slo_url: Option<String>,
    /// Pinned signing certificates, PEM; several during a roll-over.
    pub certificates: Vec<String>,
    /// Whether people may begin at the provider.
    #[serde(default)]
    pub allow_idp_initiated: bool,
    #[serde(default)]
    pub attributes: SamlAttributes,
}

/// Names of the attributes that say who someone is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SamlAttributes {
    /// Default: `email`, `mail` and the names Entra and ADFS use.
    #[serde(default)]
    pub email: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub groups: Option<String>,
}
