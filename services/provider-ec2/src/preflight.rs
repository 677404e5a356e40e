//! What would fail minutes into a start, asked within seconds and without making anything.

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use updraft_aws::{AwsError, EC2, Params, SSM, STS};
use updraft_model::{ClusterId, Generation, NodeId, NodeRole, TenantId};
use updraft_provider::{BootSecret, NodeWanted};
use uuid::Uuid;

use crate::answers::{Done, Set};
use crate::config::Image;
use crate::provider::Ec2Provider;
use crate::refusal::{provider_error, remedy};
use crate::request::Kept;

/// Every check, in the order in which a person would make them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preflight {
    pub checks: Vec<Check>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `subnets`
    pub name: String,
    pub ok: bool,
    /// What was found, or what is wrong.
    pub found: String,
    /// Where something is wrong and it is known what to do.
    pub remedy: Option<String>,
}

struct Fault {
    found: String,
    remedy: Option<String>,
}

type Finding = Result<String, Fault>;

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "GetCallerIdentityResult")]
    result: IdentityResult,
}

#[derive(Deserialize)]
struct IdentityResult {
    #[serde(rename = "Arn")]
    arn: String,
}

#[derive(Deserialize)]
struct Parameter {
    #[serde(rename = "Parameter")]
    parameter: ParameterValue,
}

