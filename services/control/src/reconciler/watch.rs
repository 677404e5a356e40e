//! Wakes clusters whose nodes changed at the provider, or fell silent: a cluster that is as it should be is looked at
//! rarely, and nobody else would notice.
//!
//! Each process watches all clusters, and wakes by way of the database: whichever process sees a change, some process
//! looks. A wake-up that is missed is made up for by the sweep, which compares records with the list.

use std::collections::HashSet;
use std::sync::Arc;

use updraft_model::{ClusterId, NodeAccount, NodeId};
use updraft_planner::{Hearing, limits};
use updraft_provider::{ListedNode, NodeStatus, ProviderError};
use updraft_store::leases;

use super::inventory::Listed;
use super::{ReconcileError, Reconciler};

/// What was seen last.
#[derive(Default)]
pub(super) struct Seen {
    listed: Option<Arc<Listed>>,
    quiet: HashSet<NodeId>,
    /// Whether the account was seen to let Updraft in no more; none: not known yet.
    is_refused: Option<bool>,
}

impl Reconciler {
    /// Wakes the account's clusters of which something is new since. An account that does not answer has no news.
    pub(super) async fn watch(&self, account: NodeAccount, seen: &mut Seen) -> Result<(), ReconcileError> {
        let answer = self.inventory.at_most(account, self.parts.settings.watch).await;
        let refusal = match &answer {
            Ok(_) => Some(None),
            Err(error @ ProviderError::Refused(_)) => Some(Some(error)),
            // It may be otherwise in a moment.
            Err(_) => None,
        };
        if let Some(refusal) = refusal.filter(|refusal| seen.is_refused != Some(refusal.is_some())) {
            self.note_refusal(account, refusal).await?;
            seen.is_refused = Some(refusal.is_some());
        }
        let Ok(listed) = answer else { return Ok(()) };
        let mut woken = match &seen.listed {
            Some(before) => listed.changed_since(before),
            None => HashSet::new(),
        };
        let (running, quiet) = self.quiet(&listed);
        self.parts
            .liveness
            .hear(account, Hearing::of(running, quiet.len()));
        let newly = quiet.iter().filter(|(node, _)| !seen.quiet.contains(node));
        woken.extend(newly.map(|(_, cluster)| *cluster));
        seen.quiet = quiet.into_iter().map(|(node, _)| node).collect();
        seen.listed = Some(listed);
        self.wake(woken).await
    }

    /// How many nodes run, and those of them that are not well: nobody has heard them for some time, or their provider's
    /// checks fail.
    fn quiet(&self, listed: &Listed) -> (usize, Vec<(NodeId, ClusterId)>) {
        let running: Vec<_> = listed.nodes().filter(|node| node.status.is_up()).collect();
        let is_impaired = |node: &&ListedNode| node.status == NodeStatus::Impaired;
        let (impaired, others): (Vec<_>, Vec<_>) = running.iter().copied().partition(is_impaired);
        let silent = self.parts.liveness.silent(others.into_iter(), limits::QUIET);
        let unwell = silent.into_iter().chain(impaired);
        (
            running.len(),
            unwell.map(|node| (node.node, node.cluster)).collect(),
        )
    }

    pub(super) async fn wake(&self, clusters: HashSet<ClusterId>) -> Result<(), ReconcileError> {
        if clusters.is_empty() {
            return Ok(());
        }
        let mut clusters: Vec<_> = clusters.into_iter().collect();
        // In one order: two who wake the same clusters don't wait for each other crosswise.
        clusters.sort_unstable();
        let mut connection = self.parts.store.connection().await?;
        Ok(leases::wake_all(&mut connection, &clusters).await?)
    }
}
