//! What a cluster's environment has beyond its runtime's packages.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::address::host_of;
use crate::{CredentialConfig, CredentialName};

/// A tenant's own packages. They are solved against the runtime's, which never move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvironmentSpec {
    /// Text of a `requirements.txt`: names with versions, extras and markers, one a line; no options of pip.
    pub requirements: String,
    /// A file of the cluster's DAGs that asks for packages too. A DAG version that changes it changes the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_dags: Option<RequirementsFile>,
    /// What that file asks for. Written by Updraft alone: what a client sends here is not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<FoundRequirements>,
    /// The folder `plugins/` of the DAGs, as it was found. Written by Updraft alone, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins: Option<FoundPlugins>,
    /// A package index of the tenant's own, asked first: what it has is taken from there alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_index: Option<PackageIndex>,
    /// Packages without a wheel may be built, which runs their own code on a node of the cluster.
    pub allow_source_builds: bool,
    /// It takes no environment that another cluster of the tenant built, and gives none to them.
    #[serde(skip_serializing_if = "is_false")]
    pub own_builds: bool,
    /// Longest time for solving, installing and checking together: 10 to 1,500 s.
    pub build_time_limit_s: u32,
}

/// A file within a cluster's DAGs that says which packages they need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequirementsFile {
    /// From the top of all sources: `requirements.txt`, `team_a/requirements.txt`, or a `pyproject.toml`.
    #[serde(default = "requirements_txt")]
    pub path: String,
    /// Of a `pyproject.toml`: which of its `optional-dependencies` are wanted besides its `dependencies`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<String>,
}

/// Where a tenant keeps packages of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageIndex {
    /// Its simple API: `https://pypi.example.com/simple/`
    pub url: String,
    /// One of kind `package_index`, for its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialName>,
}

/// What a [`RequirementsFile`] was found to ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FoundRequirements {
    /// One a line, without comments.
    pub requirements: String,
    /// Why it can't be used: the last good environment stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Plugins that the DAGs bring along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FoundPlugins {
    /// Of their paths and contents.
    pub digest: String,
    /// A DAG version that has them.
    pub version: String,
}

/// What of an [`EnvironmentSpec`] makes one environment differ from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnvironmentKey {
    pub requirements: Vec<String>,
    pub allow_source_builds: bool,
    /// One that no other cluster has a part in differs from all that may be shared.
    pub own_builds: bool,
    /// The tenant's own.
    pub index_url: Option<String>,
    /// One that can't be used differs from all that can.
    pub trouble: Option<String>,
    /// Their digest: Airflow reads them once, when it starts.
    pub plugins: Option<String>,
}

// === impl EnvironmentSpec ===

impl EnvironmentSpec {
    /// None: the runtime's own packages are all there is, and no plugins.
    #[must_use]
    pub fn key(&self) -> Option<EnvironmentKey> {
        let requirements: Vec<_> = self
            .lines()
            .chain(self.found_lines())
            .map(|(_, line)| line.to_owned())
            .collect();
        let trouble = self.found.as_ref().and_then(|found| found.trouble.clone());
        let plugins = self.plugins.as_ref().map(|plugins| plugins.digest.clone());
        let has_own = !requirements.is_empty() || trouble.is_some() || plugins.is_some();
        has_own.then_some(EnvironmentKey {
            requirements,
            allow_source_builds: self.allow_source_builds,
            own_builds: self.own_builds,
            index_url: self.package_index.as_ref().map(|index| index.url.clone()),
            trouble,
            plugins,
        })
    }

    /// All that is asked for, as one `requirements.txt`.
    #[must_use]
    pub fn all_requirements(&self) -> String {
        match &self.found {
            Some(found) => format!("{}\n{}", self.requirements.trim_end(), found.requirements),
            None => self.requirements.clone(),
        }
    }

    /// The lines of its own that ask for something, with their numbers from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        requirement_lines(&self.requirements)
    }

    /// The same of what was found in the DAGs.
    pub fn found_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let found = self.found.as_ref().map(|found| found.requirements.as_str());
        requirement_lines(found.unwrap_or_default())
    }
}

