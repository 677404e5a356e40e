//! The composition root: which parts a process is made of.

mod agent;
mod control;
mod edge;
mod listen;
mod nodes;
mod public;
mod shutdown;
mod storage;

pub use agent::agent;
pub use control::control;
pub use edge::edge;
pub use nodes::stop_nodes;
pub use storage::{StorageAnswer, StorageRequest, storage_credentials};
