#![doc = include_str!("../README.md")]

mod cursor;
mod error;
mod follow;
mod lane;
mod line;
mod page;
mod retention;
mod scope;
mod shelf;
mod stretch;
mod text;

pub use error::{LogsError, Result};
pub use follow::{Begin, Follow, Followed};
pub use page::page;
pub use retention::remove_old;
pub use scope::Scope;
