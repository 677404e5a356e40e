//! Signature Version 4, which is a library's.

use std::time::SystemTime;

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::Request;
use secrecy::ExposeSecret as _;

use crate::{AwsError, Credentials};

/// Adds what AWS knows the caller by. Every header there is at this moment is signed.
pub(crate) fn signed(
    mut request: Request<String>,
    credentials: &Credentials,
    service: &str,
    region: &str,
    now: SystemTime,
) -> Result<Request<String>, AwsError> {
    let identity = aws_credential_types::Credentials::new(
        &credentials.access_key,
        credentials.secret_key.expose_secret(),
        credentials
            .session_token
            .as_ref()
            .map(|token| token.expose_secret().to_owned()),
        None,
        "updraft",
    )
    .into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(unsigned)?
        .into();
    let uri = request.uri().to_string();
    let headers: Vec<_> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let body = SignableBody::Bytes(request.body().as_bytes());
    let signable = SignableRequest::new("POST", &uri, headers.into_iter(), body).map_err(unsigned)?;
    let (instructions, _) = sign(signable, &params).map_err(unsigned)?.into_parts();
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
}

fn unsigned(error: impl std::fmt::Display) -> AwsError {
    AwsError::Setup(format!("a request cannot be signed: {error}"))
}
