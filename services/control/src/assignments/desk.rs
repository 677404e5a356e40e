//! Hands out assignments: reads rows and secrets, renders, numbers. Nothing of it is stored but the number.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use updraft_api::agent::{AgentAssignment, Assignment, BuildAssignment, IndexDelivery, TrialAssignment};
use updraft_app::{LogPlace, metadata as brought};
use updraft_authz::PublicKey;
use updraft_model::{
    ClusterId, ClusterSpec, EnvironmentSpec, Generation, NodeId, NodeRole, ServiceName, TenantId,
};
use updraft_planner::{Loss, gives_tasks_their_time};
use updraft_provider::StorageAccess;
use updraft_runtimes::Catalogue;
use updraft_store::assignments::{self, AssignmentRows};
use updraft_store::environment_changes::Stage;
use updraft_store::key_turns::KeyStage;
use updraft_store::secrets::{self, MasterKey, SecretError};
use updraft_store::{
    PgConnection, Store, StoreError, credentials, edges, environment_copies, installation_keys,
    node_identity, task_secrets,
};

use super::environments::{Environments, key_digest};
use super::{
    AssignmentInputs, BroughtDatabase, ClusterSecrets, DagInputs, News, NodePlace, Peer, Places,
    Reencryption, RenderError, dags, render, scripts,
};
use crate::agents::ClusterCa;
use crate::installation_keys::InstallationKeys;
use crate::reconciler::{Assignments, AssignmentsError, fernet_keys, secret, turn};
use crate::tunnels::Tunnels;

/// Well within the 90 s after which a silent node is given up as lost.
const PROVE_AGENT_WITHIN_S: u32 = 45;

/// Where assignments come from.
pub struct Desk {
    pub store: Store,
    pub master_key: Arc<MasterKey>,
    pub catalogue: Arc<Catalogue>,
    pub places: Arc<dyn Places>,
    /// Verify what edges say of people, and more.
    pub keys: InstallationKeys,
    /// Destinations beyond the public internet that the installation opens.
    pub outbound_allow: Vec<String>,
    /// What logs may take on a node's disk.
    pub log_disk_bytes: u64,
    /// Certificates that nodes hold the installation's metadata server to, PEM; none: drivers decide.
    pub metadata_authority: Option<String>,
    pub base_url: Box<dyn Fn(TenantId, ClusterId) -> String + Send + Sync>,
    /// None: edges reach web nodes directly.
    pub tunnels: Option<Arc<Tunnels>>,
    /// Whom something may be new for.
    pub news: Arc<News>,
}

