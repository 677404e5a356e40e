use std::path::Path;

use serde::Deserialize;

use super::*;

const MAIN: &str = include_str!("../../../terraform/modules/tenant-account/main.tf");
const VARIABLES: &str = include_str!("../../../terraform/modules/tenant-account/variables.tf");
const PRINCIPAL: &str = "arn:aws:iam::123456789012:role/updraft-control";

fn config(groups: &[&str]) -> AwsAccountConfig {
    serde_json::from_value(json!({
        "role_arn": "arn:aws:iam::210987654321:role/updraft-control",
        "region": "eu-central-1",
        "subnets": ["subnet-0a1b2c3d"],
        "security_groups": groups,
        "instance_profile": "updraft-node-airflow",
        "worker": {"instance_type": "g5.xlarge"},
        "image": "/acme/image",
        "root_volume": {"kms_key": "1234abcd-12ab-34cd-56ef-1234567890ab"},
    }))
    .unwrap()
}

fn usual() -> UsualNodes {
    UsualNodes {
        image: Some("/updraft/image".to_owned()),
        scheduler: "m7a.large".to_owned(),
        web: "m7i.large".to_owned(),
        worker: "m7i.large".to_owned(),
    }
}

/// What is printed for an account that is set up so: permissions, and the call.
fn printed(config: Option<&AwsAccountConfig>) -> (String, String) {
    let (usual, queue_types) = (usual(), ["p4d.24xlarge".to_owned()]);
    let account = Account::of(Said {
        installation: "prod",
        principal: PRINCIPAL,
        external_id: "updraft-0123456789abcdef",
        next_external_id: None,
        config,
        usual: &usual,
        queue_types: &queue_types,
    });
    (account.permissions(), account.terraform())
}

fn permissions(config: Option<&AwsAccountConfig>) -> String {
    printed(config).0
}

fn terraform(config: Option<&AwsAccountConfig>) -> String {
    printed(config).1
}

fn statements(policy: &str) -> Vec<Value> {
    let policy: Value = serde_json::from_str(policy).unwrap();
    policy["Statement"].as_array().unwrap().clone()
}

#[test]
fn nothing_is_left_open_whatever_is_known() {
    for config in [None, Some(&config(&[])), Some(&config(&["sg-0a1b2c3d"]))] {
        let policy = permissions(config);
        assert!(!policy.contains("${") && !policy.contains("%{"), "{policy}");
        assert_eq!(policy.contains("ACCOUNT"), config.is_none());
        let makes = policy.contains("ec2:CreateSecurityGroup");
        assert_eq!(
            makes,
            config.is_none_or(|config| config.security_groups.is_empty())
        );
        assert_eq!(policy.contains("kms:CreateGrant"), config.is_some());
        assert!(statements(&policy).len() >= 10);
    }
}

#[test]
fn what_is_everybodys_is_only_looked_at() {
    let policy = permissions(Some(&config(&[])));
    for statement in statements(&policy) {
        if statement["Resource"] == "*" {
            let actions = statement["Action"].as_array().unwrap();
            assert!(
                actions
                    .iter()
                    .all(|action| action.as_str().unwrap().starts_with("ec2:Describe"))
            );
        }
    }
    let packed: usize = policy.chars().filter(|sign| !sign.is_whitespace()).count();
    assert!(packed < 6144, "IAM takes no longer one: {packed}");
}

#[test]
fn what_the_tenant_said_is_in_both() {
    let config = config(&[]);
    let key = "arn:aws:kms:eu-central-1:210987654321:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    for told in [
        "arn:aws:ec2:eu-central-1:210987654321:subnet/subnet-0a1b2c3d",
        "arn:aws:ssm:eu-central-1:210987654321:parameter/acme/image",
        "\"g5.*\"",
        "\"m7a.*\"",
        "\"p4d.*\"",
        key,
    ] {
        for text in [permissions(Some(&config)), terraform(Some(&config))] {
            assert!(text.contains(told), "{told}: {text}");
        }
    }
    for told in [
        "arn:aws:iam::210987654321:role/updraft-node-airflow",
        r#""aws:ResourceTag/updraft:installation": "prod""#,
        r#"["210987654321","123456789012","amazon","136693071363"]"#,
    ] {
        let policy = permissions(Some(&config));
        assert!(policy.contains(told), "{told}: {policy}");
    }
}

#[test]
fn what_the_tenant_leaves_out_is_as_the_installation_has_it() {
    let mut config = config(&[]);
    (config.image, config.worker) = (None, None);
    let policy = permissions(Some(&config));
    assert!(
        policy.contains("parameter/updraft/image") && policy.contains("m7a.*"),
        "{policy}"
    );
    assert!(!policy.contains("g5.*"), "{policy}");
    // AWS's own parameters are everybody's.
    config.image = Some("/aws/service/debian/release/12/latest/amd64".to_owned());
    assert!(!terraform(Some(&config)).contains("image_parameter_arns"));
}

