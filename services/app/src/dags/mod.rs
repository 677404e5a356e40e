//! DAG delivery as people ask for it: sources, credentials, pushes, webhooks; versions and how far they came.
//!
//! Nothing here fetches: nodes do. What is asked for is written down, and the nodes are told by their assignments.

mod archive;
pub(crate) mod credentials;
mod hooks;
mod push;
mod refusal;
pub(crate) mod sources;
mod ssh_key;
mod state;
mod wishes;

pub(crate) use credentials::{check_index, check_named};
pub use hooks::HookProof;
pub(crate) use hooks::quota as hook_quota;
pub(crate) use push::{NoBucket, Pushes};
pub use push::{PushBegun, PushBucket};
pub use refusal::DagRefusal;
pub use sources::{credential_fits, push_prefix};
