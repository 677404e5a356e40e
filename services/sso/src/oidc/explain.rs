//! What a test sign-in brought, for whoever sets the provider up.

use updraft_model::OidcConfig;

use super::client::Explained;
use super::identity::Vouched;
use crate::{Check, Refusal, VouchedIdentity};

pub(super) fn explain(
    config: &OidcConfig,
    finished: Result<(VouchedIdentity, Vouched), Refusal>,
) -> Explained {
    match finished {
        Ok((identity, vouched)) => Explained {
            checks: vec![
                Check::good("sign_in", "the provider vouched, and its proof was verified"),
                email(&identity),
                groups(config, &identity, &vouched),
                changes(&identity),
                provider_logout(&identity),
                claims(&vouched),
            ],
            identity: Ok(identity),
        },
        Err(refusal) => Explained {
            checks: vec![Check::refused("sign_in", refusal.clone())],
            identity: Err(refusal),
        },
    }
}

fn email(identity: &VouchedIdentity) -> Check {
    match (&identity.email, identity.email_verified) {
        (Some(email), true) => Check::good("email", format!("the address {email} came, verified")),
        (Some(email), false) => Check::warning(
            "email",
            format!(
                "the address {email} came, but the provider does not say that it was verified (claim email_verified): rules on addresses and domains will not count it"
            ),
        ),
        (None, _) => Check::warning(
            "email",
            "no e-mail address came: people will be shown by name only, and rules on addresses find nobody. Allow the \
             client the scope email, and fill in the address in the directory",
        ),
    }
}

fn groups(config: &OidcConfig, identity: &VouchedIdentity, vouched: &Vouched) -> Check {
    let Some(claim) = config.groups_claim.as_deref() else {
        return Check::good(
            "groups",
            "no groups are asked for: rules go by address and domain",
        );
    };
    if !identity.groups.is_empty() {
        let some: Vec<&str> = identity.groups.iter().take(20).map(String::as_str).collect();
        let count = identity.groups.len();
        return Check::good("groups", format!("{count} came in {claim}: {}", some.join(", ")));
    }
    let sources = [Some(&vouched.id_token), vouched.userinfo.as_ref()];
    match sources
        .into_iter()
        .flatten()
        .any(|claims| claims.at(claim).is_some())
    {
        true => Check::warning(
            "groups",
            format!("the claim {claim} came, but is empty: you are in no group"),
        ),
        false => Check::warning(
            "groups",
            format!(
                "the claim {claim} is missing, from the ID token and from userinfo: add it to the client at the provider, or a scope that brings it; or you are in no group"
            ),
        ),
    }
}

fn changes(identity: &VouchedIdentity) -> Check {
    match identity.refresh_token {
        Some(_) => Check::good(
            "changes",
            "a refresh token came: changes in the directory are noticed between sign-ins",
        ),
        None => Check::warning(
            "changes",
            "no refresh token came: changes in the directory are noticed at the next sign-in only. Allow the client \
             refresh tokens (scope offline_access), or keep sessions short",
        ),
    }
}

fn provider_logout(identity: &VouchedIdentity) -> Check {
    match identity.provider_session {
        Some(_) => Check::good(
            "provider_session",
            "the provider named its session: it can end single ones here",
        ),
        None => Check::warning(
            "provider_session",
            "the provider did not name its session (claim sid): when it ends one, all of the person's end here",
        ),
    }
}

fn claims(vouched: &Vouched) -> Check {
    let listed = |names: Vec<&str>| names.into_iter().take(50).collect::<Vec<_>>().join(", ");
    let id_token = listed(vouched.id_token.names().collect());
    let text = match &vouched.userinfo {
        Some(userinfo) => format!(
            "ID token: {id_token}; userinfo: {}",
            listed(userinfo.names().collect())
        ),
        None => format!("ID token: {id_token}"),
    };
    Check::good("claims", text)
}
