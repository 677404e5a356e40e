//! What would fail minutes into a start, asked within seconds and without making anything.
//!
//! Control looks itself before a cluster's first node: at all that is only read, and then at what each launch would be told
//! in the cluster's own group, within ten seconds together. What surely keeps nodes from starting ends
//! the start with its remedy; what could not be seen does not, the launch will tell.

mod finding;
mod image;
mod launch;
mod network;
mod objects;
mod routes;
mod ways;

use std::time::Duration;

use futures::future::join_all;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use updraft_aws::{Params, STS};
use updraft_model::NodeRole;
use updraft_provider::ProviderError;

pub(crate) use finding::Fault;
pub use finding::{Check, Preflight};
pub(crate) use launch::Tried;

use crate::provider::Ec2Provider;
use crate::refusal::provider_error;
use finding::Finding;

/// The longest that a start waits for all that is asked before it.
pub(crate) const WITHIN: Duration = Duration::from_secs(10);
/// So old a look that found nothing wrong may be.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// The same where something is wrong: somebody may be correcting it just now.
const WRONG_FOR: Duration = Duration::from_secs(5);

/// The last look before a start: clusters that start together make one.
#[derive(Default)]
pub(crate) struct Looked(Mutex<Option<Look>>);

struct Look {
    at: Instant,
    found: Result<(), ProviderError>,
}

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

// === impl Ec2Provider ===

impl Ec2Provider {
    /// Asks who Updraft is to AWS, for image, subnets, groups, ways and objects, and whether each role's launch would be
    /// allowed.
    pub async fn preflight(&self) -> Preflight {
        let (mut found, authorized) = match self.identity().await {
            Ok(arn) => {
                let (found, objects, made) =
                    tokio::join!(self.look(arn, None), self.objects(), self.what_is_made());
                (found, Some((objects, made)))
            }
            Err(fault) => (Preflight::of_credentials(fault), None),
        };
        if let Some((objects, made)) = authorized {
            let objects = objects.map(|objects| Check::of("artifacts", objects));
            found.checks.extend(objects.into_iter().chain(made));
        }
        found
    }

    /// A cluster's group, where none is brought, and each role's launch: in the group of some cluster, if there is one.
    async fn what_is_made(&self) -> Vec<Check> {
        let (group, making) = match self.config.security_groups.is_empty() {
            true => tokio::join!(self.some_group(), async { Some(self.would_make_a_group().await) }),
            false => (None, None),
        };
        let launches = NodeRole::ALL
            .iter()
            .map(|role| self.dry_run(*role, group.as_deref()));
        let launches = NodeRole::ALL.iter().zip(join_all(launches).await);
        let launches = launches.map(|(role, launch)| Check::of(&format!("launch of a {role} node"), launch));
        let making = making.map(|making| Check::of("a cluster's security group", making));
        making.into_iter().chain(launches).collect()
    }

    /// The same for a start, as far as it is only read: one look for clusters that start together.
    pub(crate) async fn look_before_a_start(
        &self,
        control_url: &str,
        until: Instant,
    ) -> Result<(), ProviderError> {
        let look = async {
            let mut looked = self.looked.0.lock().await;
            if let Some(look) = looked.as_ref().filter(|look| look.holds()) {
                return look.found.clone();
            }
            let found = self.looked_now(control_url, until).await;
            *looked = Some(Look {
                at: Instant::now(),
                found: found.clone(),
            });
            found
        };
        timeout_at(until, look).await.unwrap_or_else(|_| {
            takes_long();
            Ok(())
        })
    }

    async fn looked_now(&self, control_url: &str, until: Instant) -> Result<(), ProviderError> {
        let look = async {
            let identity: Result<Identity, _> =
                self.aws.query(STS, "GetCallerIdentity", &Params::default()).await;
            let arn = identity.map_err(|error| provider_error(&error))?.result.arn;
            Ok(self.look(arn, Some(control_url)).await)
        };
        let Ok(found) = timeout_at(until, look).await else {
            takes_long();
            return Ok(());
        };
        let found = found?;
        for check in found.checks.iter().filter(|check| !check.ok) {
            tracing::warn!(check = check.name, "before a start: {}", check.sentence());
        }
        let blocking: Vec<_> = found.blocking().map(Check::sentence).collect();
        match blocking.is_empty() {
            true => Ok(()),
            false => Err(ProviderError::Refused(blocking.join("; "))),
        }
    }

    async fn look(&self, arn: String, control_url: Option<&str>) -> Preflight {
        let (image, subnets) = tokio::join!(self.image(), self.subnets());
        let mut checks = vec![Check::of("credentials", Ok(arn)), Check::of("image", image)];
        let subnets = match subnets {
            Ok(subnets) => subnets,
            Err(fault) => {
                checks.push(Check::of("subnets", Err(fault)));
                checks.push(Check::of("security_groups", self.brought_groups(&[]).await));
                return Preflight { checks };
            }
        };
        let (groups, (routes, names), offerings) = tokio::join!(
            self.brought_groups(&subnets),
            self.ways(&subnets, control_url),
            self.offerings(&subnets),
        );
        checks.push(Check::of("subnets", network::of_subnets(&subnets)));
        checks.push(Check::of("security_groups", groups));
        checks.push(Check::of("routes", routes));
        checks.extend(names.map(|names| Check::of("names", names)));
        checks.push(Check::of("instance types", offerings));
        Preflight { checks }
    }

    async fn identity(&self) -> Finding {
        let identity: Identity = self
            .aws
            .query(STS, "GetCallerIdentity", &Params::default())
            .await?;
        Ok(identity.result.arn)
    }
}

fn takes_long() {
    tracing::warn!("AWS takes long to answer what is asked before a start: nodes are launched without that");
}

// === impl Preflight ===

impl Preflight {
    /// Whoever has none is told nothing else.
    fn of_credentials(fault: Fault) -> Self {
        let fault = Fault {
            blocks: true,
            ..fault
        };
        Self {
            checks: vec![Check::of("credentials", Err(fault))],
        }
    }
}

// === impl Look ===

impl Look {
    fn holds(&self) -> bool {
        let good_for = match self.found {
            Ok(()) => GOOD_FOR,
            Err(_) => WRONG_FOR,
        };
        self.at.elapsed() < good_for
    }
}