#[derive(Debug, Error)]
pub enum DeskError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("what is kept of the cluster's storage cannot be read")]
    Storage(#[source] serde_json::Error),
    #[error("the assignment cannot be written down")]
    Encode(#[source] serde_json::Error),
}

/// All that is secret in an assignment.
struct Sealed {
    secrets: ClusterSecrets,
    storage: StorageAccess,
    logs: LogPlace,
    dags: DagInputs,
    /// Of the environment that is built.
    own_index: Option<IndexDelivery>,
    trial: Option<TrialAssignment>,
    /// What is built lies in the cluster's bucket already.
    recorded: bool,
}

// === impl Desk ===

impl Desk {
    /// What a node is to be now; none while something it is made of is not there yet.
    ///
    /// # Errors
    /// When the database cannot be asked, a secret does not open, or the runtime's templates do not fit.
    pub async fn current(&self, cluster: ClusterId, node: NodeId) -> Result<Option<Assignment>, DeskError> {
        let mut transaction = self.store.begin().await?;
        let Some(rows) = assignments::rows(&mut transaction, node).await? else {
            return Ok(None);
        };
        let Some(sealed) = self.sealed(&mut transaction, cluster, &rows).await? else {
            return Ok(None);
        };
        // Before what they name: who is given more than these names say is asked once more, and never believed to have it.
        let given = self.keys.given_to_nodes();
        let believed = self.keys.airflow_believed();
        let Some(mut assignment) = self.rendered(cluster, node, &rows, &sealed, &believed)? else {
            return Ok(None);
        };
        if let Some(tunnels) = self.tunnels.as_ref().filter(|_| rows.role == NodeRole::Web) {
            let live = edges::list_live(&mut transaction).await?;
            assignment.tunnel = tunnels.assignment(node, live);
        }
        assignment.agent = agent(&rows);
        let digest = serde_json::to_vec(&assignment)
            .map(Sha256::digest)
            .map_err(DeskError::Encode)?;
        assignment.version = node_identity::assignment_version(&mut transaction, node, &digest).await?;
        if rows.role == NodeRole::Web {
            installation_keys::give(&mut transaction, node, &given, assignment.version).await?;
        }
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(Some(assignment))
    }

    fn rendered(
        &self,
        cluster: ClusterId,
        node: NodeId,
        rows: &AssignmentRows,
        sealed: &Sealed,
        airflow_keys: &[PublicKey],
    ) -> Result<Option<Assignment>, RenderError> {
        let spec = rows.given();
        let Some(runtime) = self.catalogue.get(&spec.runtime) else {
            return Ok(None);
        };
        let Some(environments) = self.environments(cluster, runtime.name()) else {
            return Ok(None);
        };
        let Some(address) = rows.address.clone() else {
            return Ok(None);
        };
        let peers: Vec<_> = rows
            .peers
            .iter()
            .map(|(role, address)| Peer {
                role: *role,
                address: address.clone(),
            })
            .collect();
        let inputs = AssignmentInputs {
            cluster,
            generation: rows.generation,
            spec,
            node,
            role: rows.role,
            ordinal: rows.ordinal,
            queue: rows.queue.clone(),
            run: rows.run,
            drains: drains(rows),
            build: build(&environments, rows).map(|build| BuildAssignment {
                own_index: sealed.own_index.clone(),
                recorded: sealed.recorded,
                ..build
            }),
            trial: sealed.trial.clone(),
            requirements_file: rows
                .spec
                .environment
                .from_dags
                .clone()
                .filter(|_| dags::resolves(rows.role)),
            place: NodePlace {
                address,
                node_dir: self.places.node_dir(node),
                shared_dir: self.places.shared_dir(cluster),
                environment_dir: environments.directory(&spec.environment),
                environment: environments.assigned(&spec.environment, &named(rows)),
                plugins_dir: environments.plugins(&spec.environment),
                environment_key: key_digest(&spec.environment),
                broker_binary: self.places.broker_binary(),
                rabbitmq_binary: self.places.rabbitmq_binary(),
            },
            peers: &peers,
            secrets: &sealed.secrets,
            metadata_authority: self.metadata_authority.as_deref(),
            storage: &sealed.storage,
            logs: &sealed.logs,
            log_disk_bytes: self.log_disk_bytes,
            dags: &sealed.dags,
            airflow_keys,
            base_url: (self.base_url)(rows.tenant, cluster),
            restart_nonce: &|service: ServiceName| {
                rows.restart_nonce + rows.wishes.on(service, node).restart_nonce
            },
            enabled: &|service: ServiceName| rows.wishes.on(service, node).enabled,
        };
        render(runtime, &inputs).map(Some)
    }

    /// The environments that a cluster's nodes may be made of now, by name.
    pub(crate) fn environments_of<'a>(
        &self,
        cluster: ClusterId,
        rows: &'a AssignmentRows,
    ) -> Vec<(String, &'a EnvironmentSpec)> {
        let before = rows.change.as_ref().map(|change| &change.before);
        let specs = [Some(&rows.spec), before].into_iter().flatten();
        let digest = |spec: &'a ClusterSpec| {
            let environments = self.environments(cluster, self.catalogue.get(&spec.runtime)?.name())?;
            Some((environments.digest_of(&spec.environment)?, &spec.environment))
        };
        specs.filter_map(digest).collect()
    }

    async fn is_recorded(
        &self,
        connection: &mut PgConnection,
        cluster: ClusterId,
        rows: &AssignmentRows,
    ) -> Result<bool, StoreError> {
        let runtime = self.catalogue.get(&rows.given().runtime);
        let environments = runtime.and_then(|runtime| self.environments(cluster, runtime.name()));
        let wanted = environments
            .zip(to_build(rows))
            .and_then(|(environments, wanted)| environments.digest_of(&wanted.environment));
        match wanted {
            Some(digest) => environment_copies::is_recorded(connection, rows.tenant, cluster, &digest).await,
            None => Ok(false),
        }
    }

    /// None: the runtime is not ready here.
    fn environments(&self, cluster: ClusterId, runtime: &str) -> Option<Environments> {
        Some(Environments {
            base_dir: self.places.environment_dir(runtime)?,
            home: self.places.environments_dir(cluster),
            uv: self.places.uv_binary(),
            index_url: self.places.package_index(),
        })
    }

    async fn sealed(
        &self,
        connection: &mut PgConnection,
        cluster: ClusterId,
        rows: &AssignmentRows,
    ) -> Result<Option<Sealed>, DeskError> {
        let mut read = async |name: &str| secrets::get(connection, &self.master_key, cluster, name).await;
        let (dsn, fernet_key) = (read(secret::DSN).await?, read(secret::FERNET_KEY).await?);
        let (jwt_secret, broker_password) = (
            read(secret::JWT_SECRET).await?,
            read(secret::BROKER_PASSWORD).await?,
        );
        let storage = read(secret::STORAGE).await?;
        // As asked for now, like the secrets.
        let brought = match rows.spec.metadata_database.clone() {
            None => None,
            Some(place) => {
                let said = (read(brought::AUTHORITY).await?, read(brought::OWNER).await?);
                let (Some(authority), Some(owner)) = said else {
                    return Ok(None);
                };
                Some(BroughtDatabase {
                    place,
                    authority,
                    owner,
                })
            }
        };
        let (Some(dsn), Some(fernet_key), Some(jwt_secret), Some(broker_password), Some(storage)) =
            (dsn, fernet_key, jwt_secret, broker_password, storage)
        else {
            return Ok(None);
        };
        let storage: StorageAccess =
            serde_json::from_str(storage.expose_secret()).map_err(DeskError::Storage)?;
        let keys = rows.keys.as_ref();
        let stage = keys.map(|keys| keys.stage);
        let all_keys = self.fernet_keys(connection, cluster, stage, &fernet_key).await?;
        let waits = keys.filter(|keys| keys.stage == KeyStage::Reencrypting);
        let reencryption = waits
            .zip(all_keys.clone())
            .map(|(keys, fernet_keys)| Reencryption {
                attempt: keys.attempt.0,
                fernet_keys,
            });
        // As asked for now: a change of packages has nothing to do with it.
        let of = (rows.tenant, cluster);
        let logs = LogPlace::of(connection, &self.master_key, of, &rows.spec.logs, storage.clone()).await?;
        let Some(logs) = logs else {
            tracing::error!(cluster.id = %cluster, "the credential of a log bucket is gone");
            return Ok(None);
        };
        Ok(Some(Sealed {
            secrets: ClusterSecrets {
                dsn,
                fernet_key: all_keys.filter(|_| reencryption.is_none()).unwrap_or(fernet_key),
                reencryption,
                jwt_secret,
                broker_password,
                brought,
                tasks: task_secrets::open(connection, &self.master_key, rows.tenant, cluster).await?,
            },
            storage,
            logs,
            dags: self.dags(connection, rows).await?,
            own_index: self.own_index(connection, rows).await?,
            trial: self.trial(connection, rows).await?,
            recorded: self.is_recorded(connection, cluster, rows).await?,
        }))
    }

    /// The new one with those of before it, while there are any that something may be encrypted with.
    async fn fernet_keys(
        &self,
        connection: &mut PgConnection,
        cluster: ClusterId,
        stage: Option<KeyStage>,
        newest: &SecretString,
    ) -> Result<Option<SecretString>, DeskError> {
        match stage {
            // Also while nodes end for another turn: what the one before it did not write anew is still read.
            Some(KeyStage::Draining | KeyStage::Turned | KeyStage::Reencrypting | KeyStage::Both) => {
                let name = secret::FERNET_KEYS_BEFORE;
                let before = secrets::get(connection, &self.master_key, cluster, name).await?;
                Ok(before.map(|before| fernet_keys(newest, &before)))
            }
            Some(KeyStage::Settled) | None => Ok(None),
        }
    }

    async fn own_index(
        &self,
        connection: &mut PgConnection,
        rows: &AssignmentRows,
    ) -> Result<Option<IndexDelivery>, DeskError> {
        let index = to_build(rows).and_then(|spec| spec.environment.package_index.as_ref());
        let Some(index) = index else { return Ok(None) };
        let opened = match &index.credential {
            Some(name) => credentials::open(connection, &self.master_key, rows.tenant, name).await?,
            None => None,
        };
        Ok(Some(dags::index_delivery(index, opened)))
    }

    /// The credential of a script goes to the one node that tries it, and to no other.
    async fn trial(
        &self,
        connection: &mut PgConnection,
        rows: &AssignmentRows,
    ) -> Result<Option<TrialAssignment>, DeskError> {
        let Some((spec, attempt)) = scripts::to_try(rows) else {
            return Ok(None);
        };
        let credential = match spec.bootstrap.credential() {
            Some(name) => credentials::open(connection, &self.master_key, rows.tenant, name).await?,
            None => None,
        };
        Ok(scripts::trial(spec, attempt, credential.as_ref()))
    }

    /// Credentials go to the one node that resolves, and to no other.
    async fn dags(
        &self,
        connection: &mut PgConnection,
        rows: &AssignmentRows,
    ) -> Result<DagInputs, DeskError> {
        let mut opened = BTreeMap::new();
        let named = rows
            .spec
            .dag_sources
            .iter()
            .filter_map(|one| one.source.credential());
        for name in named.filter(|_| dags::resolves(rows.role)) {
            let credential = credentials::open(connection, &self.master_key, rows.tenant, name).await?;
            opened.extend(credential.map(|credential| (name.clone(), credential)));
        }
        Ok(DagInputs {
            credentials: opened,
            pinned: rows.dag_pin.clone(),
            kept: with_plugins(rows),
            sync_nonce: rows.dag_sync_nonce,
            outbound_allow: self.outbound_allow.clone(),
        })
    }
}

