//! The agent with real processes, sockets and disks, under a fake control.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers fail like a test"
)]

mod dags;
mod environments;
mod foreign;
mod gate;
mod git;
mod health;
mod kept_scripts;
mod log_sessions;
mod logs;
mod metadata;
mod prefork;
mod private;
mod reclaim;
mod registration;
mod relay;
mod remains;
mod replace;
mod retention;
mod scripts;
mod source_sessions;
mod supervision;
mod support;
mod swaps;

/// Not a test: what this binary does when a test starts it as an agent.
#[test]
fn be_an_agent() {
    support::be_an_agent();
}
