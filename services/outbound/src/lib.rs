//! The one outbound policy: how control and agents reach an address that a tenant named.
//!
//! Every such address is resolved here, judged, and connected to as judged: the name is not looked up a second time, so a
//! name that changes its mind between look and leap gains nothing. Redirects are judged like the first address. What is
//! refused: plain `http`, user names in the URL, odd ports, and every address that is not public (loopback, private,
//! carrier's, link-local with the cloud's metadata service, multicast, and all of these in IPv6's disguises). The
//! installation, never a tenant, may open single destinations ([`Destination`]).
//!
//! No proxy, no cookies, no compression, no connection that outlives its request; answers end at a size and at a time.

mod address;
mod connect;
mod error;
mod fetch;
mod message;
mod open;
mod policy;
mod resolve;

pub use error::OutboundError;
pub use fetch::Outbound;
pub use message::{OutboundRequest, OutboundResponse};
pub use open::Door;
pub use policy::{Destination, DestinationError, OutboundLimits, OutboundPolicy};
pub use resolve::{Resolve, SystemResolver};
