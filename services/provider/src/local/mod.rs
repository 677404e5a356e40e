//! Nodes on this machine. A node is an `updraft agent` process in a session of its own, with a loopback address and a
//! directory of its own.
//!
//! The directories are the truth: nothing is kept in memory that a restarted control would miss. An agent that died
//! unasked is started again ([`LocalProvider::supervise`]), as an init system does on other machines; one that was asked
//! to stop, or that ran before the machine restarted, makes its node `stopped`, to be started by control.

mod addresses;
mod agent;
mod firewall;
mod layout;
mod process;
mod remains;
mod supervise;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::Permissions;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use updraft_model::{ClusterId, NodeId};

pub use firewall::{Isolation, IsolationError};
pub use layout::LocalLayout;
use layout::{NodeRecord, remove_file, remove_tree, write_file};

use crate::{
    BootSecret, ClientToken, LaunchRequest, Launched, ListedNode, NodeProvider, NodeStatus, NodeWanted,
    ProviderError, ProviderId,
};

/// How nodes are made here.
#[derive(Clone)]
pub struct LocalSettings {
    /// Everything is kept below it.
    pub data_dir: PathBuf,
    /// Program and arguments of an agent, to which `--bootstrap <file>` is added: `updraft agent`.
    pub agent: Vec<OsString>,
    /// Users for the clusters' services; none: they run as this process does.
    pub users: Option<Arc<dyn ServiceUsers>>,
}

/// Makes the system users that clusters' services run as.
#[async_trait]
pub trait ServiceUsers: Send + Sync {
    /// The user of a cluster, made if missing.
    async fn ensure(&self, cluster: ClusterId) -> Result<ServiceUser, ProviderError>;

    /// The user that makes a cluster's environments and nothing else, made if missing.
    async fn ensure_builder(&self, cluster: ClusterId) -> Result<ServiceUser, ProviderError>;
}