/// The scheduler's node builds what is wanted next; when nothing is, what the cluster has, should it be gone.
fn build(environments: &Environments, rows: &AssignmentRows) -> Option<BuildAssignment> {
    let wanted = to_build(rows)?;
    let no_change = (&rows.spec, Generation::FIRST);
    let (before, attempt) = rows
        .change
        .as_ref()
        .map_or(no_change, |change| (&change.before, change.attempt));
    environments.build(&wanted.environment, &before.environment, attempt)
}

fn drains(rows: &AssignmentRows) -> bool {
    let loss = rows.loss.as_deref().and_then(Loss::named);
    !rows.run && gives_tasks_their_time(rows.power, &turn(rows.keys.as_ref()), loss)
}

/// The agent that the node was told to run. None of protocol 1 is ever told: it would not know what is meant.
fn agent(rows: &AssignmentRows) -> Option<AgentAssignment> {
    let (release, attempt) = rows.agent.clone()?;
    Some(AgentAssignment {
        release,
        attempt,
        prove_within_s: PROVE_AGENT_WITHIN_S,
    })
}

/// What the cluster has, had, or is to have.
fn named(rows: &AssignmentRows) -> Vec<&EnvironmentSpec> {
    let before = rows.change.as_ref().map(|change| &change.before.environment);
    [Some(&rows.spec.environment), before]
        .into_iter()
        .flatten()
        .collect()
}

