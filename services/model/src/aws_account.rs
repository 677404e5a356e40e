//! A tenant's own AWS accounts, in which its clusters' nodes are: what a tenant says of one.
//!
//! Nothing here is the installation's to say: where AWS is reached, what nodes fetch, how they are tagged.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{AwsAccountId, OnStop};

/// The account that nodes are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeAccount {
    /// What the installation itself has: its own account, or its own machine.
    Installation,
    Tenant(AwsAccountId),
}

/// What a tenant says of its account. What is left out is as the installation has it, if it has any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsAccountConfig {
    /// The role in it that Updraft assumes: `arn:aws:iam::123456789012:role/updraft-control`. Its trust policy asks for the
    /// account's external id.
    pub role_arn: String,
    /// `eu-central-1`
    pub region: String,
    /// Of one VPC; a cluster's nodes are spread over them.
    pub subnets: Vec<String>,
    /// Up to five of the same VPC. None: one is made for each cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
    /// Name or ARN of what gives nodes their role.
    pub instance_profile: String,
    /// `ami-…`, or the name of an SSM parameter that holds such an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<AwsMachine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<AwsMachine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<AwsMachine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_volume: Option<AwsVolume>,
    /// What becomes of machines of clusters that are stopped, where these do not say so themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_stop: Option<OnStop>,
}

/// What nodes of one role are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsMachine {
    /// `m7i.large`
    pub instance_type: String,
    /// Spot is for workers alone.
    #[serde(default)]
    pub market: AwsMarket,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AwsMarket {
    #[default]
    OnDemand,
    /// Cheaper, and taken back by AWS with two minutes' notice.
    Spot,
}

/// The disk of each node, which is encrypted always.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsVolume {
    #[serde(default = "thirty")]
    pub gib: u32,
    /// The image's own root device.
    #[serde(default = "first_device")]
    pub device: String,
    /// Id or ARN of a KMS key. None: the account's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
}

fn thirty() -> u32 {
    30
}

fn first_device() -> String {
    "/dev/xvda".to_owned()
}

// === impl NodeAccount ===

impl NodeAccount {
    #[must_use]
    pub fn tenant(self) -> Option<AwsAccountId> {
        match self {
            Self::Installation => None,
            Self::Tenant(id) => Some(id),
        }
    }
}

impl From<Option<AwsAccountId>> for NodeAccount {
    /// As it stands in a column that may be null.
    fn from(id: Option<AwsAccountId>) -> Self {
        id.map_or(Self::Installation, Self::Tenant)
    }
}
