//! The boundaries of a driver's steps: before and after each change that it makes of anything. At one of them it dies.
//!
//! What only reads is no step: who dies there dies in the same world as after the change before it.

use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

/// Changes made at the same time come in another order each time, so each is told by what it is and how many there were
/// of its kind, not by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Boundary {
    side: Side,
    pub(super) change: String,
    nth: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// Those that one driver passes.
pub(super) struct Boundaries {
    passed: Mutex<Vec<Boundary>>,
    fatal: Option<Boundary>,
    death: CancellationToken,
}

/// Those of the boundaries, in the order in which they were passed, that are different moments: who dies before a change
/// that follows another one dies in the same world as after that.
pub(super) fn moments(passed: &[Boundary]) -> Vec<Boundary> {
    let mut moments = Vec::new();
    let mut side_before = Side::Before;
    for boundary in passed {
        if boundary.side == Side::After || side_before == Side::Before {
            moments.push(boundary.clone());
        }
        side_before = boundary.side;
    }
    moments
}

// === impl Boundaries ===

impl Boundaries {
    pub(super) fn with(fatal: Option<&Boundary>) -> Arc<Self> {
        Arc::new(Self {
            passed: Mutex::default(),
            fatal: fatal.cloned(),
            death: CancellationToken::new(),
        })
    }

    /// Makes a change between its two boundaries.
    pub(super) async fn around<T>(&self, change: &str, made: impl Future<Output = T>) -> T {
        self.before(change).await;
        let made = made.await;
        self.after(change).await;
        made
    }

    pub(super) async fn before(&self, change: &str) {
        self.pass(Side::Before, change).await;
    }

    pub(super) async fn after(&self, change: &str) {
        self.pass(Side::After, change).await;
    }

    pub(super) async fn death(&self) {
        self.death.cancelled().await;
    }

    pub(super) fn passed(&self) -> Vec<Boundary> {
        self.passed.lock().unwrap().clone()
    }

    /// Nobody goes on in a process that is dead.
    async fn pass(&self, side: Side, change: &str) {
        if !self.survives(side, change) {
            pending::<()>().await;
        }
    }

    fn survives(&self, side: Side, change: &str) -> bool {
        let mut passed = self.passed.lock().unwrap();
        if self.death.is_cancelled() {
            return false;
        }
        let alike = |other: &&Boundary| other.side == side && other.change == change;
        let boundary = Boundary {
            side,
            change: change.to_owned(),
            nth: 1 + passed.iter().filter(alike).count(),
        };
        let is_fatal = self.fatal.as_ref() == Some(&boundary);
        passed.push(boundary);
        if is_fatal {
            self.death.cancel();
        }
        !is_fatal
    }
}

// === impl Boundary ===

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Before => "before",
            Side::After => "after",
        };
        write!(f, "{side} `{}` no. {}", self.change, self.nth)
    }
}
