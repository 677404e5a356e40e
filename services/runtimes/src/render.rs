//! From a runtime's data to what one node runs.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};
use updraft_model::{Broker, NodeRole, ServiceName};

use crate::catalogue::Runtime;
use crate::data::{FileTemplate, Health, Relay, Service};
use crate::template::{MissingVariable, Variables, names};

/// The secret that unlocks the Fernet key.
const FERNET: &str = "fernet";

/// All that one node runs. Holds secrets: not printable.
pub struct RenderedNode {
    pub services: Vec<RenderedService>,
    pub directories: Vec<String>,
    pub files: Vec<RenderedFile>,
    pub relays: Vec<Relay>,
}

/// The pre-imported parent of one cluster's services on one machine: no secret at all.
pub struct RenderedParent {
    pub env: BTreeMap<String, String>,
    pub directories: Vec<String>,
    pub files: Vec<RenderedFile>,
}

pub struct RenderedService {
    pub name: ServiceName,
    pub argv: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// Whether it is one of Airflow's own.
    pub airflow: bool,
    /// Whether it reads what Airflow keeps encrypted.
    pub decrypts: bool,
    pub prefork: bool,
    pub after: Vec<ServiceName>,
    pub ports: Vec<u16>,
    pub health: Health,
    pub warm: Vec<String>,
    pub start_within_seconds: u32,
    pub stop_signal: String,
    pub stop_grace_seconds: u32,
    /// Changes when command, environment or files change: the service must be restarted then.
    pub digest: String,
}

#[derive(Clone)]
pub struct RenderedFile {
    /// Absolute.
    pub path: String,
    pub content: String,
}

// === impl Runtime ===

impl Runtime {
    /// What a node of this role runs. `overrides` were checked before.
    ///
    /// # Errors
    /// When a template names a variable that `variables` lacks.
    pub fn render(
        &self,
        (role, broker): (NodeRole, Broker),
        variables: &Variables,
        overrides: &IndexMap<String, String>,
    ) -> Result<RenderedNode, MissingVariable> {
        let mut files = self.files(&self.data.files, &BTreeSet::new(), variables)?;
        let mut services = Vec::new();
        let here = |service: &&Service| service.role == role && suits(service.broker, broker);
        for service in self.data.services.iter().filter(here) {
            let (rendered, own_files) = self.service(service, broker, variables, overrides)?;
            services.push(rendered);
            files.extend(own_files);
        }
        let names: BTreeSet<_> = services.iter().map(|service| service.name).collect();
        for service in &mut services {
            service.after.retain(|name| names.contains(name));
        }
        Ok(RenderedNode {
            services,
            files,
            directories: self.data.directories.paths.clone(),
            relays: self
                .data
                .relays
                .iter()
                .filter(|relay| relay.on.contains(&role) && suits(relay.broker, broker))
                .cloned()
                .collect(),
        })
    }

    /// The parent that services are forked from. It belongs to no node: `variables` give it directories of its own.
    ///
    /// # Errors
    /// When a template names a variable that `variables` lacks.
    pub fn parent(
        &self,
        broker: Broker,
        variables: &Variables,
        overrides: &IndexMap<String, String>,
    ) -> Result<RenderedParent, MissingVariable> {
        let mut env = self.airflow_env(&BTreeSet::new(), broker, variables, overrides)?;
        for (key, template) in &self.data.prefork.env {
            env.insert(key.clone(), variables.fill(template)?);
        }
        let files = self.files(&self.data.files, &BTreeSet::new(), variables)?;
        Ok(RenderedParent {
            env,
            directories: self.data.directories.paths.clone(),
            files,
        })
    }

    /// The role whose nodes run this service.
    #[must_use]
    pub fn role_of(&self, service: ServiceName) -> Option<NodeRole> {
        self.data
            .services
            .iter()
            .find(|s| s.name == service)
            .map(|s| s.role)
    }

    /// The environment of the command that migrates a template database at `dsn` (among the variables).
    ///
    /// # Errors
    /// When a template names a variable that `variables` lacks.
    pub fn migrate_env(&self, variables: &Variables) -> Result<BTreeMap<String, String>, MissingVariable> {
        let granted = self.unlocked(&["dsn".to_owned()]);
        self.airflow_env(&granted, Broker::default(), variables, &IndexMap::new())
    }

    /// The environment of the command that writes anew what Airflow keeps encrypted, with the keys among the variables.
    ///
    /// # Errors
    /// When a template names a variable that `variables` lacks.
    pub fn reencrypt_env(
        &self,
        variables: &Variables,
        overrides: &IndexMap<String, String>,
    ) -> Result<BTreeMap<String, String>, MissingVariable> {
        let granted = self.unlocked(&["dsn".to_owned(), FERNET.to_owned()]);
        self.airflow_env(&granted, Broker::default(), variables, overrides)
    }

