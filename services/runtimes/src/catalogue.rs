//! The runtimes embedded in the binary.

use include_dir::{Dir, include_dir};
use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::data::RuntimeData;
use crate::options::{ConfigError, ConfigOption, OptionList, nearest};
use crate::render::variable;

static RUNTIMES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../infra/runtimes");
static PYTHON_PACKAGE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../airflow/updraft_airflow");

/// All runtimes, newest last.
#[derive(Debug)]
pub struct Catalogue {
    runtimes: Vec<Runtime>,
}

/// One Airflow release and how to run it.
#[derive(Debug)]
pub struct Runtime {
    pub(crate) data: RuntimeData,
    options: IndexMap<String, ConfigOption>,
    lock: &'static str,
}

/// One file of our Python package, relative to site-packages.
#[derive(Clone, Debug)]
pub struct PackageFile {
    pub path: String,
    pub content: &'static [u8],
}

#[derive(Debug, Error)]
pub enum RuntimeError {
    #[error("runtime `{runtime}` lacks `{file}`")]
    MissingFile { runtime: String, file: String },
    #[error("runtime `{runtime}`: `runtime.toml` cannot be read")]
    Toml {
        runtime: String,
        source: toml::de::Error,
    },
    #[error("runtime `{runtime}`: `config-options.json` cannot be read")]
    Options {
        runtime: String,
        source: serde_json::Error,
    },
}

// === impl Catalogue ===

impl Catalogue {
    /// # Errors
    /// When the data this binary was built with is not well-formed; a test keeps that from being released.
    pub fn embedded() -> Result<Self, RuntimeError> {
        let mut runtimes = RUNTIMES
            .dirs()
            .map(Runtime::read)
            .collect::<Result<Vec<_>, _>>()?;
        runtimes.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(Self { runtimes })
    }

    #[must_use]
    pub fn newest(&self) -> Option<&Runtime> {
        self.runtimes.last()
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Runtime> {
        self.runtimes.iter().find(|runtime| runtime.name() == name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.runtimes.iter().map(Runtime::name)
    }
}

// === impl Runtime ===

impl Runtime {
    fn read(dir: &'static Dir<'static>) -> Result<Self, RuntimeError> {
        let runtime = dir.path().display().to_string();
        let text = |file: &str| {
            dir.get_file(dir.path().join(file))
                .and_then(include_dir::File::contents_utf8)
                .ok_or_else(|| RuntimeError::MissingFile {
                    runtime: runtime.clone(),
                    file: file.to_owned(),
                })
        };
        let data: RuntimeData =
            toml::from_str(text("runtime.toml")?).map_err(|source| RuntimeError::Toml {
                runtime: runtime.clone(),
                source,
            })?;
        let listed: OptionList =
            serde_json::from_str(text("config-options.json")?).map_err(|source| RuntimeError::Options {
                runtime: runtime.clone(),
                source,
            })?;
        let lock = text(&data.runtime.lock)?;
        let options = option_table(&data, listed);
        Ok(Self { data, options, lock })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.data.runtime.name
    }

    #[must_use]
    pub fn airflow_version(&self) -> &str {
        &self.data.runtime.airflow_version
    }

    /// The hash lock, for `uv pip sync --require-hashes`.
    #[must_use]
    pub fn lock(&self) -> &'static str {
        self.lock
    }

    /// The command that prepares the template database.
    #[must_use]
    pub fn migrate_argv(&self) -> &[String] {
        &self.data.runtime.migrate
    }

    /// The command that writes anew what Airflow keeps encrypted.
    #[must_use]
    pub fn reencrypt_argv(&self) -> &[String] {
        &self.data.runtime.reencrypt
    }

    /// Our Python package, which goes into the environment's site-packages.
    #[must_use]
    pub fn python_package(&self) -> Vec<PackageFile> {
        let mut files = Vec::new();
        collect(&PYTHON_PACKAGE, &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// Changes whenever the lock or our package does.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new_with_prefix(self.lock);
        for file in self.python_package() {
            hash.update(file.path.as_bytes());
            hash.update(file.content);
        }
        hex::encode(&hash.finalize()[..8])
    }

    pub fn options(&self) -> impl Iterator<Item = &ConfigOption> {
        self.options.values()
    }

    /// The option that `AIRFLOW__SECTION__KEY` sets, exactly so written.
    #[must_use]
    pub fn option_of_variable(&self, name: &str) -> Option<&ConfigOption> {
        let is_it = |key: &&String| {
            key.split_once('.')
                .is_some_and(|(section, key)| variable(section, key) == name)
        };
        self.options
            .keys()
            .find(is_it)
            .and_then(|key| self.options.get(key))
    }

    /// Whether services get this variable from the runtime, or must not have it at all.
    #[must_use]
    pub fn sets_variable(&self, name: &str) -> bool {
        let of_services = self.data.services.iter().flat_map(|service| service.env.keys());
        let all = self
            .data
            .env
            .keys()
            .chain(self.data.prefork.env.keys())
            .chain(of_services);
        all.chain(&self.data.runtime.clear_env).any(|set| set == name)
    }

    /// Checks a tenant's configuration, `section.key` → value.
    ///
    /// # Errors
    /// The first override that is unknown, managed or of the wrong type.
    pub fn check_overrides(&self, overrides: &IndexMap<String, String>) -> Result<(), ConfigError> {
        for (key, value) in overrides {
            match self.options.get(key) {
                Some(option) => option.check(value)?,
                None => {
                    let near = nearest(key, self.options.keys().map(String::as_str));
                    return Err(ConfigError::Unknown {
                        key: key.clone(),
                        near,
                    });
                }
            }
        }
        Ok(())
    }
}

fn collect(dir: &'static Dir<'static>, files: &mut Vec<PackageFile>) {
    let kept = |path: &str| path.ends_with(".py") || path.ends_with("py.typed");
    for file in dir.files() {
        let path = format!("updraft_airflow/{}", file.path().display());
        if kept(&path) {
            files.push(PackageFile {
                path,
                content: file.contents(),
            });
        }
    }
    dir.dirs().for_each(|sub| collect(sub, files));
}

fn option_table(data: &RuntimeData, listed: OptionList) -> IndexMap<String, ConfigOption> {
    let has = |table: &IndexMap<String, IndexMap<String, String>>, section: &str, key: &str| {
        table.get(section).is_some_and(|keys| keys.contains_key(key))
    };
    let ours = |section: &str, key: &str| data.defaults.get(section).and_then(|keys| keys.get(key)).cloned();
    listed
        .options
        .into_iter()
        .map(|option| {
            let key = format!("{}.{}", option.section, option.key);
            let of_broker = data
                .brokers
                .values()
                .any(|of| has(&of.managed, &option.section, &option.key));
            let managed = has(&data.managed, &option.section, &option.key)
                || of_broker
                || data.locked.keys.contains(&key);
            let entry = ConfigOption {
                default: ours(&option.section, &option.key).or(option.default),
                kind: option.kind.unwrap_or_else(|| "string".to_owned()),
                description: option.description,
                sensitive: option.sensitive,
                managed,
                key: key.clone(),
            };
            (key, entry)
        })
        .collect()
}
