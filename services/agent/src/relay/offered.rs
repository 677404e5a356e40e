//! The ports that the node's services offer to other nodes, and who uses them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Offered {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ports: BTreeSet<u16>,
    open: BTreeMap<u16, usize>,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Use {
    offered: Arc<Offered>,
    port: u16,
}

// === impl Offered ===

impl Offered {
    pub(super) fn set(&self, ports: impl Iterator<Item = u16>) {
        self.state().ports = ports.collect();
    }

    /// Counts a connection until it is dropped; `None` for a port that is not offered.
    pub(super) fn connect(self: &Arc<Self>, port: u16) -> Option<Use> {
        let mut state = self.state();
        if !state.ports.contains(&port) {
            return None;
        }
        *state.open.entry(port).or_default() += 1;
        Some(Use {
            offered: Arc::clone(self),
            port,
        })
    }

    pub(super) fn is_in_use(&self, port: u16) -> bool {
        self.state().open.get(&port).is_some_and(|open| *open > 0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole in itself: a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        if let Some(open) = self.offered.state().open.get_mut(&self.port) {
            *open = open.saturating_sub(1);
        }
    }
}
