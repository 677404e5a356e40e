//! DAG sources as people type them: `git+https://host/path@ref#path=dags`, `s3://bucket/prefix#region=eu-west-1`,
//! `bucket:dags/`, `push`; with `folder=` in front for one of several. What they lead to is judged elsewhere.

use std::fmt::Write as _;
use std::str::FromStr;

use thiserror::Error;

use crate::{CaCertificate, CredentialName, DagFolder, DagSource, FolderSource};

const HOW: &str =
    "write push, bucket:PREFIX, s3://BUCKET/PREFIX#region=REGION or git+https://HOST/PATH@REF#path=DIR";

/// What is wrong with a typed source, and how one is written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidSource(String);

// === impl FolderSource ===

impl FromStr for FolderSource {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (folder, source) = folder(text).map_err(InvalidSource)?;
        let (source, ca_certificate) = self::source(source).map_err(InvalidSource)?;
        Ok(Self {
            folder,
            source,
            ca_certificate,
        })
    }
}

impl FolderSource {
    /// As it can be typed again.
    #[must_use]
    pub fn typed(&self) -> String {
        let source = typed(&self.source, self.ca_certificate.as_ref());
        if self.folder.is_top() {
            source
        } else {
            format!("{}={source}", self.folder)
        }
    }
}

fn typed(source: &DagSource, ca: Option<&CaCertificate>) -> String {
    let (place, mut options) = match source {
        DagSource::ClusterBucket { prefix } => (format!("bucket:{prefix}"), Vec::new()),
        DagSource::Push {} => ("push".to_owned(), Vec::new()),
        DagSource::S3 {
            bucket,
            prefix,
            region,
            endpoint,
            credential,
            queue_url,
        } => (
            format!("s3://{bucket}/{prefix}"),
            vec![
                ("region", Some(region.clone())),
                ("endpoint", endpoint.clone()),
                ("credential", credential.as_ref().map(ToString::to_string)),
                ("queue", queue_url.clone()),
            ],
        ),
        DagSource::Git {
            url,
            reference,
            path,
            submodules,
            credential,
        } => (
            format!("git+{url}@{reference}"),
            vec![
                ("path", Some(path.clone()).filter(|path| !path.is_empty())),
                ("submodules", submodules.then(|| "true".to_owned())),
                ("credential", credential.as_ref().map(ToString::to_string)),
            ],
        ),
    };
    options.push(("ca", ca.map(ToString::to_string)));
    let mut text = place;
    let given = options
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    for (number, (name, value)) in given.enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{}{name}={value}", if number == 0 { '#' } else { '&' });
    }
    text
}

/// `team_a=…`; what an address has before its first `=` is no folder.
fn folder(text: &str) -> Result<(DagFolder, &str), String> {
    match text.split_once('=') {
        Some((name, rest)) if !name.contains([':', '#', '/']) => {
            Ok((name.parse().map_err(|error| format!("{error}"))?, rest))
        }
        _ => Ok((DagFolder::default(), text)),
    }
}

fn source(text: &str) -> Result<(DagSource, Option<CaCertificate>), String> {
    let (place, mut options) = Options::of(text)?;
    let source = if place == "push" {
        DagSource::Push {}
    } else if let Some(prefix) = place.strip_prefix("bucket:") {
        DagSource::ClusterBucket {
            prefix: prefix.to_owned(),
        }
    } else if let Some(rest) = place.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        DagSource::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            region: options
                .take("region")
                .ok_or("say where the bucket is: `#region=eu-west-1`")?,
            endpoint: options.take("endpoint"),
            credential: options.credential()?,
            queue_url: options.take("queue"),
        }
    } else {
        git(place, &mut options)?
    };
    let ca = options.take("ca").map(|text| text.parse::<CaCertificate>());
    let ca = ca.transpose().map_err(|error| format!("`ca`: {error}"))?;
    options.used_up()?;
    Ok((source, ca))
}

