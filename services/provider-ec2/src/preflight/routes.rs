//! Where a subnet's packets go: a route table, and the endpoints of its VPC. Pure.

use std::net::Ipv4Addr;

use serde::Deserialize;

use super::finding::{Fault, Finding};
use crate::answers::Set;

/// Any address of AWS's own: what has no route of its own goes by the default one.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(52, 95, 110, 1);

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RouteTable {
    pub(super) route_table_id: String,
    #[serde(default)]
    pub(super) association_set: Set<Association>,
    #[serde(default)]
    pub(super) route_set: Set<Route>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Association {
    #[serde(default)]
    pub(super) main: bool,
    pub(super) subnet_id: Option<String>,
}

/// One of many kinds of targets; those that are not named here are ways, too.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Route {
    /// None: for IPv6, or a list of AWS's that a gateway endpoint has.
    pub(super) destination_cidr_block: Option<String>,
    /// `local`, `igw-…`, `vgw-…`, `vpce-…`
    pub(super) gateway_id: Option<String>,
    pub(super) nat_gateway_id: Option<String>,
    pub(super) state: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint {
    pub(super) service_name: String,
    /// `Gateway`, `Interface`
    pub(super) vpc_endpoint_type: String,
    pub(super) state: String,
    #[serde(default)]
    pub(super) private_dns_enabled: bool,
    #[serde(default)]
    pub(super) route_table_id_set: Set<String>,
}

/// What nodes have to reach.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    /// `S3`
    pub(super) name: String,
    /// None: nothing that AWS has endpoints for.
    pub(super) service: Option<Service>,
    /// None: somewhere outside.
    pub(super) addresses: Option<Vec<Ipv4Addr>>,
    /// Nodes cannot do without it.
    pub(super) is_vital: bool,
}

/// One of AWS's, in one region: an endpoint for it elsewhere is no way.
#[derive(Clone, Debug)]
pub(super) struct Service {
    /// As in endpoints' names: `s3`.
    pub(super) name: &'static str,
    pub(super) region: String,
    /// It is the VPC's own region, for which alone gateway endpoints are made.
    pub(super) is_here: bool,
}

/// A VPC as nodes in it see it.
pub(super) struct Network {
    pub(super) tables: Vec<RouteTable>,
    pub(super) endpoints: Vec<Endpoint>,
}

#[derive(Debug, PartialEq, Eq)]
enum Way {
    There,
    /// Only for who has a public address.
    InternetGateway,
    Blackhole,
    None,
}

// === impl Network ===

impl Network {
    /// Each subnet has a way to each destination, or it is said which has none and what would make one.
    pub(super) fn judge(&self, subnets: &[&str], destinations: &[Destination]) -> Finding {
        let (mut faults, mut blocks) = (Vec::new(), false);
        let mut remedies: Vec<String> = Vec::new();
        for destination in destinations {
            let missing: Vec<_> = subnets
                .iter()
                .filter_map(|subnet| Some((*subnet, self.lack(subnet, destination)?)))
                .collect();
            let Some((_, lack)) = missing.first() else {
                continue;
            };
            let names: Vec<_> = missing.iter().map(|(subnet, _)| *subnet).collect();
            faults.push(format!(
                "no way from {} to {}: {lack}",
                names.join(", "),
                destination.name
            ));
            blocks |= destination.is_vital;
            remedies.push(destination.remedy());
        }
        if faults.is_empty() {
            let names: Vec<_> = destinations
                .iter()
                .map(|destination| destination.name.as_str())
                .collect();
            return Ok(format!("each subnet has a way to {}", names.join(", ")));
        }
        remedies.dedup();
        Err(Fault {
            found: faults.join("; "),
            remedy: Some(remedies.join("; ")),
            blocks,
        })
    }

    /// Names that an endpoint answers to are looked up within the VPC.
    pub(super) fn relies_on_names(&self) -> bool {
        self.endpoints
            .iter()
            .any(|endpoint| endpoint.private_dns_enabled && endpoint.is_interface())
    }

    /// None: it is reached.
    fn lack(&self, subnet: &str, destination: &Destination) -> Option<String> {
        let Some(table) = self.table(subnet) else {
            return Some("it has no route table".to_owned());
        };
        let service = destination.service.as_ref();
        if service.is_some_and(|service| self.has_endpoint(service, table)) {
            return None;
        }
        let addresses = destination.addresses.as_deref().unwrap_or(&[OUTSIDE]);
        let ways: Vec<_> = addresses.iter().map(|to| table.way(*to)).collect();
        let id = &table.route_table_id;
        match ways.first() {
            _ if ways.contains(&Way::There) => None,
            Some(Way::InternetGateway) => Some(format!(
                "{id} leads to an internet gateway, which is no way without a public address, and nodes have none"
            )),
            Some(Way::Blackhole) => Some(format!("the target of the route in {id} is gone")),
            Some(Way::There | Way::None) | None => Some(format!("{id} has no route there")),
        }
    }

