//! Whether nodes will reach what they have to: routes and endpoints of the subnets, and the VPC's names.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures::future::join_all;
use serde::Deserialize;
use tokio::time::timeout;
use updraft_aws::{EC2, Params};
use url::Url;

use super::finding::{Fault, Finding};
use super::network::Subnet;
use super::routes::{Destination, Endpoint, Network, RouteTable, Service};
use crate::answers::Set;
use crate::config::StorePlace;
use crate::provider::Ec2Provider;

const LOOK_UP: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RouteTables {
    #[serde(default)]
    route_table_set: Set<RouteTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoints {
    #[serde(default)]
    vpc_endpoint_set: Set<Endpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attribute {
    enable_dns_support: Option<Value>,
    enable_dns_hostnames: Option<Value>,
}

#[derive(Deserialize)]
struct Value {
    value: bool,
}

// === impl Ec2Provider ===

impl Ec2Provider {
    /// Routes, and names where endpoints need them.
    pub(super) async fn ways(
        &self,
        subnets: &[Subnet],
        control_url: Option<&str>,
    ) -> (Finding, Option<Finding>) {
        let Some(vpc) = subnets.first().map(|subnet| subnet.vpc_id.as_str()) else {
            return (Ok("there is no subnet".to_owned()), None);
        };
        let (network, destinations) = tokio::join!(self.seen(vpc), self.destinations(control_url));
        let network = match network {
            Ok(network) => network,
            Err(fault) => return (Err(fault), None),
        };
        let ids: Vec<_> = subnets.iter().map(|subnet| subnet.subnet_id.as_str()).collect();
        let names = match network.relies_on_names() {
            true => Some(self.names(vpc).await),
            false => None,
        };
        (network.judge(&ids, &destinations), names)
    }

    async fn seen(&self, vpc: &str) -> Result<Network, Fault> {
        let asked = Params::default().with_filter("vpc-id", [vpc]);
        let (tables, endpoints) = tokio::join!(
            self.aws.query::<RouteTables>(EC2, "DescribeRouteTables", &asked),
            self.aws.query::<Endpoints>(EC2, "DescribeVpcEndpoints", &asked),
        );
        Ok(Network {
            tables: tables?.route_table_set.items,
            endpoints: endpoints?.vpc_endpoint_set.items,
        })
    }

    async fn destinations(&self, control_url: Option<&str>) -> Vec<Destination> {
        let control = control_url.and_then(|url| Url::parse(url).ok());
        let stores = self.stores();
        let (stores, control_at) = tokio::join!(
            join_all(stores.iter().map(|store| self.to_store(store))),
            addresses(control.as_ref())
        );
        let sts = Destination {
            name: "STS".to_owned(),
            service: Some(self.service("sts", &self.config.region)),
            addresses: None,
            is_vital: false,
        };
        let control = Destination {
            name: "control".to_owned(),
            service: None,
            is_vital: control_at.is_some(),
            addresses: control_at,
        };
        stores.into_iter().chain([sts, control]).collect()
    }

    /// Of artifacts and of clusters' buckets. Where neither is said, S3 of here.
    fn stores(&self) -> BTreeSet<StorePlace> {
        let artifacts = self.config.artifacts.as_ref().map(|artifacts| StorePlace {
            region: artifacts.region.clone(),
            endpoint: artifacts.endpoint.clone(),
        });
        let stores: BTreeSet<_> = artifacts.into_iter().chain(self.storage.clone()).collect();
        match stores.is_empty() {
            true => BTreeSet::from([StorePlace {
                region: self.config.region.clone(),
                endpoint: None,
            }]),
            false => stores,
        }
    }

    async fn to_store(&self, store: &StorePlace) -> Destination {
        let is_here = store.endpoint.is_some() || store.region == self.config.region;
        Destination {
            name: match is_here {
                true => "S3".to_owned(),
                false => format!("S3 in {}", store.region),
            },
            service: store
                .endpoint
                .is_none()
                .then(|| self.service("s3", &store.region)),
            addresses: addresses(store.endpoint.as_ref()).await,
            is_vital: true,
        }
    }

    fn service(&self, name: &'static str, region: &str) -> Service {
        Service {
            name,
            region: region.to_owned(),
            is_here: region == self.config.region,
        }
    }

    /// Interface endpoints are found by names that the VPC itself answers.
    async fn names(&self, vpc: &str) -> Finding {
        let ask = |attribute: &'static str| {
            let asked = Params::default().with("VpcId", vpc).with("Attribute", attribute);
            async move {
                self.aws
                    .query::<Attribute>(EC2, "DescribeVpcAttribute", &asked)
                    .await
            }
        };
        let (support, hostnames) = tokio::join!(ask("enableDnsSupport"), ask("enableDnsHostnames"));
        let is_on = |value: Option<Value>| value.is_some_and(|value| value.value);
        for (is_on, name) in [
            (is_on(support?.enable_dns_support), "enableDnsSupport"),
            (is_on(hostnames?.enable_dns_hostnames), "enableDnsHostnames"),
        ] {
            if !is_on {
                return Err(Fault::blocking(
                    format!("{vpc} has {name} off, which endpoints with private DNS need"),
                    format!("set {name} of the VPC"),
                ));
            }
        }
        Ok(format!("{vpc} answers for its endpoints"))
    }
}

/// None: not known here. Loopback is where nobody else looks for it, so that says nothing either.
async fn addresses(url: Option<&Url>) -> Option<Vec<Ipv4Addr>> {
    let url = url?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    let found = timeout(LOOK_UP, tokio::net::lookup_host((host, 443)))
        .await
        .ok()?
        .ok()?;
    let found: Vec<_> = found
        .map(|address: SocketAddr| address.ip())
        .filter_map(v4)
        .collect();
    (!found.is_empty()).then_some(found)
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => (!address.is_loopback()).then_some(address),
        IpAddr::V6(_) => None,
    }
}
