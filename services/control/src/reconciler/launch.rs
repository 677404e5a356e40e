//! Intending, launching and starting nodes.
//!
//! The bootstrap token is derived from the master key and the node's id: after a crash the same bytes can be sent again
//! although they were never written down. While one master key takes another's place, the one that a launch began with
//! is told by the token's hash.

use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use updraft_model::NodeId;
use updraft_provider::{
    BootSecret, ClientToken, LaunchRequest, Launched, NodeWanted, ProviderError, ProviderId,
};
use updraft_store::events::{self, EventSeverity, NewEvent};
use updraft_store::leases::Lease;
use updraft_store::node_identity;
use updraft_store::nodes::{self, LaunchFailureRecord, NewNode};
use updraft_store::secrets::MasterKey;

use super::execute::{Progress, commit};
use super::observe::View;
use super::record::cluster_event;
use super::{ReconcileError, Reconciler, client_token};

/// For how long after a launch a new agent may introduce itself.
const BOOTSTRAP_LASTS: TimeDelta = TimeDelta::minutes(15);

/// The single-use token with which this node's agent introduces itself: the one of the hash that is kept, if it is of a
/// key that is held.
#[must_use]
pub fn bootstrap_token(key: &MasterKey, node: NodeId, kept: Option<&[u8]>) -> SecretString {
    let context = node_identity::bootstrap_context(node);
    let mut each = key.derive_each(&context).into_iter();
    let begun = each.find(|token| kept == Some(hash(token).as_slice()));
    begun.unwrap_or_else(|| key.derive(&context))
}

fn hash(token: &SecretString) -> [u8; 32] {
    Sha256::digest(token.expose_secret().as_bytes()).into()
}

impl Reconciler {
    pub(super) async fn intend(
        &self,
        lease: &Lease,
        view: &View,
        wanted: NodeWanted,
    ) -> Result<Progress, ReconcileError> {
        let request = match self.parts.provider.prepare(&wanted).await {
            Ok(request) => request.0,
            // Recorded all the same: its launch will be refused with the reason.
            Err(error) => json!({ "refused": error.to_string() }),
        };
        let client_token = client_token(wanted.node);
        let new = NewNode {
            id: wanted.node,
            cluster: wanted.cluster,
            role: wanted.role,
            ordinal: wanted.ordinal,
            queue: wanted.queue,
            instance_type: wanted.instance_type,
            generation: view.cluster.generation,
            request,
            client_token,
        };
        let mut tx = self.fenced(lease).await?;
        nodes::intend(&mut tx, &new).await?;
        commit(tx).await?;
        Ok(Progress::Made)
    }

    pub(super) async fn launch(
        &self,
        lease: &Lease,
        view: &View,
        node: NodeId,
    ) -> Result<Progress, ReconcileError> {
        let Some(_place) = self.launches.place(view.cluster.account) else {
            return Ok(Progress::Queued);
        };
        let record = view.record(node)?;
        let mut tx = self.fenced(lease).await?;
        let kept = node_identity::bootstrap_hash(&mut tx, node).await?;
        let token = bootstrap_token(&self.parts.master_key, node, kept.as_deref());
        nodes::begin_launch(&mut tx, node, &hash(&token), view.now + BOOTSTRAP_LASTS).await?;
        commit(tx).await?;

        let request = LaunchRequest(record.request.clone());
        let client_token = ClientToken(record.client_token.clone());
        let boot = self.boot(node, &token);
        let call = self.parts.provider.launch(&request, &client_token, &boot);
        let answer = self.parts.answered(call).await;
        self.record_launch(lease, view, node, answer).await
    }

    async fn record_launch(
        &self,
        lease: &Lease,
        view: &View,
        node: NodeId,
        answer: Result<Launched, ProviderError>,
    ) -> Result<Progress, ReconcileError> {
        let mut tx = self.fenced(lease).await?;
        match answer {
            Ok(Launched { id, address }) => {
                nodes::record_launched(&mut tx, node, &id.0, &address.to_string()).await?;
            }
            Err(error) => {
                let failure = failure(&error);
                let label = view.record(node)?.label();
                let message = format!(
                    "{label} could not be launched: {}; it is tried again.",
                    failure.message
                );
                nodes::record_launch_failure(&mut tx, node, &failure).await?;
                if view.record(node)?.launch_attempts == 0 {
                    let event = NewEvent {
                        node: Some((node, &label)),
                        ..cluster_event(view, "node_launch_failed", EventSeverity::Warning, &message)
                    };
                    events::append(&mut tx, &event).await?;
                }
            }
        }
        commit(tx).await?;
        Ok(Progress::Made)
    }

    pub(super) async fn start(
        &self,
        lease: &Lease,
        view: &View,
        node: NodeId,
    ) -> Result<Progress, ReconcileError> {
        let record = view.record(node)?;
        let Some(id) = record.provider_id.clone().map(ProviderId) else {
            return Ok(Progress::Awaited);
        };
        let mut tx = self.fenced(lease).await?;
        let kept = node_identity::bootstrap_hash(&mut tx, node).await?;
        let token = bootstrap_token(&self.parts.master_key, node, kept.as_deref());
        let boot = self.boot(node, &token);
        nodes::begin_start(&mut tx, node).await?;
        commit(tx).await?;
        self.parts.liveness.forget(node);
        match timeout(
            self.parts.settings.call_timeout,
            self.parts.provider.start(&id, &boot),
        )
        .await
        {
            Ok(Ok(Launched { address, .. })) => {
                let mut tx = self.fenced(lease).await?;
                nodes::record_address(&mut tx, node, &address.to_string()).await?;
                commit(tx).await?;
                Ok(Progress::Made)
            }
            Ok(Err(error)) => {
                tracing::warn!(node.id = %node, %error, "the provider does not start a stopped node");
                self.note_refusal_to_switch(lease, view, node, &error, "started again")
                    .await
            }
            Err(_) => Ok(Progress::Awaited),
        }
    }

    fn boot(&self, node: NodeId, token: &SecretString) -> BootSecret {
        let control_url = &self.parts.settings.control_url;
        let boot = json!({ "control_url": control_url, "node": node, "token": token.expose_secret() });
        BootSecret(boot.to_string().into())
    }
}

pub(super) fn failure(error: &ProviderError) -> LaunchFailureRecord {
    let kind = match error {
        ProviderError::Quota(_) => "quota",
        ProviderError::Capacity(_) => "capacity",
        ProviderError::Throttled => "throttled",
        ProviderError::Refused(_) => "refused",
        ProviderError::Unclear(_) => "unclear",
    };
    LaunchFailureRecord {
        kind: kind.to_owned(),
        message: error.to_string(),
    }
}
