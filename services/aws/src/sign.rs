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
    request: Request<String>,
    credentials: &Credentials,
    service: &str,
    region: &str,
    now: SystemTime,
) -> Result<Request<String>, AwsError> {
    let settings = SigningSettings::default();
    let body = request.body().clone();
    let body = SignableBody::Bytes(body.as_bytes());
    with_signature(request, body, credentials, (service, region), (now, settings))
}

/// The same for S3, which wants the digest of the body among the headers.
pub(crate) fn signed_for_s3(
    request: Request<String>,
    credentials: &Credentials,
    region: &str,
    now: SystemTime,
) -> Result<Request<String>, AwsError> {
    let mut settings = settings_of_s3();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let body = request.body().clone();
    let body = SignableBody::Bytes(body.as_bytes());
    with_signature(request, body, credentials, ("s3", region), (now, settings))
}

/// An address of S3 that opens one object, whoever has it, for a while.
pub(crate) fn presigned(
    method: &Method,
    address: &str,
    credentials: &Credentials,
    region: &str,
    (from, lasts): (SystemTime, Duration),
) -> Result<String, AwsError> {
    let mut settings = settings_of_s3();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(lasts);
    let request = Request::builder().method(method).uri(address).body(());
    let body = SignableBody::UnsignedPayload;
    let place = ("s3", region);
    let request = with_signature(
        request.map_err(unsigned)?,
        body,
        credentials,
        place,
        (from, settings),
    )?;
    Ok(request.uri().to_string())
}

/// S3 alone takes paths as they are (<https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>).
fn settings_of_s3() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}

fn with_signature<B>(
    mut request: Request<B>,
    body: SignableBody<'_>,
    credentials: &Credentials,
    (service, region): (&str, &str),
    (time, settings): (SystemTime, SigningSettings),
) -> Result<Request<B>, AwsError> {
    let identity = known_by(credentials).into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(time)
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
    let signable = SignableRequest::new(&method, &uri, headers.into_iter(), body).map_err(unsigned)?;
    let (instructions, _) = sign(signable, &params).map_err(unsigned)?.into_parts();
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
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
