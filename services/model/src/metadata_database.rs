//! Where a metadata database is that a tenant brings: never what opens it.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A database of the tenant's own that holds a cluster's metadata, as it is shown. The password is kept apart and shown to
/// nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetadataDatabase {
    /// A name or an address.
    pub host: String,
    pub port: u16,
    pub database: String,
    pub user: String,
    pub sslmode: SslMode,
}

/// How the connection to it is secured, in libpq's words. What falls back to plain text unasked is no choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// In plain text.
    Disable,
    /// Encrypted; whoever answers is believed.
    Require,
    /// Encrypted; the certificate is from the given authority.
    VerifyCa,
    /// Encrypted; the certificate is from the given authority, for this host.
    VerifyFull,
}

// === impl MetadataDatabase ===

impl fmt::Display for MetadataDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            port,
            database,
            user,
            sslmode,
        } = self;
        write!(f, "{user} at {host}:{port}/{database} (sslmode {sslmode})")
    }
}

// === impl SslMode ===

impl SslMode {
    pub const ALL: [Self; 4] = [Self::Disable, Self::Require, Self::VerifyCa, Self::VerifyFull];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// Whether it needs the certificate of an authority.
    #[must_use]
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
