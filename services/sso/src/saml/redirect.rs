//! The HTTP-Redirect binding (SAML Bindings 3.4): a deflated message in the query, signed over the query's own bytes. The
//! signature is a plain one over those bytes, by `ring`.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::rand::SystemRandom;
use ring::signature::{self as algorithms, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use secrecy::ExposeSecret as _;

use super::pins::{Certificate, KeyKind, Pins};
use super::{SpKey, xml};
use crate::Refusal;

const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
/// All but RFC 3986's unreserved characters: some providers encode again what they decoded, and have to come to the same bytes.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A message at our logout address.
#[derive(Debug)]
pub(super) struct Message {
    /// `SAMLRequest` or `SAMLResponse`.
    pub(super) is_request: bool,
    pub(super) text: String,
    pub(super) relay_state: Option<String>,
}

/// `endpoint` with the message in its query, signed.
pub(super) fn url(
    endpoint: &str,
    parameter: &str,
    message: &str,
    relay_state: Option<&str>,
    key: &SpKey,
) -> Result<String, Refusal> {
    let mut query = format!("{parameter}={}", encode(&STANDARD.encode(deflate(message)?)));
    if let Some(state) = relay_state {
        query.push_str(&format!("&RelayState={}", encode(state)));
    }
    query.push_str(&format!("&SigAlg={}", encode(RSA_SHA256)));
    let signature = sign(query.as_bytes(), key)?;
    let separator = if endpoint.contains('?') { '&' } else { '?' };
    Ok(format!(
        "{endpoint}{separator}{query}&Signature={}",
        encode(&STANDARD.encode(signature))
    ))
}

/// The message in a query string whose signature holds.
pub(super) fn verified(query: &str, pins: &Pins) -> Result<Message, Refusal> {
    if query.len() > xml::MAX_BYTES {
        return Err(xml::too_large());
    }
    let (is_request, message) = match (
        parameter(query, "SAMLRequest")?,
        parameter(query, "SAMLResponse")?,
    ) {
        (Some(request), None) => (true, request),
        (None, Some(response)) => (false, response),
        _ => {
            return Err(Refusal::new(
                "saml.empty",
                "There is no SAML message in the address.",
            ));
        }
    };
    let state = parameter(query, "RelayState")?;
    let algorithm = parameter(query, "SigAlg")?.ok_or_else(unsigned)?;
    let signature = parameter(query, "Signature")?.ok_or_else(unsigned)?;
    let name = if is_request { "SAMLRequest" } else { "SAMLResponse" };
    // As it came: encoding it again might give other bytes than were signed.
    let mut signed = format!("{name}={message}");
    if let Some(state) = state {
        signed.push_str(&format!("&RelayState={state}"));
    }
    signed.push_str(&format!("&SigAlg={algorithm}"));
    verify(
        signed.as_bytes(),
        &decode(algorithm)?,
        &base64(&decode(signature)?)?,
        pins,
    )?;
    Ok(Message {
        is_request,
        text: inflate(&base64(&decode(message)?)?)?,
        relay_state: state.map(decode).transpose()?,
    })
}

/// The parameter's value, still encoded; twice is refused.
fn parameter<'q>(query: &'q str, name: &str) -> Result<Option<&'q str>, Refusal> {
    let mut values = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value);
    let value = values.next();
    match values.next() {
        None => Ok(value),
        Some(_) => Err(Refusal::new(
            "saml.ambiguous",
            "The address says something twice.",
        )),
    }
}

fn sign(bytes: &[u8], key: &SpKey) -> Result<Vec<u8>, Refusal> {
    let failed = || {
        Refusal::new(
            "saml.key",
            "Updraft's own key for this provider cannot sign. Set the provider up anew.",
        )
    };
    let der = RsaPrivateKey::from_pkcs8_pem(key.private_pem().expose_secret())
        .ok()
        .and_then(|key| key.to_pkcs8_der().ok())
        .ok_or_else(failed)?;
    let pair = RsaKeyPair::from_pkcs8(der.as_bytes()).map_err(|_| failed())?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(
        &algorithms::RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        bytes,
        &mut signature,
    )
    .map_err(|_| failed())?;
    Ok(signature)
}

