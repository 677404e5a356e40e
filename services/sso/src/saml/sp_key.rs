//! The key pair of a service provider: it signs requests and opens what is encrypted for us.

use std::fmt;

use chrono::{DateTime, Datelike as _, Utc};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256, date_time_ymd};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use secrecy::{ExposeSecret as _, SecretString};

use super::pins;
use crate::Refusal;

const BITS: usize = 3072;
/// Providers pin the certificate; nothing is gained by making them change it more often.
const YEARS: i32 = 10;

/// RSA, with a self-signed certificate around the public half (that is what metadata carries).
#[derive(Clone)]
pub struct SpKey {
    private_pem: SecretString,
    certificate_pem: String,
}

// === impl SpKey ===

impl SpKey {
    /// A new key for a provider just set up. Takes up to some seconds of computing: not for an async thread.
    ///
    /// # Errors
    /// The key could not be made.
    pub fn generate(now: DateTime<Utc>) -> Result<Self, Refusal> {
        let failed = || {
            Refusal::new(
                "saml.key",
                "A key for this provider could not be made. Try again.",
            )
        };
        let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, BITS).map_err(|_| failed())?;
        let private_pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| failed())?;
        let pair =
            KeyPair::from_pkcs8_pem_and_sign_algo(&private_pem, &PKCS_RSA_SHA256).map_err(|_| failed())?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Updraft");
        params.not_before = date_time_ymd(now.year(), 1, 1);
        params.not_after = date_time_ymd(now.year() + YEARS, 12, 31);
        let certificate = params.self_signed(&pair).map_err(|_| failed())?;
        Ok(Self {
            private_pem: SecretString::from(private_pem.to_string()),
            certificate_pem: pins::der_to_pem(certificate.der()),
        })
    }

    /// # Errors
    /// It is not what [`SpKey::to_secret`] gave.
    pub fn from_secret(secret: &SecretString) -> Result<Self, Refusal> {
        let (certificate, private) = secret
            .expose_secret()
            .split_once("-----BEGIN PRIVATE KEY-----")
            .ok_or_else(unreadable)?;
        pins::read_certificate(certificate).map_err(|_| unreadable())?;
        let private_pem = SecretString::from(format!("-----BEGIN PRIVATE KEY-----{private}"));
        RsaPrivateKey::from_pkcs8_pem(private_pem.expose_secret()).map_err(|_| unreadable())?;
        Ok(Self {
            private_pem,
            certificate_pem: certificate.to_owned(),
        })
    }

    /// Key and certificate in one text, to be kept encrypted.
    #[must_use]
    pub fn to_secret(&self) -> SecretString {
        SecretString::from(format!(
            "{}{}",
            self.certificate_pem,
            self.private_pem.expose_secret()
        ))
    }

    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub(super) fn private_pem(&self) -> &SecretString {
        &self.private_pem
    }
}

impl fmt::Debug for SpKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SpKey").finish_non_exhaustive()
    }
}

fn unreadable() -> Refusal {
    Refusal::new(
        "saml.key",
        "Updraft's own key for this provider cannot be read. Set the provider up anew.",
    )
}
