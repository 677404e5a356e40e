//! How long a cluster's logs are kept, and where.

use clap::Args;
use updraft_model::{DagSource, FolderSource, LogBucketSpec, LogsSpec};

use crate::cli::error::{CliError, Exit};

const HOW: &str = "write s3://BUCKET/PREFIX#region=REGION&credential=NAME";

#[derive(Args, Debug)]
pub(crate) struct LogsArgs {
    /// Days that logs are kept, 1 to 3650 [default: 90]
    #[arg(long, value_name = "DAYS", group = "change")]
    log_retention: Option<u32>,
    /// A bucket of your own for logs, s3://BUCKET/PREFIX/#region=REGION&credential=NAME (and &endpoint=https://… if it is not
    /// AWS); it is written to before it is taken. Logs shipped so far stay where they are
    #[arg(long, value_name = "BUCKET", group = "change")]
    log_bucket: Option<String>,
    /// Go back to the cluster's own bucket
    #[arg(long, conflicts_with = "log_bucket", group = "change")]
    no_log_bucket: bool,
}

// === impl LogsArgs ===

impl LogsArgs {
    /// None: it stays as it is.
    pub(super) fn asked(&self, before: &LogsSpec) -> Result<Option<LogsSpec>, CliError> {
        let bucket = match &self.log_bucket {
            Some(typed) => Some(bucket(typed)?),
            None if self.no_log_bucket => None,
            None => before.bucket.clone(),
        };
        let asked = LogsSpec {
            retention_days: self.log_retention.unwrap_or(before.retention_days),
            bucket,
        };
        Ok((asked != *before).then_some(asked))
    }
}

/// Typed like a DAG source of the same place.
fn bucket(typed: &str) -> Result<LogBucketSpec, CliError> {
    let refuse = |why: String| {
        CliError::new(Exit::Usage, format!("`{typed}` is no bucket for logs"))
            .why(why)
            .next(HOW)
    };
    let source = typed
        .parse::<FolderSource>()
        .map_err(|error| refuse(error.to_string()))?;
    match source.source {
        DagSource::S3 {
            bucket,
            prefix,
            region,
            endpoint,
            credential: Some(credential),
            queue_url: None,
        } => Ok(LogBucketSpec {
            bucket,
            prefix,
            region,
            endpoint,
            credential,
        }),
        DagSource::S3 { .. } => Err(refuse("it names no credential, or a queue".to_owned())),
        DagSource::ClusterBucket { .. } | DagSource::Push {} | DagSource::Git { .. } => {
            Err(refuse("it is no bucket of S3".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use updraft_model::LogsSpec;

    use super::{LogsArgs, bucket};

    #[test]
    fn a_bucket_is_typed_like_a_dag_source() {
        let spec = bucket("s3://acme-logs/airflow/#region=eu-west-1&credential=logs").unwrap();
        assert_eq!(
            (spec.bucket.as_str(), spec.prefix.as_str()),
            ("acme-logs", "airflow/")
        );
        assert_eq!(
            (spec.region.as_str(), spec.credential.as_str()),
            ("eu-west-1", "logs")
        );
        for wrong in ["s3://acme-logs/#region=eu-west-1", "push", "acme-logs"] {
            assert!(bucket(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_said_stays() {
        let before = LogsSpec::default();
        let args = |days| LogsArgs {
            log_retention: days,
            log_bucket: None,
            no_log_bucket: false,
        };
        assert_eq!(args(None).asked(&before).unwrap(), None);
        let asked = args(Some(7)).asked(&before).unwrap().unwrap();
        assert_eq!((asked.retention_days, asked.bucket), (7, None));
    }
}
