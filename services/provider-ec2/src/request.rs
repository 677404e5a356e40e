//! The exact `RunInstances` of a node: decided once, kept in its record, sent as it is.

use serde::{Deserialize, Serialize};
use updraft_aws::Params;
use updraft_model::NodeId;
use updraft_provider::{LaunchRequest, NodeWanted, ProviderError};

use crate::config::{Ec2Config, Market};
use crate::user_data;

/// Which instances are this installation's.
pub(crate) const INSTALLATION: &str = "updraft:installation";
pub(crate) const CLUSTER: &str = "updraft:cluster";
pub(crate) const NODE: &str = "updraft:node";
const ROLE: &str = "updraft:role";
const QUEUE: &str = "updraft:queue";
pub(crate) const TENANT: &str = "updraft:tenant";
const GENERATION: &str = "updraft:generation";
const FENCE: &str = "updraft:fence";
const MARKET: &str = "InstanceMarketOptions.MarketType";

/// What a [`LaunchRequest`] of this provider holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    provider: Provider,
    pub(crate) wanted: NodeWanted,
    pub(crate) params: Params,
    /// Without the token.
    pub(crate) user_data: String,
}

#[derive(Debug, Serialize, Deserialize)]
enum Provider {
    #[serde(rename = "ec2")]
    Ec2,
}

// === impl Kept ===

impl Kept {
    pub(crate) fn new(config: &Ec2Config, wanted: &NodeWanted) -> Self {
        Self {
            provider: Provider::Ec2,
            wanted: wanted.clone(),
            params: params(config, wanted),
            user_data: user_data::prepared(&config.archives),
        }
    }

    pub(crate) fn is_spot(&self) -> bool {
        self.params.get(MARKET) == Some("spot")
    }

    pub(crate) fn read(request: &LaunchRequest) -> Result<Self, ProviderError> {
        serde_json::from_value(request.0.clone()).map_err(|_| {
            ProviderError::Refused(match request.0["refused"].as_str() {
                Some(why) => why.to_owned(),
                None => {
                    "the node was prepared for another provider: delete it by stopping its cluster".to_owned()
                }
            })
        })
    }

    pub(crate) fn request(&self) -> Result<LaunchRequest, ProviderError> {
        let value = serde_json::to_value(self);
        value
            .map(LaunchRequest)
            .map_err(|error| ProviderError::Refused(error.to_string()))
    }
}

fn params(config: &Ec2Config, wanted: &NodeWanted) -> Params {
    let machine = config.machine(wanted.role);
    let instance_type = wanted.instance_type.as_ref().unwrap_or(&machine.instance_type);
    let params = Params::default()
        .with("ImageId", &config.image)
        .with("InstanceType", instance_type)
        .with("MinCount", 1)
        .with("MaxCount", 1);
    let params = network(params, config, wanted);
    let params = root_volume(params, config);
    let params = access(params, config);
    let params = market(params, machine.market);
    ["instance", "volume", "network-interface"]
        .into_iter()
        .zip(1..)
        .fold(params, |params, (kind, number)| {
            tags(params, number, kind, config, wanted)
        })
}

/// Those that are brought, or else the cluster's own.
fn network(params: Params, config: &Ec2Config, wanted: &NodeWanted) -> Params {
    let own = wanted.network.iter().map(|network| &network.0);
    let groups = config
        .security_groups
        .iter()
        .chain(own.filter(|_| config.security_groups.is_empty()));
    params
        .with("NetworkInterface.1.DeviceIndex", 0)
        .with(
            "NetworkInterface.1.SubnetId",
            subnet(&config.subnets, wanted.node),
        )
        .with("NetworkInterface.1.AssociatePublicIpAddress", false)
        .with("NetworkInterface.1.DeleteOnTermination", true)
        .with_list("NetworkInterface.1.SecurityGroupId", groups)
}

/// By the random end of the id: a node that replaces another may be elsewhere, which helps where one place is full.
fn subnet(subnets: &[String], node: NodeId) -> &str {
    let count = u128::try_from(subnets.len()).unwrap_or(1).max(1);
    let chosen = usize::try_from(node.0.as_u128() % count).unwrap_or(0);
    subnets.get(chosen).map_or("", String::as_str)
}

