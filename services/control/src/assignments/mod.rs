//! What each node is to be: rendered from rows, secrets and the runtime's data, on request, never stored in clear.
//!
//! [`render`] is pure. The version an agent sees grows whenever what was rendered changes (`versions` keeps it in the
//! node's row), so a restarted control hands out the same versions as before.

mod inputs;
mod render;

pub use inputs::{AssignmentInputs, ClusterSecrets, NodePlace, Peer};
pub use render::{RenderError, render};