// === impl PackageIndex ===

impl PackageIndex {
    /// Whether a credential is one for this index.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn fits(&self, credential: &CredentialConfig) -> Result<(), &'static str> {
        match credential {
            CredentialConfig::PackageIndex { host, .. } if host_of(&self.url).as_ref() == Some(host) => {
                Ok(())
            }
            CredentialConfig::PackageIndex { .. } => {
                Err("this credential is for another host: make one for the host of `url`")
            }
            CredentialConfig::GitToken { .. }
            | CredentialConfig::SshKey { .. }
            | CredentialConfig::S3Keys { .. }
            | CredentialConfig::AwsRole { .. } => Err("name a credential of kind `package_index`"),
        }
    }
}

/// The lines of a `requirements.txt` that ask for something, with their numbers from 1. Comments begin as pip has them: a
/// `#` at the beginning or after a space.
pub fn requirement_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let bare = |line: &str| line.find(" #").or_else(|| line.starts_with('#').then_some(0));
    text.lines().enumerate().filter_map(move |(index, line)| {
        let line = line.trim();
        let line = bare(line).map_or(line, |end| &line[..end]).trim_end();
        (!line.is_empty()).then_some((index + 1, line))
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn requirements_txt() -> String {
    "requirements.txt".to_owned()
}

impl Default for EnvironmentSpec {
    fn default() -> Self {
        Self {
            requirements: String::new(),
            from_dags: None,
            found: None,
            plugins: None,
            package_index: None,
            allow_source_builds: false,
            own_builds: false,
            build_time_limit_s: 600,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EnvironmentSpec, FoundPlugins, FoundRequirements};

    fn asked(requirements: &str) -> EnvironmentSpec {
        EnvironmentSpec {
            requirements: requirements.to_owned(),
            ..EnvironmentSpec::default()
        }
    }

    #[test]
    fn comments_and_blank_lines_make_no_other_environment() {
        assert_eq!(asked("\n# nothing\n  \n").key(), None);
        let one = asked("# ours\npandas==2.3.0   # frames\n\n");
        assert_eq!(one.key(), asked("pandas==2.3.0").key());
        assert_eq!(one.lines().collect::<Vec<_>>(), [(2, "pandas==2.3.0")]);
    }

    #[test]
    fn a_hash_within_a_word_is_no_comment() {
        assert_eq!(asked("a @ https://x/a.whl#sha256=1").lines().count(), 1);
    }

    #[test]
    fn what_is_found_in_the_dags_counts_as_if_it_were_written_in_the_spec() {
        let found = |text: &str| EnvironmentSpec {
            found: Some(FoundRequirements {
                requirements: text.to_owned(),
                trouble: None,
            }),
            ..asked("pandas==2.3.0")
        };
        assert_eq!(
            found("polars==1.0\n").key(),
            asked("pandas==2.3.0\npolars==1.0").key()
        );
        assert_eq!(found("").key(), asked("pandas==2.3.0").key());
    }

    #[test]
    fn plugins_are_an_environment_whichever_version_has_them() {
        let brought = |digest: &str, version: &str| EnvironmentSpec {
            plugins: Some(FoundPlugins {
                digest: digest.to_owned(),
                version: version.to_owned(),
            }),
            ..asked("")
        };
        assert!(brought("d", "1").key().is_some());
        assert_eq!(brought("d", "1").key(), brought("d", "2").key());
        assert_ne!(brought("d", "1").key(), brought("e", "1").key());
    }

    #[test]
    fn a_spec_of_before_there_were_files_is_read_and_written_as_it_was() {
        let text = r#"{"requirements":"a","allow_source_builds":false,"build_time_limit_s":600}"#;
        let spec: EnvironmentSpec = serde_json::from_str(text).unwrap();
        assert_eq!(spec, asked("a"));
        assert_eq!(serde_json::to_string(&spec).unwrap(), text);
    }
}
