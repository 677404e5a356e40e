//! What a provider has to be told of Updraft: every provider has addresses of its own, so that what one sends can never
//! be taken for another's (OAuth 2.0 Security BCP, RFC 9700, section 4.4).

use updraft_api::sign_in::ProviderAddresses;
use updraft_model::ProviderId;
use updraft_sso::saml::{ServiceProvider, SpKey};
use url::Url;

use crate::{AppConfig, AppError};

pub(super) fn addresses(config: &AppConfig, provider: ProviderId, saml: bool) -> ProviderAddresses {
    if saml {
        return ProviderAddresses::Saml {
            entity_id: at(config, &format!("/sign-in/saml/{provider}/metadata")),
            acs_url: at(config, &format!("/sign-in/saml/{provider}/acs")),
            slo_url: at(config, &format!("/sign-in/saml/{provider}/logout")),
        };
    }
    ProviderAddresses::Oidc {
        redirect_uri: at(config, &format!("/sign-in/oidc/{provider}/callback")),
        post_logout_redirect_uri: at(config, "/sign-in"),
        backchannel_logout_uri: at(config, &format!("/sign-in/oidc/{provider}/logout")),
    }
}

pub(super) fn redirect_uri(config: &AppConfig, provider: ProviderId) -> Result<Url, AppError> {
    parsed(&at(config, &format!("/sign-in/oidc/{provider}/callback")))
}

/// Where the browser comes back to after a logout at the provider.
pub(super) fn after_logout(config: &AppConfig) -> Result<Url, AppError> {
    parsed(&at(config, "/sign-in"))
}

pub(super) fn service_provider(config: &AppConfig, provider: ProviderId, key: SpKey) -> ServiceProvider {
    ServiceProvider {
        entity_id: at(config, &format!("/sign-in/saml/{provider}/metadata")),
        acs_url: at(config, &format!("/sign-in/saml/{provider}/acs")),
        slo_url: at(config, &format!("/sign-in/saml/{provider}/logout")),
        key,
    }
}

fn at(config: &AppConfig, path: &str) -> String {
    format!("{}{path}", config.console_url.trim_end_matches('/'))
}

fn parsed(address: &str) -> Result<Url, AppError> {
    Url::parse(address).map_err(|_| AppError::Internal {
        what: "the console's own address",
    })
}
