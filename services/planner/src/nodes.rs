//! What happens to each node, and which places need one.
//!
//! A place (role and ordinal) is taken until its node's record is `gone`, and that is written only when the provider
//! surely has no such node: two live nodes in one place cannot come about. A lost worker's replacement has a place of its own.
//!
//! Where a stopped cluster's machines are kept, a node that has stopped is switched off instead of ended. What never
//! worked, was lost, or refuses to be switched is ended all the same: the next start makes another.
//!
//! A silent node is ended by its provider: who says nothing hears nothing, and would not know that it is to stop. One that
//! fails its provider's checks is replaced though it works: a worker once its tasks have ended, any other at once.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use updraft_model::{NodeId, NodeRole, OnStop, Power, WorkerQueue};

use crate::action::Action;
use crate::desired::{Desired, KeyTurn};
use crate::observed::{
    Hearing, LateFailures, LaunchFailure, LaunchFailureKind, Loss, Node, NodeState, Observed, PlaceHistory,
    ProviderView,
};
use crate::workers;
use crate::{limits, network};

/// Roles in the order in which a start's steps are told.
pub(crate) const ROLES: [NodeRole; 3] = [NodeRole::Scheduler, NodeRole::Web, NodeRole::Worker];

/// A place the tenant wants filled, with the node that serves it, if there is one.
pub(crate) struct Place<'a> {
    pub(crate) role: NodeRole,
    pub(crate) ordinal: u32,
    /// A worker's.
    pub(crate) queue: Option<&'a WorkerQueue>,
    pub(crate) node: Option<&'a Node>,
    holder: Option<&'a Node>,
}

/// One node's situation.
struct Case<'a> {
    desired: &'a Desired,
    observed: &'a Observed,
    node: &'a Node,
    /// Whether its place is one the tenant wants filled.
    is_wanted: bool,
    now: DateTime<Utc>,
}

pub(crate) fn actions(desired: &Desired, observed: &Observed, now: DateTime<Utc>) -> Vec<Action> {
    let places: Vec<_> = places(desired, observed).collect();
    let holders: HashSet<_> = places
        .iter()
        .filter_map(|place| place.holder)
        .map(|node| node.id)
        .collect();
    let of_nodes = observed.nodes.iter().filter_map(|node| {
        Case {
            desired,
            observed,
            node,
            is_wanted: holders.contains(&node.id),
            now,
        }
        .action()
    });
    let orphans = observed
        .orphans
        .iter()
        .filter(|orphan| orphan.recorded || desired.terminate_unrecorded);
    of_nodes
        .chain(intents(&places, desired, observed, now).filter(|_| network::stands(desired, observed)))
        .chain(orphans.map(|orphan| Action::TerminateOrphan {
            provider_id: orphan.provider_id.clone(),
        }))
        .collect()
}

/// Nodes that serve a wanted place: neither given up nor asked to stop.
pub(crate) fn kept(desired: &Desired, observed: &Observed) -> HashSet<NodeId> {
    places(desired, observed)
        .filter_map(|place| place.node)
        .map(|node| node.id)
        .collect()
}

/// Every wanted place with the node that serves it, if there is one.
pub(crate) fn places<'a>(desired: &'a Desired, observed: &'a Observed) -> impl Iterator<Item = Place<'a>> {
    let is_running = desired.power == Power::Running;
    let single = [NodeRole::Scheduler, NodeRole::Web].map(|role| {
        let here = |node: &&Node| node.role == role && node.ordinal == 1;
        Place::new(role, 1, None, observed.nodes.iter().find(here))
    });
    let workers = workers::places(desired, observed).into_iter();
    let workers =
        workers.map(|place| Place::new(NodeRole::Worker, place.ordinal, Some(place.queue), place.holder));
    single.into_iter().chain(workers).filter(move |_| is_running)
}

/// Neither given up nor asked to stop.
pub(crate) fn serves(node: &Node) -> bool {
    node.stop_asked_at.is_none()
        && node.loss.is_none()
        && !matches!(node.state, NodeState::Terminating { .. })
}

/// Whether the node's machine stands still, and is to, while the cluster is stopped.
pub(crate) fn rests(desired: &Desired, node: &Node) -> bool {
    let moves = matches!(
        node.provider,
        ProviderView::Pending | ProviderView::Running | ProviderView::Ending
    );
    matches!(node.state, NodeState::Kept { .. }) && is_to_be_kept(desired, node) && !moves
}

/// Whether it was asked to end, and is heard to be at it.
pub(crate) fn finishes_tasks(node: &Node) -> bool {
    let heard = node.report.is_some() && node.silence < limits::QUIET;
    let drains = node.role == NodeRole::Worker && node.is_launched() && node.stop_asked_at.is_some();
    drains && heard && node.provider.runs() && !node.has_stopped()
}