    fn service(
        &self,
        service: &Service,
        broker: Broker,
        variables: &Variables,
        overrides: &IndexMap<String, String>,
    ) -> Result<(RenderedService, Vec<RenderedFile>), MissingVariable> {
        let granted = self.unlocked(&service.secrets);
        let fill = |text: &String| variables.fill(text);
        let mut env = BTreeMap::new();
        if service.airflow {
            env = self.airflow_env(&granted, broker, variables, overrides)?;
        }
        for (key, template) in &service.env {
            env.insert(key.clone(), variables.fill(template)?);
        }
        let argv = service.argv.iter().map(fill).collect::<Result<Vec<_>, _>>()?;
        let files = self.files(&service.files, &granted, variables)?;
        let rendered = RenderedService {
            digest: digest(&argv, &env, &files),
            name: service.name,
            airflow: service.airflow,
            decrypts: service.secrets.iter().any(|secret| secret == FERNET),
            prefork: service.prefork,
            after: service.after.clone(),
            ports: service.ports.clone(),
            health: service
                .health_with
                .get(&broker)
                .unwrap_or(&service.health)
                .fill(variables)?,
            warm: service.warm.iter().map(fill).collect::<Result<Vec<_>, _>>()?,
            start_within_seconds: service.start_within_seconds,
            stop_signal: service.stop_signal.clone(),
            stop_grace_seconds: service.stop_grace_seconds,
            argv,
            env,
        };
        Ok((rendered, files))
    }

    /// `[env]`, then defaults, then the tenant's overrides, then managed keys: later ones win.
    fn airflow_env(
        &self,
        granted: &BTreeSet<&str>,
        broker: Broker,
        variables: &Variables,
        overrides: &IndexMap<String, String>,
    ) -> Result<BTreeMap<String, String>, MissingVariable> {
        let mut env = BTreeMap::new();
        for (key, template) in &self.data.env {
            if self.may_see(template, granted) {
                env.insert(key.clone(), variables.fill(template)?);
            }
        }
        for (section, key, template) in flat(&self.data.defaults) {
            env.insert(variable(section, key), variables.fill(template)?);
        }
        for (key, value) in overrides {
            if let Some((section, key)) = key.split_once('.') {
                env.insert(variable(section, key), value.clone());
            }
        }
        let of_broker = self.data.brokers.get(&broker).into_iter();
        let of_broker = of_broker.flat_map(|of| flat(&of.managed));
        for (section, key, template) in flat(&self.data.managed).chain(of_broker) {
            if self.may_see(template, granted) {
                env.insert(variable(section, key), variables.fill(template)?);
            }
        }
        Ok(env)
    }

    fn files(
        &self,
        templates: &[FileTemplate],
        granted: &BTreeSet<&str>,
        variables: &Variables,
    ) -> Result<Vec<RenderedFile>, MissingVariable> {
        templates
            .iter()
            .filter(|file| self.may_see(&file.content, granted))
            .map(|file| {
                Ok(RenderedFile {
                    path: variables.fill(&file.path)?,
                    content: variables.fill(&file.content)?,
                })
            })
            .collect()
    }

    fn unlocked(&self, secrets: &[String]) -> BTreeSet<&str> {
        secrets
            .iter()
            .filter_map(|secret| self.data.secrets.get(secret))
            .flatten()
            .map(String::as_str)
            .collect()
    }

    /// Whether every secret variable the template names is granted.
    fn may_see(&self, template: &str, granted: &BTreeSet<&str>) -> bool {
        let secret = |name: &str| {
            self.data
                .secrets
                .values()
                .flatten()
                .any(|variable| variable == name)
        };
        names(template)
            .into_iter()
            .all(|name| granted.contains(name) || !secret(name))
    }
}

// === impl Health ===

impl Health {
    fn fill(&self, variables: &Variables) -> Result<Self, MissingVariable> {
        let mut filled = self.clone();
        match &mut filled {
            Self::RedisPing { address, .. } | Self::Amqp { address, .. } => {
                *address = variables.fill(address)?;
            }
            Self::HttpStatus { url, .. } | Self::HttpJson { url, .. } | Self::MonitorHealth { url, .. } => {
                *url = variables.fill(url)?;
            }
            Self::Celery {
                address, hostname, ..
            }
            | Self::CeleryAmqp {
                address, hostname, ..
            } => {
                *address = variables.fill(address)?;
                *hostname = variables.fill(hostname)?;
            }
        }
        Ok(filled)
    }

    #[must_use]
    pub fn interval_seconds(&self) -> u32 {
        match self {
            Self::RedisPing { interval_seconds, .. }
            | Self::HttpStatus { interval_seconds, .. }
            | Self::HttpJson { interval_seconds, .. }
            | Self::MonitorHealth { interval_seconds, .. }
            | Self::Celery { interval_seconds, .. }
            | Self::Amqp { interval_seconds, .. }
            | Self::CeleryAmqp { interval_seconds, .. } => *interval_seconds,
        }
    }
}

/// Whether what names this broker, or none, is for clusters with `broker`.
fn suits(named: Option<Broker>, broker: Broker) -> bool {
    named.is_none_or(|named| named == broker)
}

pub(crate) fn variable(section: &str, key: &str) -> String {
    format!("AIRFLOW__{}__{}", section.to_uppercase(), key.to_uppercase())
}

fn flat(
    table: &IndexMap<String, IndexMap<String, String>>,
) -> impl Iterator<Item = (&String, &String, &String)> {
    table
        .iter()
        .flat_map(|(section, keys)| keys.iter().map(move |(key, value)| (section, key, value)))
}

fn digest(argv: &[String], env: &BTreeMap<String, String>, files: &[RenderedFile]) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    argv.iter().for_each(|arg| add(arg));
    env.iter().for_each(|(key, value)| {
        add(key);
        add(value);
    });
    files.iter().for_each(|file| {
        add(&file.path);
        add(&file.content);
    });
    hex::encode(hash.finalize())
}
