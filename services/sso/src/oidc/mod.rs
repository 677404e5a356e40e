//! OpenID Connect: Updraft as relying party of any provider that can be discovered.
//!
//! Authorization code with PKCE, state and nonce; the provider's issuer, keys and algorithms are checked against what the
//! tenant configured, and every claim that says who somebody is comes from a signature that was verified or from userinfo
//! about the same subject. Signatures are verified by the crate `jsonwebtoken`; what is judged here are the claims.
//!
//! The crate `openidconnect` was left out: it leaves to its user what most of this module is (keys that rotate, `azp`,
//! RFC 9207, the logout token, clock skew, overage of groups, a reason for each refusal), and a second judge of ID tokens
//! beside that of logout tokens would be one too many.
//!
//! Nothing is stored here but discovered documents and keys, for minutes, in memory. [`Attempt`]s are kept by the caller,
//! bound to the browser and used once; so are refresh tokens.

mod attempt;
mod authorize;
mod checks;
mod claims;
mod client;
mod directory;
mod document;
mod explain;
mod finish;
mod id_token;
mod identity;
mod keys;
mod logout;
mod refresh;
mod refusals;
mod signed;
mod token_endpoint;
mod userinfo;

pub use attempt::{Attempt, Begun, Callback};
pub use client::{Explained, Oidc};
pub use logout::LogoutToken;
pub use refresh::Refreshed;
