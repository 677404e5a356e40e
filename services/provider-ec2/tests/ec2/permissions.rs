//! What is asked of AWS in a tenant's account, and what the tenant's role allows, are the same.
//!
//! Both are read as they are written, since nothing that plays AWS refuses what a policy leaves out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const TEMPLATE: &str = include_str!("../../../../terraform/modules/tenant-account/permissions.json.tftpl");

/// Asked, and not allowed by the role.
const NEEDS_NO_PERMISSION: [(&str, &str); 2] = [
    (
        "sts:AssumeRole",
        "by Updraft's own role, which is let in by the tenant's role",
    ),
    ("sts:GetCallerIdentity", "everybody may ask who they are"),
];

/// Allowed, and asked by AWS itself in the role's name.
const ASKED_BY_AWS: [(&str, &str); 9] = [
    (
        "ec2:CreateTags",
        "RunInstances and CreateSecurityGroup, which tag what they make",
    ),
    (
        "iam:CreateServiceLinkedRole",
        "RunInstances of an account's first spot instance",
    ),
    ("iam:PassRole", "RunInstances with an instance profile"),
    (
        "kms:CreateGrant",
        "RunInstances and StartInstances, with a disk of another key",
    ),
    ("kms:Decrypt", "the same"),
    ("kms:DescribeKey", "the same"),
    ("kms:GenerateDataKeyWithoutPlaintext", "the same"),
    (
        "kms:ReEncrypt*",
        "the same, of an image whose snapshot has another key",
    ),
    (
        "ssm:GetParameters",
        "RunInstances of an image that a parameter names",
    ),
];

/// What begins the name of an action.
const VERBS: [&str; 30] = [
    "Accept",
    "Allocate",
    "Assign",
    "Associate",
    "Assume",
    "Attach",
    "Authorize",
    "Cancel",
    "Copy",
    "Create",
    "Delete",
    "Deregister",
    "Describe",
    "Detach",
    "Disable",
    "Disassociate",
    "Enable",
    "Get",
    "List",
    "Modify",
    "Put",
    "Reboot",
    "Register",
    "Release",
    "Replace",
    "Revoke",
    "Run",
    "Start",
    "Stop",
    "Terminate",
];

#[test]
fn a_role_allows_what_is_asked_and_nothing_else() {
    let (asked, allowed) = (asked(), allowed());
    assert!(asked.len() > 15 && allowed.len() > 20, "{asked:?} {allowed:?}");
    let (free, by_aws) = (BTreeMap::from(NEEDS_NO_PERMISSION), BTreeMap::from(ASKED_BY_AWS));
    for action in &asked {
        assert_ne!(
            allowed.contains(action),
            free.contains_key(action.as_str()),
            "{action} is asked for: allow it in terraform/modules/tenant-account/permissions.json.tftpl, or say here why it takes \
             no permission; not both"
        );
    }
    for action in &allowed {
        assert_ne!(
            asked.contains(action),
            by_aws.contains_key(action.as_str()),
            "{action} is allowed: take it out of terraform/modules/tenant-account/permissions.json.tftpl if nobody asks for it, or \
             say here what does; not both"
        );
    }
    let unasked: Vec<_> = free.keys().filter(|action| !asked.contains(**action)).collect();
    assert!(unasked.is_empty(), "not asked for any more: {unasked:?}");
    let refused: Vec<_> = by_aws
        .keys()
        .filter(|action| !allowed.contains(**action))
        .collect();
    assert!(refused.is_empty(), "not allowed any more: {refused:?}");
}

/// Every action that the sources name where a call is made, as `ec2:RunInstances`.
fn asked() -> BTreeSet<String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut asked = BTreeSet::new();
    for source in ["provider-ec2/src", "aws/src"] {
        let mut unread = vec![crates.join(source)];
        while let Some(place) = unread.pop() {
            if place.is_dir() {
                unread.extend(
                    std::fs::read_dir(&place)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
            } else if !place.to_str().unwrap().ends_with("_tests.rs") {
                asked.extend(actions(&std::fs::read_to_string(&place).unwrap()));
            }
        }
    }
    asked
}

/// `query(EC2, "RunInstances", …)`, and `ask("RunInstances", …)` where the service goes without saying.
fn actions(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let packed: String = source.chars().filter(|sign| !sign.is_whitespace()).collect();
    let mut found = Vec::new();
    for (opens, service) in [
        ("(\"", "ec2"),
        ("EC2,\"", "ec2"),
        ("SSM,\"", "ssm"),
        ("STS,\"", "sts"),
    ] {
        let words = packed
            .split(opens)
            .skip(1)
            .filter_map(|rest| rest.split('"').next());
        let is_action = |word: &&str| {
            let verb = VERBS.iter().find_map(|verb| word.strip_prefix(verb));
            verb.is_some_and(|object| object.starts_with(|sign: char| sign.is_ascii_uppercase()))
                && word.chars().all(|sign| sign.is_ascii_alphabetic())
        };
        found.extend(words.filter(is_action).map(|word| format!("{service}:{word}")));
    }
    found
}

fn allowed() -> BTreeSet<String> {
    let packed: String = TEMPLATE.chars().filter(|sign| !sign.is_whitespace()).collect();
    let mut allowed = BTreeSet::new();
    for statement in packed.split("\"Action\":").skip(1) {
        let (actions, _) = statement.split_once(",\"Resource\":").unwrap();
        let words = actions.split(['[', ']', ',']).filter(|word| !word.is_empty());
        allowed.extend(words.map(|word| word.trim_matches('"').to_owned()));
    }
    allowed
}