#[derive(Deserialize)]
struct ParameterValue {
    #[serde(rename = "Value")]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Images {
    #[serde(default)]
    images_set: Set<FoundImage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundImage {
    image_id: String,
    image_state: String,
    architecture: String,
    root_device_name: Option<String>,
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
    subnet_id: String,
    vpc_id: String,
    available_ip_address_count: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Groups {
    #[serde(default)]
    security_group_info: Set<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    group_id: String,
    vpc_id: String,
}

// === impl Preflight ===

impl Preflight {
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

// === impl Ec2Provider ===

impl Ec2Provider {
    /// Asks who Updraft is to AWS, for image, subnets and groups, and whether each role's launch would be allowed.
    pub async fn preflight(&self) -> Preflight {
        let identity = check("credentials", self.identity().await);
        if !identity.ok {
            return Preflight {
                checks: vec![identity],
            };
        }
        let launches = join_all(NodeRole::ALL.iter().map(|role| self.dry_run(*role)));
        let (image, network, launches) = tokio::join!(self.image(), self.network(), launches);
        let mut checks = vec![identity, check("image", image)];
        let (subnets, groups) = network;
        checks.extend([check("subnets", subnets), check("security_groups", groups)]);
        let launches = NodeRole::ALL.iter().zip(launches);
        checks.extend(launches.map(|(role, launch)| check(&format!("launch of a {role} node"), launch)));
        Preflight { checks }
    }

    async fn identity(&self) -> Finding {
        let identity: Identity = self
            .aws
            .query(STS, "GetCallerIdentity", &Params::default())
            .await?;
        Ok(identity.result.arn)
    }

    async fn image(&self) -> Finding {
        let id = match &self.config.image {
            Image::Id(id) => id.clone(),
            Image::Parameter(name) => self.parameter(name).await?,
        };
        let asked = Params::default().with_list("ImageId", [&id]);
        let found: Images = self.aws.query(EC2, "DescribeImages", &asked).await?;
        let Some(image) = found.images_set.items.into_iter().next() else {
            return Err(AwsError::Said(Box::new(not_found(&id))).into());
        };
        let device = &self.config.root_volume.device;
        let fault = match image.root_device_name.as_deref() {
            _ if image.image_state != "available" => Some(("image", "is not ready: wait, or name another")),
            _ if image.architecture != "x86_64" => {
                Some(("image", "has to be of x86_64, as nodes' agents are"))
            }
            Some(root) if root != device => Some(("root_volume.device", "has to be the image's root device")),
            _ => None,
        };
        match fault {
            None => Ok(image.image_id),
            Some((field, why)) => Err(Fault {
                found: format!(
                    "{id}: {}, {}, root device {}",
                    image.image_state,
                    image.architecture,
                    image.root_device_name.unwrap_or_default()
                ),
                remedy: Some(format!("`{field}` {why}")),
            }),
        }
    }

    async fn parameter(&self, name: &str) -> Result<String, Fault> {
        let found: Parameter = self
            .aws
            .json(SSM, "GetParameter", &json!({ "Name": name }))
            .await?;
        Ok(found.parameter.value)
    }

    /// Subnets, and groups, which have to be of the same network.
    async fn network(&self) -> (Finding, Finding) {
        let asked = Params::default().with_list("SubnetId", &self.config.subnets);
        let subnets = self.aws.query::<Subnets>(EC2, "DescribeSubnets", &asked).await;
        let asked = Params::default().with_list("GroupId", &self.config.security_groups);
        let groups = self
            .aws
            .query::<Groups>(EC2, "DescribeSecurityGroups", &asked)
            .await;
        let network = subnets
            .as_ref()
            .ok()
            .and_then(|found| found.subnet_set.items.first());
        let network = network.map(|subnet| subnet.vpc_id.clone());
        (
            subnets
                .map_err(Fault::from)
                .and_then(|found| of_subnets(&found.subnet_set.items)),
            groups
                .map_err(Fault::from)
                .and_then(|found| of_groups(&found.security_group_info.items, network.as_deref())),
        )
    }

    /// AWS checks permission and parameters as for the launch itself.
    async fn dry_run(&self, role: NodeRole) -> Finding {
        let node = NodeId(Uuid::nil());
        let wanted = NodeWanted {
            cluster: ClusterId(0),
            node,
            role,
            ordinal: 1,
            queue: None,
            instance_type: None,
            tenant: Some(TenantId(Uuid::nil())),
            generation: Some(Generation::FIRST),
        };
        let boot = json!({"control_url": "https://updraft.invalid", "node": node, "token": "preflight"});
        let boot = BootSecret(boot.to_string().into());
        let kept = Kept::new(&self.config, &wanted);
        let params = self.launch_params(&kept, &boot).await;
        let params = params.map_err(|error| Fault {
            found: error.to_string(),
            remedy: None,
        })?;
        let asked = params.with("DryRun", true);
        match self.aws.query::<Done>(EC2, "RunInstances", &asked).await {
            Err(error) if error.code() == Some("DryRunOperation") => {
                Ok(format!("{} would start", self.config.machine(role).instance_type))
            }
            Err(error) => Err(error.into()),
            Ok(Done {}) => Err(Fault {
                found: "EC2 did not heed that nothing is to be started".to_owned(),
                remedy: None,
            }),
        }
    }
}

fn of_subnets(subnets: &[Subnet]) -> Finding {
    if let Some(full) = subnets
        .iter()
        .find(|subnet| subnet.available_ip_address_count == 0)
    {
        return Err(Fault {
            found: format!("{} has no free address", full.subnet_id),
            remedy: remedy("InsufficientFreeAddressesInSubnet").map(ToOwned::to_owned),
        });
    }
    let first = subnets.first();
    if let Some(other) = subnets
        .iter()
        .find(|subnet| first.is_some_and(|first| first.vpc_id != subnet.vpc_id))
    {
        return Err(Fault {
            found: format!("{} is in another VPC, {}", other.subnet_id, other.vpc_id),
            remedy: Some("`subnets` have to be of one VPC".to_owned()),
        });
    }
    let free: u32 = subnets
        .iter()
        .map(|subnet| subnet.available_ip_address_count)
        .sum();
    Ok(format!("{} with {free} free addresses", subnets.len()))
}

fn of_groups(groups: &[Group], network: Option<&str>) -> Finding {
    match groups
        .iter()
        .find(|group| network.is_some_and(|network| network != group.vpc_id))
    {
        Some(other) => Err(Fault {
            found: format!("{} is in another VPC, {}", other.group_id, other.vpc_id),
            remedy: remedy("InvalidGroup.NotFound").map(ToOwned::to_owned),
        }),
        None => Ok(format!("{} of the subnets' VPC", groups.len())),
    }
}

fn not_found(image: &str) -> updraft_aws::Said {
    updraft_aws::Said {
        action: "DescribeImages",
        status: 400,
        code: "InvalidAMIID.NotFound".to_owned(),
        message: format!("there is no image {image} here"),
        request_id: None,
    }
}

fn check(name: &str, finding: Finding) -> Check {
    let name = name.to_owned();
    match finding {
        Ok(found) => Check {
            name,
            ok: true,
            found,
            remedy: None,
        },
        Err(Fault { found, remedy }) => Check {
            name,
            ok: false,
            found,
            remedy,
        },
    }
}

impl From<AwsError> for Fault {
    fn from(error: AwsError) -> Self {
        match (&error, error.code().and_then(remedy)) {
            (AwsError::Said(said), Some(remedy)) => Self {
                found: said.to_string(),
                remedy: Some(remedy.to_owned()),
            },
            _ => Self {
                found: provider_error(&error).to_string(),
                remedy: None,
            },
        }
    }
}
