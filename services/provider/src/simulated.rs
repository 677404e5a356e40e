//! A provider in memory that answers late, twice, wrongly or not at all, and does so again for the same seed.
//!
//! It keeps every node it ever made, so that a test can ask what was leaked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use updraft_model::{ClusterId, NodeAccount, NodeId, NodeRole};

use crate::{
    BootSecret, ClientToken, ClusterWanted, LaunchRequest, Launched, LeftVolume, ListedNode, NetworkId,
    NodeProvider, NodeStatus, NodeWanted, ProviderError, ProviderId,
};

/// A provider whose time passes in ticks, one per [`SimulatedProvider::tick`].
pub struct SimulatedProvider {
    world: Mutex<World>,
    listing_lag: Duration,
    has_networks: bool,
}

/// How often, of 100 calls, something goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub throttled: u8,
    pub capacity: u8,
    pub quota: u8,
    /// The call takes effect, its answer is lost.
    pub answer_lost: u8,
    /// Ticks until a new node is listed.
    pub listed_after: u64,
    /// Ticks until a new node runs, and until an ending one is gone.
    pub slow: u64,
}

/// One node as the simulation knows it.
#[derive(Clone, Debug)]
pub struct Machine {
    pub id: ProviderId,
    pub cluster: ClusterId,
    pub node: NodeId,
    pub role: NodeRole,
    pub ordinal: u32,
    pub address: IpAddr,
    pub status: NodeStatus,
    made_at: u64,
    listed_at: u64,
    changes_at: u64,
}

struct World {
    now: u64,
    seed: u64,
    faults: Faults,
    machines: BTreeMap<ProviderId, Machine>,
    /// However many clusters there are, each is listed as quickly.
    by_cluster: HashMap<ClusterId, Vec<ProviderId>>,
    tokens: HashMap<ClientToken, (Value, ProviderId)>,
    networks: BTreeMap<NetworkId, Network>,
    networks_made: u32,
    /// Machines whose disks outlive them.
    keeping: BTreeSet<ProviderId>,
    /// What is said of machines that ended by themselves.
    endings: BTreeMap<ProviderId, ProviderError>,
    scripted: Vec<ProviderError>,
    refused_networks: Vec<ProviderError>,
}

/// What a cluster's nodes are in.
struct Network {
    cluster: ClusterId,
    listed_at: u64,
}

// === impl SimulatedProvider ===

impl SimulatedProvider {
    #[must_use]
    pub fn new(seed: u64, faults: Faults, listing_lag: Duration) -> Self {
        let world = World {
            now: 0,
            seed,
            faults,
            machines: BTreeMap::new(),
            by_cluster: HashMap::new(),
            tokens: HashMap::new(),
            networks: BTreeMap::new(),
            networks_made: 0,
            keeping: BTreeSet::new(),
            endings: BTreeMap::new(),
            scripted: Vec::new(),
            refused_networks: Vec::new(),
        };
        Self {
            world: Mutex::new(world),
            listing_lag,
            has_networks: false,
        }
    }

    /// Each cluster's nodes are in a network of its own.
    #[must_use]
    pub fn with_networks(self) -> Self {
        Self {
            has_networks: true,
            ..self
        }
    }

    /// Every network there is.
    #[must_use]
    pub fn networks(&self) -> Vec<NetworkId> {
        self.world().networks.keys().cloned().collect()
    }

    #[must_use]
    pub fn lists_network_of(&self, cluster: ClusterId) -> bool {
        self.world().networks_of(cluster).next().is_some()
    }

    /// One that does all at once and never errs.
    #[must_use]
    pub fn perfect() -> Self {
        Self::new(0, Faults::default(), Duration::ZERO)
    }

    pub fn set_faults(&self, faults: Faults) {
        self.world().faults = faults;
    }

    /// The next launches fail like this, last first.
    pub fn fail_launches(&self, errors: Vec<ProviderError>) {
        self.world().scripted = errors;
    }

    /// The next times that a cluster is prepared it fails like this, last first.
    pub fn fail_preparing(&self, errors: Vec<ProviderError>) {
        self.world().refused_networks = errors;
    }

