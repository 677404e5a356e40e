//! The provider before the test data centre: an EC2 endpoint that is honest where moto is not (`tests/datacentre`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accounts;
mod checks;
mod datacentre;
mod errors;
mod groups;
mod laws;
mod pages;
mod permissions;
mod policies;
mod preflight;
mod storm;
mod tenants;
mod volumes;
