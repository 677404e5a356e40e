//! Which environment nodes are given, and which is built: directories named by the digest of all that went in.

use sha2::{Digest as _, Sha256};
use updraft_api::agent::{BuildAssignment, BuildLimits, EnvironmentAssignment, PluginsAssignment};
use updraft_model::{EnvironmentKey, EnvironmentSpec, Generation};

/// A build's processes together. Solving is small; importing Airflow and all DAGs takes some hundred MiB.
const MEMORY_BYTES: u64 = 2 << 30;
const DISK_BYTES: u64 = 2 << 30;
const PROCESSES: u32 = 128;

/// The environments of one cluster with one runtime.
pub(super) struct Environments {
    /// The runtime's own; its name is a digest of its packages, its interpreter and its path.
    pub(super) base_dir: String,
    pub(super) home: String,
    pub(super) uv: String,
    pub(super) index_url: Option<String>,
}

// === impl Environments ===

impl Environments {
    pub(super) fn directory(&self, spec: &EnvironmentSpec) -> String {
        match spec.key() {
            Some(key) => format!("{}/{}", self.home, self.digest(&key)),
            None => self.base_dir.clone(),
        }
    }

    /// Where services find the environment's plugins, if it has any.
    pub(super) fn plugins(&self, spec: &EnvironmentSpec) -> Option<String> {
        spec.plugins.as_ref()?;
        Some(format!("{}/plugins", self.directory(spec)))
    }

    /// What a node runs with; none: the runtime's own.
    pub(super) fn assigned(
        &self,
        given: &EnvironmentSpec,
        named: &[&EnvironmentSpec],
    ) -> Option<EnvironmentAssignment> {
        Some(EnvironmentAssignment {
            digest: self.digest_of(given)?,
            base_dir: self.base_dir.clone(),
            keep: named.iter().filter_map(|spec| self.digest_of(spec)).collect(),
            disk_bytes: DISK_BYTES,
        })
    }

    pub(super) fn digest_of(&self, spec: &EnvironmentSpec) -> Option<String> {
        spec.key().map(|key| self.digest(&key))
    }

    /// None: there is nothing to be built, the runtime's own is there.
    pub(super) fn build(
        &self,
        wanted: &EnvironmentSpec,
        before: &EnvironmentSpec,
        attempt: Generation,
    ) -> Option<BuildAssignment> {
        let digest = self.digest_of(wanted)?;
        Some(BuildAssignment {
            attempt: attempt.0,
            directory: format!("{}/{digest}", self.home),
            base_dir: self.base_dir.clone(),
            before_dir: self.directory(before),
            keep: self.digest_of(before).into_iter().collect(),
            recorded: false,
            requirements: wanted.all_requirements(),
            allow_source_builds: wanted.allow_source_builds,
            plugins: wanted.plugins.clone().map(|plugins| PluginsAssignment {
                digest: plugins.digest,
                version: plugins.version,
            }),
            uv: self.uv.clone(),
            index_url: self.index_url.clone(),
            own_index: None,
            limits: BuildLimits {
                time_s: wanted.build_time_limit_s,
                memory_bytes: MEMORY_BYTES,
                disk_bytes: DISK_BYTES,
                processes: PROCESSES,
            },
            digest,
        })
    }

    fn digest(&self, key: &EnvironmentKey) -> String {
        digest(&parts(&self.base_dir, key, &text(key)))
    }
}

/// Of the tenant's own packages alone: another runtime restarts services by itself.
pub(super) fn key_digest(spec: &EnvironmentSpec) -> Option<String> {
    spec.key().map(|key| digest(&parts("", &key, &text(&key))))
}

/// A part of its own for the plugins: no requirement can pass for them.
fn parts<'a>(base_dir: &'a str, key: &'a EnvironmentKey, text: &'a str) -> Vec<&'a str> {
    let always = [base_dir, text].into_iter().filter(|part| !part.is_empty());
    always.chain(key.plugins.as_deref()).collect()
}

