//! AWS's errors as the kinds that the planner decides by, with what to do about each.
//!
//! Codes: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>

use updraft_aws::{AwsError, Said};
use updraft_provider::ProviderError;

use crate::answers::StateReason;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Quota,
    Capacity,
    /// It stays so until somebody changes something.
    Refused,
    /// It may be otherwise in a moment.
    Unclear,
}

/// Code, kind, remedy. What is asked for is in AWS's own message.
const KNOWN: &[(&str, Kind, &str)] = &[
    (
        "InsufficientInstanceCapacity",
        Kind::Capacity,
        "wait, or configure another instance type or a subnet in another availability zone",
    ),
    (
        "InsufficientCapacity",
        Kind::Capacity,
        "wait, or configure another instance type or a subnet in another availability zone",
    ),
    (
        "UnfulfillableCapacity",
        Kind::Capacity,
        "wait, or configure another instance type or a subnet in another availability zone",
    ),
    (
        "InsufficientFreeAddressesInSubnet",
        Kind::Capacity,
        "configure a larger subnet, or one more",
    ),
    (
        "SpotMaxPriceTooLow",
        Kind::Capacity,
        "wait, or configure on_demand for this role",
    ),
    (
        "VcpuLimitExceeded",
        Kind::Quota,
        "have the account's quota of vCPUs for this family of instances raised (Service Quotas, Amazon EC2)",
    ),
    (
        "InstanceLimitExceeded",
        Kind::Quota,
        "have the account's quota of instances raised (Service Quotas, Amazon EC2)",
    ),
    (
        "MaxSpotInstanceCountExceeded",
        Kind::Quota,
        "have the account's quota of spot instances raised (Service Quotas, Amazon EC2), or configure on_demand",
    ),
    (
        "VolumeLimitExceeded",
        Kind::Quota,
        "have the account's quota of gp3 storage raised (Service Quotas, Amazon EBS)",
    ),
    (
        "MaxIOPSLimitExceeded",
        Kind::Quota,
        "have the account's quota of IOPS for gp3 volumes raised (Service Quotas, Amazon EBS)",
    ),
    (
        "NetworkInterfaceLimitExceeded",
        Kind::Quota,
        "have the quota of network interfaces per Region raised (Service Quotas, Amazon VPC)",
    ),
    (
        "UnauthorizedOperation",
        Kind::Refused,
        "allow the named action to the role that Updraft uses (and iam:PassRole for the instance profile's role)",
    ),
    (
        "AccessDenied",
        Kind::Refused,
        "let the account's role trust Updraft's role with the external id that Updraft shows",
    ),
    (
        "OptInRequired",
        Kind::Refused,
        "enable the region, or accept the image's terms, in this account",
    ),
    (
        "RegionDisabledException",
        Kind::Refused,
        "enable the region in this account, and have STS issue tokens for it (IAM, account settings)",
    ),
    (
        "InvalidSubnetID.NotFound",
        Kind::Refused,
        "correct `subnets`: it has to be in this account and region",
    ),
    (
        "InvalidSecurityGroupID.NotFound",
        Kind::Refused,
        "correct `security_groups`: it has to be in this account and region",
    ),
    (
        "InvalidGroup.NotFound",
        Kind::Refused,
        "correct `security_groups`: it has to be in the subnet's VPC",
    ),
    (
        "InvalidAMIID.NotFound",
        Kind::Refused,
        "correct `image`: it has to be in this region and shared with this account",
    ),
    (
        "ParameterNotFound",
        Kind::Refused,
        "correct `image`: the SSM parameter that it names has to be in this account and region",
    ),
    (
        "InvalidAMIID.Unavailable",
        Kind::Refused,
        "wait until the image is ready, or correct `image`",
    ),
    (
        "InvalidKeyPair.NotFound",
        Kind::Refused,
        "correct `key_pair`, or leave it out",
    ),
    (
        "InvalidInstanceType",
        Kind::Refused,
        "correct the role's `instance_type`: this region does not have it",
    ),
    (
        "Unsupported",
        Kind::Refused,
        "configure an instance type that the subnet's availability zone has",
    ),
    (
        "IdempotentParameterMismatch",
        Kind::Refused,
        "stop the cluster and start it again: the node was asked for before with other settings (has control's address changed?)",
    ),
    (
        "InvalidParameterValue",
        Kind::Refused,
        "correct what the message names in the provider's configuration",
    ),
    (
        "InvalidParameterCombination",
        Kind::Refused,
        "correct what the message names in the provider's configuration",
    ),
    (
        "PendingVerification",
        Kind::Unclear,
        "wait: AWS verifies the account, which takes up to four hours",
    ),
    (
        "IncorrectInstanceState",
        Kind::Unclear,
        "wait: the instance is on its way to another state",
    ),
    (
        "InvalidVpcID.NotFound",
        Kind::Refused,
        "correct `subnets`: their VPC has to be in this account and region",
    ),
    (
        "SecurityGroupLimitExceeded",
        Kind::Quota,
        "delete security groups that nothing uses, have the quota of VPC security groups per Region raised (Service Quotas, \
         Amazon VPC), or bring `security_groups`",
    ),
    (
        "RulesPerSecurityGroupLimitExceeded",
        Kind::Quota,
        "have the quota of rules per security group raised (Service Quotas, Amazon VPC), or remove rules that somebody added",
    ),
    (
        "DependencyViolation",
        Kind::Unclear,
        "wait: interfaces of ended instances are still in the security group, or somebody else's are",
    ),
    (
        "InvalidInstanceID.NotFound",
        Kind::Unclear,
        "wait: the instance may be too new to be known everywhere",
    ),
    // These are said of instances that have ended: EC2 took their launch, and found out later.
    ("InvalidKMSKey.InvalidState", Kind::Refused, KMS_KEY),
    ("Client.InternalError", Kind::Refused, KMS_KEY),
    (
        "InvalidSnapshot.NotFound",
        Kind::Refused,
        "share the image's snapshots with this account, or correct `image`",
    ),
    (
        "InstanceInitiatedShutdown",
        Kind::Unclear,
        "look at the boot log: the machine switched itself off",
    ),
    (
        "UserInitiatedShutdown",
        Kind::Unclear,
        "look in CloudTrail at who ended it (TerminateInstances)",
    ),
    ("AuthFailure", Kind::Unclear, CREDENTIALS),
    ("InvalidClientTokenId", Kind::Unclear, CREDENTIALS),
    ("SignatureDoesNotMatch", Kind::Unclear, CREDENTIALS),
    ("ExpiredToken", Kind::Unclear, CREDENTIALS),
    (
        "RequestExpired",
        Kind::Unclear,
        "set this machine's clock: AWS takes requests of the last minutes only",
    ),
];

