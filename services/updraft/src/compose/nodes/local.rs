//! Nodes of this machine, with all that `up` brings: their provider, where their files are, and their stopping.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use updraft_app::{SharedByAll, Tenancy};
use updraft_control::assignments::Places;
use updraft_embedded::{Accounts, Layout};
use updraft_model::{ClusterId, NodeId};
use updraft_provider::ProviderError;
use updraft_provider::local::{
    Isolation, LocalLayout, LocalProvider, LocalSettings, ServiceUser, ServiceUsers,
};

use updraft_store::Store;
use updraft_store::metadata::MetadataServer;
use updraft_store::secrets::MasterKey;
use url::Url;

use super::Nodes;
use super::openings::StoredOpenings;
use crate::compose::storage::{EmbeddedAuditBucket, EmbeddedStorage};
use crate::config::{ControlFile, LocalNodes, Ports, ReadyRuntime};

/// # Errors
/// When the data directory cannot be used.
pub(super) async fn open(file: &ControlFile, local: &LocalNodes, store: &Store) -> anyhow::Result<Nodes> {
    let storage_key = Arc::new(MasterKey::load(&local.storage_key_file)?);
    let ports = Ports::from_base(file.port_base);
    let openings = StoredOpenings::new(store.clone(), file.outbound_allow.clone());
    let provider = provider(&file.data_dir)?.opening(Arc::new(openings));
    let provider = isolated(provider, &ports, file.package_index.as_ref()).await?;
    let provider = Arc::new(provider);
    let (socket, endpoint) = (
        local.storage_socket.clone(),
        format!("http://127.0.0.1:{}", ports.s3),
    );
    Ok(Nodes {
        places: Arc::new(LocalPlaces {
            layout: provider.layout().clone(),
            runtimes: local.runtimes.clone(),
            broker_binary: local.broker_binary.clone(),
            uv_binary: local.uv_binary.clone(),
            package_index: file.package_index.as_ref().map(Url::to_string),
        }),
        storage: Arc::new(EmbeddedStorage {
            socket: socket.clone(),
            endpoint: endpoint.clone(),
            storage_key: storage_key.clone(),
        }),
        sessions: None,
        audit: Some(Arc::new(EmbeddedAuditBucket {
            socket,
            endpoint,
            storage_key,
        })),
        metadata: MetadataServer::new(file.metadata_url.clone()),
        control_url: ports.internal_url(),
        dag_location: None,
        tenancy: tenancy(),
        accounts: None,
        are_instances: false,
        boot_logs: None,
        on_stop: None,
        agent: None,
        agents_first_in: None,
        supervised: Some(provider.clone()),
        provider,
    })
}

/// # Errors
/// When the data directory cannot be used.
fn provider(data_dir: &Path) -> anyhow::Result<LocalProvider> {
    let program = std::env::current_exe().context("this program's own file is not to be found")?;
    let accounts = Accounts::detect();
    let separate = matches!(accounts, Accounts::Separate);
    let settings = LocalSettings {
        data_dir: data_dir.to_owned(),
        agent: vec![program.into(), "agent".into()],
        users: separate.then(|| {
            Arc::new(ClusterUsers {
                accounts,
                prefix: user_prefix(data_dir),
            }) as _
        }),
    };
    Ok(LocalProvider::open(settings)?)
}

/// The same for control: as root, clusters are kept apart on the loopback. Without `nft` they are not, and the log says
/// so at each start.
///
/// # Errors
/// When the data directory cannot be used.
async fn isolated(
    provider: LocalProvider,
    ports: &Ports,
    package_index: Option<&Url>,
) -> anyhow::Result<LocalProvider> {
    let Accounts::Separate = Accounts::detect() else {
        return Ok(provider);
    };
    let trusted = vec![Accounts::Separate.ensure_user("updraft").await?.uid];
    let mut shared_ports = vec![ports.metadata_postgres, ports.s3];
    shared_ports.extend(package_index.and_then(port_on_loopback));
    let (provider, applied) = provider
        .isolate(Isolation {
            trusted,
            shared_ports,
        })
        .await;
    if let Err(error) = applied {
        tracing::warn!(%error, "clusters of different tenants should not run on this machine");
    }
    Ok(provider)
}

/// An index of the installation's own on this machine: the installation named it, so its clusters may reach it.
fn port_on_loopback(index: &Url) -> Option<u16> {
    let here = index
        .host_str()
        .is_some_and(|host| host == "127.0.0.1" || host == "localhost");
    index.port_or_known_default().filter(|_| here)
}

