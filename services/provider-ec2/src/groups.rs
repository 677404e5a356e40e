//! A security group for each cluster, where the configuration brings none: its nodes reach each other's relay (mutual TLS by
//! the cluster's own authority) and whatever is outside, and nothing reaches them from elsewhere.
//!
//! EC2 takes no client token for it. What makes it one group is its name, which a VPC has once: whoever is refused it finds
//! the one that is there, and takes it only if its tags say that it is this cluster's.

use serde::Deserialize;
use updraft_api::agent::RELAY_PORT;
use updraft_aws::{AwsError, EC2, Params};
use updraft_model::{ClusterId, TenantId};
use updraft_provider::{ClusterWanted, NetworkId, ProviderError};
use uuid::Uuid;

use crate::answers::{Done, Page, Set, Tag};
use crate::preflight::Fault;
use crate::provider::{Ec2Provider, PAGE, is_unauthorized};
use crate::refusal::provider_error;
use crate::request::{CLUSTER, INSTALLATION, TENANT};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Groups {
    #[serde(default)]
    security_group_info: Set<Group>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    group_id: String,
    vpc_id: String,
    #[serde(default)]
    tag_set: Set<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    group_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subnets {
    #[serde(default)]
    subnet_set: Set<Subnet>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subnet {
    vpc_id: String,
}

// === impl Ec2Provider ===

impl Ec2Provider {
    /// The cluster's group, made if it is not there.
    pub(crate) async fn group(&self, wanted: &ClusterWanted) -> Result<NetworkId, ProviderError> {
        let vpc = self.vpc().await?;
        let found = self.groups_of(wanted.cluster).await?;
        let here = found.into_iter().find(|group| group.vpc_id == vpc);
        let id = match here {
            Some(group) => group.group_id,
            None => self.make_group(wanted, &vpc).await?,
        };
        self.open_relay(&id).await?;
        Ok(NetworkId(id))
    }

    /// Ends every group of the cluster's. Interfaces that are still on their way out keep one, for a while.
    pub(crate) async fn end_groups(&self, cluster: ClusterId) -> Result<(), ProviderError> {
        for group in self.groups_of(cluster).await? {
            let asked = Params::default().with("GroupId", &group.group_id);
            match self.aws.query::<Done>(EC2, "DeleteSecurityGroup", &asked).await {
                Ok(Done {}) => {}
                Err(error) if is_unknown(&error) => {}
                // One that is gone has no tags by which it could be allowed.
                Err(error) if is_unauthorized(&error) && self.has_no_group(&group.group_id).await => {}
                Err(error) => return Err(provider_error(&error)),
            }
        }
        Ok(())
    }

    /// Clusters that have a group.
    pub(crate) async fn grouped(&self) -> Result<Vec<ClusterId>, ProviderError> {
        let asked = Params::default()
            .with("MaxResults", PAGE)
            .with_filter(&format!("tag:{INSTALLATION}"), [&self.config.installation])
            .with_filter("tag-key", [CLUSTER]);
        let groups = self.groups(&asked).await?;
        let mut clusters: Vec<_> = groups.iter().filter_map(Group::cluster).collect();
        clusters.sort_unstable();
        clusters.dedup();
        Ok(clusters)
    }

    /// One of this installation's, of whatever cluster. None: there is none, or it cannot be seen.
    pub(crate) async fn some_group(&self) -> Option<String> {
        let vpc = self.vpc().await.ok()?;
        let asked = Params::default()
            .with("MaxResults", PAGE)
            .with_filter("vpc-id", [vpc])
            .with_filter(&format!("tag:{INSTALLATION}"), [&self.config.installation])
            .with_filter("tag-key", [CLUSTER]);
        let found = self.groups(&asked).await.ok()?;
        found.into_iter().next().map(|group| group.group_id)
    }

    /// Whether a cluster's group could be made.
    pub(crate) async fn would_make_a_group(&self) -> Result<String, Fault> {
        // No cluster and no tenant has these.
        let (cluster, tenant) = (ClusterId(0), TenantId(Uuid::nil()));
        let vpc = self.vpc().await.map_err(|error| Fault {
            found: error.to_string(),
            remedy: None,
            blocks: false,
        })?;
        let asked = self.new_group(cluster, tenant, &vpc).with("DryRun", true);
        match self.aws.query::<Made>(EC2, "CreateSecurityGroup", &asked).await {
            Err(error) if error.code() == Some("DryRunOperation") => Ok(format!("could be made in {vpc}")),
            Err(error) => Err(Fault::of_what_is_done(error)),
            Ok(made) => Err(Fault {
                found: format!("EC2 did not heed that nothing is to be made: {}", made.group_id),
                remedy: Some("delete that security group".to_owned()),
                blocks: true,
            }),
        }
    }

    async fn make_group(&self, wanted: &ClusterWanted, vpc: &str) -> Result<String, ProviderError> {
        let cluster = wanted.cluster;
        let asked = self.new_group(cluster, wanted.tenant, vpc);
        match self.aws.query::<Made>(EC2, "CreateSecurityGroup", &asked).await {
            Ok(made) => Ok(made.group_id),
            Err(error) if error.code() == Some("InvalidGroup.Duplicate") => {
                self.group_of_name(cluster, &self.group_name(cluster), vpc).await
            }
            Err(error) => Err(provider_error(&error)),
        }
    }

    fn new_group(&self, cluster: ClusterId, tenant: TenantId, vpc: &str) -> Params {
        let name = self.group_name(cluster);
        let asked = Params::default()
            .with("GroupName", &name)
            // EC2 takes few signs here (a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*), and no apostrophe is among them.
            .with("GroupDescription", format!("Nodes of Updraft cluster {cluster}"))
            .with("VpcId", vpc)
            .with("TagSpecification.1.ResourceType", "security-group");
        let tags = [
            ("Name", name),
            (INSTALLATION, self.config.installation.clone()),
            (CLUSTER, cluster.to_string()),
            (TENANT, tenant.to_string()),
        ];
        tags.into_iter()
            .zip(1..)
            .fold(asked, |asked, ((key, value), number)| {
                asked
                    .with(format!("TagSpecification.1.Tag.{number}.Key"), key)
                    .with(format!("TagSpecification.1.Tag.{number}.Value"), value)
            })
    }

    /// Made by a call whose answer was lost, unless it is somebody else's.
    async fn group_of_name(
        &self,
        cluster: ClusterId,
        name: &str,
        vpc: &str,
    ) -> Result<String, ProviderError> {
        let asked = Params::default()
            .with_filter("group-name", [name])
            .with_filter("vpc-id", [vpc]);
        match self.groups(&asked).await?.into_iter().next() {
            Some(group) if group.cluster() == Some(cluster) && self.is_ours(&group) => Ok(group.group_id),
            Some(group) => Err(ProviderError::Refused(format!(
                "{} has the name {name} and is not this cluster's; rename or delete it",
                group.group_id
            ))),
            None => Err(ProviderError::Unclear(format!(
                "the security group {name} was made and is not listed yet"
            ))),
        }
    }

    /// From one node of the group to another, to the relay alone.
    async fn open_relay(&self, group: &str) -> Result<(), ProviderError> {
        let asked = Params::default()
            .with("GroupId", group)
            .with("IpPermissions.1.IpProtocol", "tcp")
            .with("IpPermissions.1.FromPort", RELAY_PORT)
            .with("IpPermissions.1.ToPort", RELAY_PORT)
            .with("IpPermissions.1.Groups.1.GroupId", group);
        match self
            .aws
            .query::<Done>(EC2, "AuthorizeSecurityGroupIngress", &asked)
            .await
        {
            Ok(Done {}) => Ok(()),
            Err(error) if error.code() == Some("InvalidPermission.Duplicate") => Ok(()),
            Err(error) if is_unknown(&error) => Err(ProviderError::Unclear(format!(
                "the security group {group} was made and is not known everywhere yet"
            ))),
            Err(error) => Err(provider_error(&error)),
        }
    }

    async fn has_no_group(&self, id: &str) -> bool {
        let asked = Params::default().with_list("GroupId", [id]);
        match self
            .aws
            .query::<Groups>(EC2, "DescribeSecurityGroups", &asked)
            .await
        {
            Ok(found) => found.security_group_info.items.is_empty(),
            Err(error) => is_unknown(&error),
        }
    }

    async fn groups_of(&self, cluster: ClusterId) -> Result<Vec<Group>, ProviderError> {
        let asked = Params::default()
            .with_filter(&format!("tag:{INSTALLATION}"), [&self.config.installation])
            .with_filter(&format!("tag:{CLUSTER}"), [cluster]);
        self.groups(&asked).await
    }

    async fn groups(&self, asked: &Params) -> Result<Vec<Group>, ProviderError> {
        let pages: Vec<Groups> = self.pages("DescribeSecurityGroups", asked).await?;
        Ok(pages
            .into_iter()
            .flat_map(|page| page.security_group_info.items)
            .collect())
    }

    /// That of the subnets, which never changes.
    async fn vpc(&self) -> Result<String, ProviderError> {
        let ask = async || {
            let asked = Params::default().with_list("SubnetId", self.config.subnets.first());
            let found: Subnets = self.ask("DescribeSubnets", &asked).await?;
            let subnet = found.subnet_set.items.into_iter().next();
            let subnet = subnet.ok_or_else(|| ProviderError::Unclear("EC2 names no subnet".to_owned()))?;
            Ok(subnet.vpc_id)
        };
        self.vpc.get_or_try_init(ask).await.cloned()
    }

    fn group_name(&self, cluster: ClusterId) -> String {
        format!("updraft-{}-{cluster}", self.config.installation)
    }

    fn is_ours(&self, group: &Group) -> bool {
        group.tag(INSTALLATION) == Some(&self.config.installation)
    }
}

// === impl Groups ===

impl Page for Groups {
    fn take_next(&mut self) -> Option<String> {
        self.next_token.take()
    }
}

// === impl Group ===

impl Group {
    fn cluster(&self) -> Option<ClusterId> {
        self.tag(CLUSTER)?.parse().ok().map(ClusterId)
    }

    fn tag(&self, key: &str) -> Option<&str> {
        self.tag_set.tag(key)
    }
}

fn is_unknown(error: &AwsError) -> bool {
    error.code() == Some("InvalidGroup.NotFound")
}
