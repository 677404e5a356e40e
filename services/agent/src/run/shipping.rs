//! Logs, as far as the event loop is concerned: where they go, what is said of them, and that a node does not count as stopped
//! before its last words are in the bucket, or were given their time.

use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use updraft_api::agent::{LogDelivery, LogReport};
use updraft_api::rest::Severity;
use updraft_model::AgentPhase;

use super::happening::Happening;
use super::node::Node;
use crate::layout::Layout;
use crate::logs::{self, Finish, LogEvent};
use crate::plan::Plan;

/// A stopped node waits for the bucket no longer than this.
const LAST_WORDS: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Shipping {
    delivery: watch::Sender<Option<LogDelivery>>,
    finishes: mpsc::Sender<Finish>,
    tell: mpsc::UnboundedSender<Happening>,
    report: LogReport,
    last_words: LastWords,
}

#[derive(Debug)]
enum LastWords {
    Unspoken,
    /// Being sent; until then at the longest.
    Waiting(Instant),
    Spoken,
}

// === impl Shipping ===

impl Shipping {
    pub(super) fn spawn(layout: &Layout, tell: &mpsc::UnboundedSender<Happening>) -> Self {
        let (delivery, deliveries) = watch::channel(None);
        let (finishes, finishing) = mpsc::channel(1);
        let (events, mut told) = mpsc::channel(16);
        tokio::spawn(logs::deliver(layout.clone(), deliveries, finishing, events));
        let forward = tell.clone();
        tokio::spawn(async move {
            while let Some(event) = told.recv().await {
                if forward.send(Happening::Logs(event)).is_err() {
                    return;
                }
            }
        });
        Self {
            delivery,
            finishes,
            tell: tell.clone(),
            report: LogReport::default(),
            last_words: LastWords::Unspoken,
        }
    }

    pub(super) fn deliver_to(&self, wanted: Option<LogDelivery>) {
        self.delivery.send_if_modified(|current| {
            let same = serde_json::to_string(&*current).ok() == serde_json::to_string(&wanted).ok();
            if !same {
                *current = wanted;
            }
            !same
        });
    }

    pub(super) fn report(&self) -> LogReport {
        self.report.clone()
    }

    pub(super) fn finished(&mut self) {
        if matches!(self.last_words, LastWords::Waiting(_)) {
            self.last_words = LastWords::Spoken;
        }
    }

    /// Until when the services' end is not the node's; none when it is.
    fn hold(&mut self, now: Instant) -> Option<Instant> {
        match self.last_words {
            _ if self.delivery.borrow().is_none() => None,
            LastWords::Spoken => None,
            LastWords::Waiting(until) => (now < until).then_some(until),
            LastWords::Unspoken => {
                self.ask();
                let until = now + LAST_WORDS;
                self.last_words = LastWords::Waiting(until);
                Some(until)
            }
        }
    }

    fn ask(&self) {
        let (answer, answered) = oneshot::channel();
        // Full: it was asked before.
        let _ = self.finishes.try_send(answer);
        let tell = self.tell.clone();
        tokio::spawn(async move {
            if answered.await.is_ok() {
                let _ = tell.send(Happening::LogsSent);
            }
        });
    }
}

impl Node {
    /// A node whose services have ended is stopping until its logs are sent.
    pub(super) fn hold_for_logs(&mut self, settled: &mut Plan, now: Instant) {
        if settled.phase != AgentPhase::Stopped {
            self.logs.last_words = LastWords::Unspoken;
            return;
        }
        if let Some(until) = self.logs.hold(now) {
            settled.phase = AgentPhase::Stopping;
            settled.wake_at = Some(settled.wake_at.map_or(until, |at| at.min(until)));
        }
    }

    pub(super) fn logs(&mut self, event: LogEvent) {
        match event {
            LogEvent::Stands(report) => self.logs.report = report,
            LogEvent::Behind(report, reason) => {
                let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
                let message = format!(
                    "Logs of this node have not reached the bucket for {} s{why}. {} KB wait on the node's disk and are sent \
                     as soon as that is possible.",
                    report.lag_s,
                    report.waiting_bytes / 1_000
                );
                self.event(None, "log_shipping_behind", Severity::Warning, &message);
            }
            LogEvent::CaughtUp => {
                let message = "Logs of this node reach the bucket again; nothing waits.";
                self.event(None, "log_shipping_recovered", Severity::Info, message);
            }
            LogEvent::GivenUp { bytes, lines } => {
                let message = format!(
                    "{lines} lines of logs ({} KB) were given up: the bucket did not take them, and logs may not fill the \
                     node's disk. Make the bucket reachable, or give nodes larger disks.",
                    bytes / 1_000
                );
                self.event(None, "logs_dropped", Severity::Error, &message);
            }
        }
    }
}
