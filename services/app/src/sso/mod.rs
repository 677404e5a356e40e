//! Signing in through a tenant's own identity provider.
//!
//! The protocols (`updraft_sso::{oidc, saml}`) say whether a proof is good and whom the provider means; here it is decided
//! who that is in Updraft, which provider may say so, and what follows: a session of the provider's tenant and of no
//! other. What a browser brings along (addresses, states, hosts) is looked up and never believed.

mod addresses;
mod begin;
mod dns;
mod domains;
mod error;
mod finish;
mod lockout;
mod logout;
mod protocol;
mod providers;
mod provision;
mod refresh;
mod rules;
mod testing;
mod way_in;

pub use begin::{BeginSignIn, BegunSignIn};
pub use dns::{SystemDns, TxtAnswer, TxtRecords};
pub use error::{Retry, SsoError};
pub use finish::Finished;
pub use logout::SamlLogout;
pub use way_in::{SignInChoices, WayIn};
