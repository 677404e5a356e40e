//! One control process with many clusters: what an idle cluster costs, how quickly REST answers, and how long a restart
//! takes. Real Postgres, real assignments; nodes are simulated, and their agents report by call.
//!
//! `tests/bench/scale/run` runs it and says what the columns mean.

mod agents;
mod control;
mod counted;
mod growth;
mod idle;
mod nowhere;
mod storm;
mod usage;
mod world;
