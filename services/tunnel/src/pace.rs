//! How patient both ends are.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From a connection to its tunnel: TLS, hello and answer.
    pub introduce: Duration,
    /// After this long without a byte from the other side it is asked for one.
    pub pulse: Duration,
    /// After this long without an answer it is gone.
    pub answer: Duration,
    /// How long the far end waits for its own service.
    pub connect: Duration,
    /// How long open streams may go on through a tunnel whose node was replaced.
    pub retire: Duration,
}

// === impl Pace ===

impl Default for Pace {
    fn default() -> Self {
        Self {
            introduce: Duration::from_secs(5),
            pulse: Duration::from_secs(3),
            answer: Duration::from_secs(5),
            connect: Duration::from_secs(3),
            retire: Duration::from_secs(10),
        }
    }
}
