//! What each node is to be: rendered from rows, secrets and the runtime's data, on request, never stored in clear.
//!
//! [`render`] is pure; [`Desk`] reads what it needs. The version an agent sees grows whenever what was rendered changes
//! (the node's row keeps it), so a restarted control hands out the same versions as before.

mod dags;
mod desk;
mod environments;
mod inputs;
mod logs;
mod metadata;
mod news;
mod places;
mod render;
mod scripts;
mod variables;
mod worker_queue;

pub use desk::{Desk, DeskError};
pub use inputs::{AssignmentInputs, ClusterSecrets, DagInputs, NodePlace, Peer, Reencryption};
pub use metadata::BroughtDatabase;
pub use news::News;
pub use places::Places;
pub use render::{RenderError, render};
pub(crate) use worker_queue::workers_of;