/// Whose environment this node builds, if it builds one.
fn to_build(rows: &AssignmentRows) -> Option<&ClusterSpec> {
    let wanted = match &rows.change {
        Some(change) if change.stage == Stage::Abandoned => &change.before,
        Some(_) | None => &rows.spec,
    };
    (rows.role == NodeRole::Scheduler).then_some(wanted)
}

/// Versions that environments of the cluster are, or were last, made of.
fn with_plugins(rows: &AssignmentRows) -> Vec<String> {
    let before = rows.change.as_ref().map(|change| &change.before);
    [Some(&rows.spec), before]
        .into_iter()
        .flatten()
        .filter_map(|spec| Some(spec.environment.plugins.as_ref()?.version.clone()))
        .collect()
}

#[async_trait]
impl Assignments for Desk {
    async fn refresh(&self, cluster: ClusterId) -> Result<(), AssignmentsError> {
        let words = |error: DeskError| AssignmentsError(error.to_string());
        let mut connection = self
            .store
            .connection()
            .await
            .map_err(|error| words(error.into()))?;
        let versions = assignments::versions(&mut connection, cluster)
            .await
            .map_err(|error| words(error.into()))?;
        drop(connection);
        for (node, version) in versions {
            let assignment = self.current(cluster, node).await.map_err(words)?;
            if assignment.is_some_and(|assignment| assignment.version != version) {
                self.news.changed(cluster);
            }
        }
        Ok(())
    }

    fn forget(&self, cluster: ClusterId) {
        self.news.forget(cluster);
        self.places.forget(cluster);
    }

    fn template_of(&self, runtime: &str) -> String {
        self.places.template_database(runtime)
    }

    fn new_authority(&self, cluster: ClusterId) -> Result<(String, SecretString), AssignmentsError> {
        let ca = ClusterCa::generate(cluster).map_err(|error| AssignmentsError(error.to_string()))?;
        Ok((ca.cert_pem, ca.key_pem))
    }
}
