//! One control's driver, by the product's transaction rules, in single steps: after each commit, each call and each
//! answer it may die, or stand still while another goes on.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use chrono::{DateTime, TimeDelta, Utc};
use updraft_planner::{Action, Desired, Observed, Plan, plan};
use updraft_provider::ListedNode;

use super::bugs::Bug;
use super::parts::{Part, Reach};
use super::records::{Lease, Records, RunningOperation};
use super::{Shared, laws};

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
        // Otherwise it expires.
        if self.reach() == Reach::Done {
            let mut state = self.shared.state.borrow_mut();
            state.records.release(&self.lease, wake_at);
        }
    }

    async fn rounds(&self) -> Result<DateTime<Utc>, Ended> {
        for _ in 0..ROUNDS {
            if !self.reach().is_whole() {
                return Err(Ended::Failed);
            }
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
            let same = |operation: &&mut RunningOperation| operation.generation == generation;
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

    /// One transaction, which only the holder of the lease may write. It may fail, or be committed without an answer.
    pub(super) async fn commit<T>(&self, write: impl FnOnce(&mut Records) -> T) -> Result<T, Ended> {
        if !self.may_write() {
            return Err(Ended::LeaseLost);
        }
        laws::writes_with_lease(self.is_held());
        let reach = self.reach();
        let written = reach
            .is_whole()
            .then(|| write(&mut self.shared.state.borrow_mut().records));
        step().await;
        written.filter(|_| reach == Reach::Done).ok_or(Ended::Failed)
    }

    /// How far a call to control's own database comes.
    fn reach(&self) -> Reach {
        self.shared.state.borrow_mut().parts.reach(Part::Records)
    }

    fn may_write(&self) -> bool {
        self.is_held() || self.shared.bug == Some(Bug::IgnoresFence)
    }

    pub(super) fn is_held(&self) -> bool {
        self.shared.state.borrow().records.is_held(&self.lease)
    }
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