    /// Time passes: pending nodes come up, ending ones go.
    pub fn tick(&self) {
        let mut world = self.world();
        world.now += 1;
        let now = world.now;
        for machine in world.machines.values_mut().filter(|m| m.changes_at <= now) {
            machine.status = match machine.status {
                NodeStatus::Pending => NodeStatus::Running,
                NodeStatus::Ending => NodeStatus::Gone,
                other => other,
            };
        }
    }

    /// The node ends by itself, as spot instances and hardware do.
    pub fn lose(&self, id: &ProviderId) {
        self.set(id, NodeStatus::Gone);
    }

    /// The same, and it is said why.
    pub fn lose_saying(&self, id: &ProviderId, why: ProviderError) {
        self.world().endings.insert(id.clone(), why);
        self.lose(id);
    }

    /// The machine fails its provider's checks.
    pub fn impair(&self, id: &ProviderId) {
        self.set(id, NodeStatus::Impaired);
    }

    /// Its checks pass again, as where the provider repairs what is below it.
    pub fn mend(&self, id: &ProviderId) {
        self.set(id, NodeStatus::Running);
    }

    /// Somebody has its disk outlive the machine.
    pub fn keep_volume(&self, id: &ProviderId) {
        self.world().keeping.insert(id.clone());
    }

    /// The machine was switched off.
    pub fn switch_off(&self, id: &ProviderId) {
        self.set(id, NodeStatus::Stopped);
    }

    /// Every node ever made.
    #[must_use]
    pub fn machines(&self) -> Vec<Machine> {
        self.world().machines.values().cloned().collect()
    }

    /// Nodes that exist, running or not.
    #[must_use]
    pub fn live(&self) -> Vec<Machine> {
        self.machines()
            .into_iter()
            .filter(|m| m.status != NodeStatus::Gone)
            .collect()
    }