    /// Its own, or else the VPC's main one.
    fn table(&self, subnet: &str) -> Option<&RouteTable> {
        let own = |association: &Association| association.subnet_id.as_deref() == Some(subnet);
        let with = |what: &dyn Fn(&Association) -> bool| {
            self.tables
                .iter()
                .find(|table| table.association_set.items.iter().any(what))
        };
        with(&own).or_else(|| with(&|association| association.main))
    }

    fn has_endpoint(&self, service: &Service, table: &RouteTable) -> bool {
        let of_service = |endpoint: &&Endpoint| {
            endpoint.state.eq_ignore_ascii_case("available") && endpoint.is_for(service)
        };
        let serves = |endpoint: &Endpoint| match endpoint.is_interface() {
            true => endpoint.private_dns_enabled,
            false => endpoint.route_table_id_set.items.contains(&table.route_table_id),
        };
        self.endpoints.iter().filter(of_service).any(serves)
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// `com.amazonaws.eu-central-1.s3`
    fn is_for(&self, service: &Service) -> bool {
        let mut words = self.service_name.rsplit('.');
        words.next() == Some(service.name) && words.next() == Some(&service.region)
    }

    fn is_interface(&self) -> bool {
        self.vpc_endpoint_type.eq_ignore_ascii_case("interface")
    }
}

// === impl RouteTable ===

impl RouteTable {
    /// By the route with the longest prefix.
    fn way(&self, to: Ipv4Addr) -> Way {
        let routes = self.route_set.items.iter();
        let best = routes
            .filter_map(|route| Some((route.prefix_length_for(to)?, route)))
            .max_by_key(|(length, _)| *length);
        best.map_or(Way::None, |(_, route)| route.way())
    }
}

// === impl Route ===

impl Route {
    /// None: it is not for this address.
    fn prefix_length_for(&self, to: Ipv4Addr) -> Option<u32> {
        let (network, length) = self.destination_cidr_block.as_deref()?.split_once('/')?;
        let (network, length): (Ipv4Addr, u32) = (network.parse().ok()?, length.parse().ok()?);
        let mask = u32::MAX.checked_shl(32_u32.checked_sub(length)?).unwrap_or(0);
        (network.to_bits() & mask == to.to_bits() & mask).then_some(length)
    }

