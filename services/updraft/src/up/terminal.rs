//! Draws the steps of `up`: bars on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use updraft_embedded::Progress;

/// Everything `up` says goes through here, so that bars and lines don't mix.
pub(crate) struct Terminal {
    bars: MultiProgress,
    live: bool,
    running: Mutex<HashMap<String, ProgressBar>>,
    begun: Instant,
}

// === impl Terminal ===

impl Terminal {
    pub(crate) fn new() -> Self {
        Self {
            bars: MultiProgress::new(),
            live: std::io::stderr().is_terminal(),
            running: Mutex::default(),
            begun: Instant::now(),
        }
    }

    pub(crate) fn say(&self, line: &str) {
        if self.live {
            let _ = self.bars.println(line);
        } else {
            eprintln!("{line}");
        }
    }

    /// Runs one step of our own under the same display.
    pub(crate) async fn step<T>(
        &self,
        name: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        self.started(name);
        match work.await {
            Ok(value) => {
                self.finished(name, begun.elapsed(), false);
                Ok(value)
            }
            Err(error) => {
                self.clear(name);
                self.say(&format!("  ✗ {name}"));
                Err(error)
            }
        }
    }

    /// Since `up` began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn clear(&self, step: &str) {
        if let Ok(mut running) = self.running.lock()
            && let Some(bar) = running.remove(step)
        {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Terminal {
    fn started(&self, step: &str) {
        if !self.live {
            return;
        }
        let bar = self.bars.add(ProgressBar::new_spinner());
        let style = ProgressStyle::with_template("  {spinner} {prefix:<28} {elapsed:>4} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.set_prefix(step.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        if let Ok(mut running) = self.running.lock() {
            running.insert(step.to_owned(), bar);
        }
    }

    fn advanced(&self, step: &str, fraction: Option<f32>, message: &str) {
        if let Ok(running) = self.running.lock()
            && let Some(bar) = running.get(step)
        {
            let percent = fraction.map_or(String::new(), |part| format!("{:.0} % ", part * 100.0));
            bar.set_message(format!("{percent}{message}"));
        }
    }

    fn finished(&self, step: &str, took: Duration, already_done: bool) {
        self.clear(step);
        let note = if already_done { "  (already there)" } else { "" };
        self.say(&format!("  ✓ {step:<28} {:>6.1} s{note}", took.as_secs_f32()));
    }
}
