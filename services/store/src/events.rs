//! Adds to the event log. Readers are in `event_log`.

use sqlx::PgConnection;
use updraft_model::{ClusterId, NodeId, ServiceName, TenantId};

use crate::StoreError;

/// `severity` is one of `info`, `warning`, `error`; `kind` is stable, `message` is for people.
#[derive(Clone, Debug)]
pub struct NewEvent<'a> {
    pub tenant: TenantId,
    pub cluster: Option<ClusterId>,
    pub node: Option<(NodeId, &'a str)>,
    pub service: Option<ServiceName>,
    pub kind: &'a str,
    pub severity: EventSeverity,
    pub message: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventSeverity {
    Info,
    Warning,
    Error,
}

/// # Errors
/// When the database cannot be asked.
pub async fn append(connection: &mut PgConnection, event: &NewEvent<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into events (tenant_id, cluster_id, node_id, node_label, service, kind, severity, message)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        event.tenant.0,
        event.cluster.map(|id| id.0),
        event.node.map(|(id, _)| id.0),
        event.node.map(|(_, label)| label),
        event.service.map(ServiceName::as_str),
        event.kind,
        event.severity.as_str(),
        event.message,
    )
    .execute(connection)
    .await?;
    Ok(())
}

// === impl EventSeverity ===

impl EventSeverity {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
