//! What a cluster's tasks know and nobody is shown: written by its admins, read by its nodes alone.
//!
//! A secret belongs to one cluster. Its name is shown and when it was set, its value never: not by the API, not in an error,
//! an event or the audit log.

use std::collections::BTreeSet;

use secrecy::SecretString;
use serde_json::json;
use updraft_api::rest::Accepted;
use updraft_api::task_secrets::{ChangeTaskSecrets, TaskSecretList, TaskSecretView};
use updraft_authz::{Actor, ClusterAction};
use updraft_model::{ClusterId, ClusterSpec, OperationKind};
use updraft_runtimes::Runtime;
use updraft_store::task_secrets::{self, TaskSecretRecord};
use updraft_store::{PgConnection, clusters};

use crate::audit::{Change, attempt};
use crate::changes::Written;
use crate::error::Resource;
use crate::variables::{Use, name_fault, shown, value_fault};
use crate::{App, AppError, access};

const MOST: usize = 100;
const LONGEST: usize = 32 * 1024;

impl App {
    /// Without values.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`].
    pub async fn list_task_secrets(&self, actor: &Actor, id: ClusterId) -> Result<TaskSecretList, AppError> {
        let mut connection = self.store().connection().await?;
        access::cluster(&mut connection, actor, id, ClusterAction::Change).await?;
        let records = task_secrets::list(&mut connection, actor.tenant, id).await?;
        Ok(TaskSecretList {
            items: records.into_iter().map(view).collect(),
        })
    }

    /// Sets and removes secrets as one change: services restart with it, workers once their tasks are done.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::Forbidden`], [`AppError::Invalid`] by name, [`AppError::ClusterDeleting`].
    pub async fn change_task_secrets(
        &self,
        actor: &Actor,
        id: ClusterId,
        asked: ChangeTaskSecrets,
    ) -> Result<Accepted, AppError> {
        let mut change = self
            .begin_change(actor, id, ClusterAction::Change, attempt("task_secrets.change"))
            .await?;
        change.check_not_deleting()?;
        let there = task_secrets::list(&mut change.tx, actor.tenant, id).await?;
        let runtime = self.runtimes().get(&change.cluster.spec.runtime);
        let runtime = runtime.ok_or(AppError::NotFound(Resource::Runtime))?;
        check(&asked, &there, &change.cluster.spec, runtime)?;
        let names: Vec<_> = asked.set.keys().cloned().collect();
        for (name, value) in asked.set {
            let (key, value) = (&self.config().master_key, SecretString::from(value));
            task_secrets::put(&mut change.tx, key, actor.tenant, id, &name, &value).await?;
        }
        for name in &asked.remove {
            task_secrets::remove(&mut change.tx, actor.tenant, id, name).await?;
        }
        clusters::begin_generation(&mut change.tx, actor.tenant, id).await?;
        let written = Written {
            kind: OperationKind::Update,
            message: &told(&names, &asked.remove),
            attempt: change.attempt,
            change: Change::made(json!({"set": names, "removed": asked.remove})),
        };
        self.accept(change.tx, actor, id, written).await
    }
}

/// Refuses a spec that sets what is kept as a secret.
pub(crate) async fn check_apart(
    connection: &mut PgConnection,
    actor: &Actor,
    cluster: ClusterId,
    spec: &ClusterSpec,
    runtime: Option<&Runtime>,
) -> Result<(), AppError> {
    let kept = task_secrets::list(connection, actor.tenant, cluster).await?;
    let clash = kept.iter().find_map(|secret| clash(&secret.name, spec, runtime));
    clash.map_or(Ok(()), |(field, name)| {
        let why = format!("the secret `{name}` sets the same: remove one of them");
        Err(AppError::invalid(field, why))
    })
}

/// The field of the spec that sets what this secret does.
fn clash<'a>(name: &'a str, spec: &ClusterSpec, runtime: Option<&Runtime>) -> Option<(String, &'a str)> {
    if spec.environment_variables.contains_key(name) {
        return Some((format!("environment_variables.{name}"), name));
    }
    let key = &runtime?.option_of_variable(name)?.key;
    spec.config
        .contains_key(key)
        .then(|| (format!("config.{key}"), name))
}

fn check(
    asked: &ChangeTaskSecrets,
    there: &[TaskSecretRecord],
    spec: &ClusterSpec,
    runtime: &Runtime,
) -> Result<(), AppError> {
    if asked.set.is_empty() && asked.remove.is_empty() {
        return Err(AppError::invalid("set", "name a secret to set, or one to remove"));
    }
    for (name, value) in &asked.set {
        let fault = name_fault(name, Use::Secret, runtime)
            .or_else(|| value_fault(value, LONGEST))
            .or_else(|| {
                value
                    .is_empty()
                    .then(|| "a secret is not empty: remove it instead".to_owned())
            })
            .or_else(|| {
                let (field, _) = clash(name, spec, Some(runtime))?;
                Some(format!("`{field}` sets the same: take it out there first"))
            });
        if let Some(why) = fault {
            return Err(AppError::invalid(format!("set.{}", shown(name)), why));
        }
    }
    let mut names: BTreeSet<&str> = there.iter().map(|secret| secret.name.as_str()).collect();
    for name in &asked.remove {
        if asked.set.contains_key(name) || !names.remove(name.as_str()) {
            let why =
                "there is no such secret to remove: `updraft secrets list CLUSTER` shows those that are";
            return Err(AppError::invalid(format!("remove.{}", shown(name)), why));
        }
    }
    names.extend(asked.set.keys().map(String::as_str));
    if names.len() > MOST {
        return Err(AppError::invalid(
            "set",
            format!("a cluster has at most {MOST} secrets"),
        ));
    }
    Ok(())
}

/// As the event log says it after the person's address.
fn told(set: &[String], removed: &[String]) -> String {
    let list = |names: &[String]| format!("`{}`", names.join("`, `"));
    let words = match (set.is_empty(), removed.is_empty()) {
        (false, true) => format!("set the secrets {}", list(set)),
        (true, _) => format!("removed the secrets {}", list(removed)),
        (false, false) => format!("set the secrets {} and removed {}", list(set), list(removed)),
    };
    words.chars().take(400).collect()
}

fn view(record: TaskSecretRecord) -> TaskSecretView {
    TaskSecretView {
        name: record.name,
        set_at: record.set_at,
    }
}