/// Whether the tasks of a node that is to stop are given their time: its cluster goes on running, and its provider leaves it
/// what they take. What begins again in its place gets along with less, since nobody does its work meanwhile.
#[must_use]
pub fn gives_tasks_their_time(power: Power, keys: &KeyTurn, loss: Option<Loss>) -> bool {
    power == Power::Running && !keys.ends_nodes() && loss != Some(Loss::Reclaimed)
}

/// Whether a stop leaves it its machine.
pub(crate) fn is_to_be_kept(desired: &Desired, node: &Node) -> bool {
    desired.power == Power::Stopped
        && desired.on_stop == OnStop::Keep
        && node.switch.works
        && node.switch.refusals < limits::SWITCH_REFUSALS
        && node.loss.is_none()
}

/// Places nobody's record holds get an intent, after a pause where nodes were lost again and again.
fn intents<'a>(
    places: &'a [Place<'a>],
    desired: &'a Desired,
    observed: &'a Observed,
    now: DateTime<Utc>,
) -> impl Iterator<Item = Action> + 'a {
    places
        .iter()
        .filter(|place| place.holder.is_none())
        .filter(move |place| {
            let history = place.history(desired, observed);
            history.is_none_or(|h| h.last_lost_at + limits::pause_after_losses(h.losses) <= now)
        })
        .map(|place| Action::IntendNode {
            role: place.role,
            ordinal: place.ordinal,
            queue: place.queue.map(|queue| queue.name.clone()),
            instance_type: place.queue.and_then(|queue| queue.instance_type.clone()),
        })
}

// === impl Place ===

impl<'a> Place<'a> {
    fn new(role: NodeRole, ordinal: u32, queue: Option<&'a WorkerQueue>, holder: Option<&'a Node>) -> Self {
        Self {
            role,
            ordinal,
            queue,
            node: holder.filter(|node| serves(node)),
            holder,
        }
    }

    /// `worker-2`
    pub(crate) fn label(&self) -> String {
        format!("{}-{}", self.role, self.ordinal)
    }

    /// What became of the nodes that it had, until one in it is heard. Who asks anew starts anew.
    pub(crate) fn history(&self, desired: &Desired, observed: &'a Observed) -> Option<&'a PlaceHistory> {
        let unheard = self.node.is_none_or(|node| node.report.is_none());
        let is_here = |h: &&PlaceHistory| h.role == self.role && h.ordinal == self.ordinal;
        let history = observed.losses.iter().find(is_here).filter(|_| unheard);
        history.filter(|h| !desired.is_of_before(h.last_lost_at))
    }

    /// Why the provider ended the last node that it had while that started, if it did.
    pub(crate) fn late_failures(
        &self,
        desired: &Desired,
        observed: &'a Observed,
    ) -> Option<&'a LateFailures> {
        self.history(desired, observed)?.late_failures.as_ref()
    }
}

// === impl Case ===

