//! "Test this connection": what can be known of a provider before anybody signs in, and what to do about it.

use chrono::{DateTime, Utc};
use http::header;
use secrecy::SecretString;
use tokio::time::timeout;
use updraft_model::{OidcConfig, OidcPreset};
use url::Url;

use super::client::LONGEST;
use super::directory::Directory;
use super::document::{Document, names};
use super::id_token::SKEW;
use super::keys::ALGORITHMS;
use super::token_endpoint::{self, Answer};
use crate::outbound::OutboundResponse;
use crate::{Check, Refusal};

/// A code that no provider ever gave: whoever refuses it has accepted the client first.
const NO_CODE: &str = "updraft-tests-this-connection";

pub(super) async fn run(
    directory: &Directory,
    config: &OidcConfig,
    secret: Option<&SecretString>,
    redirect_uri: &Url,
    now: DateTime<Utc>,
) -> Vec<Check> {
    let (answer, document) = match directory.discover(config).await {
        Ok(found) => found,
        Err(refusal) => return vec![discovery_failed(&refusal)],
    };
    let mut checks = vec![
        Check::good("discovery", "the provider's discovery document was read"),
        encryption(config),
        issuer(config, &document),
        clock(&answer, now),
    ];
    checks.push(in_time("keys", keys(directory, &document)).await);
    checks.extend([algorithms(&document), flow(&document), pkce(&document)]);
    checks.push(
        in_time(
            "client",
            client(directory, config, secret, &document, redirect_uri),
        )
        .await,
    );
    checks.extend([
        refresh(&document),
        scopes(config, &document),
        groups(config, &document),
        logout(&document),
    ]);
    checks
}

async fn in_time(name: &'static str, asked: impl Future<Output = Check>) -> Check {
    timeout(LONGEST, asked)
        .await
        .unwrap_or_else(|_| Check::refused(name, super::refusals::slow()))
}

fn discovery_failed(refusal: &Refusal) -> Check {
    let name = match refusal.code {
        "oidc.forbidden_address" => "address",
        "oidc.unreachable" => "network",
        "oidc.tls" => "certificate",
        _ => "discovery",
    };
    Check::refused(name, refusal.clone())
}

fn encryption(config: &OidcConfig) -> Check {
    match config.issuer.starts_with("https://") {
        true => Check::good(
            "certificate",
            "the connection is encrypted, and the certificate is valid",
        ),
        false => Check::warning(
            "certificate",
            "the connection is not encrypted, which this installation allows for this address: not for production",
        ),
    }
}

fn issuer(config: &OidcConfig, document: &Document) -> Check {
    let google_for_all = config.preset == OidcPreset::Google && config.hosted_domains.is_empty();
    match document.check(config) {
        Err(refusal) => Check::refused("issuer", refusal),
        Ok(()) if google_for_all => Check::bad(
            "issuer",
            "Google vouches for everyone with a Google account: name your own domains in hosted_domains",
        ),
        Ok(()) => Check::good("issuer", "the provider calls itself what is configured"),
    }
}

fn clock(answer: &OutboundResponse, now: DateTime<Utc>) -> Check {
    let date = answer
        .headers
        .get(header::DATE)
        .and_then(|date| date.to_str().ok());
    let Some(date) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) else {
        return Check::warning("clock", "the provider does not say what time it is");
    };
    let ahead = date.with_timezone(&Utc) - now;
    if ahead.abs() <= SKEW {
        return Check::good("clock", "the provider's clock and Updraft's agree");
    }
    let (seconds, way) = (
        ahead.num_seconds().abs(),
        if ahead > SKEW { "ahead of" } else { "behind" },
    );
    Check::bad(
        "clock",
        format!(
            "the provider's clock is {seconds} s {way} Updraft's, and 60 s are tolerated: set it right (NTP) there or here"
        ),
    )
}

async fn keys(directory: &Directory, document: &Document) -> Check {
    match directory.fetch_keys(&document.jwks_uri).await {
        Err(refusal) => Check::refused("keys", refusal),
        Ok(keys) if keys.len() == 0 => Check::bad(
            "keys",
            "the provider publishes no key that Updraft can use: RSA with 2048 bits or more, P-256, P-384 or Ed25519",
        ),
        Ok(keys) => Check::good("keys", format!("{} usable keys", keys.len())),
    }
}