    fn set(&self, id: &ProviderId, status: NodeStatus) {
        if let Some(machine) = self.world().machines.get_mut(id) {
            machine.status = status;
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl NodeProvider for SimulatedProvider {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn listing_lag(&self) -> Duration {
        self.listing_lag
    }

    async fn prepare(&self, wanted: &NodeWanted) -> Result<LaunchRequest, ProviderError> {
        serde_json::to_value(wanted)
            .map(|value| LaunchRequest(json!({ "kind": "simulated", "wanted": value })))
            .map_err(|error| ProviderError::Refused(error.to_string()))
    }

    async fn launch(
        &self,
        request: &LaunchRequest,
        token: &ClientToken,
        _boot: &BootSecret,
    ) -> Result<Launched, ProviderError> {
        let mut world = self.world();
        if let Some(error) = world.scripted.pop() {
            return Err(error);
        }
        world.may_err()?;
        if let Some((known, id)) = world.tokens.get(token).cloned() {
            if known != request.0 {
                return Err(ProviderError::Refused(
                    "the token was used with another request".to_owned(),
                ));
            }
            return world.launched(&id);
        }
        let faults = world.faults;
        if world.happens(faults.capacity) {
            return Err(ProviderError::Capacity(
                "no machine of this kind just now".to_owned(),
            ));
        }
        if world.happens(faults.quota) {
            return Err(ProviderError::Quota("no more machines".to_owned()));
        }
        let id = world.make(request, token)?;
        world.may_lose_answer()?;
        world.launched(&id)
    }

    async fn start(&self, id: &ProviderId, _boot: &BootSecret) -> Result<Launched, ProviderError> {
        let mut world = self.world();
        world.may_err()?;
        let slow = world.faults.slow;
        let changes_at = world.now + slow;
        match world.machines.get_mut(id) {
            Some(machine) if machine.status == NodeStatus::Stopped => {
                machine.status = if slow == 0 {
                    NodeStatus::Running
                } else {
                    NodeStatus::Pending
                };
                machine.changes_at = changes_at;
            }
            Some(machine) if matches!(machine.status, NodeStatus::Gone | NodeStatus::Ending) => {
                return Err(ProviderError::Refused("the node has ended".to_owned()));
            }
            _ => {}
        }
        world.may_lose_answer()?;
        world.launched(id)
    }

    async fn stop(&self, id: &ProviderId) -> Result<(), ProviderError> {
        let mut world = self.world();
        world.may_err()?;
        if let Some(machine) = world.machines.get_mut(id).filter(|m| m.status.is_up()) {
            machine.status = NodeStatus::Stopped;
        }
        world.may_lose_answer()
    }

    fn can_stand_still(&self, _request: &LaunchRequest) -> bool {
        true
    }

    async fn terminate(&self, id: &ProviderId) -> Result<(), ProviderError> {
        let mut world = self.world();
        world.may_err()?;
        let (now, slow) = (world.now, world.faults.slow);
        if let Some(machine) = world.machines.get_mut(id) {
            if machine.listed_at > now {
                return Err(ProviderError::Unclear(
                    "the node is not known here yet".to_owned(),
                ));
            }
            if !matches!(machine.status, NodeStatus::Gone | NodeStatus::Ending) {
                machine.status = if slow == 0 {
                    NodeStatus::Gone
                } else {
                    NodeStatus::Ending
                };
                machine.changes_at = now + slow;
            }
        }
        world.may_lose_answer()
    }

    async fn list(&self, cluster: Option<ClusterId>) -> Result<Vec<ListedNode>, ProviderError> {
        let mut world = self.world();
        world.may_err()?;
        let now = world.now;
        let listed = |machine: &&Machine| machine.listed_at <= now && machine.status != NodeStatus::Gone;
        let machines: Vec<&Machine> = match cluster {
            None => world.machines.values().collect(),
            Some(id) => world.of_cluster(id).collect(),
        };
        Ok(machines
            .into_iter()
            .filter(listed)
            .map(Machine::listing)
            .collect())
    }

    async fn describe(&self, id: &ProviderId) -> Result<NodeStatus, ProviderError> {
        let mut world = self.world();
        world.may_err()?;
        let now = world.now;
        let machine = world.machines.get(id).filter(|machine| machine.listed_at <= now);
        Ok(machine.map_or(NodeStatus::Unknown, |machine| machine.status))
    }

    async fn why_ended(&self, id: &ProviderId) -> Result<Option<ProviderError>, ProviderError> {
        let mut world = self.world();
        world.may_err()?;
        Ok(world.endings.get(id).cloned())
    }

    async fn left_volumes(&self, _account: NodeAccount) -> Result<Vec<LeftVolume>, ProviderError> {
        let mut world = self.world();
        world.may_err()?;
        let kept = world.keeping.iter().filter_map(|id| world.machines.get(id));
        let left = kept.filter(|machine| machine.status == NodeStatus::Gone);
        Ok(left
            .map(|machine| LeftVolume {
                id: machine.id.clone(),
                cluster: machine.cluster,
                node: machine.node,
            })
            .collect())
    }

    async fn delete_volume(&self, id: &ProviderId) -> Result<(), ProviderError> {
        let mut world = self.world();
        world.may_err()?;
        world.keeping.remove(id);
        world.may_lose_answer()
    }

    fn prepares_clusters(&self) -> bool {
        self.has_networks
    }

    async fn prepare_cluster(&self, wanted: &ClusterWanted) -> Result<Option<NetworkId>, ProviderError> {
        if !self.has_networks {
            return Ok(None);
        }
        let mut world = self.world();
        world.may_err()?;
        if let Some(error) = world.refused_networks.pop() {
            return Err(error);
        }
        let network = world.network(wanted.cluster)?;
        world.may_lose_answer()?;
        Ok(Some(network))
    }

    async fn forget_cluster(&self, cluster: ClusterId) -> Result<(), ProviderError> {
        let mut world = self.world();
        world.may_err()?;
        let lives = |machine: &Machine| machine.status != NodeStatus::Gone;
        let found: Vec<_> = world.networks_of(cluster).cloned().collect();
        if !found.is_empty() && world.of_cluster(cluster).any(lives) {
            return Err(ProviderError::Unclear("nodes are still in it".to_owned()));
        }
        for network in found {
            world.networks.remove(&network);
        }
        world.may_lose_answer()
    }

    async fn prepared_clusters(&self) -> Result<Vec<ClusterId>, ProviderError> {
        let mut world = self.world();
        world.may_err()?;
        let now = world.now;
        let listed = world.networks.values().filter(|network| network.listed_at <= now);
        Ok(listed.map(|network| network.cluster).collect())
    }
}

// === impl World ===

impl World {
    fn make(&mut self, request: &LaunchRequest, token: &ClientToken) -> Result<ProviderId, ProviderError> {
        let wanted: NodeWanted = serde_json::from_value(request.0["wanted"].clone())
            .map_err(|error| ProviderError::Refused(error.to_string()))?;
        if let Some(network) = wanted
            .network
            .filter(|network| !self.networks.contains_key(network))
        {
            return Err(ProviderError::Refused(format!("there is no network {network}")));
        }
        let number = self.machines.len() + 1;
        let id = ProviderId(format!("sim-{number:06}"));
        let low = u32::try_from(number).map_err(|_| ProviderError::Quota("too many nodes".to_owned()))?;
        let slow = self.faults.slow;
        let machine = Machine {
            id: id.clone(),
            cluster: wanted.cluster,
            node: wanted.node,
            role: wanted.role,
            ordinal: wanted.ordinal,
            address: IpAddr::V4(Ipv4Addr::from(0x0A00_0000 + low)),
            status: if slow == 0 {
                NodeStatus::Running
            } else {
                NodeStatus::Pending
            },
            made_at: self.now,
            listed_at: self.now + self.faults.listed_after,
            changes_at: self.now + slow,
        };
        self.tokens.insert(token.clone(), (request.0.clone(), id.clone()));
        self.by_cluster
            .entry(wanted.cluster)
            .or_default()
            .push(id.clone());
        self.machines.insert(id.clone(), machine);
        Ok(id)
    }

    /// The one of this name, which another cannot have; a new one may not be found yet.
    fn network(&mut self, cluster: ClusterId) -> Result<NetworkId, ProviderError> {
        if let Some(network) = self.networks_of(cluster).next() {
            return Ok(network.clone());
        }
        if self.networks.values().any(|network| network.cluster == cluster) {
            return Err(ProviderError::Unclear("its network is not listed yet".to_owned()));
        }
        self.networks_made += 1;
        let id = NetworkId(format!("net-{:06}", self.networks_made));
        let listed_at = self.now + self.faults.listed_after;
        self.networks.insert(id.clone(), Network { cluster, listed_at });
        Ok(id)
    }

    fn networks_of(&self, cluster: ClusterId) -> impl Iterator<Item = &NetworkId> {
        let listed = move |network: &Network| network.cluster == cluster && network.listed_at <= self.now;
        let networks = self.networks.iter().filter(move |(_, network)| listed(network));
        networks.map(|(id, _)| id)
    }

    fn of_cluster(&self, cluster: ClusterId) -> impl Iterator<Item = &Machine> {
        let ids = self.by_cluster.get(&cluster).into_iter().flatten();
        ids.filter_map(|id| self.machines.get(id))
    }

    fn launched(&self, id: &ProviderId) -> Result<Launched, ProviderError> {
        let machine = self.machines.get(id);
        machine
            .map(|machine| Launched {
                id: id.clone(),
                address: machine.address,
            })
            .ok_or_else(|| ProviderError::Refused("no such node".to_owned()))
    }

    fn may_err(&mut self) -> Result<(), ProviderError> {
        if self.happens(self.faults.throttled) {
            Err(ProviderError::Throttled)
        } else {
            Ok(())
        }
    }

    fn may_lose_answer(&mut self) -> Result<(), ProviderError> {
        if self.happens(self.faults.answer_lost) {
            Err(ProviderError::Unclear("the connection was cut".to_owned()))
        } else {
            Ok(())
        }
    }

    /// splitmix64: the same seed gives the same run.
    fn happens(&mut self, percent: u8) -> bool {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % 100 < u64::from(percent)
    }
}

// === impl Machine ===

impl Machine {
    /// The tick it was made in.
    #[must_use]
    pub fn made_at(&self) -> u64 {
        self.made_at
    }

    fn listing(&self) -> ListedNode {
        ListedNode {
            id: self.id.clone(),
            cluster: self.cluster,
            node: self.node,
            address: self.address,
            status: self.status,
        }
    }
}
