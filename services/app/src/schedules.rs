//! Clusters that start and stop by themselves: each time of a schedule is acted upon once, by whichever control comes first, and
//! of times at which none was there only the newest.

use chrono::{DateTime, Utc};
use updraft_api::schedule::UpcomingView;
use updraft_model::{ClusterId, Power, Schedule, TenantId, UserId};
use updraft_planner::Calendar;
use updraft_store::clusters::{self, ClusterRecord, Usage};
use updraft_store::operations::Cause;
use updraft_store::tenants::Quota;
use updraft_store::{PgConnection, StoreError, event_log, schedules, tenants};
use uuid::Uuid;

use crate::{App, AppError, by_itself, quota};

impl App {
    /// Acts upon one schedule that is due; false when none is.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn follow_schedule(&self) -> Result<bool, AppError> {
        let mut connection = self.store().connection().await?;
        let due = schedules::find_due(&mut connection).await?;
        drop(connection);
        let Some((tenant, id)) = due else {
            return Ok(false);
        };
        let mut tx = self.store().begin().await?;
        // In the order in which people's changes lock.
        let quota = tenants::lock_quota(&mut tx, tenant).await?;
        clusters::lock(&mut tx, tenant, id).await?;
        let Some(due) = schedules::lock_due(&mut tx, tenant, id).await? else {
            return Ok(true);
        };
        let nobody = UserId(Uuid::nil());
        let found = clusters::find(&mut tx, tenant, nobody, id).await?;
        let calendar = found
            .as_ref()
            .and_then(|cluster| Calendar::of(&cluster.spec.schedule).ok());
        let next = calendar
            .as_ref()
            .and_then(|calendar| calendar.upcoming(due.now).earliest());
        match next {
            Some(next) => schedules::move_on(&mut tx, tenant, id, due.now, next).await?,
            None => schedules::clear(&mut tx, tenant, id).await?,
        }
        let newest = calendar.and_then(|calendar| calendar.newest(due.looked_at, due.now));
        if let Some((cluster, (_, power))) = found.zip(newest) {
            ask(&mut tx, (tenant, quota), &cluster, power).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(true)
    }
}

pub(crate) fn check(schedule: &Schedule) -> Result<(), AppError> {
    let refuse = |error: updraft_planner::InvalidSchedule| {
        AppError::invalid(format!("schedule.{}", error.field), error.why)
    };
    Calendar::of(schedule).map(|_| ()).map_err(refuse)
}

/// Another schedule counts from now on.
pub(crate) async fn keep(
    tx: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    schedule: &Schedule,
) -> Result<(), AppError> {
    let now = schedules::now(tx).await?;
    let next = Calendar::of(schedule)
        .ok()
        .and_then(|calendar| calendar.upcoming(now).earliest());
    match next {
        Some(next) => schedules::set(tx, tenant, cluster, next).await?,
        None => schedules::clear(tx, tenant, cluster).await?,
    }
    Ok(())
}

/// What happens next by itself; none without a schedule, unless people were told that it stops for being idle.
pub(crate) fn upcoming(
    schedule: &Schedule,
    idle_stop: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<UpcomingView> {
    let calendar = Calendar::of(schedule).ok().filter(|_| !schedule.is_empty());
    if calendar.is_none() && idle_stop.is_none() {
        return None;
    }
    let next = calendar.map(|calendar| calendar.upcoming(now));
    Some(UpcomingView {
        start: next.and_then(|next| next.start),
        stop: next.and_then(|next| next.stop),
        idle_stop,
    })
}

/// Asks for what the schedule says, unless that is so.
async fn ask(
    tx: &mut PgConnection,
    (tenant, quota): (TenantId, Quota),
    cluster: &ClusterRecord,
    power: Power,
) -> Result<(), AppError> {
    let id = cluster.id;
    if cluster.power == Power::Deleted || cluster.power == power {
        return Ok(());
    }
    if power == Power::Running {
        let others = clusters::usage(tx, tenant, Some(id)).await?;
        let nodes = cluster.spec.most_nodes();
        if let Err(refused) = quota::check(quota, others, Usage { clusters: 0, nodes }) {
            let message = format!("Updraft did not start the cluster as its schedule says: {refused}");
            event_log::append(tx, tenant, Some(id), "schedule_refused", &message).await?;
            return Ok(());
        }
        let mut wishes = cluster.service_wishes.clone();
        wishes.start_all();
        clusters::set_service_wishes(tx, tenant, id, &wishes).await?;
    }
    let why = (Cause::Schedule, "its schedule says so");
    by_itself::turn(tx, tenant, cluster, power, why).await
}
