//! What is swept beside each cluster's own looks: nodes and networks of a deleted cluster, and volumes of nodes that are gone.

use updraft_provider::simulated::Machine;
use updraft_provider::{NodeStatus, ProviderId};

use super::bugs::Bug;
use super::row::RowState;
use super::shared::at_once;
use super::{CLUSTER, Shared, laws};

// === impl Shared ===

impl Shared {
    pub(super) fn sweep(&self) {
        self.sweep_cluster();
        self.sweep_volumes();
    }

    /// Ends what is left of the cluster once it is deleted.
    fn sweep_cluster(&self) {
        let is_deleted = self.state.borrow().records.deleted;
        let early = self.bug == Some(Bug::SweepsWhatIsBeingLaunched);
        if !is_deleted && !early {
            return;
        }
        let doomed: Vec<ProviderId> = {
            let records = &self.state.borrow().records;
            let is_known = |machine: &Machine| {
                records
                    .live_rows()
                    .any(|row| row.id == machine.node && row.provider_id.is_some())
            };
            self.live()
                .into_iter()
                .filter(|machine| machine.status != NodeStatus::Ending)
                .filter(|machine| is_deleted || !is_known(machine))
                .map(|machine| machine.id)
                .collect()
        };
        if is_deleted {
            let _ = at_once(self.api().forget_cluster(CLUSTER));
        }
        for id in doomed {
            if !is_deleted {
                laws::may_end(self, &id);
            }
            let _ = at_once(self.api().terminate(&id));
        }
    }

    /// What no record names is left alone.
    fn sweep_volumes(&self) {
        if self.bug == Some(Bug::LeavesVolumes) {
            return;
        }
        for volume in at_once(self.api().left_volumes()).unwrap_or_default() {
            let is_gone = {
                let rows = &self.state.borrow().records.rows;
                rows.iter()
                    .any(|row| row.id == volume.node && row.state == RowState::Gone)
            };
            if is_gone {
                let _ = at_once(self.api().delete_volume(&volume.id));
            }
        }
    }
}
