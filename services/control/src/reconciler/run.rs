//! The loop: which cluster is due, and for how long one look goes on.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use updraft_planner::{Action, Plan, plan};
use updraft_store::leases::{self, Lease};
use updraft_store::{Announcements, Channel};

use super::execute::Progress;
use super::observe::{Sight, View};
use super::{ReconcileError, Reconciler};

/// Looks in a row before others get their turn.
const ROUNDS: usize = 12;
/// Pause after a look that failed, and between two that achieve nothing.
const PAUSE: TimeDelta = TimeDelta::seconds(1);
/// Pause while all that there is to do is held.
const HELD: TimeDelta = TimeDelta::seconds(10);
/// Shorter pauses are as they were planned.
const WORTH_SPREADING: TimeDelta = TimeDelta::seconds(10);
const SHARES: i32 = 1024;
/// The longest sleep, should an announcement be missed.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

impl Reconciler {
    /// Runs until cancelled; looks under way are finished first.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut looks = JoinSet::new();
        looks.spawn(Arc::clone(&self).sweep_for_ever(shutdown.clone()));
        looks.spawn(Arc::clone(&self).listen_for_ever(shutdown.clone()));
        looks.spawn(Arc::clone(&self).watch_for_ever(shutdown.clone()));
        looks.spawn(Arc::clone(&self).roll_out_agents_for_ever(shutdown.clone()));
        let places = Arc::new(Semaphore::new(self.parts.settings.parallel));
        let mut announcements = None;
        while !shutdown.is_cancelled() {
            if announcements.is_none() {
                announcements = self.parts.store.listen(&[Channel::Clusters]).await.ok();
            }
            self.look_at_all_due(&mut looks, &places).await;
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.until_due(&places) => {}
                () = self.looked.notified() => {}
                lost = next(&mut announcements) => if lost { announcements = None },
            }
            drain(&mut announcements);
            while looks.try_join_next().is_some() {}
        }
        while looks.join_next().await.is_some() {}
    }

    /// Looks at the one cluster that has been due longest; false when none is.
    ///
    /// # Errors
    /// When no lease can be taken.
    pub async fn look_at_one_due(&self) -> Result<bool, ReconcileError> {
        let Some(lease) = self.take_due().await? else {
            return Ok(false);
        };
        self.look(&lease).await;
        Ok(true)
    }

    async fn look_at_all_due(self: &Arc<Self>, looks: &mut JoinSet<()>, places: &Arc<Semaphore>) {
        while let Ok(place) = Arc::clone(places).try_acquire_owned() {
            match self.take_due().await {
                Ok(Some(lease)) => {
                    let this = Arc::clone(self);
                    let share = self.shares.take(lease.account);
                    looks.spawn(async move {
                        this.look(&lease).await;
                        drop((share, place));
                        this.looked.notify_one();
                    });
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(error = ?error, "the reconciler cannot take a lease");
                    return;
                }
            }
        }
    }

    /// Takes the lease on one cluster that is due, if there is one.
    async fn take_due(&self) -> Result<Option<Lease>, ReconcileError> {
        let mut connection = self.parts.store.connection().await?;
        let full = self.shares.full(&self.inventory.silent());
        Ok(leases::take_due(&mut connection, self.owner, self.parts.settings.lease, &full).await?)
    }

    /// Looks at one cluster until there is nothing to do, and gives it back.
    #[tracing::instrument(name = "reconciler.look", skip_all, fields(cluster.id = lease.cluster.0))]
    async fn look(&self, lease: &Lease) {
        let wake_at = match self.rounds(lease).await {
            Ok(wake_at) => wake_at,
            Err(error) if error.is_lost_lease() => return,
            Err(error) => {
                tracing::error!(error = ?error, "a look at the cluster failed; there will be another");
                lease.taken_at + PAUSE
            }
        };
        if let Err(error) = self.release(lease, wake_at).await {
            tracing::error!(error = ?error, "a lease could not be given back; it will expire");
        }
    }

    async fn rounds(&self, lease: &Lease) -> Result<DateTime<Utc>, ReconcileError> {
        for _ in 0..ROUNDS {
            let Some(view) = self.observe(lease.cluster, Sight::Shared).await? else {
                return Ok(lease.taken_at);
            };
            if self.follow_requirements(lease, &view).await? {
                continue;
            }
            let Some((view, plan)) = self.decide(view).await? else {
                return Ok(lease.taken_at);
            };
            self.record(lease, &view, &plan).await?;
            if plan.actions.is_empty() {
                return Ok(spread(lease, &view, plan.wake_at));
            }
            let actions = self.permitted(&view, plan.actions).await?;
            if actions.is_empty() {
                return Ok(view.now + HELD);
            }
            self.renew(lease).await?;
            match self.execute(lease, &view, &actions).await? {
                Progress::Made => {}
                Progress::Awaited => return Ok(plan.wake_at),
                Progress::Queued => {
                    return Ok(spread(lease, &view, view.now + self.parts.settings.queued));
                }
            }
        }
        Ok(lease.taken_at + PAUSE)
    }

    /// What to do. Where that rests on the provider's list, which may be older than what was done last, the provider is
    /// asked anew. None: the cluster is deleted.
    async fn decide(&self, view: View) -> Result<Option<(View, Plan)>, ReconcileError> {
        let first = plan(&view.desired, &view.observed, view.now);
        if !first.actions.iter().any(rests_on_list) {
            return Ok(Some((view, first)));
        }
        let anew = self.observe(view.cluster.id, Sight::Own).await?;
        Ok(anew.map(|view| {
            let plan = plan(&view.desired, &view.observed, view.now);
            (view, plan)
        }))
    }

    async fn renew(&self, lease: &Lease) -> Result<(), ReconcileError> {
        let mut connection = self.parts.store.connection().await?;
        Ok(leases::renew(&mut connection, lease, self.parts.settings.lease).await?)
    }

    async fn release(&self, lease: &Lease, wake_at: DateTime<Utc>) -> Result<(), ReconcileError> {
        let mut connection = self.parts.store.connection().await?;
        Ok(leases::release(&mut connection, lease, wake_at).await?)
    }

    /// Until the next cluster is due and there is a place for it.
    async fn until_due(&self, places: &Semaphore) {
        let next = async {
            let mut connection = self.parts.store.connection().await?;
            let full = self.shares.full(&self.inventory.silent());
            leases::next_due(&mut connection, &full).await
        };
        let pause = match next.await {
            Ok(Some(left)) => left.to_std().unwrap_or_default(),
            Ok(None) => LONGEST_SLEEP,
            Err(_) => Duration::from_secs(1),
        };
        tokio::time::sleep(pause.clamp(Duration::from_millis(5), LONGEST_SLEEP)).await;
        let _place = places.acquire().await;
    }
}