fn root_volume(params: Params, config: &Ec2Config) -> Params {
    let volume = &config.root_volume;
    let params = params
        .with("BlockDeviceMapping.1.DeviceName", &volume.device)
        .with("BlockDeviceMapping.1.Ebs.VolumeSize", volume.gib)
        .with("BlockDeviceMapping.1.Ebs.VolumeType", "gp3")
        .with("BlockDeviceMapping.1.Ebs.Encrypted", true)
        .with("BlockDeviceMapping.1.Ebs.DeleteOnTermination", true);
    match &volume.kms_key {
        Some(key) => params.with("BlockDeviceMapping.1.Ebs.KmsKeyId", key),
        None => params,
    }
}

/// The metadata service answers nothing but sessions, and no packet of it goes further than the instance itself.
fn access(params: Params, config: &Ec2Config) -> Params {
    let by = match config.instance_profile.starts_with("arn:") {
        true => "IamInstanceProfile.Arn",
        false => "IamInstanceProfile.Name",
    };
    let params = params
        .with(by, &config.instance_profile)
        .with("MetadataOptions.HttpEndpoint", "enabled")
        .with("MetadataOptions.HttpTokens", "required")
        .with("MetadataOptions.HttpPutResponseHopLimit", 1);
    match &config.key_pair {
        Some(key) => params.with("KeyName", key),
        None => params,
    }
}

fn market(params: Params, market: Market) -> Params {
    match market {
        Market::OnDemand => params,
        Market::Spot => params
            .with(MARKET, "spot")
            .with("InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time")
            .with(
                "InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior",
                "terminate",
            ),
    }
}

fn tags(params: Params, number: u32, kind: &str, config: &Ec2Config, wanted: &NodeWanted) -> Params {
    let NodeWanted {
        cluster,
        node,
        role,
        ordinal,
        queue,
        instance_type: _,
        tenant,
        generation,
        fence,
        network: _,
    } = wanted;
    let where_known = [
        tenant.map(|tenant| (TENANT, tenant.to_string())),
        generation.map(|generation| (GENERATION, generation.to_string())),
        fence.map(|fence| (FENCE, fence.to_string())),
        queue.as_ref().map(|queue| (QUEUE, queue.to_string())),
    ];
    let tags = [
        ("Name", format!("updraft-{cluster}-{role}-{ordinal}")),
        (INSTALLATION, config.installation.clone()),
        (CLUSTER, cluster.to_string()),
        (NODE, node.to_string()),
        (ROLE, role.to_string()),
    ];
    let specification = format!("TagSpecification.{number}");
    let params = params.with(format!("{specification}.ResourceType"), kind);
    tags.into_iter()
        .chain(where_known.into_iter().flatten())
        .zip(1..)
        .fold(params, |params, ((key, value), tag)| {
            params
                .with(format!("{specification}.Tag.{tag}.Key"), key)
                .with(format!("{specification}.Tag.{tag}.Value"), value)
        })
}

#[cfg(test)]
mod tests {
    use updraft_model::{ClusterId, Generation, NodeRole, TenantId};
    use uuid::Uuid;

    use super::*;

    fn wanted(role: NodeRole, node: u128) -> NodeWanted {
        NodeWanted {
            cluster: ClusterId(7),
            node: NodeId(Uuid::from_u128(node)),
            role,
            ordinal: 2,
            queue: (role == NodeRole::Worker).then(|| "heavy".parse().unwrap()),
            instance_type: (role == NodeRole::Worker).then(|| "r7i.xlarge".to_owned()),
            tenant: Some(TenantId(Uuid::from_u128(0xacce))),
            generation: Some(Generation(3)),
            fence: Some(12),
            network: None,
        }
    }

    fn kept(role: NodeRole, node: u128) -> Kept {
        let config: Ec2Config = serde_json::from_value(crate::config::tests::example()).unwrap();
        Kept::new(&config, &wanted(role, node))
    }

