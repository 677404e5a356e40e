//! What a tenant's role lets Updraft do, and that it lets it do no more: the test data centre asks the printed policy at each call.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use updraft_aws::{
    AssumedRole, AwsError, Client, CredentialSource, EC2, ExternalId, Params, Place, Renewed, SSM, STS,
    SessionName,
};
use updraft_model::{NodeAccount, NodeRole};
use updraft_provider::{NetworkId, NodeProvider as _, NodeStatus, ProviderId};
use updraft_provider_ec2::Ec2Provider;

use crate::datacentre::{ACCOUNT, DataCentre, REGION, cluster, launch, python, tests_dir, wanted};
use crate::laws::until;

const PUBLIC: &str = "NetworkInterface.1.AssociatePublicIpAddress";
const GROUP: &str = "NetworkInterface.1.SecurityGroupId.1";

/// Whatever AWS says.
#[derive(Debug, Deserialize)]
struct Answer {}

/// A role of the account as Updraft uses it, and as somebody would who has its credentials.
struct Role {
    config: Value,
    provider: Ec2Provider,
    aws: Client,
    elsewhere: Client,
}

// === impl Role ===

impl Role {
    async fn of(centre: &DataCentre, mut config: Value) -> Self {
        let name = config["installation"].as_str().unwrap().to_owned();
        let arn = format!("arn:aws:iam::{ACCOUNT}:role/updraft-{name}");
        let external_id = ExternalId::generate();
        centre.role(&arn, &external_id, &config).await;
        config["account"] = json!({"role": arn, "external_id": external_id});
        let place = |region: &str| Place {
            region: region.to_owned(),
            endpoint: Some(config["endpoint"].as_str().unwrap().parse().unwrap()),
        };
        let own = Arc::new(centre.own_credentials().await);
        let sts = Arc::new(Client::new(place(REGION), own).unwrap());
        let session = SessionName::of(&name);
        let assumed = AssumedRole::new(sts, arn.parse().unwrap(), Some(external_id), session);
        let credentials: Arc<dyn CredentialSource> = Arc::new(Renewed::new(assumed));
        Self {
            aws: Client::new(place(REGION), Arc::clone(&credentials)).unwrap(),
            elsewhere: Client::new(place("us-east-1"), credentials).unwrap(),
            provider: centre.provider_with(config.clone()).await,
            config,
        }
    }

    /// What would be launched for a node, by name.
    async fn launch(&self, network: Option<NetworkId>) -> BTreeMap<String, String> {
        let wanted = updraft_provider::NodeWanted {
            network,
            ..wanted(1, NodeRole::Web)
        };
        let request = self.provider.prepare(&wanted).await.unwrap();
        serde_json::from_value::<Vec<(String, String)>>(request.0["params"].clone())
            .unwrap()
            .into_iter()
            .collect()
    }

    /// None: it would start.
    async fn tried(&self, launch: &BTreeMap<String, String>) -> Option<String> {
        let asked = launch.iter().fold(Params::default(), |params, (name, value)| {
            params.with(name, value)
        });
        let tried = self.asked("RunInstances", &asked.with("DryRun", true)).await;
        (tried.code() != Some("DryRunOperation")).then(|| words(&tried))
    }

    async fn asked(&self, action: &'static str, asked: &Params) -> AwsError {
        self.aws.query::<Answer>(EC2, action, asked).await.unwrap_err()
    }

    async fn is_refused(&self, action: &'static str, asked: &Params, what: &str) {
        let refused = self.asked(action, asked).await;
        let words = words(&refused);
        assert!(
            refused.code() == Some("UnauthorizedOperation") && words.contains(what),
            "{action}: {words}"
        );
    }
}

fn words(error: &AwsError) -> String {
    error.to_string()
}

fn one(name: &str, value: impl std::fmt::Display) -> Params {
    Params::default().with(name, value)
}

fn instances(id: &ProviderId) -> Params {
    Params::default().with_list("InstanceId", [id])
}

/// The number of a tag among those of an instance.
fn tag(launch: &BTreeMap<String, String>, key: &str) -> String {
    let found = launch
        .iter()
        .find(|(name, value)| name.starts_with("TagSpecification.1.Tag.") && *value == key);
    found.unwrap().0.trim_end_matches(".Key").to_owned()
}