fn text(key: &EnvironmentKey) -> String {
    let mut text = format!("{}\n{}", key.allow_source_builds, key.requirements.join("\n"));
    if let Some(index) = &key.index_url {
        text.push_str("\nfrom ");
        text.push_str(index);
    }
    if key.own_builds {
        text.push_str("\nof its own");
    }
    text
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..12])
}

#[cfg(test)]
mod tests {
    use updraft_model::{EnvironmentSpec, FoundPlugins, Generation};

    use super::{Environments, key_digest};

    fn environments(base: &str) -> Environments {
        Environments {
            base_dir: base.to_owned(),
            home: "/nodes/environments-1".to_owned(),
            uv: "/uv".to_owned(),
            index_url: None,
        }
    }

    fn asked(requirements: &str) -> EnvironmentSpec {
        EnvironmentSpec {
            requirements: requirements.to_owned(),
            ..EnvironmentSpec::default()
        }
    }

    #[test]
    fn without_requirements_the_runtimes_own_is_used_and_nothing_is_built() {
        let environments = environments("/environments/airflow-1");
        let none = asked("# nothing\n");
        assert_eq!(environments.directory(&none), "/environments/airflow-1");
        assert!(environments.build(&none, &none, Generation::FIRST).is_none());
    }

    #[test]
    fn a_directory_is_named_by_all_that_goes_into_it() {
        let one = environments("/environments/airflow-1");
        let directory = one.directory(&asked("pandas==2.3.0"));
        assert_eq!(directory, one.directory(&asked("# ours\npandas==2.3.0\n")));
        assert_ne!(directory, one.directory(&asked("pandas==2.3.1")));
        assert_ne!(
            directory,
            environments("/environments/airflow-2").directory(&asked("pandas==2.3.0"))
        );
        let build = one
            .build(&asked("pandas==2.3.0"), &asked("old"), Generation(4))
            .unwrap();
        assert_eq!(build.directory, directory);
        assert_eq!(build.before_dir, one.directory(&asked("old")));
        assert!(directory.ends_with(&build.digest) && build.attempt == 4);
        let assigned = one.assigned(&asked("pandas==2.3.0"), &[&asked("old"), &asked("")]);
        let assigned = assigned.unwrap();
        assert_eq!((assigned.digest, assigned.keep), (build.digest, build.keep));
        assert_eq!(one.assigned(&asked(""), &[]), None);
    }

    #[test]
    fn clusters_that_share_builds_mean_the_same_by_a_name_and_one_that_does_not_means_another() {
        let (one, other) = (
            environments("/environments/airflow-1"),
            Environments {
                home: "/nodes/environments-2".to_owned(),
                ..environments("/environments/airflow-1")
            },
        );
        let alone = EnvironmentSpec {
            own_builds: true,
            ..asked("pandas==2.3.0")
        };
        assert_eq!(
            one.digest_of(&asked("pandas==2.3.0")),
            other.digest_of(&asked("pandas==2.3.0"))
        );
        assert_ne!(one.digest_of(&alone), one.digest_of(&asked("pandas==2.3.0")));
    }

    #[test]
    fn other_plugins_are_another_environment_with_a_folder_of_its_own() {
        let one = environments("/environments/airflow-1");
        let with = |digest: &str| EnvironmentSpec {
            plugins: Some(FoundPlugins {
                digest: digest.to_owned(),
                version: "v".to_owned(),
            }),
            ..EnvironmentSpec::default()
        };
        let directory = one.directory(&with("a"));
        assert_eq!(one.plugins(&with("a")), Some(format!("{directory}/plugins")));
        assert_eq!(one.plugins(&asked("pandas")), None);
        assert_ne!(directory, one.directory(&with("b")));
        assert_ne!(key_digest(&with("a")), key_digest(&with("b")));
        assert_ne!(directory, one.directory(&asked("a")));
        let build = one.build(&with("a"), &asked(""), Generation(2)).unwrap();
        assert_eq!(build.plugins.unwrap().version, "v");
    }

    #[test]
    fn another_runtime_alone_restarts_nothing_by_the_packages_digest() {
        assert_eq!(key_digest(&asked("a")), key_digest(&asked("a # same")));
        assert_ne!(key_digest(&asked("a")), key_digest(&asked("b")));
    }
}
