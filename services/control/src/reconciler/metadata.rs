//! What nodes say of metadata databases that tenants bring, in the planner's words.

use updraft_api::agent::{MetadataOutcome, MetadataRefusal, MetadataReport};
use updraft_model::Failure;

/// Why services do not start on a node.
pub(super) fn failure(report: &MetadataReport) -> Option<Failure> {
    match &report.outcome {
        MetadataOutcome::Refused { cause, message } => Some(explained(*cause, message)),
        MetadataOutcome::Running | MetadataOutcome::Done => None,
    }
}

/// The cause is ours to explain; the message has the server's own words.
fn explained(cause: MetadataRefusal, message: &str) -> Failure {
    let remedy = match cause {
        MetadataRefusal::Forbidden => {
            "Use an address that nodes may reach, or ask the operator to allow it (`--outbound-allow HOST:PORT`)."
        }
        MetadataRefusal::Unreachable => {
            "Check host and port, that the server runs, and that its firewall or security group lets the cluster's nodes in."
        }
        MetadataRefusal::Credentials => {
            "Correct user, password or database: stop the cluster, `updraft cluster update NAME --metadata-dsn-file FILE`, start it."
        }
        MetadataRefusal::Tls => {
            "Give the authority's certificates (`--metadata-ca-file`), or an `sslmode` that the server speaks; stop the cluster first."
        }
        MetadataRefusal::Version => "Upgrade the server, or use another database.",
        MetadataRefusal::Rights => {
            "Make the user the database's owner (`alter database NAME owner to USER`), or name the server that takes writes."
        }
        MetadataRefusal::Foreign => "Use an empty database, or one that only Airflow has used.",
        MetadataRefusal::Newer => "Use a runtime as new as that Airflow, or an empty database.",
        MetadataRefusal::InUse => "Use another database, or take this one over as the message says.",
        MetadataRefusal::Migration => "Correct what the message names in the database, or use an empty one.",
        MetadataRefusal::Failed => "Look at the node's agent if it stays.",
    };
    Failure {
        code: "metadata_database_refused".to_owned(),
        message: format!(
            "The cluster's own metadata database is not used. {}",
            message.trim()
        ),
        remedy: format!("{remedy} It is tried again by itself."),
    }
}

#[cfg(test)]
mod tests {
    use updraft_api::agent::{MetadataOutcome, MetadataRefusal, MetadataReport};

    use super::failure;

    #[test]
    fn only_a_refusal_is_a_failure_and_it_says_what_to_do() {
        let said = |outcome| {
            failure(&MetadataReport {
                digest: String::new(),
                outcome,
            })
        };
        assert_eq!(said(MetadataOutcome::Running), None);
        assert_eq!(said(MetadataOutcome::Done), None);
        let refused = MetadataOutcome::Refused {
            cause: MetadataRefusal::Unreachable,
            message: "It can't be reached: timeout".to_owned(),
        };
        let failure = said(refused).unwrap();
        assert_eq!(failure.code, "metadata_database_refused");
        assert!(failure.message.ends_with("It can't be reached: timeout"));
        assert!(failure.remedy.contains("security group"));
    }
}
