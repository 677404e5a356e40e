//! What a look finds: records, what the provider lists and describes, and what agents said.

use chrono::{DateTime, TimeDelta, Utc};
use updraft_planner::{Hearing, Node, Observed, Orphan, ProviderView};
use updraft_provider::{ListedNode, NodeProvider as _, NodeStatus, ProviderId};

use super::bugs::Bug;
use super::driver::{Driver, View, step};
use super::records::Records;
use super::row::{Row, RowState};
use super::{CLUSTER, agents};

// === impl Driver ===

impl Driver {
    /// None: the cluster is deleted.
    pub(super) async fn observe(&self) -> Option<View> {
        self.shared.state.borrow_mut().records.assign();
        let records = self.shared.state.borrow().records.clone();
        if records.deleted {
            return None;
        }
        let at = records.now;
        step().await;
        let listed = self.shared.api().list(CLUSTER).await.ok();
        step().await;
        let mut nodes = Vec::new();
        for row in records.live_rows().filter(|row| !self.overlooks(&records, row)) {
            let provider = self.provider_view(row, listed.as_deref()).await;
            nodes.push(self.node(row, provider, at));
        }
        let orphans = orphans(&records, listed.as_deref().unwrap_or_default());
        let bug = self.shared.bug;
        let lag = TimeDelta::from_std(self.shared.provider.listing_lag()).unwrap();
        let build = agents::build(&self.shared.state.borrow());
        let reencryption = agents::reencryption(&self.shared.state.borrow());
        let [secrets, database, storage, network] = records.resources.clone();
        let ahead = if bug == Some(Bug::GoesByItsOwnClock) {
            self.shared.clocks[self.me]
        } else {
            0
        };
        Some(View {
            desired: records.desired(),
            now: at + TimeDelta::seconds(ahead),
            at,
            listed: listed.unwrap_or_default(),
            turns: records.turns,
            observed: Observed {
                phase: records.phase.clone(),
                secrets,
                database,
                storage,
                network: Some(network),
                build,
                reencryption,
                hearing: Hearing::Well,
                nodes,
                losses: records.losses(),
                load: records.load(),
                sizes: records.sizes.clone(),
                orphans,
                listing_lag: if bug == Some(Bug::IgnoresListingLag) {
                    TimeDelta::zero()
                } else {
                    lag
                },
            },
        })
    }

    fn overlooks(&self, records: &Records, row: &Row) -> bool {
        self.shared.bug == Some(Bug::DeletesBeforeNodesAreGone)
            && records.power == updraft_model::Power::Deleted
            && row.state == RowState::Terminating
    }

    fn node(&self, row: &Row, provider: ProviderView, now: DateTime<Utc>) -> Node {
        let state = self.shared.state.borrow();
        let ears = &state.ears[self.me];
        Node {
            id: row.id,
            role: row.role,
            ordinal: row.ordinal,
            queue: row.queue.clone(),
            instance_type: row.instance_type.clone(),
            tasks: None,
            generation: row.generation,
            state: row.node_state(),
            stop_asked_at: row.stop_asked_at,
            loss: row.loss,
            created_at: row.created_at,
            provider,
            switch: row.switch.clone(),
            assignment_version: row.version,
            report: ears.report(row, self.shared.bug),
            silence: ears.silence(row, now, self.shared.bug),
        }
    }

    async fn provider_view(&self, row: &Row, listed: Option<&[ListedNode]>) -> ProviderView {
        let Some(listed) = listed else {
            let gone = self.shared.bug == Some(Bug::TakesSilenceOfProviderForGone);
            return if gone {
                ProviderView::Gone
            } else {
                ProviderView::Unknown
            };
        };
        if let Some(status) = self.found(row, listed) {
            return self.view_of(status);
        }
        let Some(id) = &row.provider_id else {
            return ProviderView::Unlisted;
        };
        let described = self.shared.api().describe(id).await;
        step().await;
        described.map_or(ProviderView::Unknown, |status| self.view_of(status))
    }

    fn found(&self, row: &Row, listed: &[ListedNode]) -> Option<NodeStatus> {
        if self.shared.bug == Some(Bug::AdoptsByName) && row.provider_id.is_none() {
            return self.named(row).map(|(_, status)| status);
        }
        let is_it = |node: &&ListedNode| {
            node.node == row.id && row.provider_id.as_ref().is_none_or(|id| *id == node.id)
        };
        listed.iter().find(is_it).map(|node| node.status)
    }

    /// A node of this name, whoever's it is.
    pub(super) fn named(&self, row: &Row) -> Option<(ProviderId, NodeStatus)> {
        let machines = self.shared.provider.machines();
        machines
            .into_iter()
            .find(|m| (m.role, m.ordinal) == (row.role, row.ordinal) && m.status != NodeStatus::Gone)
            .map(|machine| (machine.id, machine.status))
    }

    fn view_of(&self, status: NodeStatus) -> ProviderView {
        match status {
            NodeStatus::Pending => ProviderView::Pending,
            NodeStatus::Running => ProviderView::Running,
            NodeStatus::Impaired if self.shared.bug == Some(Bug::TakesImpairedForRunning) => {
                ProviderView::Running
            }
            NodeStatus::Impaired => ProviderView::Impaired,
            NodeStatus::Stopped if self.shared.bug == Some(Bug::TakesStoppedForRunning) => {
                ProviderView::Running
            }
            NodeStatus::Stopped => ProviderView::Stopped,
            NodeStatus::Ending => ProviderView::Ending,
            NodeStatus::Gone => ProviderView::Gone,
            NodeStatus::Unknown => ProviderView::Unlisted,
        }
    }
}

/// What the provider lists beyond the live records' nodes.
fn orphans(records: &Records, listed: &[ListedNode]) -> Vec<Orphan> {
    let is_owned = |node: &ListedNode| {
        records
            .live_rows()
            .any(|row| row.id == node.node && row.provider_id.as_ref().is_none_or(|id| *id == node.id))
    };
    listed
        .iter()
        .filter(|node| node.status != NodeStatus::Ending && !is_owned(node))
        .map(|node| Orphan {
            provider_id: node.id.0.clone(),
            recorded: records.rows.iter().any(|row| row.id == node.node),
        })
        .collect()
}
