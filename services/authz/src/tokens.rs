//! The two signed tokens: a person's session at the edge, and the edge's word to one Airflow about one request.

use chrono::{DateTime, Duration, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use updraft_model::{ClusterId, ClusterRole, SessionId, TenantId, UserId};

use crate::{PublicKey, SigningKey, Visitor};

/// `iss` of tokens the edge gives to Airflow. The Airflow auth manager accepts no other.
pub const AIRFLOW_ISSUER: &str = "updraft-edge";
/// `iss` of session tokens, minted by control alone.
pub const SESSION_ISSUER: &str = "updraft-control";
/// `aud` of session tokens.
pub const SESSION_AUDIENCE: &str = "updraft-edge";

/// What a session cookie at the edge says. It grants nothing by itself: rights come from the [`crate::Policy`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClaims {
    pub iss: String,
    pub aud: String,
    pub sid: SessionId,
    pub sub: UserId,
    pub tenant: TenantId,
    pub email: String,
    pub name: String,
    /// The authority (`host:port`) this session was handed to; good nowhere else.
    pub host: String,
    /// Unix seconds.
    pub iat: i64,
    /// Unix seconds.
    pub exp: i64,
}

/// What the edge tells one Airflow about the person behind one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AirflowClaims {
    pub iss: String,
    pub aud: String,
    pub sub: UserId,
    pub email: String,
    pub name: String,
    pub role: ClusterRole,
    /// Unix seconds.
    pub iat: i64,
    /// Unix seconds, at most 60 after `iat`.
    pub exp: i64,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum TokenError {
    #[error("the token could not be signed")]
    Sign,
    #[error("the token is not valid: {0}")]
    Invalid(&'static str),
    /// Signed by us, for this session.
    #[error("the session's token has expired")]
    Expired(SessionId),
    /// Signed by us, for this session.
    #[error("the session's token was made for another host")]
    OtherHost(SessionId),
}

/// `aud` for one cluster's Airflow.
#[must_use]
pub fn airflow_audience(cluster: ClusterId) -> String {
    format!("cluster:{cluster}")
}

/// # Errors
/// When the key cannot sign.
pub fn mint_session_token(key: &SigningKey, claims: &SessionClaims) -> Result<String, TokenError> {
    sign(key, claims)
}

/// A token for one cluster, good for 60 seconds.
///
/// # Errors
/// When the key cannot sign.
pub fn mint_airflow_token(
    key: &SigningKey,
    visitor: &Visitor,
    cluster: ClusterId,
    role: ClusterRole,
    now: DateTime<Utc>,
) -> Result<String, TokenError> {
    let claims = AirflowClaims {
        iss: AIRFLOW_ISSUER.into(),
        aud: airflow_audience(cluster),
        sub: visitor.user,
        email: visitor.email.clone(),
        name: visitor.name.clone(),
        role,
        iat: now.timestamp(),
        exp: (now + Duration::seconds(60)).timestamp(),
    };
    sign(key, &claims)
}

/// Checks signature, issuer, audience, expiry and host.
///
/// # Errors
/// [`TokenError::Invalid`] with a reason that is safe to log; [`TokenError::Expired`], [`TokenError::OtherHost`].
pub fn verify_session_token(
    keys: &[PublicKey],
    token: &str,
    host: &str,
    now: DateTime<Utc>,
) -> Result<SessionClaims, TokenError> {
    let header = decode_header(token).map_err(|_| TokenError::Invalid("malformed"))?;
    let kid = header.kid.ok_or(TokenError::Invalid("no key id"))?;
    let key = keys
        .iter()
        .find(|k| k.kid == kid)
        .ok_or(TokenError::Invalid("unknown key"))?;
    let decoding = DecodingKey::from_ed_components(&key.x).map_err(|_| TokenError::Invalid("bad key"))?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[SESSION_ISSUER]);
    validation.set_audience(&[SESSION_AUDIENCE]);
    // The clock is a parameter here, so expiry is checked below.
    validation.validate_exp = false;
    let claims = decode::<SessionClaims>(token, &decoding, &validation)
        .map_err(|_| TokenError::Invalid("signature, issuer or audience"))?
        .claims;
    if claims.exp <= now.timestamp() {
        return Err(TokenError::Expired(claims.sid));
    }
    if claims.host != host {
        return Err(TokenError::OtherHost(claims.sid));
    }
    Ok(claims)
}

fn sign<T: Serialize>(key: &SigningKey, claims: &T) -> Result<String, TokenError> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(key.kid.clone());
    let encoding = EncodingKey::from_ed_pem(key.pem()).map_err(|_| TokenError::Sign)?;
    encode(&header, claims, &encoding).map_err(|_| TokenError::Sign)
}
