//! Whether launches would be allowed, which EC2 says without launching.
//!
//! A start asks that of each kind of machine that its nodes will be, in the cluster's own group and with the tags that a
//! launch has: a policy may well allow only these. `DryRun` counts against the limits of `RunInstances`, five at once and two
//! a second, so a thousand clusters that start together must not ask three times each: what would start is asked once for
//! ten minutes by a process, for each kind of machine in an account. Clusters' groups differ by their names alone, roles
//! by one tag, so neither is asked for apart.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use updraft_aws::{AwsError, EC2};
use updraft_model::{ClusterId, Generation, NodeId, NodeRole, QueueName, TenantId};
use updraft_provider::{BootSecret, ClusterWanted, NetworkId, NodeWanted, ProviderError};
use uuid::Uuid;

use super::WRONG_FOR;
use super::finding::{Check, Fault, Finding};
use crate::answers::Done;
use crate::config::{Ec2Config, Market};
use crate::provider::Ec2Provider;
use crate::refusal::provider_error;
use crate::request::Kept;

/// So long what would have started is taken to start.
const GOOD_FOR: Duration = Duration::from_secs(600);

/// What was said of the launches that clusters' nodes will be.
#[derive(Default)]
pub(crate) struct Tried(Mutex<BTreeMap<Kind, Outcome>>);

/// One kind of machine in one subnet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    instance_type: String,
    is_spot: bool,
    /// Its number in the configuration.
    subnet: usize,
}

struct Outcome {
    at: Instant,
    /// In one breath, what keeps it from starting.
    refused: Option<String>,
}

// === impl Ec2Provider ===

impl Ec2Provider {
    /// AWS checks permission and parameters as for the launch itself.
    pub(super) async fn dry_run(&self, role: NodeRole, group: Option<&str>) -> Finding {
        let wanted = NodeWanted {
            tenant: Some(TenantId(Uuid::nil())),
            generation: Some(Generation::FIRST),
            fence: Some(1),
            network: group.map(|group| NetworkId(group.to_owned())),
            ..NodeWanted::plain(ClusterId(0), NodeId(Uuid::nil()), role, 1)
        };
        let refused = self.refused(&wanted).await.map_err(|error| Fault {
            found: error.to_string(),
            remedy: None,
            blocks: true,
        })?;
        let is_blind = self.config.security_groups.is_empty() && group.is_none();
        match refused {
            None => Ok(format!("{} would start", self.config.machine(role).instance_type)),
            // Without a group in the request it is about the VPC's default one, which may well not be allowed.
            Some(error) if error.code() == Some("UnauthorizedOperation") && is_blind => Err(Fault {
                found: "cannot be told before the first start: no cluster has a security group yet"
                    .to_owned(),
                remedy: None,
                blocks: false,
            }),
            Some(error) => Err(Fault::of_what_is_done(error)),
        }
    }

    /// Whether a cluster's nodes would start, as far as that is told in time. Only what EC2 refuses keeps them from being
    /// asked for: a quota or a lack of capacity may be otherwise when they are.
    pub(crate) async fn try_launches(
        &self,
        wanted: &ClusterWanted,
        network: Option<&NetworkId>,
        until: Instant,
    ) -> Result<(), ProviderError> {
        let kinds = kinds(&self.config, &wanted.worker_types);
        let try_all = async {
            let mut tried = self.tried.0.lock().await;
            tried.retain(|_, outcome| outcome.holds());
            for (kind, role) in &kinds {
                if !tried.contains_key(kind) {
                    let at = Instant::now();
                    if let Some(refused) = self.tried_now(kind, *role, wanted, network).await {
                        tried.insert(kind.clone(), Outcome { at, refused });
                    }
                }
            }
            let refused = kinds.keys().filter_map(|kind| tried.get(kind)?.refused.clone());
            refused.collect::<BTreeSet<_>>()
        };
        let Ok(refused) = timeout_at(until, try_all).await else {
            tracing::warn!("EC2 takes long to say whether nodes would start: they are launched without that");
            return Ok(());
        };
        match refused.is_empty() {
            true => Ok(()),
            false => Err(ProviderError::Refused(
                refused.into_iter().collect::<Vec<_>>().join("; "),
            )),
        }
    }

    /// None: nothing that is worth keeping was told.
    async fn tried_now(
        &self,
        kind: &Kind,
        role: NodeRole,
        cluster: &ClusterWanted,
        network: Option<&NetworkId>,
    ) -> Option<Option<String>> {
        if cluster.worker_types.contains(&kind.instance_type)
            && let Some(fault) = self.offered_nowhere(&kind.instance_type).await
        {
            return Some(Some(fault));
        }
        let wanted = NodeWanted {
            queue: (role == NodeRole::Worker).then(QueueName::default),
            instance_type: Some(kind.instance_type.clone()),
            tenant: Some(cluster.tenant),
            generation: Some(Generation::FIRST),
            fence: Some(1),
            network: network.cloned(),
            ..NodeWanted::plain(cluster.cluster, kind.node(), role, 1)
        };
        let error = match self.refused(&wanted).await {
            Ok(None) => return Some(None),
            Ok(Some(error)) if is_too_new(&error, network) => return None,
            // Its zone has no such machine, and another may: nodes are spread, and one that is refused is replaced.
            Ok(Some(error)) if error.code() == Some("Unsupported") && self.config.subnets.len() > 1 => {
                return None;
            }
            Ok(Some(error)) => provider_error(&error),
            Err(error) => error,
        };
        let what = format!("a launch of {}", kind.instance_type);
        match error {
            ProviderError::Refused(words) => Some(Some(format!("{what}: {words}"))),
            other => {
                tracing::warn!(error = %other, "before a start: {what} was not judged");
                None
            }
        }
    }

