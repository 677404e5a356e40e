//! SCIM 2.0 as directories speak it (RFC 7643, RFC 7644): filters, patches and resources, as data. Pure: no database, no
//! HTTP.
//!
//! Attribute names count in any case, as do the words of a patch; Entra and Okta both depend on it. What is not
//! understood is refused with the standard's own word for it (`scimType`), never guessed at.

mod filter;
mod group;
mod patch;
mod path;
mod refusal;
mod user;

pub use filter::{Condition, conditions};
pub use group::GroupResource;
pub use patch::{PatchRequest, apply};
pub use refusal::{Refused, ScimType};
pub use user::UserResource;

/// RFC 7643 section 4.1.
pub const USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// RFC 7643 section 4.2.
pub const GROUP_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// RFC 7643 section 4.3.
pub const ENTERPRISE_SCHEMA: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
