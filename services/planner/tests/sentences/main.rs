//! One decision each.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod case;
mod failing;
mod keys;
mod losing;
mod scaling;
mod starting;
mod stopping;
mod telling;