    /// What a queue's workers are to run on is looked at only here: the rest was before.
    async fn offered_nowhere(&self, instance_type: &str) -> Option<String> {
        let subnets = self.subnets().await.ok()?;
        let offered = self.offered(&subnets, &BTreeSet::from([instance_type])).await;
        let check = Check::of("instance types of queues", offered);
        check.blocks.then(|| check.sentence())
    }

    /// None: it would start.
    async fn refused(&self, wanted: &NodeWanted) -> Result<Option<AwsError>, ProviderError> {
        let boot =
            json!({"control_url": "https://updraft.invalid", "node": wanted.node, "token": "preflight"});
        let boot = BootSecret(boot.to_string().into());
        let params = self
            .launch_params(&Kept::new(&self.config, wanted), &boot)
            .await?;
        let asked = params.with("DryRun", true);
        match self.aws.query::<Done>(EC2, "RunInstances", &asked).await {
            Err(error) if error.code() == Some("DryRunOperation") => Ok(None),
            Err(error) => Ok(Some(error)),
            Ok(Done {}) => Err(ProviderError::Unclear(
                "EC2 did not heed that nothing is to be started".to_owned(),
            )),
        }
    }
}

/// Each kind of machine in some subnet, and some machine in each subnet, with a role that has it.
fn kinds(config: &Ec2Config, worker_types: &BTreeSet<String>) -> BTreeMap<Kind, NodeRole> {
    let roles = NodeRole::ALL.iter().map(|role| {
        let machine = config.machine(*role);
        (&machine.instance_type, *role)
    });
    let workers = worker_types
        .iter()
        .map(|instance_type| (instance_type, NodeRole::Worker));
    let machines: Vec<_> = roles.chain(workers).collect();
    let subnets = config.subnets.len().max(1);
    let pairs = machines.iter().cycle().take(machines.len().max(subnets));
    let kind = |(number, (instance_type, role)): (usize, &(&String, NodeRole))| {
        let kind = Kind {
            instance_type: (*instance_type).clone(),
            is_spot: config.machine(*role).market == Market::Spot,
            subnet: number % subnets,
        };
        (kind, *role)
    };
    pairs.enumerate().map(kind).collect()
}

/// A group that was made a moment ago may be unknown to another part of EC2.
fn is_too_new(error: &AwsError, network: Option<&NetworkId>) -> bool {
    let unknown = ["InvalidGroup.NotFound", "InvalidSecurityGroupID.NotFound"];
    network.is_some() && error.code().is_some_and(|code| unknown.contains(&code))
}

// === impl Kind ===

impl Kind {
    /// A node that comes to be in that subnet: their ids choose.
    fn node(&self) -> NodeId {
        NodeId(Uuid::from_u128(u128::try_from(self.subnet).unwrap_or(0)))
    }
}

// === impl Outcome ===

impl Outcome {
    fn holds(&self) -> bool {
        let good_for = match self.refused {
            None => GOOD_FOR,
            Some(_) => WRONG_FOR,
        };
        self.at.elapsed() < good_for
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_machine_and_each_subnet_is_tried_and_nothing_twice() {
        let mut example = crate::config::tests::example();
        example["subnets"] = json!([
            "subnet-0a1b2c3d",
            "subnet-1a1b2c3d",
            "subnet-2a1b2c3d",
            "subnet-3a1b2c3d"
        ]);
        let config: Ec2Config = serde_json::from_value(example).unwrap();
        let tried = kinds(&config, &BTreeSet::from(["r7i.xlarge".to_owned()]));
        let named: BTreeSet<_> = tried
            .iter()
            .map(|(kind, role)| (kind.instance_type.as_str(), kind.is_spot, *role))
            .collect();
        assert!(
            named.contains(&("r7i.xlarge", true, NodeRole::Worker)),
            "{named:?}"
        );
        assert!(
            named.contains(&("m7i.xlarge", true, NodeRole::Worker)),
            "{named:?}"
        );
        assert!(named.iter().any(|(name, ..)| *name == "m7i.large"), "{named:?}");
        let subnets: BTreeSet<_> = tried.keys().map(|kind| kind.subnet).collect();
        assert_eq!((subnets.len(), tried.len()), (4, 4));
        for kind in tried.keys() {
            let wanted = NodeWanted {
                network: None,
                ..NodeWanted::plain(ClusterId(1), kind.node(), NodeRole::Worker, 1)
            };
            let params = Kept::new(&config, &wanted).params;
            assert_eq!(
                params.get("NetworkInterface.1.SubnetId"),
                Some(config.subnets[kind.subnet].as_str())
            );
        }
    }
}
