//! The agents of all machines that run.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use sqlx::Row as _;
use updraft_api::agent::{ReencryptionOutcome, ReencryptionReport, Report};
use updraft_control::reconciler::{Liveness, Reports};
use updraft_model::AgentPhase;
use updraft_provider::simulated::SimulatedProvider;
use updraft_store::{Store, StoreError};

use super::{Reclaimed, is_up};
use crate::agents::standing;

/// The provider's time passes, and every running node's agent takes up its assignment and reports.
pub(super) async fn pass_time(
    store: Store,
    provider: Arc<SimulatedProvider>,
    liveness: Arc<Liveness>,
    reclaimed: Reclaimed,
) {
    let reports = Reports::new(store.clone(), liveness);
    while pass_moment(&store, &provider, &reports, &reclaimed).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// # Errors
/// When there is no database any more.
pub(super) async fn pass_moment(
    store: &Store,
    provider: &SimulatedProvider,
    reports: &Reports,
    reclaimed: &Reclaimed,
) -> Result<(), StoreError> {
    provider.tick();
    for machine in provider.live().iter().filter(|machine| is_up(machine)) {
        let mut connection = store.connection().await?;
        let row = sqlx::query(
            "select assignment_version, power, agent_wanted, role,
                    (select attempt from key_turns where stage = 'reencrypting' and role = 'scheduler')
             from nodes where id = $1 and state = 'launched'",
        );
        let row = row.bind(machine.node.0).fetch_optional(&mut *connection).await;
        drop(connection);
        if let Some(row) = row.ok().flatten() {
            let phase = if row.get::<String, _>(1) == "stop" {
                AgentPhase::Stopped
            } else {
                AgentPhase::Running
            };
            let is_reclaimed = reclaimed.lock().unwrap().contains(&machine.node);
            let report = Report {
                reclaimed_at: is_reclaimed.then(Utc::now),
                reencryption: row.get::<Option<i64>, _>(4).map(written_anew),
                agent: Some(standing(row.get(2), row.get(3))),
                assignment_version: Some(row.get(0)),
                agent_version: "test".to_owned(),
                ..Report::of(machine.node, phase)
            };
            let _ = reports.accept(machine.node, report).await;
        }
    }
    Ok(())
}

fn written_anew(attempt: i64) -> ReencryptionReport {
    ReencryptionReport {
        attempt,
        outcome: ReencryptionOutcome::Done,
    }
}