#[tokio::test]
async fn a_launch_is_as_the_tenant_has_it_or_is_refused() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let mut config = centre.config().await;
    let subnets = config["subnets"].as_array_mut().unwrap();
    let unlisted = subnets.pop().unwrap();
    for name in ["somebodys-group", "others"] {
        let asked = json!({"account": ACCOUNT, "region": REGION, "name": name});
        centre.ask("group", asked).await;
    }
    let groups = centre.groups().await;
    let group = groups.as_object().unwrap().keys().next().unwrap().clone();
    centre
        .ask("profile", json!({"account": ACCOUNT, "name": "administrators"}))
        .await;
    let role = Role::of(&centre, config).await;
    let right = role.launch(None).await;
    assert_eq!(role.tried(&right).await, None);

    let unlisted = unlisted.as_str().unwrap();
    let tag = tag(&right, "updraft:installation");
    let of = |kind: u8, part: &str| format!("{}.{part}", tag.replacen('1', &kind.to_string(), 1));
    let [value, volumes, interfaces] = [1, 2, 3].map(|kind| of(kind, "Value"));
    let key = of(1, "Key");
    for (name, value, refused) in [
        ("InstanceType", Some("p5.48xlarge"), "instance/*"),
        ("MetadataOptions.HttpTokens", Some("optional"), "instance/*"),
        ("MetadataOptions.HttpTokens", None, "instance/*"),
        ("MetadataOptions.HttpPutResponseHopLimit", Some("2"), "instance/*"),
        ("BlockDeviceMapping.1.Ebs.Encrypted", Some("false"), "volume/*"),
        ("BlockDeviceMapping.1.Ebs.Encrypted", None, "volume/*"),
        // The image's own root is as the image has it.
        ("BlockDeviceMapping.1.DeviceName", Some("/dev/sdz"), "volume/*"),
        (PUBLIC, Some("true"), "network-interface/*"),
        ("NetworkInterface.1.SubnetId", Some(unlisted), "subnet/subnet-"),
        (GROUP, Some(group.as_str()), "security-group/sg-"),
        ("KeyName", Some("anybodys"), "key-pair/anybodys"),
        (
            "IamInstanceProfile.Name",
            Some("administrators"),
            "role/administrators",
        ),
        (value.as_str(), Some("other"), "instance/*"),
        (volumes.as_str(), Some("other"), "volume/*"),
        (interfaces.as_str(), Some("other"), "network-interface/*"),
        (key.as_str(), Some("installation"), "instance/*"),
        (
            "TagSpecification.4.ResourceType",
            Some("spot-instances-request"),
            "spot-instances-request/*",
        ),
    ] {
        let mut launch = right.clone();
        match value {
            Some(value) => launch.insert(name.to_owned(), value.to_owned()),
            None => launch.remove(name),
        };
        if name.starts_with("TagSpecification.4") {
            launch.insert("TagSpecification.4.Tag.1.Key".to_owned(), "a".to_owned());
        }
        let told = role.tried(&launch).await.unwrap_or_default();
        assert!(
            told.contains("UnauthorizedOperation") && told.contains(&format!(":{refused}")),
            "{name} {value:?}: {told}"
        );
    }
    assert_eq!(centre.live().await, 0);
}