impl Case<'_> {
    fn action(&self) -> Option<Action> {
        match &self.node.state {
            NodeState::Intended {
                attempts,
                attempted_at,
                failure,
            } => self.of_intended(*attempts, *attempted_at, failure.as_ref()),
            NodeState::Launched { at } if self.node.stop_asked_at.is_some() => self.of_stopping(*at),
            NodeState::Launched { at } => self.of_launched(*at),
            NodeState::Kept { launched_at } => self.of_kept(*launched_at),
            NodeState::Terminating { launched_at } => self.of_terminating(*launched_at),
        }
    }

    fn of_intended(
        &self,
        attempts: u32,
        attempted_at: Option<DateTime<Utc>>,
        failure: Option<&LaunchFailure>,
    ) -> Option<Action> {
        let node = self.node.id;
        let refused_for_good = failure.is_some_and(|f| f.kind == LaunchFailureKind::Refused)
            && self.desired.generation > self.node.generation;
        if self.is_wanted && !refused_for_good {
            let due = match (failure, attempted_at) {
                (Some(_), Some(at)) => at + limits::pause_after(attempts) <= self.now,
                _ => true,
            };
            return due.then_some(Action::LaunchNode { node });
        }
        if self.node.provider.is_there() {
            return Some(Action::TerminateNode { node, loss: None });
        }
        self.never_existed(attempts, attempted_at, failure)
            .then_some(Action::ForgetNode { node, loss: None })
    }

    /// Whether no launch of this node can have taken effect. The last answer speaks for the last attempt only.
    fn never_existed(
        &self,
        attempts: u32,
        attempted_at: Option<DateTime<Utc>>,
        failure: Option<&LaunchFailure>,
    ) -> bool {
        match (attempted_at, failure.map(|f| f.kind)) {
            (None, _) => true,
            (Some(_), Some(kind)) if attempts == 1 && kind != LaunchFailureKind::Unclear => true,
            (Some(at), _) => self.is_surely_absent(Some(at)),
        }
    }

    fn of_launched(&self, launched_at: DateTime<Utc>) -> Option<Action> {
        let node = self.node.id;
        if self.is_wanted {
            return match self.loss(launched_at) {
                Some(loss) if self.is_surely_absent(Some(launched_at)) => Some(Action::ForgetNode {
                    node,
                    loss: Some(loss),
                }),
                Some(loss) => Some(Action::TerminateNode {
                    node,
                    loss: Some(loss),
                }),
                None if self.node.provider == ProviderView::Stopped => Some(self.start()),
                None => self.leaving().map(|loss| Action::StopNode {
                    node,
                    loss: Some(loss),
                }),
            };
        }
        if !self.may_stop() {
            return None;
        }
        if self.has_nothing_to_drain(launched_at) {
            return Some(self.end(launched_at));
        }
        Some(Action::StopNode { node, loss: None })
    }

    /// A machine that its provider will not start is of no use: another is made, and what is in the way of that is told.
    fn start(&self) -> Action {
        let node = self.node.id;
        match self.node.switch.refusals < limits::SWITCH_REFUSALS {
            true => Action::StartNode { node },
            false => Action::TerminateNode { node, loss: None },
        }
    }

    fn of_stopping(&self, launched_at: DateTime<Utc>) -> Option<Action> {
        if let Some(next) = self.of_being_kept() {
            return next;
        }
        let over = self.has_nothing_to_drain(launched_at) || self.node.has_stopped() || self.waited_enough();
        over.then(|| self.end(launched_at))
    }

    /// None: it is to be ended, or still drains.
    fn of_being_kept(&self) -> Option<Option<Action>> {
        if !is_to_be_kept(self.desired, self.node) || self.node.report.is_none() {
            return None;
        }
        let node = self.node.id;
        match self.node.provider {
            ProviderView::Stopped => Some(Some(Action::KeepNode { node })),
            ProviderView::Pending | ProviderView::Running | ProviderView::Impaired
                if self.node.has_stopped() =>
            {
                Some(self.switch_off())
            }
            ProviderView::Unknown if self.node.has_stopped() => Some(None),
            ProviderView::Unknown
            | ProviderView::Unlisted
            | ProviderView::Pending
            | ProviderView::Running
            | ProviderView::Impaired
            | ProviderView::Ending
            | ProviderView::Gone => None,
        }
    }

    fn switch_off(&self) -> Option<Action> {
        let asked_at = self.node.switch.asked_at;
        let is_due = asked_at.is_none_or(|at| at + limits::SWITCH_OFF <= self.now);
        is_due.then_some(Action::SwitchOffNode { node: self.node.id })
    }

    fn of_kept(&self, launched_at: Option<DateTime<Utc>>) -> Option<Action> {
        let node = self.node.id;
        if self.is_surely_absent(launched_at) {
            return Some(Action::ForgetNode { node, loss: None });
        }
        match self.node.provider {
            ProviderView::Unlisted | ProviderView::Ending | ProviderView::Gone => None,
            _ if self.is_wanted => Some(Action::WakeNode { node }),
            // Somebody else started it: nobody wants to pay for that.
            ProviderView::Pending | ProviderView::Running | ProviderView::Impaired
                if is_to_be_kept(self.desired, self.node) =>
            {
                self.switch_off()
            }
            _ if is_to_be_kept(self.desired, self.node) => None,
            ProviderView::Unknown
            | ProviderView::Pending
            | ProviderView::Running
            | ProviderView::Impaired
            | ProviderView::Stopped => Some(Action::TerminateNode { node, loss: None }),
        }
    }

    fn of_terminating(&self, launched_at: Option<DateTime<Utc>>) -> Option<Action> {
        let (node, loss) = (self.node.id, self.node.loss);
        match self.node.provider {
            ProviderView::Unknown | ProviderView::Ending => None,
            ProviderView::Pending
            | ProviderView::Running
            | ProviderView::Impaired
            | ProviderView::Stopped => Some(Action::TerminateNode { node, loss }),
            ProviderView::Gone | ProviderView::Unlisted => self
                .is_surely_absent(launched_at)
                .then_some(Action::ForgetNode { node, loss }),
        }
    }

    fn end(&self, launched_at: DateTime<Utc>) -> Action {
        let (node, loss) = (self.node.id, self.node.loss);
        if self.is_surely_absent(Some(launched_at)) {
            Action::ForgetNode { node, loss }
        } else {
            Action::TerminateNode { node, loss }
        }
    }

    /// Why this wanted node has to be replaced, if it has to.
    fn loss(&self, launched_at: DateTime<Utc>) -> Option<Loss> {
        let silent_for = |limit| self.node.silence >= limit;
        match self.node.provider {
            ProviderView::Gone | ProviderView::Ending => Some(Loss::Vanished),
            ProviderView::Unlisted => self.is_surely_absent(Some(launched_at)).then_some(Loss::Vanished),
            ProviderView::Unknown | ProviderView::Stopped => None,
            ProviderView::Pending | ProviderView::Running | ProviderView::Impaired
                if self.node.report.is_none() =>
            {
                silent_for(limits::FIRST_REPORT).then_some(Loss::NeverReported)
            }
            ProviderView::Pending => None,
            ProviderView::Running | ProviderView::Impaired => {
                let silent = self.silence_limit().is_some_and(silent_for);
                let impaired = self.is_given_up() && !self.drains();
                silent
                    .then_some(Loss::Silent)
                    .or(impaired.then_some(Loss::Impaired))
            }
        }
    }

    /// Why this wanted node is to end its work and go, if it is.
    fn leaving(&self) -> Option<Loss> {
        let reclaimed = self.node.is_reclaimed().then_some(Loss::Reclaimed);
        let impaired = || (self.is_given_up() && self.drains()).then_some(Loss::Impaired);
        reclaimed.or_else(impaired)
    }

    /// Whether its provider's checks of it fail. Where they fail for many, another machine would do no better.
    fn is_given_up(&self) -> bool {
        self.node.provider == ProviderView::Impaired && self.observed.hearing == Hearing::Well
    }

    /// Whether it has tasks to end, and hears that it is to.
    fn drains(&self) -> bool {
        self.node.role == NodeRole::Worker && self.node.silence < limits::QUIET
    }

    /// After how long without a word it is given up, if at all.
    fn silence_limit(&self) -> Option<TimeDelta> {
        let heard = |other: &Node| other.report.is_some() && other.silence < limits::QUIET;
        match self.observed.hearing {
            Hearing::Hardly => None,
            Hearing::Well if self.observed.nodes.iter().any(heard) => Some(limits::SILENT),
            Hearing::Well | Hearing::Poorly => Some(limits::SILENT_ALL),
        }
    }

    /// Whether the provider has no such node and none can turn up late.
    fn is_surely_absent(&self, asked_at: Option<DateTime<Utc>>) -> bool {
        match self.node.provider {
            ProviderView::Gone => true,
            ProviderView::Unlisted => asked_at.is_none_or(|at| at + self.observed.listing_lag <= self.now),
            ProviderView::Unknown
            | ProviderView::Pending
            | ProviderView::Running
            | ProviderView::Impaired
            | ProviderView::Stopped
            | ProviderView::Ending => false,
        }
    }

    /// Who was never told anything, since what it takes could not be made, hears of no end either.
    fn has_nothing_to_drain(&self, launched_at: DateTime<Utc>) -> bool {
        self.node.report.is_none()
            || self.node.assignment_version == 0
            || matches!(self.node.provider, ProviderView::Stopped | ProviderView::Ending)
            || self.is_surely_absent(Some(launched_at))
    }

    /// Workers drain while the nodes they need still work. Those of a deletion, too, though not for long: a worker
    /// without its broker would use all the time that it is given.
    fn may_stop(&self) -> bool {
        let waits_for_workers = self.node.role != NodeRole::Worker && self.desired.power != Power::Running;
        !waits_for_workers
            || !self
                .observed
                .nodes
                .iter()
                .any(|n| n.role == NodeRole::Worker && n.is_launched() && !n.has_stopped())
    }

    /// Whether the agent was given its time to stop.
    fn waited_enough(&self) -> bool {
        let Some(asked_at) = self.node.stop_asked_at else {
            return false;
        };
        // Who drained before is given what a stop gives, from then on.
        let ends_at = asked_at.max(
            self.desired
                .operation
                .as_ref()
                .map_or(asked_at, |end| end.created_at),
        );
        let over_at = match self.desired.power {
            Power::Running if self.hangs() => asked_at + limits::DRAIN_WITHOUT_TASKS,
            Power::Running => asked_at + limits::DRAIN,
            Power::Stopped => ends_at + limits::DRAIN_FOR_STOP,
            Power::Deleted => ends_at + limits::DRAIN_FOR_DELETION,
        };
        let silent_stop = match self.observed.hearing {
            Hearing::Well => limits::SILENT_STOP,
            Hearing::Poorly | Hearing::Hardly => limits::SILENT_ALL,
        };
        let unheard = self.node.silence >= silent_stop && asked_at + silent_stop <= self.now;
        unheard || over_at <= self.now
    }

    /// Whether it takes no new task and has none, and it is not known to have stopped.
    fn hangs(&self) -> bool {
        self.node.tasks == Some(0)
    }
}
