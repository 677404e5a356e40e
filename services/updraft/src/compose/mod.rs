//! The composition root: which parts a process is made of.

mod agent;
mod bucket_probe;
mod bucket_settings;
mod buckets;
mod control;
mod edge;
mod identities;
mod listen;
mod nodes;
mod public;
mod pushes;
mod shutdown;
mod storage;

pub(crate) use agent::agent;
pub(crate) use control::control;
pub(crate) use edge::edge;
pub(crate) use nodes::{nodes_run, stop_nodes};
pub(crate) use storage::{StorageAnswer, StorageRequest, storage_credentials};
