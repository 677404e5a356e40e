//! Where a cluster's logs lie: in its own bucket, or in one of its tenant's, which is tried before it is taken.

use std::error::Error as _;
use std::time::Duration;

use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt as _};
use tokio::time::timeout;
use updraft_authz::Actor;
use updraft_model::{ClusterId, CredentialKind, LogBucketSpec, LogsSpec, TenantId};
use updraft_provider::StorageAccess;
use updraft_store::secrets::{MasterKey, SecretError};
use updraft_store::{PgConnection, credentials};
use uuid::Uuid;

use crate::bucket_keys::bucket_keys;
use crate::dags::sources;
use crate::{App, AppError};

const LONGEST_DAYS: u32 = 3650;
/// In the cluster's own bucket.
const PREFIX: &str = "logs/";
/// Trying a bucket out, all of it.
const TRIED_WITHIN: Duration = Duration::from_secs(10);

/// A place for logs, and what opens it.
#[derive(Clone, Debug)]
pub struct LogPlace {
    pub access: StorageAccess,
    /// Of all logs of the cluster: `logs/`.
    pub prefix: String,
    /// The tenant's: reached by the outbound policy.
    pub foreign: bool,
}

// === impl LogPlace ===

impl LogPlace {
    /// In the bucket that the cluster was given.
    #[must_use]
    pub fn own(access: StorageAccess) -> Self {
        Self {
            access,
            prefix: PREFIX.to_owned(),
            foreign: false,
        }
    }

    /// Where the spec says. None: the credential that it names is gone, or gives no keys.
    ///
    /// # Errors
    /// When the database cannot be asked, or the credential's secret does not open.
    pub async fn of(
        connection: &mut PgConnection,
        key: &MasterKey,
        (tenant, cluster): (TenantId, ClusterId),
        spec: &LogsSpec,
        own: StorageAccess,
    ) -> Result<Option<Self>, SecretError> {
        match &spec.bucket {
            None => Ok(Some(Self::own(own))),
            Some(bucket) => {
                let below = format!("{}{tenant}/cluster-{cluster}/logs/", bucket.prefix);
                Self::foreign(connection, key, tenant, bucket, below).await
            }
        }
    }

    async fn foreign(
        connection: &mut PgConnection,
        key: &MasterKey,
        tenant: TenantId,
        bucket: &LogBucketSpec,
        prefix: String,
    ) -> Result<Option<Self>, SecretError> {
        let opened = credentials::open(connection, key, tenant, &bucket.credential).await?;
        Ok(opened.as_ref().and_then(bucket_keys).map(|keys| Self {
            access: StorageAccess {
                endpoint: endpoint(bucket),
                region: bucket.region.clone(),
                bucket: bucket.bucket.clone(),
                access_key: keys.access_key,
                secret_key: keys.secret_key,
                session_token: keys.session_token,
            },
            prefix,
            foreign: true,
        }))
    }
}

fn endpoint(bucket: &LogBucketSpec) -> String {
    let of_aws = || format!("https://s3.{}.amazonaws.com", bucket.region);
    bucket.endpoint.clone().unwrap_or_else(of_aws)
}

impl App {
    /// Refuses a bucket that can't be written to, listed and cleaned with its credential, before anything depends on it.
    /// The actor's right to say so was checked.
    pub(crate) async fn try_log_bucket(&self, actor: &Actor, spec: &LogsSpec) -> Result<(), AppError> {
        let Some(bucket) = &spec.bucket else { return Ok(()) };
        check(spec)?;
        self.try_role(actor.tenant, &bucket.credential, "logs.bucket.credential")
            .await?;
        let prefix = format!("{}{}/", bucket.prefix, actor.tenant);
        let mut connection = self.store().connection().await?;
        let key = &self.config().master_key;
        let place = LogPlace::foreign(&mut connection, key, actor.tenant, bucket, prefix).await?;
        drop(connection);
        let place = place.ok_or_else(|| no_credential(bucket))?;
        let refuse = |why: String| AppError::invalid("logs.bucket", why);
        let store = self.log_reader().open(&place).map_err(refuse)?;
        match timeout(TRIED_WITHIN, written(&*store, &place.prefix)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(refuse(fault(bucket, &error))),
            Err(_) => Err(refuse(format!(
                "{} did not answer within {} s: check its endpoint and region",
                endpoint(bucket),
                TRIED_WITHIN.as_secs()
            ))),
        }
    }
}

/// Refuses a credential that went away while the bucket was tried.
pub(crate) async fn check_named(
    connection: &mut PgConnection,
    tenant: TenantId,
    spec: &LogsSpec,
) -> Result<(), AppError> {
    let Some(bucket) = &spec.bucket else { return Ok(()) };
    let found = credentials::find(connection, tenant, &bucket.credential).await?;
    match found.map(|found| found.config.kind()) {
        Some(CredentialKind::S3Keys | CredentialKind::AwsRole) => Ok(()),
        _ => Err(no_credential(bucket)),
    }
}

fn no_credential(bucket: &LogBucketSpec) -> AppError {
    let why = format!(
        "there is no credential `{}` of kind `s3_keys` or `aws_role`: an owner makes it with `updraft credential create`",
        bucket.credential
    );
    AppError::invalid("logs.bucket.credential", why)
}