fn verify(bytes: &[u8], algorithm: &str, signature: &[u8], pins: &Pins) -> Result<(), Refusal> {
    let certificates = pins.certificates()?;
    let mut candidates = certificates
        .iter()
        .flat_map(|certificate| keys_for(algorithm, certificate))
        .peekable();
    if candidates.peek().is_none() {
        return Err(Refusal::new(
            "saml.algorithm",
            "The message is signed with an algorithm that is not accepted. Set the provider to RSA with SHA-256.",
        ));
    }
    if candidates.any(|key| key.verify(bytes, signature).is_ok()) {
        Ok(())
    } else {
        Err(Refusal::new(
            "saml.wrong_signature",
            "The signature is not one of the certificates on file, or what it covers was changed.",
        ))
    }
}

/// The key, for each form that a signature of this algorithm may have: of ECDSA's two, providers use either.
fn keys_for<'c>(algorithm: &str, certificate: &'c Certificate) -> Vec<UnparsedPublicKey<&'c [u8]>> {
    let name = algorithm.strip_prefix("http://www.w3.org/2001/04/xmldsig-more#");
    let methods: &[&'static dyn VerificationAlgorithm] = match (name.unwrap_or_default(), certificate.kind) {
        ("rsa-sha256", KeyKind::Rsa) => &[&algorithms::RSA_PKCS1_2048_8192_SHA256],
        ("rsa-sha384", KeyKind::Rsa) => &[&algorithms::RSA_PKCS1_2048_8192_SHA384],
        ("rsa-sha512", KeyKind::Rsa) => &[&algorithms::RSA_PKCS1_2048_8192_SHA512],
        ("ecdsa-sha256", KeyKind::P256) => &[
            &algorithms::ECDSA_P256_SHA256_FIXED,
            &algorithms::ECDSA_P256_SHA256_ASN1,
        ],
        ("ecdsa-sha384", KeyKind::P384) => &[
            &algorithms::ECDSA_P384_SHA384_FIXED,
            &algorithms::ECDSA_P384_SHA384_ASN1,
        ],
        _ => &[],
    };
    let key = |method: &&'static dyn VerificationAlgorithm| {
        UnparsedPublicKey::new(*method, certificate.public_key.as_slice())
    };
    methods.iter().map(key).collect()
}

fn deflate(text: &str) -> Result<Vec<u8>, Refusal> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(text.as_bytes())
        .and_then(|()| encoder.finish())
        .map_err(|_| xml::not_xml())
}

/// A few bytes can deflate to gigabytes: it stops where a message would be too large.
fn inflate(bytes: &[u8]) -> Result<String, Refusal> {
    let mut text = Vec::new();
    let limit = xml::MAX_BYTES as u64 + 1;
    DeflateDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut text)
        .map_err(|_| Refusal::new("saml.not_deflated", "The message in the address is not deflated."))?;
    if text.len() > xml::MAX_BYTES {
        return Err(xml::too_large());
    }
    String::from_utf8(text).map_err(|_| xml::not_utf8())
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// As a form's: `+` is a blank, which base64 has none of.
fn decode(text: &str) -> Result<String, Refusal> {
    let text = text.replace('+', " ");
    let text = percent_decode_str(&text)
        .decode_utf8()
        .map_err(|_| xml::not_utf8())?;
    Ok(text.into_owned())
}

fn base64(text: &str) -> Result<Vec<u8>, Refusal> {
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD
        .decode(text)
        .map_err(|_| Refusal::new("saml.not_base64", "The message in the address is not base64."))
}

fn unsigned() -> Refusal {
    Refusal::new("saml.unsigned", "The message in the address is not signed.")
}