#[test]
fn an_alias_of_a_key_is_not_taken_for_a_key() {
    let mut config = config(&[]);
    for (said, told) in [
        ("alias/disks", "key/KEY"),
        ("arn:aws:kms:eu-central-1:210987654321:alias/disks", "key/KEY"),
        (
            "arn:aws:kms:eu-central-1:333344445555:key/1234abcd",
            "333344445555:key/1234abcd",
        ),
    ] {
        config.root_volume.as_mut().unwrap().kms_key = Some(said.to_owned());
        let call = terraform(Some(&config));
        assert!(call.contains(told) && !call.contains("alias/"), "{said}: {call}");
    }
}

#[test]
fn a_profile_that_the_module_does_not_make_is_told() {
    let mut config = config(&[]);
    assert!(!terraform(Some(&config)).contains("none of this module's"));
    config.instance_profile = "arn:aws:iam::210987654321:instance-profile/updraft-node-reports".to_owned();
    let call = terraform(Some(&config));
    assert!(
        call.contains("    reports = {") && !call.contains("none of this module's"),
        "{call}"
    );
    config.instance_profile = "theirs".to_owned();
    let call = terraform(Some(&config));
    assert!(
        call.contains("the instance profile theirs, which is none of this module's"),
        "{call}"
    );
    assert!(call.contains("    airflow = {"), "{call}");
}

#[test]
fn the_module_fills_in_the_same_places() {
    let places: Vec<_> = PERMISSIONS
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .collect();
    for (name, _) in places {
        let given = MAIN
            .lines()
            .any(|line| line.trim_start().starts_with(&format!("{name} ")));
        assert!(given, "`{name}` is not given by the module");
    }
    for default in [json!(INSTANCE_TYPES), json!(IMAGE_OWNERS)] {
        let default = default.to_string().replace(',', ", ");
        assert!(
            VARIABLES.contains(&format!("default     = {default}")),
            "{default}"
        );
    }
}

#[test]
fn the_module_is_called_with_all_that_it_asks_for() {
    for config in [None, Some(&config(&[])), Some(&config(&["sg-0a1b2c3d"]))] {
        let call = terraform(config);
        for variable in VARIABLES.split("variable \"").skip(1) {
            let (name, rest) = variable.split_once('"').unwrap();
            let asked = !rest.contains("default ");
            assert!(!asked || call.contains(&format!("  {name} = ")), "{name}: {call}");
        }
        for line in call
            .lines()
            .filter_map(|line| line.strip_prefix("  ")?.split_once(" = "))
        {
            let known = line.0 == "source" || VARIABLES.contains(&format!("variable \"{}\"", line.0.trim()));
            assert!(known || line.0.starts_with("  "), "{line:?}");
        }
    }
}

/// An account of which Terraform is asked what it makes of the printed call (`tests/terraform/check.py`).
#[derive(Deserialize)]
struct Kept {
    installation: String,
    principal: String,
    external_id: String,
    next_external_id: Option<String>,
    config: AwsAccountConfig,
    usual: [String; 3],
    queue_types: Vec<String>,
}

#[test]
fn terraform_is_asked_about_what_is_printed() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/terraform/printed");
    let accounts: Vec<_> = std::fs::read_dir(kept)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(accounts.len() >= 2);
    for place in accounts {
        let kept: Kept =
            serde_json::from_str(&std::fs::read_to_string(place.join("account.json")).unwrap()).unwrap();
        let [scheduler, web, worker] = kept.usual;
        let usual = UsualNodes {
            image: None,
            scheduler,
            web,
            worker,
        };
        let account = Account::of(Said {
            installation: &kept.installation,
            principal: &kept.principal,
            external_id: &kept.external_id,
            next_external_id: kept.next_external_id.as_deref(),
            config: Some(&kept.config),
            usual: &usual,
            queue_types: &kept.queue_types,
        });
        for (file, text) in [
            ("permissions.json", format!("{}\n", account.permissions())),
            ("call.hcl", account.terraform()),
        ] {
            let file = place.join(file);
            if std::env::var_os("UPDRAFT_BLESS").is_some() {
                std::fs::write(&file, &text).unwrap();
            }
            let before = std::fs::read_to_string(&file).unwrap_or_default();
            assert_eq!(
                before,
                text,
                "{} is old: run this with UPDRAFT_BLESS=1, and tests/terraform/check.py",
                file.display()
            );
        }
    }
}
