#![doc = include_str!("../README.md")]
#![expect(
    clippy::unwrap_used,
    reason = "used by tests alone, and they should stop at once where a row cannot be acted out"
)]

pub mod oidc;
pub mod outbound;
pub mod saml;
