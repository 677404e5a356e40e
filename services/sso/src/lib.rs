#![doc = include_str!("../README.md")]

mod external;
mod identity;
mod limits;
pub mod oidc;
mod password;
pub mod saml;
pub mod scim;
mod second_factor;
mod token;

pub use external::{Check, CheckOutcome, Refusal, VouchedIdentity};
pub use identity::{EmailPassword, IdentityProvider, PasswordIdentity, SignInError};
pub use limits::{SignInLimits, SignInQuota, network};
pub use password::{MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH, PasswordError, Passwords};
pub use second_factor::{BadTotpSecret, RecoveryCodes, TotpSecret, recovery_hash};
pub use token::{SessionToken, random_bits, random_code, sha256};
/// How what a tenant names is reached.
pub use updraft_outbound as outbound;
