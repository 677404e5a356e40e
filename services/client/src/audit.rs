//! The audit log, for owners.

use chrono::{DateTime, Utc};
use futures::{Stream, TryStreamExt as _};
use updraft_api::audit::{AuditEntry, AuditOf};
use updraft_api::rest::Page;
use updraft_model::AuditOutcome;

use crate::call::Call;
use crate::{Client, ClientError};

/// The server's own largest page.
const PAGE: usize = 200;

/// Which lines; what is absent does not matter.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Whose log.
    pub of: AuditOf,
    /// An actor's id, or their whole name.
    pub actor: Option<String>,
    /// How the action begins.
    pub action: Option<String>,
    pub outcome: Option<AuditOutcome>,
    /// `cluster:7`, or the whole name of what it was done to.
    pub target: Option<String>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

impl Client {
    /// `GET /audit`: newest first, at most `limit`.
    pub async fn audit(&self, filter: &AuditFilter, limit: usize) -> Result<Vec<AuditEntry>, ClientError> {
        let mut lines = Vec::new();
        let mut cursor = None;
        while lines.len() < limit {
            let call = filter
                .on(Call::get("audit"))
                .query("limit", Some(PAGE.min(limit - lines.len())))
                .query("cursor", cursor.take());
            let page: Page<AuditEntry> = self.fetch(call).await?;
            lines.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(lines)
    }

    /// `GET /audit.ndjson`: all lines as they come, oldest first. A stream that breaks off ends with an error.
    pub async fn export_audit(
        &self,
        filter: &AuditFilter,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, ClientError>> + Send + use<>, ClientError> {
        let call = filter.on(Call::get("audit.ndjson"));
        let response = self.open(&call, "application/x-ndjson", None).await?;
        let url = response.url().clone();
        let chunks = response.bytes_stream().map_ok(|bytes| bytes.to_vec());
        Ok(chunks.map_err(move |error| ClientError::from_transport(&url, error)))
    }
}

// === impl AuditFilter ===

impl AuditFilter {
    fn on(&self, call: Call) -> Call {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let installation = (self.of == AuditOf::Installation).then_some("installation");
        call.query("of", installation)
            .query("actor", self.actor.clone())
            .query("action", self.action.clone())
            .query("outcome", self.outcome.map(AuditOutcome::as_str))
            .query("target", self.target.clone())
            .query("since", self.since.map(time))
            .query("until", self.until.map(time))
    }
}
