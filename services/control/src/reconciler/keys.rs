//! The turn of a cluster's keys: from its row and its writer's report to the planner's words, and back.
//!
//! New keys are written over the old ones in the transaction that says so: a driver that dies has turned all or none. What
//! the database is told comes after it, from what was written, and is the same at every repetition. Of the old keys only the
//! Fernet key stays, sealed like the others, until everything that was encrypted with it is written anew.

use secrecy::{ExposeSecret as _, SecretString};
use updraft_api::agent::{ReencryptionOutcome, ReencryptionReport};
use updraft_model::Failure;
use updraft_planner::{self as planner, KeyTurn};
use updraft_store::events::{self, EventSeverity};
use updraft_store::key_turns::{self, KeyStage, KeyTurn as Record};
use updraft_store::leases::Lease;
use updraft_store::resources::{self, ResourceKind};
use updraft_store::secrets::{self, SecretError, random_fernet_key, random_token};
use updraft_store::{StoreError, Tx};

use super::execute::{Progress, commit};
use super::observe::View;
use super::record::{cluster_event, failure_sentence};
use super::resources::secret;
use super::{ReconcileError, Reconciler};

/// Several Fernet keys as Airflow takes them: encrypted is with the first, read with any.
pub(crate) fn fernet_keys(newest: &SecretString, before: &SecretString) -> SecretString {
    format!("{},{}", newest.expose_secret(), before.expose_secret()).into()
}

pub(crate) fn turn(record: Option<&Record>) -> KeyTurn {
    let Some(record) = record else {
        return KeyTurn::Settled;
    };
    match record.stage {
        KeyStage::Settled => KeyTurn::Settled,
        KeyStage::Draining => KeyTurn::Draining,
        KeyStage::Turned => KeyTurn::Turned,
        KeyStage::Reencrypting => KeyTurn::Reencrypting {
            since: record.changed_at,
        },
        KeyStage::Both => KeyTurn::Both {
            failure: record.failure.clone().unwrap_or_else(|| unread("")),
            at: record.changed_at,
        },
    }
}

/// What the scheduler's node says of this turn. What it says of another is not looked at.
pub(super) fn reencryption(
    record: &Record,
    said: Option<ReencryptionReport>,
) -> Option<planner::Reencryption> {
    let report = said.filter(|report| report.attempt == record.attempt.0)?;
    Some(match report.outcome {
        ReencryptionOutcome::Running => planner::Reencryption::Running,
        ReencryptionOutcome::Done => planner::Reencryption::Done,
        ReencryptionOutcome::Failed { message } => planner::Reencryption::Failed(unread(&message)),
    })
}

/// The message is Airflow's own.
fn unread(message: &str) -> Failure {
    let message = message.trim();
    Failure {
        code: "keys_not_rotated".to_owned(),
        message: format!(
            "The cluster has new keys, but what Airflow keeps encrypted could not be encrypted with the new Fernet key; the \
             cluster runs, and reads with both. {message}"
        )
        .trim_end()
        .to_owned(),
        remedy: "A connection or variable that no key opens is often the reason: delete it or set it anew, then rotate the \
                 keys again."
            .to_owned(),
    }
}

impl Reconciler {
    pub(super) async fn turn_keys(
        &self,
        lease: &Lease,
        view: &View,
        to: &planner::KeyStage,
    ) -> Result<Progress, ReconcileError> {
        let Some(record) = &view.keys else {
            return Ok(Progress::Awaited);
        };
        let (stage, failure) = match to {
            planner::KeyStage::Turned => (KeyStage::Turned, None),
            planner::KeyStage::Reencrypting => (KeyStage::Reencrypting, None),
            planner::KeyStage::Both(failure) => (KeyStage::Both, Some(failure)),
            planner::KeyStage::Settled => (KeyStage::Settled, None),
        };
        let mut tx = self.fenced(lease).await?;
        let (tenant, cluster) = (view.cluster.tenant, view.cluster.id);
        match key_turns::move_to(&mut tx, tenant, cluster, record, stage, failure).await {
            // A newer turn took over: the next look sees it.
            Err(StoreError::Missing { .. }) => return Ok(Progress::Made),
            moved => moved?,
        }
        match to {
            planner::KeyStage::Turned => self.make_new_keys(&mut tx, view).await?,
            planner::KeyStage::Settled => {
                secrets::remove(&mut tx, cluster, secret::FERNET_KEYS_BEFORE).await?;
            }
            planner::KeyStage::Reencrypting | planner::KeyStage::Both(_) => {}
        }
        if let Some((kind, severity, message)) = news(to) {
            events::append(&mut tx, &cluster_event(view, kind, severity, &message)).await?;
        }
        commit(tx).await?;
        Ok(Progress::Made)
    }

    /// Over the old ones. The database is no longer ready; the way to it is written anew when it is again.
    async fn make_new_keys(&self, tx: &mut Tx, view: &View) -> Result<(), ReconcileError> {
        let (key, cluster) = (&self.parts.master_key, view.cluster.id);
        let made = self.parts.assignments.new_authority(cluster);
        let (certificate, authority_key) = made.map_err(|_| ReconcileError::Corrupt {
            what: "a new certificate authority".to_owned(),
        })?;
        if let Some(before) = self.fernet_keys_before(tx, view).await? {
            secrets::put(tx, key, cluster, secret::FERNET_KEYS_BEFORE, &before).await?;
        }
        let fresh = [
            (secret::FERNET_KEY, random_fernet_key()),
            (secret::JWT_SECRET, random_token()),
            (secret::BROKER_PASSWORD, random_token()),
            (secret::DATABASE_PASSWORD, random_token()),
            (secret::CA_CERTIFICATE, SecretString::from(certificate)),
            (secret::CA_KEY, authority_key),
        ];
        for (name, value) in &fresh {
            secrets::put(tx, key, cluster, name, value).await?;
        }
        Ok(resources::reopen(tx, cluster, ResourceKind::Database).await?)
    }

    /// All that something may be encrypted with: of a turn that did not come to its end there is more than one.
    async fn fernet_keys_before(
        &self,
        tx: &mut Tx,
        view: &View,
    ) -> Result<Option<SecretString>, SecretError> {
        let (key, cluster) = (&self.parts.master_key, view.cluster.id);
        let current = secrets::get(tx, key, cluster, secret::FERNET_KEY).await?;
        let older = secrets::get(tx, key, cluster, secret::FERNET_KEYS_BEFORE).await?;
        Ok(match (current, older) {
            (Some(current), Some(older)) => Some(fernet_keys(&current, &older)),
            (current, older) => current.or(older),
        })
    }
}

fn news(to: &planner::KeyStage) -> Option<(&'static str, EventSeverity, String)> {
    match to {
        planner::KeyStage::Turned => Some((
            "keys_turned",
            EventSeverity::Info,
            "The cluster has new keys; no node has the old ones.".to_owned(),
        )),
        planner::KeyStage::Reencrypting => None,
        planner::KeyStage::Both(failure) => Some((
            "keys_not_rotated",
            EventSeverity::Error,
            failure_sentence(failure),
        )),
        planner::KeyStage::Settled => Some((
            "keys_rotated",
            EventSeverity::Info,
            "Connections and variables are encrypted with the new Fernet key; the old keys are gone."
                .to_owned(),
        )),
    }
}
