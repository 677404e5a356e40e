//! The provider itself: each call one call of EC2's, or two.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use thiserror::Error;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use updraft_aws::{
    AssumedRole, AwsError, Client, CredentialSource, EC2, OwnCredentials, Pace, Params, Place, Renewed,
    SessionName,
};
use updraft_model::{ClusterId, NodeAccount};
use updraft_provider::{
    BootSecret, ClientToken, ClusterWanted, LaunchRequest, Launched, LeftVolume, ListedNode, NetworkId,
    NodeProvider, NodeStatus, NodeWanted, ProviderError, ProviderId,
};

use crate::answers::{Done, Instance, Page, Reservation, Reservations, StateName};
use crate::artifacts::Signer;
use crate::checks::Checks;
use crate::config::{ConfigError, Ec2Config, StorePlace};
use crate::listing::Listing;
use crate::newborn::Newborn;
use crate::preflight::{Looked, Tried, WITHIN};
use crate::refusal::{ended_by, provider_error};
use crate::request::{INSTALLATION, Kept, NODE};
use crate::user_data::{self, Boot};

/// For so long a new instance may be known to one part of EC2 and not to another. It is seconds nearly always; what it
/// costs is that an instance which is gone from every list within it is replaced that late.
const LISTING_LAG: Duration = Duration::from_secs(300);
/// The most there is.
pub(crate) const PAGE: u32 = 1000;

/// Nodes in one account and region.
pub struct Ec2Provider {
    pub(crate) config: Ec2Config,
    pub(crate) aws: Client,
    pub(crate) signer: Option<Signer>,
    /// Of clusters' buckets, where that is known.
    pub(crate) storage: Option<StorePlace>,
    listing: Listing,
    newborn: Newborn,
    pub(crate) checks: Checks,
    pub(crate) vpc: OnceCell<String>,
    /// What was found lately, for clusters that start together.
    pub(crate) looked: Looked,
    pub(crate) tried: Tried,
}

#[derive(Debug, Error)]
pub enum SetupError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Aws(#[from] AwsError),
}

// === impl Ec2Provider ===

impl Ec2Provider {
    /// With Updraft's own credentials, or the account's role that these may assume. Asks nothing yet.
    ///
    /// # Errors
    /// When the configuration cannot be right.
    pub fn open(config: Ec2Config) -> Result<Self, SetupError> {
        Self::with_credentials(config, Arc::new(Renewed::new(OwnCredentials::new()?)))
    }

    /// The same with other credentials for Updraft's own.
    ///
    /// # Errors
    /// When the configuration cannot be right.
    pub fn with_credentials(config: Ec2Config, own: Arc<dyn CredentialSource>) -> Result<Self, SetupError> {
        config.check()?;
        let place = Place {
            region: config.region.clone(),
            endpoint: config.endpoint.clone(),
        };
        let credentials = match &config.account {
            None => own,
            Some(account) => {
                let sts = Arc::new(Client::new(place.clone(), own)?);
                let session = SessionName::of(&config.installation);
                let role = account.role.clone();
                Arc::new(Renewed::new(AssumedRole::new(
                    sts,
                    role,
                    Some(account.external_id.clone()),
                    session,
                )))
            }
        };
        Ok(Self {
            aws: Client::new(place, credentials)?,
            signer: config.artifacts.as_ref().map(Signer::open).transpose()?,
            storage: None,
            config,
            listing: Listing::default(),
            newborn: Newborn::lasting(LISTING_LAG),
            checks: Checks::default(),
            vpc: OnceCell::new(),
            looked: Looked::default(),
            tried: Tried::default(),
        })
    }

    /// Nodes have to reach clusters' buckets there, which is looked at before a start.
    #[must_use]
    pub fn storing_in(self, place: StorePlace) -> Self {
        Self {
            storage: Some(place),
            ..self
        }
    }

