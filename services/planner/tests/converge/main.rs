//! Whatever happens, in whatever order, wherever control crashes: the planner leads to what was asked, never doubles a
//! node, never ends a healthy one that is wanted, and leaves nothing behind.
//!
//! The records obey the driver's transaction rules, the nodes come from the simulated provider, agents are modelled.
//! `UPDRAFT_SCHEDULE_SEED=… cargo nextest run -p updraft-planner every_schedule` runs one schedule again;
//! `UPDRAFT_SCHEDULES=100000` runs as many.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod crash_anywhere;
mod known_bugs;
mod refused;
mod schedules;
mod single;
mod world;
