//! What Updraft asks of a cluster by itself, because somebody asked it to: told and recorded like what people ask.

use serde_json::json;
use updraft_model::{OperationId, OperationKind, Power, TenantId};
use updraft_store::clusters::{self, ClusterRecord};
use updraft_store::operations::{self, Cause, NewOperation};
use updraft_store::{PgConnection, event_log};
use uuid::Uuid;

use crate::AppError;
use crate::audit::{self, By, Target, besides};

/// Starts or stops a cluster that is locked. `why` goes on after a colon: `its schedule says so`.
pub(crate) async fn turn(
    tx: &mut PgConnection,
    tenant: TenantId,
    cluster: &ClusterRecord,
    power: Power,
    (cause, why): (Cause, &str),
) -> Result<(), AppError> {
    let id = cluster.id;
    clusters::set_power(tx, tenant, id, power, false).await?;
    let (kind, action, event, message) = match power {
        Power::Running => (
            OperationKind::Start,
            "cluster.start",
            "start_requested",
            "started",
        ),
        Power::Stopped | Power::Deleted => (OperationKind::Stop, "cluster.stop", "stop_requested", "stopped"),
    };
    let operation = NewOperation {
        id: OperationId(Uuid::now_v7()),
        tenant,
        cluster: id,
        kind,
        generation: cluster.generation.next(),
        requested_by: None,
        cause: Some(cause),
    };
    operations::open(tx, &operation).await?;
    let message = format!("Updraft {message} the cluster: {why}");
    event_log::append(tx, tenant, Some(id), event, &message).await?;
    let change = audit::Change::between(json!({"power": cluster.power}), json!({"power": power}));
    let attempt = besides(action).on(Target::cluster(id, &cluster.name));
    attempt.done(tx, By::system(Some(tenant)), change).await
}
