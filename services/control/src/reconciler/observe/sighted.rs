//! What the provider lists of a cluster.

use chrono::{DateTime, TimeDelta, Utc};
use updraft_model::{ClusterId, Phase};
use updraft_planner::{Orphan, ProviderView};
use updraft_provider::{ListedNode, NodeStatus, ProviderId};
use updraft_store::nodes::NodeRecord;
use updraft_store::restore_holds;

use super::super::{Parts, ReconcileError, Reconciler};
use super::records::Records;

/// Whose list a look takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// The one of all, some seconds old.
    Shared,
    /// One that is asked for now.
    Own,
}

/// A cluster's nodes as they were listed so long ago.
pub(super) struct Sighting {
    pub(super) listed: Vec<ListedNode>,
    pub(super) age: TimeDelta,
}

/// What the provider lists of a cluster beyond its live records' nodes.
pub(super) struct Strays {
    pub(super) orphans: Vec<Orphan>,
    /// Whether an operator gave over those that no record names, if there are any.
    pub(super) are_confirmed: bool,
}

impl Reconciler {
    /// None: the provider did not answer.
    pub(super) async fn sighting(&self, records: &Records, sight: Sight) -> Option<Sighting> {
        let cluster = records.cluster.id;
        if sight == Sight::Own {
            let listed = self.parts.listed(cluster).await?;
            return Some(Sighting {
                listed,
                age: TimeDelta::zero(),
            });
        }
        let settings = &self.parts.settings;
        let is_steady =
            records.operation.is_none() && matches!(records.cluster.phase, Phase::Running | Phase::Stopped);
        let age = if is_steady { settings.watch } else { settings.fresh };
        let all = self.inventory.at_most(records.cluster.account, age).await.ok()?;
        Some(Sighting {
            listed: all.of(cluster).to_vec(),
            age: TimeDelta::from_std(all.began.elapsed()).unwrap_or(TimeDelta::MAX),
        })
    }

    /// What the provider lists beyond the live records' nodes.
    pub(super) async fn strays(
        &self,
        records: &[NodeRecord],
        listed: &[ListedNode],
    ) -> Result<Strays, ReconcileError> {
        let is_owned = |node: &ListedNode| {
            records.iter().any(|record| {
                record.id == node.node && record.provider_id.as_ref().is_none_or(|id| *id == node.id.0)
            })
        };
        let strangers: Vec<_> = listed
            .iter()
            .filter(|node| node.status != NodeStatus::Ending && !is_owned(node))
            .collect();
        let unrecorded = self.unrecorded(&strangers).await?;
        let ids: Vec<_> = unrecorded.iter().map(|node| node.id.0.clone()).collect();
        let are_confirmed = ids.is_empty() || {
            let mut connection = self.parts.store.connection().await?;
            restore_holds::confirmed(&mut connection, &ids).await?.len() == ids.len()
        };
        let orphan = |node: &ListedNode| Orphan {
            provider_id: node.id.0.clone(),
            recorded: !ids.contains(&node.id.0),
        };
        Ok(Strays {
            orphans: strangers.into_iter().map(orphan).collect(),
            are_confirmed,
        })
    }
}

// === impl Parts ===

impl Parts {
    /// None: the provider did not answer.
    async fn listed(&self, cluster: ClusterId) -> Option<Vec<ListedNode>> {
        match self.answered(self.provider.list(Some(cluster))).await {
            Ok(listed) => Some(listed),
            Err(error) => {
                tracing::warn!(cluster.id = cluster.0, %error, "the provider does not list its nodes");
                None
            }
        }
    }

    pub(super) async fn provider_view(
        &self,
        record: &NodeRecord,
        sighting: Option<&Sighting>,
        now: DateTime<Utc>,
    ) -> ProviderView {
        let Some(Sighting { listed, age }) = sighting else {
            return ProviderView::Unknown;
        };
        let is_it = |node: &&ListedNode| {
            node.node == record.id && record.provider_id.as_ref().is_none_or(|id| *id == node.id.0)
        };
        if let Some(node) = listed.iter().find(is_it) {
            return view_of(node.status);
        }
        let Some(id) = record.provider_id.clone() else {
            return ProviderView::Unlisted;
        };
        // A list of before its launch says nothing of it.
        if record.launched_at.is_some_and(|at| now - at < *age) {
            return ProviderView::Unknown;
        }
        match self.answered(self.provider.describe(&ProviderId(id))).await {
            Ok(status) => view_of(status),
            Err(_) => ProviderView::Unknown,
        }
    }
}

fn view_of(status: NodeStatus) -> ProviderView {
    match status {
        NodeStatus::Pending => ProviderView::Pending,
        NodeStatus::Running => ProviderView::Running,
        NodeStatus::Impaired => ProviderView::Impaired,
        NodeStatus::Stopped => ProviderView::Stopped,
        NodeStatus::Ending => ProviderView::Ending,
        NodeStatus::Gone => ProviderView::Gone,
        NodeStatus::Unknown => ProviderView::Unlisted,
    }
}
