#![doc = include_str!("../README.md")]

pub mod assignment;
pub mod bootstrap;
mod builds;
mod certificate;
pub mod control;
pub mod dags;
mod error;
mod events;
pub mod health;
mod layout;
mod load;
pub mod logs;
mod metadata;
mod place;
pub mod plan;
pub mod process;
mod reclaim;
mod reencryption;
pub mod relay;
mod replace;
mod run;
mod scripts;
pub mod supervise;
mod tunnels;
mod usage;

pub use error::{Error, Result};
pub use layout::Layout;
pub use place::{Owner, Ownership, Place};
pub use replace::{check, launch};
pub use run::{run, ship_remains};