    /// Waits for its turns with all who have this pace.
    pub(crate) fn at_pace(self, pace: Pace) -> Self {
        Self {
            aws: self.aws.at_pace(pace),
            ..self
        }
    }

    /// Every node there is, and which of them are not well.
    async fn listed(&self) -> Result<Vec<ListedNode>, ProviderError> {
        let mut nodes = self.described().await?;
        let impaired = self.impaired().await;
        for node in &mut nodes {
            if node.status == NodeStatus::Running && impaired.contains(&node.id) {
                node.status = NodeStatus::Impaired;
            }
        }
        Ok(nodes)
    }

    async fn described(&self) -> Result<Vec<ListedNode>, ProviderError> {
        let asked = Params::default()
            .with("MaxResults", PAGE)
            .with_filter(&format!("tag:{INSTALLATION}"), [&self.config.installation])
            .with_filter(
                "instance-state-name",
                ["pending", "running", "stopping", "stopped", "shutting-down"],
            );
        let pages: Vec<Reservations> = self.pages("DescribeInstances", &asked).await?;
        let instances = pages.into_iter().flat_map(Reservations::into_instances);
        Ok(instances
            .filter_map(|instance| listed_or_told(&instance))
            .collect())
    }

    /// None: EC2 knows no such instance, or not yet.
    async fn find(&self, id: &ProviderId) -> Result<Option<Instance>, ProviderError> {
        let asked = Params::default().with_list("InstanceId", [id]);
        match self
            .aws
            .query::<Reservations>(EC2, "DescribeInstances", &asked)
            .await
        {
            Ok(found) => Ok(found.into_instances().next()),
            Err(error) if is_unknown(&error) => Ok(None),
            Err(error) => Err(provider_error(&error)),
        }
    }

    /// Whether that was answered of an instance that is not there. Whoever may end only what has a tag is not told so: what EC2 has
    /// forgotten has no tags, and is refused like somebody else's.
    async fn is_missing(&self, id: &ProviderId, error: &AwsError) -> bool {
        is_unknown(error) || (is_unauthorized(error) && matches!(self.find(id).await, Ok(None)))
    }

    pub(crate) async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        action: &'static str,
        params: &Params,
    ) -> Result<T, ProviderError> {
        let answer = self.aws.query(EC2, action, params).await;
        answer.map_err(|error| provider_error(&error))
    }

    /// The same for an answer that comes in pages: all of them.
    pub(crate) async fn pages<T: Page>(
        &self,
        action: &'static str,
        params: &Params,
    ) -> Result<Vec<T>, ProviderError> {
        let mut pages = vec![self.ask::<T>(action, params).await?];
        while let Some(token) = pages
            .last_mut()
            .and_then(T::take_next)
            .filter(|token| !token.is_empty())
        {
            let next = params.clone().with("NextToken", token);
            pages.push(self.ask(action, &next).await?);
        }
        Ok(pages)
    }

    /// As [`Self::ask`], for what changes something, whatever comes of it.
    async fn change<T: serde::de::DeserializeOwned>(
        &self,
        action: &'static str,
        params: &Params,
    ) -> Result<T, AwsError> {
        let answer = self.aws.query(EC2, action, params).await;
        self.listing.changed();
        answer
    }

    /// `RunInstances` as it is kept, with what its user data is told only now.
    pub(crate) async fn launch_params(
        &self,
        kept: &Kept,
        boot: &BootSecret,
    ) -> Result<Params, ProviderError> {
        let boot = Boot::read(boot).ok_or_else(|| no_place("the node's token"))?;
        let objects = user_data::objects(&kept.user_data, &boot);
        let addresses = match &self.signer {
            Some(signer) => signer.addresses(&objects, SystemTime::now()).await,
            None => Ok(Vec::new()),
        };
        let addresses = addresses.map_err(|error| ProviderError::Unclear(error.to_string()))?;
        let addressed: Vec<_> = objects
            .into_iter()
            .zip(addresses)
            .map(|((opens, key), address)| (opens, key, address))
            .collect();
        let user_data = user_data::complete(&kept.user_data, &boot, &addressed)
            .ok_or_else(|| no_place("control's address, the node's token or an archive's address"))?;
        let encoded = STANDARD.encode(user_data.expose_secret());
        Ok(kept.params.clone().with("UserData", encoded))
    }

    /// The same token with other addresses: an hour or a session ended after a launch whose answer was lost.
    async fn launched_before(&self, kept: &Kept, refused: AwsError) -> Result<Launched, ProviderError> {
        if self.signer.is_none() || refused.code() != Some("IdempotentParameterMismatch") {
            return Err(provider_error(&refused));
        }
        let asked = Params::default().with_filter(&format!("tag:{NODE}"), [kept.wanted.node.to_string()]);
        let found: Reservations = self.ask("DescribeInstances", &asked).await?;
        let not_yet =
            || ProviderError::Unclear("an earlier launch of this node is not listed yet".to_owned());
        launched(&found.into_instances().next().ok_or_else(not_yet)?)
    }
}

