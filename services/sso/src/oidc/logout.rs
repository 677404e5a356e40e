//! The end of a sign-in: begun here (RP-initiated) or by the provider (back-channel).

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use updraft_model::OidcConfig;
use url::Url;

use super::claims::Claims;
use super::directory::{Directory, Source};
use super::id_token::{SKEW, judge_origin};
use super::refusals::{clock, proof};
use super::signed::Signed;
use crate::Refusal;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// For providers that say no `exp`, and the longest that is believed of those that do.
const LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// A logout that the provider asks for, verified. At least one of subject and session is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    pub issuer: String,
    pub subject: Option<String>,
    /// `sid`: only this session of the provider's ends. None: all of the subject's.
    pub session: Option<String>,
    /// `jti`: with the issuer, good once until [`Self::expires_at`].
    pub id: String,
    /// Sessions begun later are not meant: a token that is replayed ends nothing new.
    pub issued_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// OpenID Connect RP-Initiated Logout 1.0, section 2.
pub(super) fn url(
    mut place: Url,
    config: &OidcConfig,
    id_token: Option<&SecretString>,
    return_to: &Url,
    state: Option<&str>,
) -> Url {
    place
        .query_pairs_mut()
        .append_pair("client_id", &config.client_id)
        .append_pair("post_logout_redirect_uri", return_to.as_str())
        .extend_pairs(id_token.map(|token| ("id_token_hint", token.expose_secret())))
        .extend_pairs(state.map(|state| ("state", state)));
    place
}

/// OpenID Connect Back-Channel Logout 1.0, section 2.6.
pub(super) async fn verify(
    directory: &Directory,
    config: &OidcConfig,
    token: &str,
    now: DateTime<Utc>,
) -> Result<LogoutToken, Refusal> {
    let signed = Signed::parse(token)?;
    signed.judge_type(&["JWT", "logout+jwt", "application/logout+jwt"])?;
    let document = directory.document(config).await?;
    let claims = directory.verify(&document, &signed, Source::Anybody).await?;
    judge_origin(&claims, config)?;
    judge_purpose(&claims)?;
    read(&claims, config, now)
}

/// An ID token has a nonce and no event: neither is taken for the other.
fn judge_purpose(claims: &Claims) -> Result<(), Refusal> {
    let event = claims.0.get("events").and_then(|events| events.get(EVENT));
    if event.is_some_and(serde_json::Value::is_object) && !claims.has("nonce") {
        return Ok(());
    }
    Err(proof("oidc.logout_not_meant", "it asks for no logout"))
}

fn read(claims: &Claims, config: &OidcConfig, now: DateTime<Utc>) -> Result<LogoutToken, Refusal> {
    let incomplete = || {
        proof(
            "oidc.logout_incomplete",
            "it does not say whose logout, when, or under which id",
        )
    };
    let text = |name| {
        claims
            .text(name)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let (Some(id), Some(issued_at)) = (text("jti"), claims.time("iat")) else {
        return Err(incomplete());
    };
    let longest = issued_at + LIFETIME;
    let token = LogoutToken {
        issuer: config.issuer.clone(),
        subject: text("sub"),
        session: text("sid"),
        id,
        issued_at,
        expires_at: claims.time("exp").unwrap_or(longest).min(longest),
    };
    if token.subject.is_none() && token.session.is_none() {
        return Err(incomplete());
    }
    if token.expires_at + SKEW <= now || issued_at > now + SKEW {
        return Err(clock(
            "oidc.logout_out_of_time",
            "the logout is too old or from the future",
        ));
    }
    Ok(token)
}
