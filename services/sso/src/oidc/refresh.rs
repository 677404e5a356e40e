//! Asking again, without the person: are they still there, are their groups still the same?

use crate::{Refusal, VouchedIdentity};

/// What the provider says of a person now.
#[derive(Clone, Debug)]
pub enum Refreshed {
    /// Still vouched for; with the refresh token to use next time, which may be the same.
    Vouched(Box<VouchedIdentity>),
    /// The provider no longer vouches: their sessions end.
    Gone(Refusal),
}
