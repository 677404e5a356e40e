//! Wire types of passwords that an owner lets somebody set, and of the second factor.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::rest::Person;

/// `POST /people/{user}/password-link`. The link is shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct PasswordLink {
    /// Where the person chooses a password. Whoever has it may: hand it over by a way that you trust.
    #[schema(format = Password)]
    pub link: String,
    pub expires_at: DateTime<Utc>,
}

/// `POST /people`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct AddedPerson {
    #[serde(flatten)]
    pub person: Person,
    /// When no password was given. Somebody who has an account already signs in with the password they have: then the
    /// link is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<PasswordLink>,
}

/// `POST /password`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// What follows `link=` in the link.
    #[schema(format = Password)]
    pub link: String,
    /// 12 to 128 characters, and none of the first to be guessed.
    #[schema(format = Password)]
    pub password: String,
}

/// `POST /password/forgotten`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgottenPassword {
    /// The account's address.
    pub email: String,
}

/// `GET /me/second-factor`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SecondFactorView {
    /// Whether signing in by password takes a code too.
    pub on: bool,
    /// Recovery codes that were not used yet.
    pub recovery_codes_left: usize,
}

/// `POST /me/second-factor`: shown until it is confirmed.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct SecondFactorBegun {
    /// For the authenticator app, in base32.
    #[schema(format = Password)]
    pub secret: String,
    /// The same for apps that read `otpauth://`.
    #[schema(format = Password)]
    pub uri: String,
}

/// `POST /me/second-factor/confirm`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmSecondFactor {
    /// What the app shows now: six digits.
    pub code: String,
}

/// Shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct RecoveryCodesMade {
    pub recovery_codes: Vec<String>,
}

/// `POST /me/second-factor/remove`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveSecondFactor {
    #[schema(format = Password)]
    pub password: String,
}
