//! What a cluster's bucket at AWS is to have besides being there: TLS asked of everybody, parts of uploads that were never
//! finished removed, and what is written encrypted.
//!
//! What is there already stays, whatever it says: an operator's own policy, rules or key are theirs. So each setting is looked for
//! before it is made, at each start of the cluster, and a bucket that an earlier release made gets what it lacks. Where Updraft may
//! not, the cluster starts all the same: AWS encrypts with a key of its own in any case, and nodes ask with TLS.

use anyhow::bail;
use futures::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::buckets::{ControlBucket, code};

/// Unfinished uploads are nobody's after so many days: a node that was lost does not come back to them.
const UNFINISHED_DAYS: u32 = 7;

/// One setting: its name in a request, how a bucket without it is told, and what it is to be.
pub(super) struct Setting {
    pub(super) name: &'static str,
    missing: &'static str,
    pub(super) wanted: String,
}

// === impl ControlBucket ===

impl ControlBucket {
    /// What is missing is made; what could not be is told to the log.
    pub(super) async fn settle(&self) {
        let settings = settings(&self.bucket.name, &self.bucket.region);
        let done = join_all(settings.iter().map(|setting| self.set_if_missing(setting))).await;
        for (setting, done) in settings.iter().zip(done) {
            if let Err(error) = done {
                tracing::warn!(
                    bucket = self.bucket.name,
                    setting = setting.name,
                    error = format!("{error:#}"),
                    "a bucket has not all the settings that it should: see that control's role has the policy of terraform/modules/updraft"
                );
            }
        }
    }

    /// Whether it had to be made.
    pub(super) async fn set_if_missing(&self, setting: &Setting) -> anyhow::Result<bool> {
        let (status, said) = self.setting(&Method::GET, setting.name, String::new()).await?;
        match status {
            StatusCode::OK => return Ok(false),
            StatusCode::NOT_FOUND if said.contains(setting.missing) => {}
            _ => bail!("it could not be read: {}", code(status, &said)),
        }
        match self
            .setting(&Method::PUT, setting.name, setting.wanted.clone())
            .await?
        {
            (StatusCode::OK | StatusCode::NO_CONTENT, _) => Ok(true),
            (status, said) => bail!("it could not be set: {}", code(status, &said)),
        }
    }
}

/// What each missing one is answered with:
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList>.
pub(super) fn settings(bucket: &str, region: &str) -> [Setting; 3] {
    [
        Setting {
            name: "encryption",
            missing: "ServerSideEncryptionConfigurationNotFoundError",
            wanted: "<ServerSideEncryptionConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule>\
                     <ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>\
                     </Rule></ServerSideEncryptionConfiguration>"
                .to_owned(),
        },
        Setting {
            name: "policy",
            missing: "NoSuchBucketPolicy",
            wanted: by_tls_only(bucket, region),
        },
        Setting {
            name: "lifecycle",
            missing: "NoSuchLifecycleConfiguration",
            wanted: format!(
                "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule><ID>unfinished</ID>\
                 <Filter><Prefix></Prefix></Filter><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>\
                 {UNFINISHED_DAYS}</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"
            ),
        },
    ]
}

fn by_tls_only(bucket: &str, region: &str) -> String {
    let partition = match region {
        china if china.starts_with("cn-") => "aws-cn",
        government if government.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    let bucket = format!("arn:{partition}:s3:::{bucket}");
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "ByTlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [bucket, format!("{bucket}/*")],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_named_as_its_part_of_aws_names_it() {
        for (region, arn) in [
            ("eu-central-1", "\"arn:aws:s3:::b/*\""),
            ("cn-north-1", "\"arn:aws-cn:s3:::b/*\""),
            ("us-gov-east-1", "\"arn:aws-us-gov:s3:::b/*\""),
        ] {
            let policy = by_tls_only("b", region);
            assert!(policy.contains(arn), "{policy}");
        }
    }
}
