//! Instances that this process made a short time ago: for one of them "no such instance" means "not yet", for any other
//! "no more".

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use updraft_provider::ProviderId;

pub(crate) struct Newborn {
    lasts: Duration,
    made: Mutex<HashMap<ProviderId, Instant>>,
}

// === impl Newborn ===

impl Newborn {
    pub(crate) fn lasting(lasts: Duration) -> Self {
        Self {
            lasts,
            made: Mutex::default(),
        }
    }

    /// A launch that is repeated does not make it younger.
    pub(crate) fn add(&self, id: ProviderId) {
        let mut made = self.made();
        made.retain(|_, at| at.elapsed() < self.lasts);
        made.entry(id).or_insert_with(Instant::now);
    }

    pub(crate) fn has(&self, id: &ProviderId) -> bool {
        self.made().get(id).is_some_and(|at| at.elapsed() < self.lasts)
    }

    fn made(&self) -> MutexGuard<'_, HashMap<ProviderId, Instant>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_new_for_a_while_only() {
        let id = |text: &str| ProviderId(text.to_owned());
        let newborn = Newborn::lasting(Duration::from_secs(60));
        newborn.add(id("i-1"));
        assert!(newborn.has(&id("i-1")) && !newborn.has(&id("i-2")));
        let newborn = Newborn::lasting(Duration::ZERO);
        newborn.add(id("i-1"));
        assert!(!newborn.has(&id("i-1")));
    }
}
