//! What happened on the node, kept until control has it. Sequences grow for the node's whole life, so that a report
//! sent twice is counted once.

use std::collections::VecDeque;

use chrono::Utc;
use serde::{Deserialize, Serialize};
use updraft_api::agent::AgentEvent;
use updraft_api::rest::Severity;
use updraft_model::ServiceName;

use crate::error::{Error, Result};
use crate::layout::{EVENTS, Layout};
use crate::place::Ownership;

/// Older ones are dropped: control may be away for long.
const KEPT: usize = 200;
const LONGEST_MESSAGE: usize = 500;

/// Events that control has not confirmed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outbox {
    next: u64,
    waiting: VecDeque<AgentEvent>,
}

// === impl Outbox ===

impl Outbox {
    /// What the last agent left.
    ///
    /// # Errors
    /// When it is there and can't be read.
    pub(crate) fn load(layout: &Layout) -> Result<Self> {
        let Some(bytes) = layout.place().read(EVENTS)? else {
            return Ok(Self {
                next: 1,
                ..Self::default()
            });
        };
        serde_json::from_slice(&bytes).map_err(|source| Error::Format {
            path: layout.path(EVENTS),
            source,
        })
    }

    pub(crate) fn add(
        &mut self,
        service: Option<ServiceName>,
        kind: &str,
        severity: Severity,
        message: &str,
    ) {
        tracing::info!(
            event.kind = kind,
            service = service.map(ServiceName::as_str),
            "{message}"
        );
        self.waiting.push_back(AgentEvent {
            sequence: self.next,
            at: Utc::now(),
            service,
            kind: kind.to_owned(),
            severity,
            message: message.chars().take(LONGEST_MESSAGE).collect(),
        });
        self.next += 1;
        while self.waiting.len() > KEPT {
            self.waiting.pop_front();
        }
    }

    /// # Errors
    /// When the disk refuses; the events are still in memory.
    pub(crate) fn save(&self, layout: &Layout) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|source| Error::Format {
            path: layout.path(EVENTS),
            source,
        })?;
        layout.place().write(EVENTS, &bytes, 0o600, Ownership::Agent)
    }

    #[must_use]
    pub(crate) fn waiting(&self) -> Vec<AgentEvent> {
        self.waiting.iter().cloned().collect()
    }

    /// Control has all up to and with this one.
    pub(crate) fn confirm(&mut self, sequence: u64) {
        self.waiting.retain(|event| event.sequence > sequence);
    }
}
