//! Signature Version 4, which is a library's.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::{Method, Request};
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
    let identity = known_by(credentials).into();
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

/// The same for S3, which takes paths as they are and wants the digest of the body among the headers.
pub(crate) fn signed_for_s3(
    mut request: Request<String>,
    credentials: &Credentials,
    region: &str,
    now: SystemTime,
) -> Result<Request<String>, AwsError> {
    let identity = known_by(credentials).into();
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(now)
        .settings(settings)
        .build()
        .map_err(unsigned)?
        .into();
    let (method, uri) = (request.method().to_string(), request.uri().to_string());
    let headers: Vec<_> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let body = SignableBody::Bytes(request.body().as_bytes());
    let signable = SignableRequest::new(&method, &uri, headers.into_iter(), body).map_err(unsigned)?;
    let (instructions, _) = sign(signable, &params).map_err(unsigned)?.into_parts();
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
}

/// An address of S3 that opens one object, whoever has it, for a while.
pub(crate) fn presigned(
    method: &Method,
    address: &str,
    credentials: &Credentials,
    region: &str,
    (from, lasts): (SystemTime, Duration),
) -> Result<String, AwsError> {
    let identity = known_by(credentials).into();
    // S3 alone takes paths as they are (<https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>).
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(lasts);
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(from)
        .settings(settings)
        .build()
        .map_err(unsigned)?
        .into();
    let mut request = Request::builder()
        .method(method)
        .uri(address)
        .body(())
        .map_err(unsigned)?;
    let nothing = std::iter::empty();
    let signable = SignableRequest::new(method.as_str(), address, nothing, SignableBody::UnsignedPayload)
        .map_err(unsigned)?;
    let (instructions, _) = sign(signable, &params).map_err(unsigned)?.into_parts();
    instructions.apply_to_request_http1x(&mut request);
    Ok(request.uri().to_string())
}

fn known_by(credentials: &Credentials) -> aws_credential_types::Credentials {
    let token = credentials.session_token.as_ref();
    aws_credential_types::Credentials::new(
        &credentials.access_key,
        credentials.secret_key.expose_secret(),
        token.map(|token| token.expose_secret().to_owned()),
        None,
        "updraft",
    )
}

fn unsigned(error: impl std::fmt::Display) -> AwsError {
    AwsError::Setup(format!("a request cannot be signed: {error}"))
}
