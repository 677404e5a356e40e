//! After control's database was restored from a backup nothing is ended until an operator confirms it.
//!
//! It shows by itself: every node's record is written before the node is asked for, so one that is listed and on no record
//! was launched after the backup was made. Each process compares both lists before it ends its first node. While a hold
//! is open, clusters with such a node are left altogether as they are: what their records say is older than they are.
//! `updraft operator restored --confirm` ends it.

use std::collections::BTreeSet;

use updraft_model::{ClusterId, NodeAccount};
use updraft_planner::Action;
use updraft_provider::ListedNode;
use updraft_store::events::{self, EventSeverity, NewEvent};
use updraft_store::restore_holds::{self, Stray};
use updraft_store::{StoreError, Tx, leases};

use super::observe::View;
use super::{ReconcileError, Reconciler};

impl Reconciler {
    /// Opens a hold when there is a node that no record names and no operator has given over.
    pub(super) async fn hold_if_restored(&self, strangers: &[&ListedNode]) -> Result<(), ReconcileError> {
        let unrecorded = self.unrecorded(strangers).await?;
        if unrecorded.is_empty() {
            return Ok(());
        }
        let strays: Vec<_> = unrecorded.into_iter().map(stray).collect();
        let mut tx = self.parts.store.begin().await?;
        let new = restore_holds::note(&mut tx, &strays).await?;
        for stray in &new {
            tracing::error!(
                cluster.id = stray.cluster.0,
                provider.id = stray.provider_id,
                "the provider has a node that no record names: the database is older than the world, and nothing is ended \
                 until an operator says `updraft operator restored --confirm`"
            );
        }
        let clusters: BTreeSet<_> = new.iter().map(|stray| stray.cluster).collect();
        for cluster in clusters {
            tell(&mut tx, cluster).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Those of the actions that may be done now.
    pub(super) async fn permitted(
        &self,
        view: &View,
        actions: Vec<Action>,
    ) -> Result<Vec<Action>, ReconcileError> {
        if view.has_unconfirmed() {
            return Ok(Vec::new());
        }
        if !actions.iter().any(ends_something) {
            return Ok(actions);
        }
        let account = view.cluster.account;
        if !self.has_compared(account) {
            self.sweep_account(account).await?;
        }
        if self.has_compared(account) && !self.is_held(account).await? {
            return Ok(actions);
        }
        Ok(actions
            .into_iter()
            .filter(|action| !ends_something(action))
            .collect())
    }

    pub(super) async fn is_held(&self, account: NodeAccount) -> Result<bool, ReconcileError> {
        let mut connection = self.parts.store.connection().await?;
        Ok(restore_holds::is_open(&mut connection, account).await?)
    }
}

/// Whether what it is done to may not come back.
fn ends_something(action: &Action) -> bool {
    match action {
        Action::StopNode { .. }
        | Action::SwitchOffNode { .. }
        | Action::TerminateNode { .. }
        | Action::TerminateOrphan { .. }
        | Action::DropDatabase
        | Action::RemoveStorage
        | Action::RemoveNetwork
        | Action::RemoveSecrets
        | Action::TurnKeys { .. }
        | Action::MarkDeleted => true,
        Action::EnsureSecrets
        | Action::EnsureDatabase
        | Action::EnsureStorage
        | Action::EnsureNetwork
        | Action::IntendNode { .. }
        | Action::LaunchNode { .. }
        | Action::StartNode { .. }
        | Action::KeepNode { .. }
        | Action::WakeNode { .. }
        | Action::ForgetNode { .. }
        | Action::SizeQueue { .. }
        | Action::MoveEnvironment { .. }
        | Action::FinishOperation { .. } => false,
    }
}

fn stray(node: &ListedNode) -> Stray {
    Stray {
        provider_id: node.id.0.clone(),
        node: node.node,
        cluster: node.cluster,
        account: node.id.account(),
    }
}

async fn tell(tx: &mut Tx, cluster: ClusterId) -> Result<(), ReconcileError> {
    let Some(cluster) = leases::load(tx, cluster).await? else {
        return Ok(());
    };
    let event = NewEvent {
        tenant: cluster.tenant,
        cluster: Some(cluster.id),
        node: None,
        service: None,
        kind: "held_after_restore",
        severity: EventSeverity::Warning,
        message: "Nodes of this cluster run that Updraft's restored database does not know. Nothing of it is changed until \
                  an operator of this installation has confirmed that.",
    };
    Ok(events::append(tx, &event).await?)
}
