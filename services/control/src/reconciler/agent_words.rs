//! What agents say of themselves: untrusted, and of consequence for one node's record and for one roll-out.

use updraft_api::agent::{AgentStanding, RefusedAgent, Report};
use updraft_model::{ClusterId, NodeId, Protocol, TenantId};
use updraft_planner::{AgentFailure, stops_for_all};
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

/// Keeps which agent it is, and whether it could not be replaced.
pub(super) async fn keep(
    connection: &mut PgConnection,
    speaker: &Speaker<'_>,
    report: &Report,
    first: Option<ClusterId>,
) -> Result<(), StoreError> {
    let standing = report.agent.as_ref();
    let protocol = standing.map_or(Protocol::FIRST, |standing| standing.protocol);
    let release = standing.and_then(|standing| standing.release.as_deref());
    node_agents::record(connection, speaker.node, protocol, release).await?;
    match standing.and_then(|standing| standing.refused.as_ref()) {
        Some(refused) => {
            let of = (refused.release.as_str(), refused.attempt);
            note_failure(connection, of, speaker, &refused.why, first).await
        }
        None => Ok(()),
    }
}

/// Notes that a node could not be given an agent, says so where its people see it, and stops the roll-out for everybody where the
/// planner says so.
pub(super) async fn note_failure(
    connection: &mut PgConnection,
    of: (&str, i64),
    speaker: &Speaker<'_>,
    why: &str,
    first: Option<ClusterId>,
) -> Result<(), StoreError> {
    if !agent_rollouts::note_failure(connection, of, speaker.node, why).await? {
        return Ok(());
    }
    tracing::error!(
        node.id = %speaker.node, cluster.id = %speaker.cluster, release = of.0, why,
        "an agent could not be replaced: this cluster's nodes are left with theirs, until `updraft operator agents --again`"
    );
    let failed = agent_rollouts::failures(connection, of).await?;
    let failures: Vec<_> = failed.iter().map(failure).collect();
    let tenants = agent_rollouts::tenants(connection).await?;
    if stops_for_all(&failures, tenants, first)
        && agent_rollouts::stop(connection, of, speaker.node, why).await?
    {
        tracing::error!(
            release = of.0,
            "no other node is told to replace its agent, until `updraft operator agents --again`"
        );
    }
    tell(connection, speaker, why).await
}

fn failure(failed: &agent_rollouts::Failed) -> AgentFailure {
    AgentFailure {
        tenant: failed.tenant,
        cluster: failed.cluster,
    }
}

async fn tell(connection: &mut PgConnection, speaker: &Speaker<'_>, why: &str) -> Result<(), StoreError> {
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
