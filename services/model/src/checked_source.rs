//! What is refused of a DAG source, by name, and which credentials are for it: the one place that knows.
//!
//! What is let through here still passes the node's outbound policy when it is fetched: this is about what an address
//! says, not about where it leads.

use crate::address::{git_address, host_of, is_bucket, is_https, is_reference, is_region, is_relative};
use crate::{CredentialConfig, DagFolder, DagSource};

/// A field of a source that cannot be as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceFault {
    pub field: &'static str,
    /// What to do.
    pub why: &'static str,
}

// === impl DagSource ===

impl DagSource {
    /// As it is written down.
    ///
    /// # Errors
    /// The first field that cannot be.
    pub fn checked(self) -> Result<Self, SourceFault> {
        Ok(match self {
            Self::ClusterBucket { prefix } => Self::ClusterBucket {
                prefix: own_prefix(&prefix)?,
            },
            Self::Push {} => Self::Push {},
            Self::S3 {
                bucket,
                prefix,
                region,
                endpoint,
                credential,
                queue_url,
            } => {
                check(
                    "bucket",
                    is_bucket(&bucket),
                    "use a bucket's name: 3 to 63 of a-z, 0-9, `.` and `-`",
                )?;
                check(
                    "region",
                    is_region(&region),
                    "use a region's name like `eu-west-1`",
                )?;
                https("endpoint", endpoint.as_deref())?;
                https("queue_url", queue_url.as_deref())?;
                Self::S3 {
                    prefix: foreign_prefix(&prefix)?,
                    bucket,
                    region,
                    endpoint,
                    credential,
                    queue_url,
                }
            }
            Self::Git {
                url,
                reference,
                path,
                submodules,
                credential,
            } => {
                check(
                    "ref",
                    is_reference(&reference),
                    "name a branch, tag or commit like `main`",
                )?;
                let path = path.trim_end_matches('/').to_owned();
                let why =
                    "name a directory of the repository like `dags` or `airflow/dags`, or none for all of it";
                check("path", path.is_empty() || is_relative(&path), why)?;
                let url = git_address(&url).map_err(|why| SourceFault { field: "url", why })?;
                let why = "git over ssh needs a credential of kind `ssh_key`: make one with `updraft credential create`";
                check(
                    "credential",
                    credential.is_some() || !url.starts_with("ssh:"),
                    why,
                )?;
                Self::Git {
                    url,
                    reference,
                    path,
                    submodules,
                    credential,
                }
            }
        })
    }

    /// Whether its server shows a certificate.
    #[must_use]
    pub fn is_by_https(&self) -> bool {
        match self {
            Self::S3 { .. } => true,
            Self::Git { url, .. } => url.starts_with("https:"),
            Self::ClusterBucket { .. } | Self::Push {} => false,
        }
    }
}

/// Whether a credential is one for this source: the right kind, and for its host.
///
/// # Errors
/// Why not, and what to do.
pub fn credential_fits(source: &DagSource, credential: &CredentialConfig) -> Result<(), &'static str> {
    match (source, credential) {
        (DagSource::Git { url, .. }, CredentialConfig::GitToken { host, .. })
            if url.starts_with("https:") =>
        {
            match host_of(url).is_some_and(|named| named == *host) {
                true => Ok(()),
                false => Err("this token is for another host: make a credential for the host of `url`"),
            }
        }
        (DagSource::Git { url, .. }, CredentialConfig::SshKey { .. }) if url.starts_with("ssh:") => Ok(()),
        (DagSource::S3 { .. }, CredentialConfig::S3Keys { .. } | CredentialConfig::AwsRole { .. }) => Ok(()),
        (DagSource::Git { .. }, _) => {
            Err("name a credential of kind `git_token` for an https address, `ssh_key` for an ssh one")
        }
        (DagSource::S3 { .. }, _) => Err("name a credential of kind `s3_keys` or `aws_role`"),
        (DagSource::ClusterBucket { .. } | DagSource::Push {}, _) => Err("this source takes no credential"),
    }
}

/// Where the pushes for a folder lie in the cluster's bucket. No folder begins with `_`.
#[must_use]
pub fn push_prefix(folder: &DagFolder) -> String {
    match folder.as_str() {
        "" => "updraft/pushes/_top/".to_owned(),
        name => format!("updraft/pushes/{name}/"),
    }
}

/// Within the cluster's own bucket, made to end in `/`.
fn own_prefix(prefix: &str) -> Result<String, SourceFault> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.=".contains(c);
    let well_formed = prefix.len() <= 200
        && prefix
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && part.chars().all(fine));
    // Updraft keeps its own objects under `updraft/` of the same bucket.
    let free = prefix.split('/').next() != Some("updraft");
    let why = "use a key prefix like `dags/`: letters, digits and -_.= between single slashes, not below `updraft/`";
    check("prefix", well_formed && free, why)?;
    Ok(format!("{prefix}/"))
}

/// Within a bucket of the tenant's own, where other characters may be in use.
fn foreign_prefix(prefix: &str) -> Result<String, SourceFault> {
    let plain = prefix.strip_suffix('/').unwrap_or(prefix);
    let why = "use a key prefix like `dags/`, without a slash in front, or none for the whole bucket";
    check("prefix", plain.is_empty() || is_relative(plain), why)?;
    Ok(if plain.is_empty() {
        String::new()
    } else {
        format!("{plain}/")
    })
}