/// Tells what else on this machine a cluster's services may reach: what its tenant names and the installation opened.
#[async_trait]
pub trait Openings: Send + Sync {
    /// Of the cluster of this node.
    async fn of(&self, node: NodeId) -> Vec<SocketAddrV4>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceUser {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// The provider of nodes on this machine.
pub struct LocalProvider {
    settings: LocalSettings,
    layout: LocalLayout,
    isolation: Option<Isolation>,
    openings: Option<Arc<dyn Openings>>,
    /// Held while a node is made, started or ended.
    turn: Mutex<supervise::Respawns>,
}

// === impl LocalProvider ===

impl LocalProvider {
    /// # Errors
    /// When the data directory cannot be used.
    pub fn open(settings: LocalSettings) -> Result<Self, ProviderError> {
        let layout = LocalLayout::below(&settings.data_dir);
        layout.ensure().map_err(|error| broken(&error))?;
        Ok(Self {
            settings,
            layout,
            isolation: None,
            openings: None,
            turn: Mutex::default(),
        })
    }

    /// Asked whenever nodes come or go.
    #[must_use]
    pub fn opening(mut self, openings: Arc<dyn Openings>) -> Self {
        self.openings = Some(openings);
        self
    }

    /// Keeps clusters apart on the loopback from now on; see [`Isolation`]. Needs root and users per cluster.
    ///
    /// # Errors
    /// When there is no `nft`, or it refuses: clusters are then not kept apart, and the operator should know.
    pub async fn isolate(mut self, isolation: Isolation) -> (Self, Result<(), IsolationError>) {
        self.isolation = Some(isolation);
        let applied = self.apply_isolation().await;
        if applied.is_err() {
            self.isolation = None;
        }
        (self, applied)
    }

    /// Takes the rules away, when nothing of this installation runs any more.
    ///
    /// # Errors
    /// When there is no `nft`, or it refuses.
    pub async fn lift_isolation(&self) -> Result<(), IsolationError> {
        firewall::lift(self.network()).await
    }

    async fn apply_isolation(&self) -> Result<(), IsolationError> {
        let Some(isolation) = &self.isolation else {
            return Ok(());
        };
        let mut nodes: BTreeMap<u32, Vec<Ipv4Addr>> = BTreeMap::new();
        for (_, record) in self.layout.nodes() {
            // A builder reaches the door to the tenant's package index there.
            for user in [record.service_uid, record.builder_uid].into_iter().flatten() {
                nodes.entry(user).or_default().push(record.address);
            }
        }
        let openings = self.openings().await;
        firewall::apply(&firewall::table(self.network(), isolation, &nodes, &openings)).await
    }

    /// By the user of each cluster's services.
    async fn openings(&self) -> BTreeMap<u32, Vec<SocketAddrV4>> {
        let mut all = BTreeMap::new();
        let Some(openings) = &self.openings else {
            return all;
        };
        for (node, record) in self.layout.nodes() {
            let Some(user) = record.service_uid.filter(|user| !all.contains_key(user)) else {
                continue;
            };
            all.insert(user, openings.of(node).await);
        }
        all
    }

    #[must_use]
    pub fn layout(&self) -> &LocalLayout {
        &self.layout
    }

    /// The network that all nodes of this installation are in, and its prefix length.
    #[must_use]
    pub fn network(&self) -> (Ipv4Addr, u8) {
        addresses::network_of(&self.layout, &self.settings.data_dir)
    }

    fn status(&self, node: NodeId) -> NodeStatus {
        if self.layout.record(node).is_none() {
            return NodeStatus::Gone;
        }
        if self.layout.ending(node).exists() {
            return NodeStatus::Ending;
        }
        let alive = self
            .layout
            .agent_process(node)
            .is_some_and(process::ProcessId::is_alive);
        let of_this_boot = self
            .layout
            .agent(node)
            .is_none_or(|agent| agent.boot == process::boot_id());
        match (alive, self.layout.stop(node).exists() || !of_this_boot) {
            (false, true) => NodeStatus::Stopped,
            // A dead agent is started again at once.
            (true, _) | (false, false) => NodeStatus::Running,
        }
    }

    async fn make(
        &self,
        wanted: &NodeWanted,
        request: &Value,
        boot: &BootSecret,
    ) -> Result<Launched, ProviderError> {
        let (user, builder) = match &self.settings.users {
            Some(users) => (
                Some(users.ensure(wanted.cluster).await?),
                Some(users.ensure_builder(wanted.cluster).await?),
            ),
            None => (None, None),
        };
        let address =
            addresses::allocate(&self.layout, &self.settings.data_dir).map_err(|error| broken(&error))?;
        let record = NodeRecord {
            wanted: wanted.clone(),
            request: request.clone(),
            address,
            service_user: user.as_ref().map(|user| user.name.clone()),
            service_uid: user.as_ref().map(|user| user.uid),
            builder_user: builder.as_ref().map(|user| user.name.clone()),
            builder_uid: builder.as_ref().map(|user| user.uid),
        };
        let shared = self.layout.shared_dir(wanted.cluster);
        let made = make_directory(&shared, user.as_ref()).and_then(|()| {
            let bootstrap = self.bootstrap(&record, boot)?;
            self.layout.create(wanted.node, &record, &bootstrap)?;
            open_to_services(&self.layout.node_dir(wanted.node), user.is_some())
        });
        made.map_err(|error| broken(&error))?;
        // Before any of its processes runs.
        self.apply_isolation()
            .await
            .map_err(|error| ProviderError::Unclear(error.to_string()))?;
        Ok(launched(wanted.node, address))
    }

    /// What the agent reads: control's part and what only the provider knows.
    fn bootstrap(&self, record: &NodeRecord, boot: &BootSecret) -> std::io::Result<Value> {
        let mut bootstrap: Value = serde_json::from_str(boot.0.expose_secret())?;
        let own = json!({
            "node_dir": self.layout.node_dir(record.wanted.node),
            "address": record.address,
            "service_user": record.service_user,
            "builder_user": record.builder_user,
            "shared_dir": self.layout.shared_dir(record.wanted.cluster),
        });
        if let (Value::Object(all), Value::Object(own)) = (&mut bootstrap, own) {
            all.extend(own);
        }
        Ok(bootstrap)
    }

    /// Ends every process of the node, then removes what it left.
    async fn end(&self, node: NodeId) -> Result<(), ProviderError> {
        let Some(record) = self.layout.record(node) else {
            return Ok(());
        };
        write_file(&self.layout.ending(node), b"").map_err(|error| broken(&error))?;
        let (layout, cluster) = (self.layout.clone(), record.wanted.cluster);
        let ended = tokio::task::spawn_blocking(move || end_processes(&layout, node, cluster)).await;
        match ended {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(ProviderError::Unclear(
                "some of the node's processes do not end".to_owned(),
            )),
            Ok(Err(error)) => Err(broken(&error)),
            Err(error) => Err(ProviderError::Unclear(error.to_string())),
        }
    }
}

#[async_trait]
impl NodeProvider for LocalProvider {
    fn name(&self) -> &'static str {
        "local"
    }

    fn listing_lag(&self) -> Duration {
        Duration::ZERO
    }

    async fn prepare(&self, wanted: &NodeWanted) -> Result<LaunchRequest, ProviderError> {
        if let Some(instance_type) = &wanted.instance_type {
            let why = format!("nodes here are processes of one machine: there is no `{instance_type}`");
            return Err(ProviderError::Refused(why));
        }
        let wanted =
            serde_json::to_value(wanted).map_err(|error| ProviderError::Refused(error.to_string()))?;
        Ok(LaunchRequest(
            json!({ "provider": "local", "version": 1, "wanted": wanted }),
        ))
    }

    async fn launch(
        &self,
        request: &LaunchRequest,
        token: &ClientToken,
        boot: &BootSecret,
    ) -> Result<Launched, ProviderError> {
        let wanted: NodeWanted = serde_json::from_value(request.0["wanted"].clone())
            .map_err(|error| ProviderError::Refused(format!("the request cannot be read: {error}")))?;
        let node = wanted.node;
        if *token != ClientToken::of(node) {
            return Err(ProviderError::Refused("the token is another node's".to_owned()));
        }
        let mut respawns = self.turn.lock().await;
        if self.layout.spent(node).exists() || self.layout.ending(node).exists() {
            return Err(ProviderError::Refused(
                "the node of this token has ended".to_owned(),
            ));
        }
        let launched = match self.layout.record(node) {
            Some(known) if known.request != request.0 => {
                return Err(ProviderError::Refused(
                    "the token was used with another request".to_owned(),
                ));
            }
            Some(known) => launched(node, known.address),
            None => self.make(&wanted, &request.0, boot).await?,
        };
        if self.status(node) == NodeStatus::Running {
            self.ensure_agent(&mut respawns, node)
                .map_err(|error| broken(&error))?;
        }
        Ok(launched)
    }

    async fn start(&self, id: &ProviderId, boot: &BootSecret) -> Result<Launched, ProviderError> {
        let node = node_of(id)?;
        let mut respawns = self.turn.lock().await;
        let record = self
            .layout
            .record(node)
            .filter(|_| !self.layout.ending(node).exists());
        let record = record.ok_or_else(|| ProviderError::Refused("there is no such node".to_owned()))?;
        if self.status(node) == NodeStatus::Stopped {
            let started = self
                .bootstrap(&record, boot)
                .and_then(|bootstrap| self.layout.write_bootstrap(node, &bootstrap))
                .and_then(|()| remove_file(&self.layout.stop(node)))
                .and_then(|()| self.ensure_agent(&mut respawns, node));
            started.map_err(|error| broken(&error))?;
        }
        Ok(launched(node, record.address))
    }

    async fn stop(&self, id: &ProviderId) -> Result<(), ProviderError> {
        let node = node_of(id)?;
        let _turn = self.turn.lock().await;
        if self.layout.record(node).is_some() {
            write_file(&self.layout.stop(node), b"").map_err(|error| broken(&error))?;
        }
        Ok(())
    }

    async fn terminate(&self, id: &ProviderId) -> Result<(), ProviderError> {
        let node = node_of(id)?;
        let _turn = self.turn.lock().await;
        self.end(node).await
    }

    async fn list(&self, cluster: Option<ClusterId>) -> Result<Vec<ListedNode>, ProviderError> {
        let nodes = self.layout.nodes().into_iter();
        let of_cluster = nodes.filter(|(_, record)| cluster.is_none_or(|id| record.wanted.cluster == id));
        Ok(of_cluster
            .map(|(node, record)| ListedNode {
                id: ProviderId(node.to_string()),
                cluster: record.wanted.cluster,
                node,
                address: IpAddr::V4(record.address),
                status: self.status(node),
            })
            .filter(|node| node.status != NodeStatus::Gone)
            .collect())
    }

    async fn describe(&self, id: &ProviderId) -> Result<NodeStatus, ProviderError> {
        Ok(self.status(node_of(id)?))
    }
}

/// True when nothing of the node is left. With the cluster's last node go what its nodes shared.
fn end_processes(layout: &LocalLayout, node: NodeId, cluster: ClusterId) -> std::io::Result<bool> {
    let dir = layout.node_dir(node);
    let leaders: Vec<_> = layout.agent_process(node).into_iter().collect();
    if !process::end_all(&dir, &dir.join("run"), &leaders) {
        return Ok(false);
    }
    let is_last = !layout
        .nodes()
        .iter()
        .any(|(id, record)| *id != node && record.wanted.cluster == cluster);
    if is_last {
        let shared = layout.shared_dir(cluster);
        if !process::end_all(&shared, &shared, &[]) {
            return Ok(false);
        }
        remove_tree(&shared)?;
    }
    layout.remove(node)?;
    Ok(true)
}

fn make_directory(path: &Path, user: Option<&ServiceUser>) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    let Some(user) = user else { return Ok(()) };
    // The agent puts its own records here; services only pass through.
    chown(path, None, Some(user.gid))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o750))
}

/// Services under another user pass through the node's directory.
fn open_to_services(path: &Path, separate: bool) -> std::io::Result<()> {
    let mode = if separate { 0o711 } else { 0o700 };
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

fn launched(node: NodeId, address: Ipv4Addr) -> Launched {
    Launched {
        id: ProviderId(node.to_string()),
        address: IpAddr::V4(address),
    }
}

fn node_of(id: &ProviderId) -> Result<NodeId, ProviderError> {
    id.0.parse()
        .map_err(|_| ProviderError::Refused(format!("`{id}` is no node of this machine")))
}

fn broken(error: &std::io::Error) -> ProviderError {
    match error.kind() {
        std::io::ErrorKind::StorageFull => ProviderError::Capacity("the disk is full".to_owned()),
        std::io::ErrorKind::QuotaExceeded => ProviderError::Quota(error.to_string()),
        _ => ProviderError::Unclear(error.to_string()),
    }
}