/// All that shipping, reading and keeping house do there.
async fn written(store: &dyn ObjectStore, prefix: &str) -> Result<(), StoreError> {
    let place = Path::from(format!("{prefix}updraft-was-here-{}", Uuid::now_v7()));
    store
        .put(&place, "Updraft tried whether it can write here.\n".into())
        .await?;
    store.get(&place).await?.bytes().await?;
    store.list_with_delimiter(Some(&Path::from(prefix))).await?;
    store.delete(&place).await
}

/// What a person can do something about; the store's own words stay in the log.
fn fault(bucket: &LogBucketSpec, error: &StoreError) -> String {
    tracing::info!(bucket = bucket.bucket, %error, source = ?error.source(), "a log bucket was refused");
    let (name, region) = (&bucket.bucket, &bucket.region);
    match error {
        StoreError::NotFound { .. } => format!("there is no bucket `{name}` in `{region}`: check both names"),
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => format!(
            "the credential `{}` is refused by `{name}`: it needs s3:PutObject, s3:GetObject, s3:DeleteObject below \
             the prefix, and s3:ListBucket",
            bucket.credential
        ),
        _ => format!(
            "`{name}` can't be written to at {}: check bucket, region and endpoint, and that the endpoint is a public \
             one, or opened by your operator",
            endpoint(bucket)
        ),
    }
}

/// What makes no sense, by field. Pure.
pub(crate) fn check(spec: &LogsSpec) -> Result<(), AppError> {
    if !(1..=LONGEST_DAYS).contains(&spec.retention_days) {
        let why = format!("logs are kept for 1 to {LONGEST_DAYS} days");
        return Err(AppError::invalid("logs.retention_days", why));
    }
    let Some(bucket) = &spec.bucket else { return Ok(()) };
    // A key stands for what the prefix is the beginning of.
    let key = format!("{}logs", bucket.prefix);
    let whole = bucket.prefix.is_empty() || bucket.prefix.ends_with('/');
    let plain = bucket
        .prefix
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_./=".contains(&byte));
    if !whole || !plain || bucket.prefix.len() > 200 {
        let why = "use a key prefix like `airflow/`: up to 200 letters, digits and -_.=/, ending in a slash, or none";
        return Err(AppError::invalid("logs.bucket.prefix", why));
    }
    match sources::object_fault(&bucket.bucket, &key, &bucket.region, bucket.endpoint.as_deref()) {
        None => Ok(()),
        Some(("key", _)) => {
            let why = "use a key prefix like `airflow/`, without a slash in front, or none";
            Err(AppError::invalid("logs.bucket.prefix", why))
        }
        Some((field, why)) => Err(AppError::invalid(format!("logs.bucket.{field}"), why)),
    }
}

#[cfg(test)]
mod tests {
    use updraft_model::{LogBucketSpec, LogsSpec};

    use super::{StoreError, check, fault};
    use crate::AppError;

    fn own(prefix: &str, endpoint: Option<&str>) -> LogsSpec {
        LogsSpec {
            retention_days: 30,
            bucket: Some(LogBucketSpec {
                bucket: "acme-logs".into(),
                prefix: prefix.into(),
                region: "eu-west-1".into(),
                endpoint: endpoint.map(str::to_owned),
                credential: "logs".parse().unwrap(),
            }),
        }
    }

    #[test]
    fn what_a_store_says_becomes_what_to_do_about_it() {
        let spec = own("", None).bucket.unwrap();
        let path = || "updraft-was-here".to_owned();
        let none = StoreError::NotFound {
            path: path(),
            source: "NoSuchBucket".into(),
        };
        assert!(fault(&spec, &none).contains("there is no bucket `acme-logs` in `eu-west-1`"));
        let denied = StoreError::PermissionDenied {
            path: path(),
            source: "AccessDenied: arn:aws:iam::1".into(),
        };
        let said = fault(&spec, &denied);
        assert!(said.contains("s3:PutObject") && !said.contains("arn:"), "{said}");
        let away = StoreError::Generic {
            store: "S3",
            source: "connection to 10.0.0.7 refused".into(),
        };
        let said = fault(&spec, &away);
        assert!(
            said.contains("https://s3.eu-west-1.amazonaws.com") && !said.contains("10.0"),
            "{said}"
        );
    }

    fn refused(spec: &LogsSpec) -> String {
        match check(spec) {
            Err(AppError::Invalid { field, .. }) => field,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_field() {
        for days in [0, 3651] {
            let spec = LogsSpec {
                retention_days: days,
                bucket: None,
            };
            assert_eq!(refused(&spec), "logs.retention_days");
        }
        for prefix in ["/a/", "a", "a//b/", "../", "a b/", "a\u{e9}/"] {
            assert_eq!(refused(&own(prefix, None)), "logs.bucket.prefix", "{prefix}");
        }
        assert_eq!(
            refused(&own("", Some("http://storage.example"))),
            "logs.bucket.endpoint"
        );
        for prefix in ["", "airflow/", "a/b=c/"] {
            check(&own(prefix, Some("https://storage.example"))).unwrap();
        }
    }
}
