//! OpenID Connect: a provider that does what a row says, and the rows.

mod browser;
mod claims;
mod endpoints;
mod failing;
mod logout;
mod people;
mod provider;
mod reply;
mod row;
mod signatures;
mod tokens;

pub use logout::{LogoutRow, logout_rows};
pub use provider::{Conduct, DISCOVERY, Provider, SECRET, now, outbound, redirect_uri};
pub use reply::Reply;
pub use row::{Change, Row};
pub use tokens::{Key, Signing};

/// Every row of a sign-in, by what it is about.
#[must_use]
pub fn suites() -> [(&'static str, Vec<Row>); 6] {
    [
        ("what the browser brings", browser::rows()),
        ("claims that do not fit", claims::rows()),
        ("signatures that are not the provider's", signatures::rows()),
        ("endpoints that cheat", endpoints::rows()),
        ("people who are not meant", people::rows()),
        ("a provider that fails", failing::rows()),
    ]
}