#[tokio::test]
async fn what_is_not_this_installations_is_left_alone() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let ours = Role::of(&centre, centre.config().await).await;
    let mut config = centre.config().await;
    config["installation"] = json!("other");
    let other = Role::of(&centre, config).await;
    let own = launch(&ours.provider, &wanted(1, NodeRole::Web))
        .await
        .unwrap()
        .id;
    let theirs = launch(&other.provider, &wanted(1, NodeRole::Web))
        .await
        .unwrap()
        .id;
    let untagged = untagged(&centre, &ours).await;
    for id in [&own, &theirs, &untagged] {
        until(async || ours.provider.describe(id).await == Ok(NodeStatus::Running)).await;
    }
    for id in [&theirs, &untagged] {
        for action in ["TerminateInstances", "StopInstances", "StartInstances"] {
            ours.is_refused(action, &instances(id), &id.0).await;
        }
        assert!(ours.provider.terminate(id).await.is_err() && ours.provider.stop(id).await.is_err());
    }
    // A tag would make it Updraft's, and none would make it nobody's.
    for id in [&own, &theirs, &untagged] {
        let tag = Params::default()
            .with_list("ResourceId", [id])
            .with("Tag.1.Key", "updraft:installation")
            .with("Tag.1.Value", "test");
        ours.is_refused("CreateTags", &tag, &id.0).await;
        ours.is_refused("DeleteTags", &tag, "ec2:DeleteTags").await;
    }
    let changed = one("InstanceId", &own).with("InstanceType.Value", "m6i.xlarge");
    ours.is_refused("ModifyInstanceAttribute", &changed, "ec2:ModifyInstanceAttribute")
        .await;
    ours.provider.stop(&own).await.unwrap();
    until(async || ours.provider.describe(&own).await == Ok(NodeStatus::Stopped)).await;
    ours.provider.terminate(&own).await.unwrap();

    // Of volumes, too: once their instance has ended.
    let kept = json!({"account": ACCOUNT, "region": REGION, "instance": theirs.0});
    centre.ask("keep-volume", kept).await;
    other.provider.terminate(&theirs).await.unwrap();
    until(async || {
        !other
            .provider
            .left_volumes(NodeAccount::Installation)
            .await
            .unwrap()
            .is_empty()
    })
    .await;
    let left = other
        .provider
        .left_volumes(NodeAccount::Installation)
        .await
        .unwrap();
    ours.is_refused("DeleteVolume", &one("VolumeId", &left[0].id), &left[0].id.0)
        .await;
    assert!(ours.provider.delete_volume(&left[0].id).await.is_err());
    other.provider.delete_volume(&left[0].id).await.unwrap();
}

/// By the account's administrator.
async fn untagged(centre: &DataCentre, role: &Role) -> ProviderId {
    let place = role.aws.place().clone();
    let own = Client::new(place, Arc::new(centre.own_credentials().await)).unwrap();
    let launch = role.launch(None).await;
    let asked = launch
        .iter()
        .filter(|(name, _)| !name.starts_with("TagSpecification."))
        .fold(Params::default(), |params, (name, value)| {
            params.with(name, value)
        });
    let before = centre.ask("instances", json!({})).await;
    own.query::<Answer>(EC2, "RunInstances", &asked).await.unwrap();
    let after = centre.ask("instances", json!({})).await;
    let mut made = after.as_object().unwrap().keys();
    let made = made.find(|id| before.get(id.as_str()).is_none());
    ProviderId(made.unwrap().clone())
}

#[tokio::test]
async fn groups_are_made_opened_and_ended_only_as_this_installations() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let ours = Role::of(&centre, centre.config_without_groups().await).await;
    let mut config = centre.config_without_groups().await;
    config["installation"] = json!("other");
    let other = Role::of(&centre, config).await;
    let (mut own, mut theirs) = (None, None);
    until(async || {
        own = ours.provider.prepare_cluster(&cluster(1)).await.unwrap_or(None);
        own.is_some()
    })
    .await;
    until(async || {
        theirs = other.provider.prepare_cluster(&cluster(1)).await.unwrap_or(None);
        theirs.is_some()
    })
    .await;
    let theirs = theirs.unwrap();
    let opened = one("GroupId", &theirs.0)
        .with("IpPermissions.1.IpProtocol", "tcp")
        .with("IpPermissions.1.FromPort", 22)
        .with("IpPermissions.1.ToPort", 22)
        .with("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0");
    ours.is_refused("AuthorizeSecurityGroupIngress", &opened, &theirs.0)
        .await;
    ours.is_refused("DeleteSecurityGroup", &one("GroupId", &theirs.0), &theirs.0)
        .await;

    // Nodes are in a group of this installation's, not in another's nor in the VPC's own.
    let right = ours.launch(own).await;
    assert_eq!(ours.tried(&right).await, None);
    let mut launch = right.clone();
    launch.insert(GROUP.to_owned(), theirs.0.clone());
    assert!(ours.tried(&launch).await.unwrap().contains(&theirs.0));
    launch.remove(GROUP);
    assert!(ours.tried(&launch).await.unwrap().contains("security-group/sg-"));

    // Without the tag, with another's, or in another VPC none is made.
    let made = |installation: &str, vpc: &str| {
        one("GroupName", "new")
            .with("GroupDescription", "new")
            .with("VpcId", vpc)
            .with("TagSpecification.1.ResourceType", "security-group")
            .with("TagSpecification.1.Tag.1.Key", "updraft:installation")
            .with("TagSpecification.1.Tag.1.Value", installation)
            .with("DryRun", true)
    };
    let world = centre
        .ask("world", json!({"account": ACCOUNT, "region": REGION}))
        .await;
    let vpc = world["vpc"].as_str().unwrap();
    let would = ours.asked("CreateSecurityGroup", &made("test", vpc)).await;
    assert_eq!(would.code(), Some("DryRunOperation"), "{would}");
    ours.is_refused("CreateSecurityGroup", &made("other", vpc), "security-group/*")
        .await;
    ours.is_refused(
        "CreateSecurityGroup",
        &made("test", "vpc-0a1b2c3d"),
        "vpc/vpc-0a1b2c3d",
    )
    .await;
    let untagged = one("GroupName", "new")
        .with("GroupDescription", "new")
        .with("VpcId", vpc);
    ours.is_refused("CreateSecurityGroup", &untagged, "security-group/*")
        .await;
}