    fn way(&self) -> Way {
        let leads_outside = self
            .gateway_id
            .as_deref()
            .is_some_and(|id| id.starts_with("igw-"));
        match self.state.as_str() {
            "blackhole" => Way::Blackhole,
            _ if leads_outside && self.nat_gateway_id.is_none() => Way::InternetGateway,
            _ => Way::There,
        }
    }
}

// === impl Destination ===

impl Destination {
    fn remedy(&self) -> String {
        match &self.service {
            Some(service) if !service.is_here => "route 0.0.0.0/0 to a NAT or transit gateway: endpoints in the VPC lead to their own region alone",
            Some(service) if service.name == "s3" => "route 0.0.0.0/0 to a NAT or transit gateway, or add a gateway endpoint for s3 to the route table",
            Some(_) => "route 0.0.0.0/0 to a NAT or transit gateway, or add an interface endpoint with private DNS",
            None => "route its address to a NAT or transit gateway, or to a peered network",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(to: &str, gateway: &str) -> Route {
        Route {
            destination_cidr_block: Some(to.to_owned()),
            gateway_id: (!gateway.starts_with("nat-")).then(|| gateway.to_owned()),
            nat_gateway_id: gateway.starts_with("nat-").then(|| gateway.to_owned()),
            state: "active".to_owned(),
        }
    }

    fn network(routes: Vec<Route>, endpoints: Vec<Endpoint>) -> Network {
        let main = Association {
            main: true,
            subnet_id: None,
        };
        let routes = [route("10.0.0.0/16", "local")]
            .into_iter()
            .chain(routes)
            .collect();
        Network {
            tables: vec![RouteTable {
                route_table_id: "rtb-1".to_owned(),
                association_set: Set { items: vec![main] },
                route_set: Set { items: routes },
            }],
            endpoints,
        }
    }

    fn endpoint(service: &str, kind: &str, table: &str) -> Endpoint {
        Endpoint {
            service_name: format!("com.amazonaws.eu-central-1.{service}"),
            vpc_endpoint_type: kind.to_owned(),
            state: "available".to_owned(),
            private_dns_enabled: true,
            route_table_id_set: Set {
                items: vec![table.to_owned()],
            },
        }
    }

    fn to(name: &str, service: Option<&'static str>, address: Option<[u8; 4]>) -> Destination {
        let here = |name| Service {
            name,
            region: "eu-central-1".to_owned(),
            is_here: true,
        };
        Destination {
            name: name.to_owned(),
            service: service.map(here),
            addresses: address.map(|address| vec![address.into()]),
            is_vital: true,
        }
    }

    fn fault(network: &Network, destination: Destination) -> Option<String> {
        let judged = network.judge(&["subnet-1"], &[destination]);
        judged.err().map(|fault| fault.found)
    }

    #[test]
    fn a_default_route_is_a_way_unless_it_takes_a_public_address() {
        let s3 = || to("S3", Some("s3"), None);
        for (target, word) in [
            ("nat-1", None),
            ("vgw-1", None),
            ("igw-1", Some("public address")),
        ] {
            let found = fault(&network(vec![route("0.0.0.0/0", target)], Vec::new()), s3());
            assert_eq!(found.is_some(), word.is_some(), "{target}: {found:?}");
            assert!(found.unwrap_or_default().contains(word.unwrap_or_default()));
        }
        assert!(
            fault(&network(Vec::new(), Vec::new()), s3())
                .unwrap()
                .contains("rtb-1 has no route there")
        );
        let mut gone = route("0.0.0.0/0", "nat-1");
        gone.state = "blackhole".to_owned();
        assert!(
            fault(&network(vec![gone], Vec::new()), s3())
                .unwrap()
                .contains("gone")
        );
    }

    #[test]
    fn an_endpoint_is_a_way_to_its_service_alone() {
        let gateway = network(Vec::new(), vec![endpoint("s3", "Gateway", "rtb-1")]);
        assert_eq!(fault(&gateway, to("S3", Some("s3"), None)), None);
        assert!(fault(&gateway, to("STS", Some("sts"), None)).is_some());
        let elsewhere = network(Vec::new(), vec![endpoint("s3", "Gateway", "rtb-2")]);
        assert!(fault(&elsewhere, to("S3", Some("s3"), None)).is_some());
        let mut unnamed = endpoint("sts", "Interface", "");
        assert_eq!(
            fault(
                &network(Vec::new(), vec![unnamed.clone()]),
                to("STS", Some("sts"), None)
            ),
            None
        );
        unnamed.private_dns_enabled = false;
        assert!(fault(&network(Vec::new(), vec![unnamed]), to("STS", Some("sts"), None)).is_some());
    }

    #[test]
    fn an_endpoint_is_no_way_to_buckets_of_another_region() {
        let elsewhere = || {
            let mut s3 = to("S3 in us-east-1", Some("s3"), None);
            s3.service.as_mut().unwrap().region = "us-east-1".to_owned();
            s3.service.as_mut().unwrap().is_here = false;
            s3
        };
        let endpoints = vec![
            endpoint("s3", "Gateway", "rtb-1"),
            endpoint("s3", "Interface", ""),
        ];
        let shut = network(Vec::new(), endpoints.clone());
        assert_eq!(fault(&shut, to("S3", Some("s3"), None)), None);
        let lacking = shut.judge(&["subnet-1"], &[to("S3", Some("s3"), None), elsewhere()]);
        let lacking = lacking.err().unwrap();
        assert!(
            lacking.blocks && lacking.found.contains("to S3 in us-east-1"),
            "{}",
            lacking.found
        );
        let remedy = lacking.remedy.unwrap();
        assert!(
            remedy.contains("NAT") && !remedy.contains("add a gateway endpoint"),
            "{remedy}"
        );
        let open = network(vec![route("0.0.0.0/0", "nat-1")], endpoints);
        assert_eq!(fault(&open, elsewhere()), None);
        let mut theirs = endpoint("s3", "Interface", "");
        theirs.service_name = "com.amazonaws.us-east-1.s3".to_owned();
        assert_eq!(fault(&network(Vec::new(), vec![theirs]), elsewhere()), None);
    }

    #[test]
    fn control_is_reached_by_the_route_to_its_own_address() {
        let control = |address| to("control", None, Some(address));
        let peered = network(
            vec![route("10.9.0.0/16", "pcx-1"), route("0.0.0.0/0", "igw-1")],
            Vec::new(),
        );
        assert_eq!(fault(&peered, control([10, 0, 3, 4])), None, "in the VPC itself");
        assert_eq!(fault(&peered, control([10, 9, 3, 4])), None);
        assert!(
            fault(&peered, control([203, 0, 113, 5]))
                .unwrap()
                .contains("public address")
        );
    }

    #[test]
    fn a_subnet_has_its_own_table_or_the_main_one() {
        let mut both = network(vec![route("0.0.0.0/0", "nat-1")], Vec::new());
        let own = Association {
            main: false,
            subnet_id: Some("subnet-2".to_owned()),
        };
        both.tables.push(RouteTable {
            route_table_id: "rtb-2".to_owned(),
            association_set: Set { items: vec![own] },
            route_set: Set::default(),
        });
        let judged = both.judge(&["subnet-1", "subnet-2"], &[to("S3", Some("s3"), None)]);
        let fault = judged.err().unwrap();
        assert!(
            fault.found.starts_with("no way from subnet-2 to S3: rtb-2"),
            "{}",
            fault.found
        );
    }
}
