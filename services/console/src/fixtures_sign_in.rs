//! Made-up identity providers and domains.

use updraft_api::sign_in::{
    DomainView, IdentityProviderView, ProviderAddresses, ProviderCheck, ProviderCheckOutcome, ProviderTest,
    SignInRules,
};
use updraft_model::{OidcConfig, OidcPreset, ProviderConfig, ProviderId};
use uuid::Uuid;

use crate::fixtures::now;

pub(crate) fn provider(name: &str) -> IdentityProviderView {
    let check = |name: &str, outcome, text: &str| ProviderCheck {
        name: name.into(),
        outcome,
        text: text.into(),
    };
    IdentityProviderView {
        id: ProviderId(Uuid::from_u128(7)),
        name: name.into(),
        config: ProviderConfig::Oidc(OidcConfig {
            issuer: "https://keycloak.example.com/realms/acme".into(),
            client_id: "updraft".into(),
            preset: OidcPreset::Keycloak,
            scopes: Vec::new(),
            groups_claim: Some("groups".into()),
            hosted_domains: Vec::new(),
            link_scim_by: None,
        }),
        has_secret: true,
        enabled: false,
        version: 3,
        last_test: Some(ProviderTest {
            version: 3,
            at: now(),
            passed: true,
            checks: vec![
                check("clock", ProviderCheckOutcome::Good, "the clocks agree"),
                check(
                    "groups",
                    ProviderCheckOutcome::Warning,
                    "No groups came: name the claim.",
                ),
            ],
            signed_in: true,
        }),
        addresses: ProviderAddresses::Oidc {
            redirect_uri: "http://localhost:7700/sign-in/oidc/7/callback".into(),
            post_logout_redirect_uri: "http://localhost:7700/sign-in".into(),
            backchannel_logout_uri: "http://localhost:7700/sign-in/oidc/7/logout".into(),
        },
        created_at: now(),
        updated_at: now(),
    }
}

pub(crate) fn domain(name: &str, proven: bool) -> DomainView {
    DomainView {
        domain: name.into(),
        provider: None,
        record_name: format!("_updraft-challenge.{name}"),
        record_value: "updraft-domain=abc".into(),
        verified_at: proven.then(now),
        created_at: now(),
    }
}

pub(crate) fn sign_in_rules() -> SignInRules {
    SignInRules {
        password_sign_in: true,
        session_seconds: Some(7_200),
    }
}
