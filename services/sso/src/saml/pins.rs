//! Pinned certificates: the only keys that vouch for anything. Expiry is for "test this connection" to tell; who set the
//! certificate here trusts its key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bergshamra_keys::KeysManager;
use bergshamra_keys::loader::load_x509_cert_der;
use chrono::{DateTime, Utc};
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::traits::PublicKeyParts as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::Refusal;

const MIN_RSA_BITS: usize = 2048;
/// More would make each refusal slow.
pub(super) const MAX_PINS: usize = 8;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

#[derive(Debug)]
pub(super) struct Pins {
    ders: Vec<Vec<u8>>,
}

/// What there is to say of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) subject: String,
    pub(super) not_before: DateTime<Utc>,
    pub(super) not_after: DateTime<Utc>,
    /// As it stands in the certificate: a `RSAPublicKey` or a point on a curve.
    pub(super) public_key: Vec<u8>,
    pub(super) kind: KeyKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa,
    P256,
    P384,
}

/// # Errors
/// It is no PEM, no certificate, or its key is too weak or of an unknown kind.
pub(super) fn read_certificate(pem: &str) -> Result<Certificate, Refusal> {
    read_der(&pem_to_der(pem)?)
}

pub(super) fn der_to_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"))
}

pub(super) fn pem_to_der(pem: &str) -> Result<Vec<u8>, Refusal> {
    let body = pem
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END))
        .map(|(body, _)| body)
        .ok_or_else(not_a_certificate)?;
    let body: String = body.split_whitespace().collect();
    STANDARD.decode(body).map_err(|_| not_a_certificate())
}

fn read_der(der: &[u8]) -> Result<Certificate, Refusal> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| not_a_certificate())?;
    let spki = certificate.public_key();
    let public_key = spki.subject_public_key.data.to_vec();
    let kind = key_kind(&spki.parsed().map_err(|_| not_a_certificate())?, &public_key)?;
    let time = |time: x509_parser::time::ASN1Time| {
        DateTime::from_timestamp(time.timestamp(), 0).ok_or_else(not_a_certificate)
    };
    Ok(Certificate {
        subject: certificate.subject().to_string(),
        not_before: time(certificate.validity().not_before)?,
        not_after: time(certificate.validity().not_after)?,
        public_key,
        kind,
    })
}

fn key_kind(key: &PublicKey<'_>, der: &[u8]) -> Result<KeyKind, Refusal> {
    match key {
        PublicKey::RSA(_) => {
            let key = rsa::RsaPublicKey::from_pkcs1_der(der).map_err(|_| weak_key())?;
            (key.n().bits() >= MIN_RSA_BITS)
                .then_some(KeyKind::Rsa)
                .ok_or_else(weak_key)
        }
        PublicKey::EC(point) if point.data().len() == 65 => Ok(KeyKind::P256),
        PublicKey::EC(point) if point.data().len() == 97 => Ok(KeyKind::P384),
        _ => Err(weak_key()),
    }
}

fn not_a_certificate() -> Refusal {
    Refusal::new(
        "saml.certificate",
        "A certificate cannot be read. Paste it as PEM, from BEGIN CERTIFICATE to END CERTIFICATE.",
    )
}

fn weak_key() -> Refusal {
    Refusal::new(
        "saml.weak_key",
        "A certificate's key is not accepted. It has to be RSA of 2048 bits or more, or ECDSA on P-256 or P-384.",
    )
}

// === impl Pins ===

impl Pins {
    /// # Errors
    /// There is none, or one of them cannot be used.
    pub(super) fn read(pems: &[String]) -> Result<Self, Refusal> {
        if pems.is_empty() || pems.len() > MAX_PINS {
            return Err(Refusal::new(
                "saml.no_certificate",
                "There have to be between 1 and 8 certificates of the provider on file.",
            ));
        }
        let mut ders = Vec::with_capacity(pems.len());
        for pem in pems {
            let der = pem_to_der(pem)?;
            read_der(&der)?;
            ders.push(der);
        }
        Ok(Self { ders })
    }

    /// For the signature library.
    pub(super) fn keys(&self) -> Result<KeysManager, Refusal> {
        let mut manager = KeysManager::new();
        for der in &self.ders {
            manager.add_key(load_x509_cert_der(der).map_err(|_| not_a_certificate())?);
        }
        Ok(manager)
    }

    pub(super) fn certificates(&self) -> Result<Vec<Certificate>, Refusal> {
        self.ders.iter().map(|der| read_der(der)).collect()
    }
}