const CREDENTIALS: &str = "check Updraft's own credentials for AWS, or its instance profile";

const KMS_KEY: &str = "look at the root volume's KMS key: it has to be enabled, and the role that Updraft uses may have to create grants of \
                       it (kms:CreateGrant, kms:GenerateDataKeyWithoutPlaintext, kms:Decrypt)";

pub(crate) fn provider_error(error: &AwsError) -> ProviderError {
    if error.is_throttling() {
        return ProviderError::Throttled;
    }
    match error {
        AwsError::Said(said) => of_answer(said),
        AwsError::NoAnswer { .. } | AwsError::Unreadable { .. } | AwsError::Credentials(_) => {
            ProviderError::Unclear(error.to_string())
        }
        AwsError::Setup(_) => ProviderError::Refused(error.to_string()),
    }
}

/// Of an instance that has ended: as if its launch had been refused with that. None: EC2 says nothing.
pub(crate) fn ended_by(reason: &StateReason) -> Option<ProviderError> {
    let StateReason { code, message } = reason;
    let (side, name) = code.split_once('.')?;
    let by_side = match side {
        "Server" => (Kind::Unclear, "wait: it is tried again"),
        _ => (Kind::Refused, "look the code up in EC2's documentation"),
    };
    let (kind, remedy) = known(code).or_else(|| known(name)).unwrap_or(by_side);
    let said = match message.contains(code) {
        true => message.trim_end_matches('.').to_owned(),
        false => format!("{} ({code})", message.trim_end_matches('.')),
    };
    Some(of_kind(kind, format!("{said}; {remedy}")))
}

/// What to do, where that is known.
pub(crate) fn remedy(code: &str) -> Option<&'static str> {
    known(code).map(|(_, remedy)| remedy)
}

