//! Where DAGs may come from; refuses by name what cannot be read safely. Pure.
//!
//! What is let through here still passes the node's outbound policy when it is fetched: this is about what an address
//! says, not about where it leads.

use updraft_model::{CredentialConfig, DagFolder, DagSource, FolderSource};
use url::Url;

use crate::AppError;

const MAX_SOURCES: usize = 20;
const LONGEST: usize = 500;

/// What a cluster has unless it is told otherwise.
pub(crate) fn default_sources() -> Vec<FolderSource> {
    vec![FolderSource {
        folder: DagFolder::default(),
        source: DagSource::ClusterBucket {
            prefix: "dags/".to_owned(),
        },
    }]
}

/// The sources asked for, each as it is written down.
pub(crate) fn checked(asked: Vec<FolderSource>) -> Result<Vec<FolderSource>, AppError> {
    if asked.is_empty() || asked.len() > MAX_SOURCES {
        let why = format!("name 1 to {MAX_SOURCES} sources");
        return Err(AppError::invalid("dag_sources", why));
    }
    for (index, one) in asked.iter().enumerate() {
        let alone = !one.folder.is_top() || asked.len() == 1;
        if !alone || asked[..index].iter().any(|other| other.folder == one.folder) {
            let why = "give each source a folder of its own; a source for the top (an empty folder) is the only one";
            return Err(AppError::invalid(format!("dag_sources[{index}].folder"), why));
        }
    }
    let each = asked.into_iter().enumerate().map(|(index, one)| {
        let at = At(format!("dag_sources[{index}].source"));
        Ok(FolderSource {
            source: source(&at, one.source)?,
            ..one
        })
    });
    each.collect()
}

/// The place of a source in the request.
struct At(String);

fn source(at: &At, asked: DagSource) -> Result<DagSource, AppError> {
    Ok(match asked {
        DagSource::ClusterBucket { prefix } => DagSource::ClusterBucket {
            prefix: own_prefix(at, &prefix)?,
        },
        DagSource::Push {} => DagSource::Push {},
        DagSource::S3 {
            bucket,
            prefix,
            region,
            endpoint,
            credential,
            queue_url,
        } => {
            at.check(
                "bucket",
                is_bucket(&bucket),
                "use a bucket's name: 3 to 63 of a-z, 0-9, `.` and `-`",
            )?;
            at.check(
                "region",
                is_region(&region),
                "use a region's name like `eu-west-1`",
            )?;
            at.https("endpoint", endpoint.as_deref())?;
            at.https("queue_url", queue_url.as_deref())?;
            DagSource::S3 {
                prefix: foreign_prefix(at, &prefix)?,
                bucket,
                region,
                endpoint,
                credential,
                queue_url,
            }
        }
        DagSource::Git {
            url,
            reference,
            path,
            submodules,
            credential,
        } => {
            at.check(
                "ref",
                is_reference(&reference),
                "name a branch, tag or commit like `main`",
            )?;
            let path = path.trim_end_matches('/').to_owned();
            let why =
                "name a directory of the repository like `dags` or `airflow/dags`, or none for all of it";
            at.check("path", path.is_empty() || is_relative(&path), why)?;
            let url = git_address(at, &url)?;
            let why = "git over ssh needs a credential of kind `ssh_key`: make one with `updraft credential create`";
            at.check(
                "credential",
                credential.is_some() || !url.starts_with("ssh:"),
                why,
            )?;
            DagSource::Git {
                url,
                reference,
                path,
                submodules,
                credential,
            }
        }
    })
}

/// Within the cluster's own bucket, made to end in `/`.
fn own_prefix(at: &At, prefix: &str) -> Result<String, AppError> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.=".contains(c);
    let well_formed = prefix.len() <= 200
        && prefix
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && part.chars().all(fine));
    // Updraft keeps its own objects under `updraft/` of the same bucket.
    let free = prefix.split('/').next() != Some("updraft");
    let why = "use a key prefix like `dags/`: letters, digits and -_.= between single slashes, not below `updraft/`";
    at.check("prefix", well_formed && free, why)?;
    Ok(format!("{prefix}/"))
}

/// Within a bucket of the tenant's own, where other characters may be in use.
fn foreign_prefix(at: &At, prefix: &str) -> Result<String, AppError> {
    let plain = prefix.strip_suffix('/').unwrap_or(prefix);
    let why = "use a key prefix like `dags/`, without a slash in front, or none for the whole bucket";
    at.check("prefix", plain.is_empty() || is_relative(plain), why)?;
    Ok(if plain.is_empty() {
        String::new()
    } else {
        format!("{plain}/")
    })
}

/// An https or ssh address without anything that git would take for more than an address.
fn git_address(at: &At, asked: &str) -> Result<String, AppError> {
    let why = "use `https://host/path` or `ssh://git@host/path`: no other scheme is fetched from";
    let written = scp_like(asked).unwrap_or_else(|| asked.to_owned());
    let plain = written.len() <= LONGEST && !written.chars().any(|c| c.is_control() || c.is_whitespace());
    let url = Url::parse(&written).ok().filter(|_| plain);
    let Some(url) = url.filter(|url| matches!(url.scheme(), "https" | "ssh")) else {
        return Err(at.refuse("url", why));
    };
    let secret = url.password().is_some() || (url.scheme() == "https" && !url.username().is_empty());
    let why_secret =
        "leave user and password out: make them a credential with `updraft credential create`, and name it";
    at.check("url", !secret, why_secret)?;
    let host = url.host_str().unwrap_or_default();
    let names = !host.is_empty() && !host.starts_with('-') && is_user(url.username());
    let bare = url.query().is_none() && url.fragment().is_none() && url.path().len() > 1;
    at.check("url", names && bare && !url.path().starts_with("/-"), why)?;
    let mut url = url;
    if url.scheme() == "ssh" && url.username().is_empty() {
        url.set_username("git").map_err(|()| at.refuse("url", why))?;
    }
    Ok(url.to_string())
}

