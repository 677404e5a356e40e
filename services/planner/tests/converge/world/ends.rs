//! What is asserted at the end of a schedule, and what the world tells of itself.

use updraft_model::{OnStop, Phase, Power};
use updraft_planner::Outcome;
use updraft_provider::NodeStatus;
use updraft_provider::simulated::Machine;

use super::shared::at_once;
use super::{CLUSTER, NEIGHBOUR, SWEEP, World};

// === impl World ===

impl World {
    /// What is reached stays so, whichever control looks.
    pub(crate) fn assert_it_stays(&mut self) {
        for tick in 0..2 * SWEEP {
            self.tick();
            for control in self.awake().into_iter().filter(|_| tick % 6 == 0) {
                self.shared.state.borrow_mut().records.wake();
                self.work(&[control]);
            }
            assert!(
                self.shared.is_settled(),
                "what was reached does not stay: {:?}",
                self.shared.state.borrow().records.phase
            );
        }
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.shared.state.borrow().records.outcome.clone()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.shared.state.borrow().records.phase.clone()
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.shared.state.borrow().records.deleted
    }

    pub(crate) fn power(&self) -> Power {
        self.shared.state.borrow().records.power
    }

    /// Every node the cluster ever had.
    pub(crate) fn machines(&self) -> Vec<Machine> {
        let mut machines = self.shared.provider.machines();
        machines.retain(|machine| machine.cluster == CLUSTER);
        machines
    }

    /// Steps that a control took since its beginning.
    pub(crate) fn steps(&self, control: usize) -> u32 {
        self.controls[control].steps
    }

    /// What there is at the provider is what was asked for, no more and no less.
    pub(crate) fn assert_as_asked(&self) {
        let records = &self.shared.state.borrow().records;
        let row_of = |machine: &Machine| records.rows.iter().find(|row| row.id == machine.node).unwrap();
        if records.power == Power::Stopped && records.on_stop == OnStop::Keep {
            let is_kept = |machine: &Machine| machine.status == NodeStatus::Stopped;
            assert!(
                self.shared.live().iter().all(is_kept),
                "a stopped cluster's machine runs"
            );
            return;
        }
        let mut live: Vec<_> = self
            .shared
            .live()
            .iter()
            .map(|machine| (machine.role, row_of(machine).queue.clone()))
            .collect();
        let mut expected = Vec::new();
        if records.power == Power::Running {
            expected = records.wanted_nodes();
        }
        assert!(
            self.shared
                .live()
                .iter()
                .all(|machine| records.is_of_type_asked(row_of(machine))),
            "a machine of another type than is asked for"
        );
        live.sort_unstable();
        expected.sort_unstable();
        assert_eq!(live, expected, "there is not what was asked for");
    }

    /// Every key is of the last turn that was asked for, and nothing of those before is left.
    pub(crate) fn assert_keys_are_newest(&self) {
        let records = &self.shared.state.borrow().records;
        assert!(
            records.has_newest_keys(),
            "{:?}, {:?}",
            records.keys,
            records.safe
        );
    }

    /// The cluster is deleted, and nothing is left of it; the neighbour's nodes run.
    pub(crate) fn assert_nothing_is_left(&mut self) {
        assert!(self.shared.state.borrow().records.deleted);
        for _ in 0..3 * SWEEP {
            self.tick();
        }
        assert!(self.shared.live().is_empty(), "leaked: {:?}", self.shared.live());
        let networks = self.shared.provider.networks();
        assert!(networks.is_empty(), "leaked: {networks:?}");
        let mut volumes = at_once(self.shared.api().left_volumes()).unwrap();
        volumes.retain(|volume| volume.cluster == CLUSTER);
        assert!(volumes.is_empty(), "leaked volumes: {volumes:?}");
        let state = self.shared.state.borrow();
        assert_eq!(state.parts.left(), None, "leaked");
        assert!(!state.records.safe.made, "leaked: its secrets");
        drop(state);
        let mut neighbours = self.shared.provider.machines();
        neighbours.retain(|machine| machine.cluster == NEIGHBOUR);
        assert!(
            neighbours
                .iter()
                .all(|machine| machine.status == NodeStatus::Running),
            "another cluster's nodes were touched: {neighbours:?}"
        );
    }
}
