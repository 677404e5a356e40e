//! Everything an edge meets in its life, small.

mod balancer;
mod client;
mod control;
mod tunnel;
mod upstream;
mod world;

pub(crate) use balancer::Balancer;
pub(crate) use client::{Answer, Call, Connection};
pub(crate) use control::Code;
pub(crate) use tunnel::{Authority, WebNode};
pub(crate) use upstream::Upstream;
pub(crate) use world::{ACME, ALICE, BOB, CAROL, World, route, until};
