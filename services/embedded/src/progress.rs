//! How long work tells what it is doing. Drawing it is the caller's business.

use std::time::{Duration, Instant};

/// Hears about steps as they happen. Steps may overlap; a step is known by its name.
pub trait Progress: Send + Sync {
    fn started(&self, step: &str);

    /// `fraction` is between 0 and 1, or unknown.
    fn advanced(&self, step: &str, fraction: Option<f32>, message: &str);

    /// `already_done` says that the step found its result from an earlier time.
    fn finished(&self, step: &str, took: Duration, already_done: bool);
}

/// Draws nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

/// One running step.
pub(crate) struct Step<'a> {
    progress: &'a dyn Progress,
    name: &'a str,
    begun: Instant,
}

// === impl Silent ===

impl Progress for Silent {
    fn started(&self, _step: &str) {}
    fn advanced(&self, _step: &str, _fraction: Option<f32>, _message: &str) {}
    fn finished(&self, _step: &str, _took: Duration, _already_done: bool) {}
}

// === impl Step ===

impl<'a> Step<'a> {
    pub(crate) fn begin(progress: &'a dyn Progress, name: &'a str) -> Self {
        progress.started(name);
        Self {
            progress,
            name,
            begun: Instant::now(),
        }
    }

    pub(crate) fn say(&self, fraction: Option<f32>, message: &str) {
        self.progress.advanced(self.name, fraction, message);
    }

    pub(crate) fn done(self) {
        self.progress.finished(self.name, self.begun.elapsed(), false);
    }

    pub(crate) fn was_done(self) {
        self.progress.finished(self.name, self.begun.elapsed(), true);
    }
}
