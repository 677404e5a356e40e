//! Signing in on a device without a browser: RFC 8628, under `/api/v1/device`. Forms in, JSON out, as OAuth wants it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// RFC 8628, section 3.4.
pub const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// `POST /device/authorize` (section 3.1).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeviceRequest {
    /// What the person is shown as asking: the program and the machine it runs on.
    pub client_id: String,
}

/// Section 3.2.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct DeviceAuthorized {
    pub device_code: String,
    /// For the person: `BCDF-GHJK`.
    pub user_code: String,
    pub verification_uri: String,
    /// The same with the code filled in.
    pub verification_uri_complete: String,
    /// Seconds.
    pub expires_in: u64,
    /// Seconds to wait between two polls.
    pub interval: u64,
}

/// `POST /device/token` (section 3.4).
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct DevicePoll {
    /// `urn:ietf:params:oauth:grant-type:device_code`
    pub grant_type: String,
    pub device_code: String,
    #[serde(default)]
    pub client_id: String,
}

/// A session, for `Authorization: Bearer`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct DeviceToken {
    pub access_token: String,
    /// `Bearer`
    pub token_type: String,
    /// Seconds.
    pub expires_in: u64,
}

/// Section 3.5.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DeviceRefused {
    pub error: DeviceError,
    pub error_description: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceError {
    AuthorizationPending,
    /// From now on wait five seconds longer between polls.
    SlowDown,
    AccessDenied,
    ExpiredToken,
    InvalidGrant,
    InvalidRequest,
    UnsupportedGrantType,
}

// === impl DeviceError ===

impl DeviceError {
    /// As RFC 8628, section 3.5, and RFC 6749, section 5.2, write it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::AccessDenied => "access_denied",
            Self::ExpiredToken => "expired_token",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::UnsupportedGrantType => "unsupported_grant_type",
        }
    }
}
