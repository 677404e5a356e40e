//! One control's driver, by the product's transaction rules, in single steps: after each commit, each call and each
//! answer it may die, or stand still while another goes on.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use chrono::{DateTime, TimeDelta, Utc};
use updraft_planner::{Action, Desired, Hearing, Node, Observed, Orphan, Plan, ProviderView, plan};
use updraft_provider::{ListedNode, NodeProvider as _, NodeStatus, ProviderId};

use super::bugs::Bug;
use super::records::{Lease, Records, Row, RowState};
use super::{CLUSTER, Shared, agents, laws};

/// Looks in a row before others get their turn.
const ROUNDS: usize = 12;
/// Pause after a look that failed, and between two that achieve nothing.
const PAUSE: TimeDelta = TimeDelta::seconds(1);

pub(crate) struct Driver {
    pub(super) shared: Rc<Shared>,
    /// Which control this is.
    pub(super) me: usize,
    pub(super) lease: Lease,
}

/// The cluster at one moment.
pub(crate) struct View {
    pub(crate) desired: Desired,
    pub(crate) observed: Observed,
    /// What this driver takes the time to be.
    pub(crate) now: DateTime<Utc>,
    /// When it was.
    pub(crate) at: DateTime<Utc>,
    pub(super) listed: Vec<ListedNode>,
    /// How many turns of the keys were asked for by then.
    pub(super) turns: u32,
}

/// Whether another look may find something new at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Made,
    Awaited,
}

/// Why a look ended early.
pub(super) enum Ended {
    LeaseLost,
    /// A record was not as expected.
    Failed,
}

type Execution<'a> = Pin<Box<dyn Future<Output = Result<Progress, Ended>> + 'a>>;

// === impl Driver ===

impl Driver {
    /// Looks at the cluster until there is nothing to do, and gives it back.
    pub(crate) async fn look(self) {
        let wake_at = match self.rounds().await {
            Ok(wake_at) => wake_at,
            Err(Ended::LeaseLost) => return,
            Err(Ended::Failed) => self.shared.now() + PAUSE,
        };
        self.shared
            .state
            .borrow_mut()
            .records
            .release(&self.lease, wake_at);
    }

    async fn rounds(&self) -> Result<DateTime<Utc>, Ended> {
        for _ in 0..ROUNDS {
            let Some(view) = self.observe().await else {
                return Ok(self.shared.now());
            };
            let plan = plan(&view.desired, &view.observed, view.now);
            self.record(&view, &plan).await?;
            if plan.actions.is_empty() {
                return Ok(plan.wake_at);
            }
            self.commit(Records::renew).await?;
            if self.execute(&view, plan.actions).await? == Progress::Awaited {
                return Ok(plan.wake_at);
            }
        }
        Ok(self.shared.now() + PAUSE)
    }

    async fn record(&self, view: &View, plan: &Plan) -> Result<(), Ended> {
        let (phase_changed, operation) = {
            let state = self.shared.state.borrow();
            let operation = state.records.operation.clone();
            (state.records.phase != plan.phase, operation)
        };
        laws::timeline(operation.as_ref(), &plan.steps, view);
        let seen = view.desired.operation.as_ref();
        let steps_changed = seen.is_some_and(|operation| operation.steps != plan.steps);
        if !phase_changed && !steps_changed {
            return Ok(());
        }
        let generation = view.desired.generation;
        self.commit(|records| {
            records.phase = plan.phase.clone();
            let same = |operation: &&mut super::records::RunningOperation| operation.generation == generation;
            if let Some(operation) = records.operation.as_mut().filter(same) {
                operation.steps.clone_from(&plan.steps);
            }
        })
        .await
    }

    /// All actions at once, each going on a step whenever it may.
    async fn execute(&self, view: &View, actions: Vec<Action>) -> Result<Progress, Ended> {
        let mut under_way: Vec<Execution<'_>> = Vec::new();
        for action in actions {
            if self.may_write() {
                laws::no_harm(&self.shared, view, self.is_held(), &action);
            }
            under_way.push(Box::pin(self.execute_one(view, action)));
        }
        let mut results = Vec::new();
        poll_fn(|context| {
            let next = self.shared.state.borrow_mut().dice.index(under_way.len());
            if let Poll::Ready(result) = under_way[next].as_mut().poll(context) {
                results.push(result);
                drop(under_way.swap_remove(next));
            }
            if under_way.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        let results = results.into_iter().collect::<Result<Vec<_>, _>>()?;
        let made = results.contains(&Progress::Made);
        Ok(if made { Progress::Made } else { Progress::Awaited })
    }

    /// One transaction, which only the holder of the lease may write.
    pub(super) async fn commit<T>(&self, write: impl FnOnce(&mut Records) -> T) -> Result<T, Ended> {
        if !self.may_write() {
            return Err(Ended::LeaseLost);
        }
        laws::writes_with_lease(self.is_held());
        let written = write(&mut self.shared.state.borrow_mut().records);
        step().await;
        Ok(written)
    }

    fn may_write(&self) -> bool {
        self.is_held() || self.shared.bug == Some(Bug::IgnoresFence)
    }

    pub(super) fn is_held(&self) -> bool {
        self.shared.state.borrow().records.is_held(&self.lease)
    }

    async fn observe(&self) -> Option<View> {
        let records = self.shared.state.borrow().records.clone();
        if records.deleted {
            return None;
        }
        let at = records.now;
        step().await;
        let listed = self.shared.provider.list(Some(CLUSTER)).await.ok();
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
        let described = self.shared.provider.describe(id).await;
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

/// Here a driver may die, or stand still.
pub(super) async fn step() {
    let mut passed = false;
    poll_fn(|_| {
        if std::mem::replace(&mut passed, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
