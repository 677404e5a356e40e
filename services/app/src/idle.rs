//! Clusters that stop by themselves when nobody needs them: each once, whichever control looks first, and never before people were
//! told. What edges and nodes say counts as far as it keeps a cluster up; an end comes of silence alone.

use chrono::{DateTime, Utc};
use serde_json::Value;
use updraft_api::edge::ClusterUses;
use updraft_api::task_load::TaskLoad;
use updraft_model::{ClusterId, IdleStop, Phase, Power, TenantId, UserId};
use updraft_planner::{Idleness, Verdict, judge};
use updraft_store::clusters::{self, ClusterRecord};
use updraft_store::idleness::{self, IdleRecord};
use updraft_store::operations::Cause;
use updraft_store::{PgConnection, StoreError, event_log, tenants};
use uuid::Uuid;

use crate::{App, AppError, by_itself};

/// More than one edge serves in half a minute; the rest comes with the next report.
const USES_AT_ONCE: usize = 10_000;

impl App {
    /// Looks at one cluster that stops when idle; false when none is due.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn follow_idleness(&self) -> Result<bool, AppError> {
        let mut connection = self.store().connection().await?;
        let due = idleness::find_due(&mut connection).await?;
        drop(connection);
        let Some((tenant, id)) = due else {
            return Ok(false);
        };
        let mut tx = self.store().begin().await?;
        // In the order in which people's changes lock.
        tenants::lock_quota(&mut tx, tenant).await?;
        clusters::lock(&mut tx, tenant, id).await?;
        if let Some(record) = idleness::lock_due(&mut tx, tenant, id).await? {
            let cluster = clusters::find(&mut tx, tenant, UserId(Uuid::nil()), id).await?;
            let alive = cluster.filter(|cluster| cluster.power != Power::Deleted);
            match alive.and_then(|cluster| Some((cluster.spec.stop_when_idle.limit()?, cluster))) {
                Some((limit, cluster)) => {
                    let seen = seen(&cluster, &record, limit);
                    act(&mut tx, tenant, &cluster, &record, judge(&seen, record.now)).await?;
                }
                None => idleness::clear(&mut tx, tenant, id).await?,
            }
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(true)
    }

    /// Which clusters were used at an edge, and when.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn note_cluster_uses(&self, told: ClusterUses) -> Result<(), AppError> {
        let used = told.uses.into_iter().take(USES_AT_ONCE);
        let used: Vec<_> = used
            .filter_map(|used| Some((used.cluster, DateTime::from_timestamp(used.at, 0)?)))
            .collect();
        let mut connection = self.store().connection().await?;
        Ok(idleness::note_uses(&mut connection, &used).await?)
    }
}

/// Another idle time counts from now on.
pub(crate) async fn keep(
    tx: &mut PgConnection,
    tenant: TenantId,
    cluster: ClusterId,
    stop: IdleStop,
) -> Result<(), AppError> {
    match stop.is_never() {
        true => idleness::clear(tx, tenant, cluster).await?,
        false => idleness::set(tx, tenant, cluster).await?,
    }
    Ok(())
}

fn seen(cluster: &ClusterRecord, record: &IdleRecord, limit: chrono::TimeDelta) -> Idleness {
    let load = record.report.as_ref().and_then(load);
    Idleness {
        limit,
        is_steady: cluster.power == Power::Running
            && cluster.phase == Phase::Running
            && cluster.operation.is_none(),
        hears_edges: !record.misses_edge,
        quiet_since: load.as_ref().and_then(|load| load.quiet_since),
        next_run_at: load.as_ref().and_then(|load| load.next_run_at),
        used_at: record.used_at,
        changed_at: record.changed_at,
        looked_at: record.looked_at,
        told: record.stop_at,
    }
}

/// What cannot be read is not known: agents are not trusted to send good reports.
fn load(report: &Value) -> Option<TaskLoad> {
    serde_json::from_value(report.get("load")?.clone()).ok()
}

async fn act(
    tx: &mut PgConnection,
    tenant: TenantId,
    cluster: &ClusterRecord,
    record: &IdleRecord,
    verdict: Verdict,
) -> Result<(), AppError> {
    let id = cluster.id;
    let (now, before) = (record.now, record.stop_at);
    match verdict {
        Verdict::Stays { look_at } => {
            idleness::move_on(tx, tenant, id, (now, look_at), None).await?;
            if before.is_some() && cluster.power == Power::Running {
                let message = "The cluster is in use or not as it should be: it does not stop for being idle";
                event_log::append(tx, tenant, Some(id), "idle_stop_withdrawn", message).await?;
            }
        }
        Verdict::WillStop {
            idle_since,
            stop_at,
            look_at,
        } => {
            idleness::move_on(tx, tenant, id, (now, look_at), Some(stop_at)).await?;
            if before != Some(stop_at) {
                let message = announcement(idle_since, stop_at);
                event_log::append(tx, tenant, Some(id), "idle_stop_announced", &message).await?;
            }
        }
        Verdict::Stops { idle_since } => {
            // Looked at again soon: that it stands still is found then.
            idleness::move_on(
                tx,
                tenant,
                id,
                (now, now + updraft_planner::limits::LOOK_IDLE),
                None,
            )
            .await?;
            let why = format!(
                "nothing ran and nobody used it since {}. Start it when it is needed",
                clock(idle_since)
            );
            by_itself::turn(tx, tenant, cluster, Power::Stopped, (Cause::Idle, &why)).await?;
        }
    }
    Ok(())
}

fn announcement(idle_since: DateTime<Utc>, stop_at: DateTime<Utc>) -> String {
    format!(
        "The cluster will stop at {}: nothing ran and nobody used it since {}. Open its Airflow to keep it running",
        clock(stop_at),
        clock(idle_since)
    )
}

fn clock(at: DateTime<Utc>) -> String {
    at.format("%-d %b, %H:%M UTC").to_string()
}
