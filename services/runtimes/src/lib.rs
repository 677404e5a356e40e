#![doc = include_str!("../README.md")]

mod catalogue;
mod data;
mod options;
mod render;
mod template;

pub use catalogue::{Catalogue, PackageFile, Runtime, RuntimeError};
pub use data::{Health, Relay, Service};
pub use options::{ConfigError, ConfigOption};
pub use render::{RenderedFile, RenderedNode, RenderedParent, RenderedService};
pub use template::{MissingVariable, Variables};