fn git(place: &str, options: &mut Options<'_>) -> Result<DagSource, String> {
    let url = place.strip_prefix("git+").unwrap_or(place);
    let known = ["https://", "ssh://", "git@"]
        .iter()
        .any(|begin| url.starts_with(begin));
    if !known {
        return Err(HOW.to_owned());
    }
    // An `@` in front of the path is a user's.
    let begins = url.find("://").map_or(0, |at| at + 3);
    let path = url[begins..].find(['/', ':']).map_or(url.len(), |at| begins + at);
    let (url, reference) = match url[path..].rfind('@') {
        Some(at) => (&url[..path + at], &url[path + at + 1..]),
        None => (url, "main"),
    };
    Ok(DagSource::Git {
        url: url.to_owned(),
        reference: reference.to_owned(),
        path: options.take("path").unwrap_or_default(),
        submodules: options.take("submodules").is_some_and(|text| text != "false"),
        credential: options.credential()?,
    })
}

/// `#path=dags&credential=github`
struct Options<'a>(Vec<(&'a str, &'a str)>);

// === impl Options ===

impl<'a> Options<'a> {
    fn of(text: &'a str) -> Result<(&'a str, Self), String> {
        let Some((place, options)) = text.split_once('#') else {
            return Ok((text, Self(Vec::new())));
        };
        let pairs = options.split('&').map(|pair| {
            let whole = pair
                .split_once('=')
                .or_else(|| (pair == "submodules").then_some((pair, "true")));
            whole.ok_or_else(|| format!("`{pair}` is no option: write name=value"))
        });
        Ok((place, Self(pairs.collect::<Result<_, _>>()?)))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(given, _)| *given == name)?;
        Some(self.0.remove(at).1.to_owned())
    }

    fn credential(&mut self) -> Result<Option<CredentialName>, String> {
        let name = self.take("credential").map(|name| name.parse::<CredentialName>());
        name.transpose().map_err(|error| error.to_string())
    }

    fn used_up(self) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("`{name}` is no option of this source")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::FolderSource;

    #[test]
    fn sources_are_typed_as_people_know_them() {
        for (typed, means) in [
            ("push", json!({"folder": "", "source": {"kind": "push"}})),
            (
                "team_a=push",
                json!({"folder": "team_a", "source": {"kind": "push"}}),
            ),
            (
                "bucket:dags/",
                json!({"folder": "", "source": {"kind": "cluster_bucket", "prefix": "dags/"}}),
            ),
            (
                "git+https://github.com/acme/dags.git@main#path=dags&credential=github",
                json!({"folder": "", "source": {"kind": "git", "url": "https://github.com/acme/dags.git",
                    "ref": "main", "path": "dags", "submodules": false, "credential": "github"}}),
            ),
            (
                "b=git+ssh://git@host:2222/a/b@v1#submodules",
                json!({"folder": "b", "source": {"kind": "git", "url": "ssh://git@host:2222/a/b",
                    "ref": "v1", "path": "", "submodules": true}}),
            ),
            (
                "git@github.com:acme/dags.git",
                json!({"folder": "", "source": {"kind": "git", "url": "git@github.com:acme/dags.git",
                    "ref": "main", "path": "", "submodules": false}}),
            ),
            (
                "s3://data/dags/#region=eu-west-1&credential=aws",
                json!({"folder": "", "source": {"kind": "s3", "bucket": "data", "prefix": "dags/",
                    "region": "eu-west-1", "credential": "aws"}}),
            ),
            (
                "git+https://git.corp/dags.git@main#ca=MIIB+/==",
                json!({"folder": "", "source": {"kind": "git", "url": "https://git.corp/dags.git", "ref": "main",
                    "path": "", "submodules": false}, "ca_certificate": "MIIB+/=="}),
            ),
        ] {
            assert_eq!(
                serde_json::to_value(typed.parse::<FolderSource>().unwrap()).unwrap(),
                means,
                "{typed}"
            );
        }
    }

    #[test]
    fn what_is_none_says_what_would_be() {
        for wrong in [
            "",
            "file:///x",
            "ext::x",
            "s3://b/p",
            "push#x=1",
            "git+https://h/p#branch=x",
            "1x=push",
        ] {
            assert!(wrong.parse::<FolderSource>().is_err(), "{wrong}");
        }
    }
}
