//! SAML 2.0: a provider that can say again what a real one said, and the rows.

mod encrypted;
mod forms;
mod genuine;
mod logout;
mod profile;
mod recorded;
mod row;
mod signatures;
pub mod surgery;
mod text;
mod wrapping;

pub use genuine::{Anew, Genuine, encode};
pub use logout::{LogoutRow, logout_rows, request_id};
pub use recorded::{
    ACS, IDP, RECORDED, REQUEST, Recorded, SECOND, SLO, SP, attackers_certificate, attackers_key, recorded,
    signed_again, signed_by_attacker, signed_with, sp_certificate,
};
pub use row::Row;

/// Every row of a sign-in, by what it is about.
#[must_use]
pub fn suites() -> [(&'static str, Vec<Row>); 6] {
    [
        ("signatures that are not the provider's", signatures::rows()),
        ("a good signature on the wrong thing", profile::rows()),
        ("no plain XML", text::rows()),
        ("signature wrapping", wrapping::rows()),
        ("encrypted", encrypted::rows()),
        ("forms that hold no response", forms::rows()),
    ]
}
