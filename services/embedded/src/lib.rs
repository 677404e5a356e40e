#![doc = include_str!("../README.md")]

mod accounts;
mod command;
mod data_dir;
mod environment;
mod error;
mod interpreter;
mod layout;
mod lock;
mod logs;
mod parts;
pub mod ports;
mod postgres;
mod process;
mod progress;
mod s3;
mod secret;
mod service;
mod supervise;

pub use accounts::{Account, Accounts};
pub use data_dir::{DataDir, running_pid};
pub use environment::{EnvDir, EnvironmentSpec, PackageFile, install_environment};
pub use error::Error;
pub use interpreter::{Interpreter, find_interpreter};
pub use layout::Layout;
pub use parts::{Installer, Parts, install_installer, install_parts};
pub use postgres::{Postgres, PostgresSettings};
pub use process::{stop_leftover, stop_leftovers};
pub use progress::{Progress, Silent};
pub use s3::{Credentials, S3, S3Ports};
pub use service::{Ready, Service, StopStage};
pub use supervise::{Status, Supervised};

/// What this crate's fallible functions return.
pub type Result<T> = std::result::Result<T, Error>;