fn of_answer(said: &Said) -> ProviderError {
    let by_status = match said.status {
        500.. => (Kind::Unclear, "wait, or look at AWS's own status"),
        _ => (Kind::Refused, "look the code up in EC2's documentation"),
    };
    let (kind, remedy) = known(&said.code).unwrap_or(by_status);
    of_kind(kind, format!("{}; {remedy}", in_short(said)))
}

fn of_kind(kind: Kind, words: String) -> ProviderError {
    match kind {
        Kind::Quota => ProviderError::Quota(words),
        Kind::Capacity => ProviderError::Capacity(words),
        Kind::Refused => ProviderError::Refused(words),
        Kind::Unclear => ProviderError::Unclear(words),
    }
}

fn known(code: &str) -> Option<(Kind, &'static str)> {
    let exact = KNOWN.iter().find(|(name, ..)| *name == code);
    exact.map(|(_, kind, remedy)| (*kind, *remedy))
}

/// Without the kilobyte that only `sts:DecodeAuthorizationMessage` reads.
fn in_short(said: &Said) -> String {
    let short = said.message.split("Encoded authorization failure message").next();
    let message = short.unwrap_or_default().trim().to_owned();
    Said {
        message,
        ..said.clone()
    }
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: &str, status: u16, message: &str) -> AwsError {
        AwsError::Said(Box::new(Said {
            action: "RunInstances",
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: None,
        }))
    }

    #[test]
    fn a_message_says_what_happened_and_what_to_do() {
        let error = provider_error(&said(
            "InvalidSubnetID.NotFound",
            400,
            "The subnet ID 'subnet-1' does not exist",
        ));
        let words = "RunInstances: The subnet ID 'subnet-1' does not exist (InvalidSubnetID.NotFound); correct `subnets`: it has to be in this account and region";
        assert_eq!(error, ProviderError::Refused(words.to_owned()));
    }

    #[test]
    fn what_nobody_can_read_is_left_out() {
        let message = "You are not authorized. Encoded authorization failure message: xFz4kQ";
        let ProviderError::Refused(words) = provider_error(&said("UnauthorizedOperation", 403, message))
        else {
            panic!("it is refused");
        };
        assert!(
            !words.contains("xFz4kQ") && words.contains("iam:PassRole"),
            "{words}"
        );
    }

    #[test]
    fn unknown_codes_are_judged_by_their_status() {
        let kind = |status| provider_error(&said("Novelty", status, "m"));
        assert!(matches!(kind(400), ProviderError::Refused(_)));
        assert!(matches!(kind(500), ProviderError::Unclear(_)));
    }

    #[test]
    fn why_an_instance_ended_is_a_refusal_that_came_late() {
        let ended = |code: &str, message: &str| {
            let (code, message) = (code.to_owned(), message.to_owned());
            ended_by(&StateReason { code, message })
        };
        let limit = "Client.VolumeLimitExceeded";
        let words = "Client.VolumeLimitExceeded: Volume limit exceeded; have the account's quota of gp3 storage raised (Service Quotas, Amazon EBS)";
        assert_eq!(
            ended(limit, "Client.VolumeLimitExceeded: Volume limit exceeded"),
            Some(ProviderError::Quota(words.to_owned()))
        );
        for (code, is_kind, remedy) in [
            (
                "Server.InsufficientInstanceCapacity",
                "no capacity",
                "another instance type",
            ),
            ("Client.InvalidKMSKey.InvalidState", "refused", "KMS key"),
            ("Client.InternalError", "refused", "KMS key"),
            ("Server.InternalError", "no clear answer", "wait"),
            ("Server.Novelty", "no clear answer", "wait"),
            ("Client.Novelty", "refused", "documentation"),
        ] {
            let told = ended(code, "Its words.").unwrap().to_string();
            assert!(
                told.contains(is_kind)
                    && told.contains(remedy)
                    && told.contains(&format!("Its words ({code})")),
                "{told}"
            );
        }
        assert_eq!(ended("", ""), None);
    }

    #[test]
    fn no_code_is_there_twice() {
        for (code, ..) in KNOWN {
            assert_eq!(
                KNOWN.iter().filter(|(other, ..)| other == code).count(),
                1,
                "{code}"
            );
        }
    }
}