    fn tag<'a>(params: &'a Params, specification: u32, key: &str) -> Option<&'a str> {
        let tags = format!("TagSpecification.{specification}.Tag");
        let mut numbers = 1..=50;
        let number = numbers.find(|number| params.get(&format!("{tags}.{number}.Key")) == Some(key))?;
        params.get(&format!("{tags}.{number}.Value"))
    }

    #[test]
    fn a_request_that_was_kept_before_tenants_were_is_sent_as_it_was() {
        let mut before = kept(NodeRole::Web, 1).request().unwrap();
        for added in ["tenant", "generation", "fence"] {
            let wanted = before.0["wanted"].as_object_mut().unwrap();
            assert!(wanted.remove(added).is_some(), "{added}");
        }
        let kept = Kept::read(&before).unwrap();
        assert_eq!((kept.wanted.tenant, kept.wanted.generation), (None, None));
        assert_eq!(kept.request().unwrap(), before);
        let config: Ec2Config = serde_json::from_value(crate::config::tests::example()).unwrap();
        let params = Kept::new(&config, &kept.wanted).params;
        assert_eq!(
            [TENANT, GENERATION, FENCE].map(|key| tag(&params, 1, key)),
            [None; 3]
        );
    }

    #[test]
    fn a_request_is_kept_and_read_as_the_same_bytes() {
        let made = kept(NodeRole::Worker, 1);
        let kept = Kept::read(&made.request().unwrap()).unwrap();
        assert_eq!((kept.params, kept.user_data), (made.params, made.user_data));
    }

    #[test]
    fn instances_are_shut_and_their_volumes_encrypted() {
        let params = kept(NodeRole::Scheduler, 1).params;
        for (name, value) in [
            ("MetadataOptions.HttpTokens", "required"),
            ("MetadataOptions.HttpPutResponseHopLimit", "1"),
            ("NetworkInterface.1.AssociatePublicIpAddress", "false"),
            ("BlockDeviceMapping.1.Ebs.Encrypted", "true"),
            ("BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"),
            ("MaxCount", "1"),
        ] {
            assert_eq!(params.get(name), Some(value), "{name}");
        }
        assert_eq!(params.get("InstanceMarketOptions.MarketType"), None);
    }

    #[test]
    fn only_workers_are_spot_where_workers_are() {
        let market = |role| {
            kept(role, 1)
                .params
                .get("InstanceMarketOptions.MarketType")
                .map(ToOwned::to_owned)
        };
        assert_eq!(market(NodeRole::Worker).as_deref(), Some("spot"));
        assert_eq!(market(NodeRole::Web), None);
    }

    #[test]
    fn a_queue_has_machines_and_a_tag_of_its_own() {
        let worker = kept(NodeRole::Worker, 1).params;
        assert_eq!(worker.get("InstanceType"), Some("r7i.xlarge"));
        assert_eq!(tag(&worker, 1, QUEUE), Some("heavy"));
        let web = kept(NodeRole::Web, 1).params;
        assert_ne!(web.get("InstanceType"), Some("r7i.xlarge"));
        assert_eq!(tag(&web, 1, QUEUE), None);
    }

    #[test]
    fn nodes_are_spread_over_the_subnets_by_their_ids() {
        let subnet = |node| {
            kept(NodeRole::Web, node)
                .params
                .get("NetworkInterface.1.SubnetId")
                .map(ToOwned::to_owned)
        };
        assert_ne!(subnet(2), subnet(3));
        assert_eq!(subnet(2), subnet(4));
    }

    #[test]
    fn what_ends_with_the_instance_has_its_tags_too() {
        let params = kept(NodeRole::Web, 5).params;
        for number in 1..=3 {
            for (key, value) in [
                (INSTALLATION, "prod"),
                (CLUSTER, "7"),
                (TENANT, "00000000-0000-0000-0000-00000000acce"),
                (GENERATION, "3"),
            ] {
                assert_eq!(tag(&params, number, key), Some(value), "{number}");
            }
        }
    }

    #[test]
    fn what_was_refused_when_it_was_prepared_says_so_again() {
        let refused = LaunchRequest(serde_json::json!({"refused": "no such type"}));
        assert_eq!(
            Kept::read(&refused).unwrap_err(),
            ProviderError::Refused("no such type".to_owned())
        );
        assert!(Kept::read(&LaunchRequest(serde_json::json!({"provider": "local"}))).is_err());
    }
}
