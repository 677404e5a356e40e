//! What an ID token must say (OpenID Connect Core 1.0, section 3.1.3.7). Pure: the signature was verified before.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::Algorithm;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq as _;
use updraft_model::OidcConfig;

use super::claims::Claims;
use super::refusals::{clock, proof};
use crate::Refusal;

/// How far the provider's clock may be from ours.
pub(super) const SKEW: TimeDelta = TimeDelta::seconds(60);
/// In bytes (OpenID Connect Core 1.0, section 2).
const SUBJECT: usize = 255;

/// What an ID token is compared with.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    pub(super) config: &'a OidcConfig,
    /// None: a refreshed token, which nobody's browser could have brought.
    pub(super) nonce: Option<&'a str>,
    pub(super) access_token: &'a str,
    pub(super) algorithm: Algorithm,
    pub(super) now: DateTime<Utc>,
}

// === impl Expected ===

impl Expected<'_> {
    /// The subject, once all the rest is right.
    pub(super) fn judge<'c>(&self, claims: &'c Claims) -> Result<&'c str, Refusal> {
        judge_origin(claims, self.config)?;
        judge_authorized_party(claims, self.config)?;
        judge_times(claims, self.now)?;
        self.judge_nonce(claims)?;
        self.judge_access_token(claims)?;
        subject(claims)
    }

    fn judge_nonce(&self, claims: &Claims) -> Result<(), Refusal> {
        let Some(nonce) = self.nonce else {
            return Ok(());
        };
        let own = claims.text("nonce").unwrap_or_default();
        if bool::from(own.as_bytes().ct_eq(nonce.as_bytes())) {
            return Ok(());
        }
        Err(proof("oidc.wrong_nonce", "it belongs to another sign-in"))
    }

    /// The left half of the hash that goes with the signature's algorithm (section 3.1.3.6).
    fn judge_access_token(&self, claims: &Claims) -> Result<(), Refusal> {
        if !claims.has("at_hash") {
            return Ok(());
        }
        let hash = match self.algorithm {
            Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => {
                Sha384::digest(self.access_token).to_vec()
            }
            Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => {
                Sha512::digest(self.access_token).to_vec()
            }
            _ => Sha256::digest(self.access_token).to_vec(),
        };
        let half = URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2]);
        if claims.text("at_hash") == Some(half.as_str()) {
            return Ok(());
        }
        Err(proof(
            "oidc.wrong_access_token",
            "it belongs to another access token",
        ))
    }
}

/// Issuer and audience: of every token, the logout token too.
pub(super) fn judge_origin(claims: &Claims, config: &OidcConfig) -> Result<(), Refusal> {
    if claims.text("iss") != Some(config.issuer.as_str()) {
        return Err(proof("oidc.wrong_issuer", "another provider issued it"));
    }
    let audience = claims.texts("aud").unwrap_or_default();
    if !audience.contains(&config.client_id.as_str()) {
        return Err(proof(
            "oidc.wrong_audience",
            "it is meant for another application",
        ));
    }
    Ok(())
}

/// `azp` has to be there when others are meant too, and has to be us when it is there.
fn judge_authorized_party(claims: &Claims, config: &OidcConfig) -> Result<(), Refusal> {
    let alone = claims.texts("aud").is_some_and(|audience| audience.len() == 1);
    let right = match claims.text("azp") {
        Some(party) => party == config.client_id,
        None => alone && !claims.has("azp"),
    };
    if right {
        return Ok(());
    }
    Err(proof(
        "oidc.wrong_authorized_party",
        "it was issued to another application",
    ))
}

fn judge_times(claims: &Claims, now: DateTime<Utc>) -> Result<(), Refusal> {
    let missing = || {
        proof(
            "oidc.token_malformed",
            "it does not say when it was issued and until when it is good",
        )
    };
    let (Some(issued), Some(expires)) = (claims.time("iat"), claims.time("exp")) else {
        return Err(missing());
    };
    if expires + SKEW <= now {
        return Err(clock("oidc.expired", "the identity provider's proof has expired"));
    }
    let future = |at: DateTime<Utc>| at > now + SKEW;
    if future(issued) || claims.time("auth_time").is_some_and(future) {
        return Err(clock(
            "oidc.issued_in_future",
            "the identity provider's proof comes from the future",
        ));
    }
    match claims.time("nbf") {
        Some(begins) if future(begins) => Err(clock(
            "oidc.not_yet_valid",
            "the identity provider's proof is not valid yet",
        )),
        None if claims.has("nbf") => Err(missing()),
        _ => Ok(()),
    }
}

/// Who it is about.
pub(super) fn subject(claims: &Claims) -> Result<&str, Refusal> {
    claims
        .text("sub")
        .filter(|text| (1..=SUBJECT).contains(&text.len()) && !text.contains(char::is_control))
        .ok_or_else(|| proof("oidc.subject_missing", "it does not say who you are"))
}