/// Tenants share a machine only where each cluster has a user of its own.
fn tenancy() -> Tenancy {
    match Accounts::detect() {
        Accounts::Separate => Tenancy::Several,
        Accounts::Shared(_) => {
            tracing::info!(
                "without root this installation keeps one tenant: clusters have no users of their own"
            );
            Tenancy::One(SharedByAll::User)
        }
    }
}

/// Whether an `up` that was killed has left nodes that run.
///
/// # Errors
/// When the data directory cannot be used.
pub(crate) fn nodes_run(layout: &Layout) -> anyhow::Result<bool> {
    Ok(provider(layout.root())?.has_running())
}

/// Stops every node's services in order and then its agent; what nodes keep stays.
///
/// # Errors
/// When something does not end within the grace.
pub(crate) async fn stop_nodes(layout: &Layout, grace: Duration) -> anyhow::Result<()> {
    let provider = provider(layout.root())?;
    provider.stop_all(grace).await?;
    if let Accounts::Separate = Accounts::detect()
        && let Err(error) = provider.lift_isolation().await
    {
        tracing::debug!(%error, "there was no isolation to lift");
    }
    Ok(())
}

/// A user of its own for each cluster's services.
struct ClusterUsers {
    accounts: Accounts,
    prefix: String,
}

/// Two installations on one machine both have a cluster 1: its users must differ, or the rules that keep one apart would
/// bind the other.
fn user_prefix(data_dir: &Path) -> String {
    if data_dir == Layout::default_dir() {
        return "updraft".to_owned();
    }
    let digest = hex::encode(Sha256::digest(data_dir.as_os_str().as_encoded_bytes()));
    format!("updraft-{}", &digest[..6])
}

#[async_trait]
impl ServiceUsers for ClusterUsers {
    async fn ensure(&self, cluster: ClusterId) -> Result<ServiceUser, ProviderError> {
        self.user(&format!("c{cluster}")).await
    }

    async fn ensure_builder(&self, cluster: ClusterId) -> Result<ServiceUser, ProviderError> {
        self.user(&format!("b{cluster}")).await
    }
}

impl ClusterUsers {
    async fn user(&self, whose: &str) -> Result<ServiceUser, ProviderError> {
        let account = self
            .accounts
            .ensure_user(&format!("{}-{whose}", self.prefix))
            .await;
        let account = account.map_err(|error| ProviderError::Refused(error.to_string()))?;
        Ok(ServiceUser {
            name: account.name,
            uid: account.uid,
            gid: account.gid,
        })
    }
}

/// Where nodes of this machine have their things.
struct LocalPlaces {
    layout: LocalLayout,
    runtimes: BTreeMap<String, ReadyRuntime>,
    broker_binary: PathBuf,
    uv_binary: PathBuf,
    package_index: Option<String>,
}

impl Places for LocalPlaces {
    fn node_dir(&self, node: NodeId) -> String {
        self.layout.node_dir(node).display().to_string()
    }

    fn shared_dir(&self, cluster: ClusterId) -> String {
        self.layout.shared_dir(cluster).display().to_string()
    }

    fn environment_dir(&self, runtime: &str) -> Option<String> {
        self.runtimes
            .get(runtime)
            .map(|ready| ready.environment_dir.display().to_string())
    }

    fn environments_dir(&self, cluster: ClusterId) -> String {
        self.layout.environments_dir(cluster).display().to_string()
    }

    fn uv_binary(&self) -> String {
        self.uv_binary.display().to_string()
    }

    fn package_index(&self) -> Option<String> {
        self.package_index.clone()
    }

    fn forget(&self, cluster: ClusterId) {
        let kept = self.layout.environments_dir(cluster);
        match std::fs::remove_dir_all(&kept) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(cluster.id = cluster.0, %error, "a deleted cluster's environments stay on disk");
            }
            _ => {}
        }
        if let Err(error) = self.layout.forget_remains(cluster) {
            tracing::warn!(cluster.id = cluster.0, %error, "logs of a deleted cluster's nodes stay on disk");
        }
    }

    fn broker_binary(&self) -> String {
        self.broker_binary.display().to_string()
    }

    fn template_database(&self, runtime: &str) -> String {
        self.runtimes
            .get(runtime)
            .map(|ready| ready.template_database.clone())
            .unwrap_or_default()
    }
}