#[tokio::test]
async fn elsewhere_and_of_other_things_nothing_is_told() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let role = Role::of(&centre, centre.config().await).await;
    let none = Params::default();
    let elsewhere = role
        .elsewhere
        .query::<Answer>(EC2, "DescribeInstances", &none)
        .await;
    assert_eq!(elsewhere.unwrap_err().code(), Some("UnauthorizedOperation"));
    for (action, asked) in [
        ("DescribeKeyPairs", none.clone()),
        ("DescribeSnapshots", none.clone()),
        ("GetConsoleOutput", one("InstanceId", "i-0a1b2c3d")),
        ("GetPasswordData", one("InstanceId", "i-0a1b2c3d")),
        (
            "CreateImage",
            one("InstanceId", "i-0a1b2c3d").with("Name", "copy"),
        ),
        ("CreateKeyPair", one("KeyName", "mine")),
    ] {
        role.is_refused(action, &asked, action).await;
    }
    let parameter = json!({"Name": "/acme/password", "WithDecryption": true});
    let refused = role.aws.json::<Answer>(SSM, "GetParameter", &parameter).await;
    assert_eq!(refused.unwrap_err().code(), Some("AccessDeniedException"));
    let asked =
        one("RoleArn", role.config["account"]["role"].as_str().unwrap()).with("RoleSessionName", "again");
    let refused = role.aws.query::<Answer>(STS, "AssumeRole", &asked).await;
    assert_eq!(refused.unwrap_err().code(), Some("AccessDenied"));
}

/// EC2 has forgotten it, with its tags: a role that may end only what has them is refused it like somebody else's.
#[tokio::test]
async fn what_ec2_has_forgotten_has_ended_though_a_role_is_refused_it() {
    let Some(centre) = DataCentre::open().await else {
        return;
    };
    let role = Role::of(&centre, centre.config().await).await;
    let gone = ProviderId("i-0a1b2c3d".to_owned());
    role.is_refused("TerminateInstances", &instances(&gone), &gone.0)
        .await;
    role.provider.terminate(&gone).await.unwrap();
    let volume = ProviderId("vol-0a1b2c3d".to_owned());
    role.is_refused("DeleteVolume", &one("VolumeId", &volume), &volume.0)
        .await;
    role.provider.delete_volume(&volume).await.unwrap();

    // One that was just made is not taken for gone.
    centre.ask("pace", json!({"listed_after": 1.5})).await;
    let made = launch(&role.provider, &wanted(1, NodeRole::Web))
        .await
        .unwrap()
        .id;
    let refused = role.provider.terminate(&made).await.unwrap_err();
    assert!(refused.to_string().contains("too new"), "{refused}");
    until(async || role.provider.terminate(&made).await.is_ok()).await;
    until(async || centre.live().await == 0).await;
}

/// Operators of conditions, decisions, trust, and what both printed policies and nodes' sessions allow.
#[test]
fn policies_are_read_as_iam_reads_them() {
    let Some(python) = python() else {
        eprintln!("skipped: the tests' Python tools are not in .tools (tests/run puts them there)");
        return;
    };
    let done = Command::new(python)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "datacentre/tests"])
        .current_dir(tests_dir())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}
