//! Processes as the kernel shows them: identity that survives pid reuse, trees, and waiting without being the parent.

mod handle;
mod stat;
mod tree;

pub use handle::{Handle, ProcessId};
pub use stat::Stat;
pub use tree::{MARK, Tree, kill_marked, kill_tree};