fn no_place(what: &str) -> ProviderError {
    ProviderError::Refused(format!("{what} has no place in user data"))
}

#[async_trait]
impl NodeProvider for Ec2Provider {
    fn name(&self) -> &'static str {
        "ec2"
    }

    fn listing_lag(&self) -> Duration {
        LISTING_LAG
    }

    async fn prepare(&self, wanted: &NodeWanted) -> Result<LaunchRequest, ProviderError> {
        if self.config.security_groups.is_empty() && wanted.network.is_none() {
            return Err(ProviderError::Refused(
                "the cluster has no security group yet: stop it and start it again".to_owned(),
            ));
        }
        Kept::new(&self.config, wanted).request()
    }

    async fn launch(
        &self,
        request: &LaunchRequest,
        token: &ClientToken,
        boot: &BootSecret,
    ) -> Result<Launched, ProviderError> {
        let kept = Kept::read(request)?;
        if *token != ClientToken::of(kept.wanted.node) {
            return Err(ProviderError::Refused("the token is another node's".to_owned()));
        }
        let params = self
            .launch_params(&kept, boot)
            .await?
            .with("ClientToken", &token.0);
        let made: Reservation = match self.change("RunInstances", &params).await {
            Ok(made) => made,
            Err(refused) => return self.launched_before(&kept, refused).await,
        };
        let instance = made.instances_set.items.into_iter().next();
        let instance = instance.ok_or_else(|| ProviderError::Unclear("EC2 names no instance".to_owned()))?;
        self.newborn.add(instance.id());
        launched(&instance)
    }

    async fn start(&self, id: &ProviderId, _boot: &BootSecret) -> Result<Launched, ProviderError> {
        let instance = self.find(id).await?;
        let instance = instance
            .ok_or_else(|| ProviderError::Refused(format!("there is no instance {id}: it has ended")))?;
        let launched = launched(&instance)?;
        match instance.instance_state.name {
            StateName::Stopping => return Err(ProviderError::Unclear(format!("{id} is still stopping"))),
            StateName::Stopped => {
                let asked = Params::default().with_list("InstanceId", [id]);
                let started: Result<Done, _> = self.change("StartInstances", &asked).await;
                started.map_err(|error| provider_error(&error))?;
            }
            StateName::Pending | StateName::Running | StateName::ShuttingDown | StateName::Terminated => {}
        }
        Ok(launched)
    }

    async fn stop(&self, id: &ProviderId) -> Result<(), ProviderError> {
        let asked = Params::default().with_list("InstanceId", [id]);
        match self.change::<Done>("StopInstances", &asked).await {
            Ok(Done {}) => Ok(()),
            Err(error) if self.is_missing(id, &error).await => Err(not_known(id)),
            Err(error) => Err(provider_error(&error)),
        }
    }

    /// EC2 stops no spot instance that was asked for once.
    fn can_stand_still(&self, request: &LaunchRequest) -> bool {
        Kept::read(request).is_ok_and(|kept| !kept.is_spot())
    }

    async fn terminate(&self, id: &ProviderId) -> Result<(), ProviderError> {
        let asked = Params::default().with_list("InstanceId", [id]);
        match self.change::<Done>("TerminateInstances", &asked).await {
            Ok(Done {}) => Ok(()),
            Err(error) if self.is_missing(id, &error).await => match self.newborn.has(id) {
                true => Err(not_known(id)),
                false => Ok(()),
            },
            Err(error) => Err(provider_error(&error)),
        }
    }

    async fn list(&self, cluster: Option<ClusterId>) -> Result<Vec<ListedNode>, ProviderError> {
        let all = self.listing.get(|| self.listed()).await?;
        let of_cluster = all
            .iter()
            .filter(|node| cluster.is_none_or(|id| node.cluster == id));
        Ok(of_cluster.cloned().collect())
    }

    async fn describe(&self, id: &ProviderId) -> Result<NodeStatus, ProviderError> {
        let found = self.find(id).await?;
        Ok(found.map_or(NodeStatus::Unknown, |instance| {
            instance.instance_state.name.status()
        }))
    }

    async fn why_ended(&self, id: &ProviderId) -> Result<Option<ProviderError>, ProviderError> {
        let found = self.find(id).await?;
        let ended = found.filter(|instance| instance.instance_state.name.has_ended());
        let reason = ended.and_then(|instance| instance.state_reason);
        Ok(reason.and_then(|reason| ended_by(&reason)))
    }

    async fn left_volumes(&self, _account: NodeAccount) -> Result<Vec<LeftVolume>, ProviderError> {
        self.unattached().await
    }

    async fn delete_volume(&self, id: &ProviderId) -> Result<(), ProviderError> {
        self.end_volume(id).await
    }

    fn prepares_clusters(&self) -> bool {
        true
    }

    async fn prepare_cluster(&self, wanted: &ClusterWanted) -> Result<Option<NetworkId>, ProviderError> {
        let until = Instant::now() + WITHIN;
        self.look_before_a_start(&wanted.control_url, until).await?;
        let network = match self.config.security_groups.is_empty() {
            true => Some(self.group(wanted).await?),
            false => None,
        };
        self.try_launches(wanted, network.as_ref(), until).await?;
        Ok(network)
    }

    async fn forget_cluster(&self, cluster: ClusterId) -> Result<(), ProviderError> {
        self.end_groups(cluster).await
    }

    async fn prepared_clusters(&self) -> Result<Vec<ClusterId>, ProviderError> {
        self.grouped().await
    }
}

