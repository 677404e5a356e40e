//! Why something around AWS accounts is not done, as clients see it.

use thiserror::Error;
use updraft_api::Problem;

use crate::error::problem;

#[derive(Debug, Error)]
pub enum AwsAccountRefusal {
    #[error("this installation has no nodes in tenants' accounts")]
    NotHere,
    #[error("the tenant has an AWS account named `{name}`")]
    NameTaken { name: String },
    #[error("there are clusters in the AWS account `{name}`")]
    InUse { name: String, clusters: Vec<String> },
    #[error("nothing is said of the AWS account `{name}` yet")]
    NotConfigured { name: String },
    #[error("no external id of the AWS account `{name}` waits to be used")]
    NoNextExternalId { name: String },
    #[error("the next external id of the AWS account `{name}` is not proven: {why}")]
    NextNotTaken { name: String, why: String },
    #[error("the AWS account `{name}` was changed at the same moment")]
    Changed { name: String },
}

// === impl AwsAccountRefusal ===

impl From<&AwsAccountRefusal> for Problem {
    fn from(refusal: &AwsAccountRefusal) -> Self {
        use AwsAccountRefusal as R;
        match refusal {
            R::NotHere => problem(
                409,
                "no-aws-accounts",
                "This installation has no nodes in organisations' own AWS accounts.",
                "Its operator makes it somebody at AWS (`aws`), with nodes on EC2 (`nodes.ec2`) and tunnels (`tunnel_address`).",
            ),
            R::NameTaken { name } => Self {
                field: Some("name".to_owned()),
                ..problem(
                    409,
                    "aws-account-name-taken",
                    format!("Your organisation already has an AWS account named `{name}`."),
                    "Choose another name, or change that one: `updraft aws-account update`.",
                )
            },
            R::InUse { name, clusters } => problem(
                409,
                "aws-account-in-use",
                format!("In `{name}` there are clusters: `{}`.", clusters.join("`, `")),
                "Delete them first: a cluster stays in the account that it was made in.",
            ),
            R::NotConfigured { name } => problem(
                409,
                "aws-account-not-configured",
                format!("Nothing is said of `{name}` yet that could be looked at."),
                format!("Say which role, region and subnets: `updraft aws-account update {name}`."),
            ),
            R::NoNextExternalId { name } => problem(
                409,
                "no-next-external-id",
                format!("No external id waits to take the place of the one of `{name}`."),
                format!("Make one: `updraft aws-account rotate-external-id {name}`."),
            ),
            R::NextNotTaken { name, why } => problem(
                409,
                "next-external-id-not-taken",
                format!(
                    "`{name}` stays with its present external id, since Updraft does not get in by the next one."
                ),
                format!(
                    "{why}. Put both in the role's trust policy (`updraft aws-account rotate-external-id {name}` prints it), give AWS a \
                     minute, and finish again."
                ),
            ),
            R::Changed { name } => problem(
                409,
                "aws-account-changed",
                format!("Somebody changed `{name}` at the same moment."),
                "Look at it, and try again.",
            ),
        }
    }
}