fn algorithms(document: &Document) -> Check {
    let Some(offered) = &document.id_token_signing_alg_values_supported else {
        return Check::warning("algorithms", "the provider does not say how it signs ID tokens");
    };
    match ALGORITHMS
        .iter()
        .find(|(name, _)| offered.iter().any(|own| own == name))
    {
        Some((name, _)) => Check::good("algorithms", format!("ID tokens can be signed with {name}")),
        None => Check::bad(
            "algorithms",
            "the provider signs ID tokens only in ways that are not trusted: set the client to RS256 or ES256 there",
        ),
    }
}

fn flow(document: &Document) -> Check {
    let (types, grants) = (
        &document.response_types_supported,
        &document.grant_types_supported,
    );
    let lacks = |list: &Option<Vec<String>>, one| list.is_some() && !names(list.as_ref(), one);
    match lacks(types, "code") || lacks(grants, "authorization_code") {
        true => Check::bad(
            "flow",
            "the provider does not offer authorization codes, which are the only way in",
        ),
        false => Check::good("flow", "the provider offers authorization codes"),
    }
}

fn pkce(document: &Document) -> Check {
    match names(document.code_challenge_methods_supported.as_ref(), "S256") {
        true => Check::good("pkce", "codes are bound to this sign-in (PKCE)"),
        false => Check::warning(
            "pkce",
            "the provider does not say that it knows PKCE; Updraft uses it all the same",
        ),
    }
}

/// Whether the provider takes our client: a code that it never gave is refused only after that.
async fn client(
    directory: &Directory,
    config: &OidcConfig,
    secret: Option<&SecretString>,
    document: &Document,
    redirect_uri: &Url,
) -> Check {
    let grant = [
        ("grant_type", "authorization_code"),
        ("code", NO_CODE),
        ("redirect_uri", redirect_uri.as_str()),
        ("code_verifier", NO_CODE),
    ];
    match token_endpoint::ask(&directory.outbound, config, secret, document, &grant).await {
        Ok(Answer::GrantRefused) => Check::good("client", "the provider accepts the client id and secret"),
        Ok(Answer::Tokens(_)) => Check::bad(
            "client",
            "the provider accepts codes that it never gave: do not use it",
        ),
        Err(refusal) if refusal.code == "oidc.token_request_refused" => Check::warning(
            "client",
            "whether the client id and secret are right shows at the first sign-in",
        ),
        Err(refusal) => Check::refused("client", refusal),
    }
}

fn refresh(document: &Document) -> Check {
    match names(document.grant_types_supported.as_ref(), "refresh_token") {
        true => Check::good(
            "changes",
            "refresh tokens are offered: changes are noticed between sign-ins",
        ),
        false => Check::warning(
            "changes",
            "the provider does not say that it gives refresh tokens: without one, changes in the directory are noticed at \
             the next sign-in only, so keep sessions short",
        ),
    }
}

fn scopes(config: &OidcConfig, document: &Document) -> Check {
    let supported = document.scopes_supported.as_ref();
    let unknown = config
        .scopes
        .iter()
        .find(|scope| supported.is_some() && !names(supported, scope));
    match unknown {
        None => Check::good("scopes", "the scopes are known to the provider"),
        Some(scope) => Check::warning(
            "scopes",
            format!("the provider does not list the scope {scope}; it may refuse sign-ins for it"),
        ),
    }
}

fn groups(config: &OidcConfig, document: &Document) -> Check {
    let Some(claim) = config.groups_claim.as_deref() else {
        return Check::good(
            "groups",
            "no groups are asked for: rules go by address and domain",
        );
    };
    if config.preset == OidcPreset::Google {
        return Check::bad(
            "groups",
            "Google sends no groups: leave the claim empty, and write rules on domain and address",
        );
    }
    match names(document.claims_supported.as_ref(), claim) {
        true => Check::good("groups", format!("the provider lists the claim {claim}")),
        false => Check::warning(
            "groups",
            format!("the provider does not list the claim {claim}; a test sign-in shows whether it comes"),
        ),
    }
}

fn logout(document: &Document) -> Check {
    match (
        &document.end_session_endpoint,
        document.backchannel_logout_supported,
    ) {
        (Some(_), true) => Check::good("logout", "signing out works in both directions"),
        (Some(_), false) => Check::warning(
            "logout",
            "signing out here ends the provider's session too, but not the other way round (back-channel logout)",
        ),
        (None, _) => Check::warning(
            "logout",
            "signing out here does not end the session at the provider",
        ),
    }
}