/// Whether what the provider said is a reason for this action.
fn rests_on_list(action: &Action) -> bool {
    match action {
        Action::StartNode { .. }
        | Action::StopNode { .. }
        | Action::SwitchOffNode { .. }
        | Action::KeepNode { .. }
        | Action::WakeNode { .. }
        | Action::TerminateNode { .. }
        | Action::ForgetNode { .. }
        | Action::TerminateOrphan { .. } => true,
        Action::EnsureSecrets
        | Action::EnsureDatabase
        | Action::EnsureStorage
        | Action::EnsureNetwork
        | Action::IntendNode { .. }
        | Action::LaunchNode { .. }
        | Action::SizeQueue { .. }
        | Action::MoveEnvironment { .. }
        | Action::TurnKeys { .. }
        | Action::DropDatabase
        | Action::RemoveStorage
        | Action::RemoveNetwork
        | Action::RemoveSecrets
        | Action::MarkDeleted
        | Action::FinishOperation { .. } => false,
    }
}

/// Long pauses are made shorter by up to a quarter, each time and each cluster otherwise: those that were woken together
/// are not due together for ever.
fn spread(lease: &Lease, view: &View, wake_at: DateTime<Utc>) -> DateTime<Utc> {
    let pause = wake_at - view.now;
    if pause < WORTH_SPREADING {
        return wake_at;
    }
    let scattered = (lease.cluster.0.wrapping_add(lease.fence)).wrapping_mul(0x9E37_79B9);
    let share = i32::try_from(scattered.rem_euclid(i64::from(SHARES))).unwrap_or_default();
    wake_at - pause * share / (4 * SHARES)
}

/// One look at what is due is enough for all that is announced already.
fn drain(announcements: &mut Option<Announcements>) {
    while let Some(is_lost) = next(announcements).now_or_never() {
        if is_lost {
            *announcements = None;
        }
    }
}

/// Waits for an announcement; true when the connection it comes over is lost. Without one it waits for ever.
async fn next(announcements: &mut Option<Announcements>) -> bool {
    match announcements {
        Some(listening) => listening.next().await.is_err(),
        None => std::future::pending().await,
    }
}
