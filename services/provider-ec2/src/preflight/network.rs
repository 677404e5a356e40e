//! Subnets and groups, which have to be of one VPC, and what subnets' zones have.

use std::collections::BTreeSet;

use serde::Deserialize;
use updraft_aws::{AwsError, EC2, Params};
use updraft_model::NodeRole;

use super::finding::{Fault, Finding};
use crate::answers::Set;
use crate::provider::Ec2Provider;
use crate::refusal::remedy;

/// Fewer free addresses than a cluster may need at once.
const FEW: u32 = 8;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subnets {
    #[serde(default)]
    subnet_set: Set<Subnet>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subnet {
    pub(super) subnet_id: String,
    pub(super) vpc_id: String,
    availability_zone: String,
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Offerings {
    #[serde(default)]
    instance_type_offering_set: Set<Offering>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Offering {
    instance_type: String,
    location: String,
}

// === impl Ec2Provider ===

impl Ec2Provider {
    pub(super) async fn subnets(&self) -> Result<Vec<Subnet>, Fault> {
        let asked = Params::default().with_list("SubnetId", &self.config.subnets);
        let found: Result<Subnets, AwsError> = self.aws.query(EC2, "DescribeSubnets", &asked).await;
        Ok(found?.subnet_set.items)
    }

    /// Those that are brought. Others are made in the subnets' VPC.
    pub(super) async fn brought_groups(&self, subnets: &[Subnet]) -> Finding {
        if self.config.security_groups.is_empty() {
            return Ok("one is made for each cluster".to_owned());
        }
        let asked = Params::default().with_list("GroupId", &self.config.security_groups);
        let found: Groups = self.aws.query(EC2, "DescribeSecurityGroups", &asked).await?;
        of_groups(&found.security_group_info.items, subnets.first())
    }

    /// Whether each role's type of instance is to be had where the subnets are.
    pub(super) async fn offerings(&self, subnets: &[Subnet]) -> Finding {
        let roles = NodeRole::ALL.iter();
        let types = roles.map(|role| self.config.machine(*role).instance_type.as_str());
        self.offered(subnets, &types.collect()).await
    }

    pub(super) async fn offered(&self, subnets: &[Subnet], types: &BTreeSet<&str>) -> Finding {
        let zones: BTreeSet<_> = subnets
            .iter()
            .map(|subnet| subnet.availability_zone.as_str())
            .collect();
        let asked = Params::default()
            .with("LocationType", "availability-zone")
            .with_filter("location", &zones)
            .with_filter("instance-type", types);
        let found: Offerings = self
            .aws
            .query(EC2, "DescribeInstanceTypeOfferings", &asked)
            .await?;
        of_offerings(&found.instance_type_offering_set.items, &zones, types)
    }
}

pub(super) fn of_subnets(subnets: &[Subnet]) -> Finding {
    let first = subnets.first();
    if let Some(other) = subnets
        .iter()
        .find(|subnet| first.is_some_and(|first| first.vpc_id != subnet.vpc_id))
    {
        return Err(Fault::blocking(
            format!("{} is in another VPC, {}", other.subnet_id, other.vpc_id),
            "`subnets` have to be of one VPC",
        ));
    }
    let larger = remedy("InsufficientFreeAddressesInSubnet").unwrap_or_default();
    let left = |subnet: &&Subnet| subnet.available_ip_address_count;
    if let Some(least) = subnets.iter().min_by_key(left).filter(|least| left(least) < FEW) {
        let (id, free) = (&least.subnet_id, least.available_ip_address_count);
        return Err(match free {
            0 => Fault::blocking(format!("{id} has no free address"), larger),
            _ => Fault::lesser(format!("{id} has {free} free addresses"), larger),
        });
    }
    let free: u32 = subnets
        .iter()
        .map(|subnet| subnet.available_ip_address_count)
        .sum();
    Ok(format!("{} with {free} free addresses", subnets.len()))
}

fn of_groups(groups: &[Group], subnet: Option<&Subnet>) -> Finding {
    let elsewhere = |group: &&Group| subnet.is_some_and(|subnet| subnet.vpc_id != group.vpc_id);
    match groups.iter().find(elsewhere) {
        Some(other) => Err(Fault::blocking(
            format!("{} is in another VPC, {}", other.group_id, other.vpc_id),
            remedy("InvalidGroup.NotFound").unwrap_or_default(),
        )),
        None => Ok(format!("{} of the subnets' VPC", groups.len())),
    }
}

/// A type that no zone has keeps nodes from starting; one that some lack keeps those that come to be there.
fn of_offerings(offered: &[Offering], zones: &BTreeSet<&str>, types: &BTreeSet<&str>) -> Finding {
    let has = |kind: &str, zone: &str| {
        offered
            .iter()
            .any(|offering| offering.instance_type == kind && offering.location == zone)
    };
    let what = "configure an instance type that the subnet's availability zone has";
    for kind in types {
        let lacking: Vec<_> = zones.iter().copied().filter(|zone| !has(kind, zone)).collect();
        let found = format!("{kind} is not offered in {}", lacking.join(", "));
        match lacking.len() {
            0 => {}
            all if all == zones.len() => return Err(Fault::blocking(found, what)),
            _ => return Err(Fault::lesser(found, what)),
        }
    }
    let all = |words: &BTreeSet<&str>| words.iter().copied().collect::<Vec<_>>().join(", ");
    Ok(format!("{} in {}", all(types), all(zones)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(id: &str, vpc: &str, free: u32) -> Subnet {
        Subnet {
            subnet_id: id.to_owned(),
            vpc_id: vpc.to_owned(),
            availability_zone: "eu-central-1a".to_owned(),
            available_ip_address_count: free,
        }
    }

    fn offering(kind: &str, zone: &str) -> Offering {
        Offering {
            instance_type: kind.to_owned(),
            location: zone.to_owned(),
        }
    }

    #[test]
    fn a_full_subnet_is_named_and_a_nearly_full_one_told() {
        let fault = |free| {
            of_subnets(&[
                subnet("subnet-1", "vpc-1", 200),
                subnet("subnet-2", "vpc-1", free),
            ])
        };
        let full = fault(0).err().unwrap();
        assert!(full.blocks && full.found.contains("subnet-2"), "{}", full.found);
        let few = fault(3).err().unwrap();
        assert!(!few.blocks && few.found.contains("3 free"), "{}", few.found);
        assert!(fault(8).is_ok());
        let other = of_subnets(&[subnet("subnet-1", "vpc-1", 9), subnet("subnet-2", "vpc-2", 9)]);
        assert!(other.err().unwrap().blocks);
    }

    #[test]
    fn a_type_is_missed_where_it_is_not_offered() {
        let (zones, types) = (BTreeSet::from(["a", "b"]), BTreeSet::from(["m7i.large"]));
        let fault = |offered: &[Offering]| of_offerings(offered, &zones, &types).err();
        assert!(fault(&[]).unwrap().blocks);
        let some = fault(&[offering("m7i.large", "a"), offering("m7i.large", "c")]).unwrap();
        assert!(
            !some.blocks && some.found.ends_with("not offered in b"),
            "{}",
            some.found
        );
        assert!(fault(&[offering("m7i.large", "a"), offering("m7i.large", "b")]).is_none());
    }
}
