//! What agents say of themselves: untrusted, and of consequence for one node's record and for one roll-out.

use updraft_api::agent::{AgentStanding, RefusedAgent, Report};
use updraft_model::{ClusterId, NodeId, Protocol, TenantId};
use updraft_store::events::{self, EventSeverity, NewEvent};
use updraft_store::{PgConnection, StoreError, agent_rollouts, node_agents};

use super::reports::{TEXT, WORD, cut};

/// Whose words they are.
pub(super) struct Speaker<'a> {
    pub(super) tenant: TenantId,
    pub(super) cluster: ClusterId,
    pub(super) node: NodeId,
    pub(super) label: &'a str,
}

pub(super) fn bounded(standing: AgentStanding) -> AgentStanding {
    AgentStanding {
        release: standing.release.map(|release| cut(&release, 2 * WORD)),
        refused: standing.refused.map(|refused| RefusedAgent {
            release: cut(&refused.release, 2 * WORD),
            why: cut(&refused.why, TEXT),
            ..refused
        }),
        ..standing
    }
}

/// Keeps which agent it is. One that could not be replaced stops the roll-out for everybody.
pub(super) async fn keep(
    connection: &mut PgConnection,
    speaker: &Speaker<'_>,
    report: &Report,
) -> Result<(), StoreError> {
    let standing = report.agent.as_ref();
    let protocol = standing.map_or(Protocol::FIRST, |standing| standing.protocol);
    let release = standing.and_then(|standing| standing.release.as_deref());
    node_agents::record(connection, speaker.node, protocol, release).await?;
    match standing.and_then(|standing| standing.refused.as_ref()) {
        Some(refused) => {
            let of = (refused.release.as_str(), refused.attempt);
            stop(connection, of, speaker, &refused.why).await
        }
        None => Ok(()),
    }
}

/// Stops a roll-out, and says so where the node's people see it.
pub(super) async fn stop(
    connection: &mut PgConnection,
    of: (&str, i64),
    speaker: &Speaker<'_>,
    why: &str,
) -> Result<(), StoreError> {
    if !agent_rollouts::stop(connection, of, speaker.node, why).await? {
        return Ok(());
    }
    tracing::error!(
        node.id = %speaker.node, cluster.id = %speaker.cluster, release = of.0, why,
        "an agent could not be replaced: no other node is told to, until `updraft operator agents --again`"
    );
    let message = format!(
        "The agent of {} could not be replaced and is what it was; its services go on. {why}",
        speaker.label
    );
    let event = NewEvent {
        tenant: speaker.tenant,
        cluster: Some(speaker.cluster),
        node: Some((speaker.node, speaker.label)),
        service: None,
        kind: "agent_not_replaced",
        severity: EventSeverity::Error,
        message: &cut(&message, TEXT),
    };
    events::append(connection, &event).await.map(drop)
}