fn check(field: &'static str, fine: bool, why: &'static str) -> Result<(), SourceFault> {
    if fine {
        return Ok(());
    }
    Err(SourceFault { field, why })
}

fn https(field: &'static str, address: Option<&str>) -> Result<(), SourceFault> {
    let why = "use an `https://` address without user, password or fragment";
    check(field, address.is_none_or(is_https), why)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{DagSource, SourceFault};

    fn alone(source: Value) -> Result<DagSource, SourceFault> {
        serde_json::from_value::<DagSource>(source).unwrap().checked()
    }

    fn refused_field(answer: Result<DagSource, SourceFault>) -> &'static str {
        let fault = answer.expect_err("it was let through");
        assert!(!fault.why.is_empty());
        fault.field
    }

    fn git(url: &str) -> Value {
        json!({"kind": "git", "url": url, "credential": "key"})
    }

    #[test]
    fn dag_prefixes_stay_in_the_tenants_part_of_the_bucket() {
        for bad in [
            "",
            "/",
            "/dags",
            "a//b",
            "../x",
            "a/./b",
            "updraft/dag-versions",
            "updraft",
            "a b",
            "a\\b",
        ] {
            let source = json!({"kind": "cluster_bucket", "prefix": bad});
            assert_eq!(refused_field(alone(source)), "prefix", "{bad}");
        }
        let source = alone(json!({"kind": "cluster_bucket", "prefix": "team/dags"})).unwrap();
        assert_eq!(source.to_string(), "the cluster's bucket, team/dags/");
    }

    #[test]
    fn git_is_fetched_by_https_and_ssh_only() {
        for bad in [
            "file:///etc",
            "ext::sh -c id",
            "git://example.com/r",
            "http://example.com/r",
            "/srv/repo",
            "../repo",
            "-oProxyCommand=id",
            "--upload-pack=id",
            "https://user:word@example.com/r",
            "https://token@example.com/r",
            "https://example.com/",
            "https://example.com",
            "https:///r",
            "https://example.com/r?x=1",
            "https://example.com/r#x",
            "https://exa mple.com/r",
            "https://example.com/r\n--x",
            "ssh://-oProxyCommand=id/r",
            "ssh://-x@example.com/r",
            "ssh://git:word@example.com/r",
            "ssh://git@example.com/-r",
            "git@:r",
            "-x@example.com:r",
            "",
        ] {
            assert_eq!(refused_field(alone(git(bad))), "url", "{bad}");
        }
        for (given, kept) in [
            ("https://example.com/a/b.git", "https://example.com/a/b.git"),
            ("git@example.com:a/b.git", "ssh://git@example.com/a/b.git"),
            ("ssh://example.com/b", "ssh://git@example.com/b"),
            ("ssh://me@example.com:2222/b", "ssh://me@example.com:2222/b"),
        ] {
            let DagSource::Git { url, .. } = alone(git(given)).unwrap() else {
                panic!("no longer git")
            };
            assert_eq!(url, kept);
        }
    }

    #[test]
    fn references_and_paths_are_no_options_and_stay_within() {
        let with = |field: &str, value: &str| {
            let mut source = git("https://example.com/r");
            source[field] = json!(value);
            alone(source)
        };
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "a..b",
            "a b",
            "a~1",
            "a:b",
            "refs/heads/x.lock",
            "a/",
            "/a",
            ".a",
            "a\n",
        ] {
            assert_eq!(refused_field(with("ref", bad)), "ref", "{bad}");
        }
        for good in [
            "main",
            "v1.2.3",
            "feature/x-1",
            "3f9ac27bd0e14c5599aa3f9ac27bd0e14c5599aa",
        ] {
            assert!(with("ref", good).is_ok(), "{good}");
        }
        for bad in [
            "/x", "../x", "a/../b", "a//b", "-x", ".git", "a/.git/b", "a\\b", "a\0",
        ] {
            assert_eq!(refused_field(with("path", bad)), "path", "{bad}");
        }
        for good in ["", "dags", "a/b.c/d e/"] {
            assert!(with("path", good).is_ok(), "{good}");
        }
    }

    #[test]
    fn ssh_needs_a_key() {
        let source = json!({"kind": "git", "url": "git@example.com:r"});
        assert_eq!(refused_field(alone(source)), "credential");
        assert!(alone(json!({"kind": "git", "url": "https://example.com/r"})).is_ok());
    }

    #[test]
    fn buckets_of_ones_own_have_names_regions_and_https_addresses() {
        let with = |field: &str, value: &str| {
            let mut source = json!({"kind": "s3", "bucket": "my-bucket", "region": "eu-west-1"});
            source[field] = json!(value);
            alone(source)
        };
        for (field, bad) in [
            ("bucket", "My_Bucket"),
            ("bucket", "a"),
            ("bucket", "a/b"),
            ("region", ""),
            ("region", "x/y"),
            ("prefix", "/x"),
            ("prefix", "a/../b"),
            ("endpoint", "http://example.com"),
            ("endpoint", "https://a:b@example.com"),
            ("endpoint", "file:///x"),
            ("queue_url", "http://sqs.example.com/q"),
        ] {
            assert_eq!(refused_field(with(field, bad)), field, "{bad}");
        }
        assert_eq!(
            with("prefix", "dags").unwrap().to_string(),
            "s3://my-bucket/dags/"
        );
        assert!(with("endpoint", "https://minio.example.com:9000").is_ok());
    }
}
