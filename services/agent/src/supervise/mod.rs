//! Services as processes: spawned directly or through the pre-imported parent, watched, stopped with all their
//! children, and adopted again by the next agent.
//!
//! A service outlives its agent: its output goes to a file, it leads a process group of its own, and a record on
//! disk names it by pid and start time. No decision is made here; `plan` makes them.

mod files;
mod launch;
mod lock;
mod log;
mod prefork;
mod record;
mod slot;

pub(crate) use files::write_files;
pub use launch::{Launch, Launched};
pub(crate) use launch::{detached, service_uid};
pub(crate) use lock::Lock;
pub(crate) use log::redacted;
pub use log::redacted_tail;
pub(crate) use prefork::{Membership, bring_parent_up};
pub use prefork::{Parent, ParentName};
pub use record::{Origin, Record, boot, find_stray};
pub use slot::{Ended, HealthChange, Slot};
