//! The rooms of the console: one page per file, its template beside it.

pub(crate) mod access;
pub(crate) mod account;
pub(crate) mod activity;
pub(crate) mod change_configuration;
pub(crate) mod cluster;
pub(crate) mod clusters;
pub(crate) mod configuration;
pub(crate) mod delete_cluster;
pub(crate) mod events;
pub(crate) mod facts;
pub(crate) mod handover;
pub(crate) mod health;
pub(crate) mod new_cluster;
pub(crate) mod nodes;
pub(crate) mod notice;
pub(crate) mod operation;
pub(crate) mod overview;
pub(crate) mod people;
pub(crate) mod sign_in;
pub(crate) mod tags;
pub(crate) mod trouble;
