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
        }
    }
}