/// `git@host:path`, as git servers show it.
fn scp_like(text: &str) -> Option<String> {
    let (who, path) = text.split_once(':').filter(|_| !text.contains("://"))?;
    let (user, host) = who.split_once('@')?;
    (!path.starts_with('/') && !host.is_empty()).then(|| format!("ssh://{user}@{host}/{path}"))
}

fn is_user(user: &str) -> bool {
    !user.starts_with('-')
        && user
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// What `git check-ref-format` lets through, and commits.
fn is_reference(text: &str) -> bool {
    let fine = |c: char| c.is_ascii_graphic() && !r#"~^:?*[\"'`$;|&<>(){}!#%"#.contains(c);
    (1..=200).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with(['.', '/'])
        && !text.contains("..")
        && text.chars().all(fine)
        && text
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
}

/// Plain steps downwards.
fn is_relative(path: &str) -> bool {
    path.len() <= LONGEST
        && !path.starts_with('-')
        && !path.contains('\\')
        && !path.chars().any(char::is_control)
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && part != ".git")
}

fn is_bucket(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    (3..=63).contains(&name.len())
        && name.chars().all(fine)
        && ends(name.chars().next())
        && ends(name.chars().last())
        && !name.contains("..")
}

fn is_region(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=40).contains(&name.len()) && name.chars().all(fine) && !name.starts_with('-')
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
        (DagSource::S3 { .. }, CredentialConfig::S3Keys { .. }) => Ok(()),
        (DagSource::Git { .. }, _) => {
            Err("name a credential of kind `git_token` for an https address, `ssh_key` for an ssh one")
        }
        (DagSource::S3 { .. }, _) => Err("name a credential of kind `s3_keys`"),
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

/// The host of an address, with its port if that is not the usual one.
fn host_of(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.to_ascii_lowercase();
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    })
}

/// An https address and nothing more.
fn is_https(address: &str) -> bool {
    let plain = address.len() <= LONGEST && !address.chars().any(|c| c.is_control() || c.is_whitespace());
    let url = Url::parse(address).ok().filter(|_| plain);
    url.is_some_and(|url| {
        url.scheme() == "https"
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    })
}

// === impl At ===

impl At {
    fn refuse(&self, field: &str, why: &str) -> AppError {
        AppError::invalid(format!("{}.{field}", self.0), why)
    }

    fn check(&self, field: &str, fine: bool, why: &str) -> Result<(), AppError> {
        if fine {
            Ok(())
        } else {
            Err(self.refuse(field, why))
        }
    }

    fn https(&self, field: &str, address: Option<&str>) -> Result<(), AppError> {
        let Some(address) = address else { return Ok(()) };
        self.check(
            field,
            is_https(address),
            "use an `https://` address without user, password or fragment",
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use updraft_model::{DagSource, FolderSource};

    use super::checked;
    use crate::AppError;

    fn asked(sources: Value) -> Result<Vec<FolderSource>, AppError> {
        checked(serde_json::from_value(sources).unwrap())
    }

    #[expect(clippy::needless_pass_by_value, reason = "it reads better where it is called")]
    fn alone(source: Value) -> Result<DagSource, AppError> {
        asked(json!([{"source": source}])).map(|mut all| all.remove(0).source)
    }

    fn refused_field(answer: Result<impl std::fmt::Debug, AppError>) -> String {
        match answer {
            Err(AppError::Invalid { field, why }) => {
                assert!(!why.is_empty());
                field
            }
            other => panic!("not refused: {other:?}"),
        }
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
            assert_eq!(
                refused_field(alone(source)),
                "dag_sources[0].source.prefix",
                "{bad}"
            );
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
            assert_eq!(
                refused_field(alone(git(bad))),
                "dag_sources[0].source.url",
                "{bad}"
            );
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
            assert_eq!(
                refused_field(with("ref", bad)),
                "dag_sources[0].source.ref",
                "{bad}"
            );
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
            assert_eq!(
                refused_field(with("path", bad)),
                "dag_sources[0].source.path",
                "{bad}"
            );
        }
        for good in ["", "dags", "a/b.c/d e/"] {
            assert!(with("path", good).is_ok(), "{good}");
        }
    }

    #[test]
    fn ssh_needs_a_key() {
        let source = json!({"kind": "git", "url": "git@example.com:r"});
        assert_eq!(refused_field(alone(source)), "dag_sources[0].source.credential");
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
            assert_eq!(
                refused_field(with(field, bad)),
                format!("dag_sources[0].source.{field}"),
                "{bad}"
            );
        }
        assert_eq!(
            with("prefix", "dags").unwrap().to_string(),
            "s3://my-bucket/dags/"
        );
        assert!(with("endpoint", "https://minio.example.com:9000").is_ok());
    }

    #[test]
    fn each_source_has_a_folder_of_its_own() {
        let push = |folder: &str| json!({"folder": folder, "source": {"kind": "push"}});
        assert_eq!(refused_field(asked(json!([]))), "dag_sources");
        assert_eq!(
            refused_field(asked(json!([push(""), push("a")]))),
            "dag_sources[0].folder"
        );
        assert_eq!(
            refused_field(asked(json!([push("a"), push("a")]))),
            "dag_sources[1].folder"
        );
        assert_eq!(asked(json!([push("a"), push("b")])).unwrap().len(), 2);
    }
}
