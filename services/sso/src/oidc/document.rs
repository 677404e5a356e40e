//! What a provider says of itself (OpenID Connect Discovery 1.0, section 3).

use serde::Deserialize;
use updraft_model::{OidcConfig, OidcPreset};
use url::Url;

use super::refusals::setting;
use crate::Refusal;

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Document {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    pub(super) end_session_endpoint: Option<Url>,
    pub(super) id_token_signing_alg_values_supported: Option<Vec<String>>,
    pub(super) code_challenge_methods_supported: Option<Vec<String>>,
    pub(super) grant_types_supported: Option<Vec<String>>,
    pub(super) response_types_supported: Option<Vec<String>>,
    pub(super) scopes_supported: Option<Vec<String>>,
    pub(super) claims_supported: Option<Vec<String>>,
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// RFC 9207.
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    pub(super) backchannel_logout_supported: bool,
}

// === impl Document ===

impl Document {
    /// # Errors
    /// When the provider is not who the configuration says, or would send browsers somewhere without TLS.
    pub(super) fn check(&self, config: &OidcConfig) -> Result<(), Refusal> {
        if self.issuer != config.issuer {
            return Err(self.another(config));
        }
        let plain_allowed = config.issuer.starts_with("http://");
        let fit = |url: &Url| url.scheme() == "https" || (plain_allowed && url.scheme() == "http");
        let browsers = [
            Some(&self.authorization_endpoint),
            self.end_session_endpoint.as_ref(),
        ];
        if !browsers.into_iter().flatten().all(fit) {
            return Err(setting(
                "oidc.insecure_endpoint",
                "the identity provider's discovery document sends browsers to an address that is not https; ask who runs it",
            ));
        }
        Ok(())
    }

    /// The two mistakes that people make have a text of their own.
    fn another(&self, config: &OidcConfig) -> Refusal {
        let text = if config.preset == OidcPreset::Entra || self.issuer.contains("{tenantid}") {
            "this address is shared by all Microsoft directories, and would let all of them in: write the issuer with your \
             own directory's id, https://login.microsoftonline.com/<directory id>/v2.0"
        } else if self.issuer.trim_end_matches('/') == config.issuer.trim_end_matches('/') {
            "the identity provider writes its issuer's address differently at the end: add or remove the slash (/)"
        } else {
            "the identity provider calls itself by another issuer's address than the one configured; copy the value of \
             `issuer` from its discovery document"
        };
        setting("oidc.wrong_discovered_issuer", text)
    }

    pub(super) fn offers_scope(&self, scope: &str) -> bool {
        names(self.scopes_supported.as_ref(), scope)
    }

    /// RFC 8414: `client_secret_basic` unless it says otherwise.
    pub(super) fn takes_secret_in_body(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        !names(methods, "client_secret_basic") && names(methods, "client_secret_post")
    }
}

/// `<issuer>/.well-known/openid-configuration`
///
/// # Errors
/// When the issuer is no such address (section 2 of OpenID Connect Core: no query, no fragment).
pub(super) fn discovery_url(issuer: &str) -> Result<Url, Refusal> {
    let invalid = || {
        setting(
            "oidc.issuer_malformed",
            "the issuer has to be an address like https://login.example.com/realms/acme, without ? and #",
        )
    };
    let url = Url::parse(issuer).map_err(|_| invalid())?;
    if url.query().is_some() || url.fragment().is_some() || !url.has_host() {
        return Err(invalid());
    }
    let path = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    Url::parse(&path).map_err(|_| invalid())
}

pub(super) fn names(list: Option<&Vec<String>>, one: &str) -> bool {
    list.is_some_and(|list| list.iter().any(|each| each == one))
}
