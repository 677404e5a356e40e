//! The certificate of an authority that a tenant's own servers have theirs from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

const LONGEST: usize = 8 << 10;
/// What a certificate of more than 127 bytes begins with, in base64: an ASN.1 sequence.
const BEGINS: &str = "MI";

/// One X.509 certificate, kept as what stands between the lines of PEM, in one line. Whether it is one is told where it is
/// used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "MIIBszCCAVmgAwIBAgIU…")]
pub struct CaCertificate(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidCertificate {
    #[error(
        "that is a private key, and it should be nobody's but the authority's: give its certificate alone"
    )]
    PrivateKey,
    #[error("that is more than one certificate: give the authority's own")]
    Several,
    #[error("that is no certificate: give one in PEM, or what stands between its first and last line")]
    NotOne,
}

// === impl CaCertificate ===

impl CaCertificate {
    /// Base64 of its DER.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CaCertificate {
    type Err = InvalidCertificate;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains("PRIVATE KEY") {
            return Err(InvalidCertificate::PrivateKey);
        }
        if text.matches("-----BEGIN").count() > 1 {
            return Err(InvalidCertificate::Several);
        }
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("-----"));
        let body: String = lines.collect();
        let base64 = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
        let fine = body.starts_with(BEGINS)
            && body.len() <= LONGEST
            && body.len().is_multiple_of(4)
            && body.trim_end_matches('=').chars().all(base64);
        match fine {
            true => Ok(Self(body)),
            false => Err(InvalidCertificate::NotOne),
        }
    }
}

impl TryFrom<String> for CaCertificate {
    type Error = InvalidCertificate;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CaCertificate> for String {
    fn from(certificate: CaCertificate) -> Self {
        certificate.0
    }
}

impl fmt::Display for CaCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{CaCertificate, InvalidCertificate};

    #[test]
    fn pem_and_its_body_are_the_same_certificate() {
        let pem = "-----BEGIN CERTIFICATE-----\r\nMIIBszCC\r\nAVmgAw==\r\n-----END CERTIFICATE-----\r\n";
        let one: CaCertificate = pem.parse().unwrap();
        assert_eq!(one.as_str(), "MIIBszCCAVmgAw==");
        assert_eq!(one.as_str().parse::<CaCertificate>().unwrap(), one);
    }

    #[test]
    fn what_is_none_is_refused() {
        let block = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        for (text, why) in [
            (String::new(), InvalidCertificate::NotOne),
            ("hello".to_owned(), InvalidCertificate::NotOne),
            ("MII?".to_owned(), InvalidCertificate::NotOne),
            (format!("MI{}", "A".repeat(9000)), InvalidCertificate::NotOne),
            (block.repeat(2), InvalidCertificate::Several),
            (
                "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----".to_owned(),
                InvalidCertificate::PrivateKey,
            ),
        ] {
            assert_eq!(text.parse::<CaCertificate>(), Err(why), "{text}");
        }
    }
}
