//! Why an address was not asked, or gave no answer.

use thiserror::Error;

/// The texts are for the person who typed the address, and say nothing of what a forbidden address is or answers.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum OutboundError {
    #[error("the address has to begin with https://, without a user name, and name a host")]
    Url,
    #[error(
        "only the ports 443 and 8443 (for ssh 22 and 443) are reached; ask the operator to allow this destination in `outbound_allow`"
    )]
    Port,
    #[error(
        "the address is not on the public internet; ask the operator to allow this destination in `outbound_allow`"
    )]
    Forbidden,
    #[error("the host name is unknown: look for a typing error, or for a DNS record that is missing")]
    UnknownHost,
    #[error("no connection could be made: is the server up, and open to Updraft?")]
    Unreachable,
    #[error(
        "no secure connection could be made: the server's certificate has to be valid, for this name, and of a known authority"
    )]
    Tls,
    #[error("the authority's certificate is none: give it in PEM, as its owner publishes it")]
    Authority,
    #[error("no answer came in time")]
    Slow,
    #[error("the answer was broken off or is no HTTP")]
    Broken,
    #[error("the answer is too large")]
    TooLarge,
    #[error("the answer is compressed, though that was not asked for")]
    Compressed,
    #[error("the server redirects where no redirect is followed, or too often")]
    Redirect,
}