fn is_unknown(error: &AwsError) -> bool {
    error.code() == Some("InvalidInstanceID.NotFound")
}

/// A role's policies do not allow it, or nothing is there that they could allow it for.
pub(crate) fn is_unauthorized(error: &AwsError) -> bool {
    error.code() == Some("UnauthorizedOperation")
}

fn not_known(id: &ProviderId) -> ProviderError {
    ProviderError::Unclear(format!(
        "EC2 knows no instance {id}; wait: it may be too new to be known everywhere"
    ))
}

fn launched(instance: &Instance) -> Result<Launched, ProviderError> {
    let has_ended = instance.instance_state.name.has_ended();
    let address = instance.private_ip_address.filter(|_| !has_ended);
    let ended = || ProviderError::Refused(format!("instance {} has ended", instance.instance_id));
    Ok(Launched {
        id: instance.id(),
        address: address.ok_or_else(ended)?,
    })
}

/// What has our tag and is no node of ours was tagged by somebody else: nothing is done to it.
fn listed_or_told(instance: &Instance) -> Option<ListedNode> {
    let listed = instance.listed();
    if listed.is_none() {
        tracing::warn!(
            provider.id = instance.instance_id,
            "an instance has this installation's tag but not a node's; it is left alone"
        );
    }
    listed
}
