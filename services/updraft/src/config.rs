//! What `up` tells the processes it starts, in files that only their owner reads.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

/// Every port of one Updraft on this machine, counted from `--port-base`.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub console: u16,
    pub edge: u16,
    /// Agents and edges talk to control here.
    pub internal: u16,
    pub control_postgres: u16,
    pub metadata_postgres: u16,
    /// The first of eight.
    pub s3: u16,
}

/// `updraft control --config`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlFile {
    pub data_dir: PathBuf,
    pub port_base: u16,
    pub console_url: String,
    /// Template with `{cluster}` and `{cluster_ip}`.
    pub airflow_url: String,
    #[serde(serialize_with = "expose")]
    pub database_url: SecretString,
    #[serde(serialize_with = "expose")]
    pub metadata_url: SecretString,
    pub master_key_file: PathBuf,
    pub edge_token_file: PathBuf,
    pub storage_socket: PathBuf,
    pub broker_binary: PathBuf,
    pub runtimes: BTreeMap<String, ReadyRuntime>,
}

/// A runtime made ready on this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyRuntime {
    pub environment_dir: PathBuf,
    pub template_database: String,
}

/// `updraft edge --config`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeFile {
    pub state_dir: PathBuf,
    /// One directory per runtime with its pre-compressed static files.
    pub asset_dir: PathBuf,
    pub control_url: String,
    pub console_url: String,
    pub edge_token_file: PathBuf,
    pub port: u16,
}

// === impl Ports ===

impl Ports {
    /// How many ports there are.
    pub const COUNT: u16 = 13;

    #[must_use]
    pub fn from_base(base: u16) -> Self {
        Self {
            console: base,
            edge: base + 1,
            internal: base + 2,
            control_postgres: base + 3,
            metadata_postgres: base + 4,
            s3: base + 5,
        }
    }

    #[must_use]
    pub fn console_url(&self) -> String {
        format!("http://localhost:{}", self.console)
    }

    #[must_use]
    pub fn internal_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.internal)
    }

    /// Each cluster's Airflow on a loopback address of its own: another host to the browser, and no DNS needed.
    #[must_use]
    pub fn airflow_url(&self) -> String {
        format!("http://{{cluster_ip}}:{}/airflow-webserver-{{cluster}}/", self.edge)
    }
}

/// # Errors
/// When the file cannot be read or is not what this version writes.
pub fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not a configuration file", path.display()))
}

/// Writes it aside (0600) and renames it in.
///
/// # Errors
/// When the disk refuses.
pub fn write<T: Serialize>(path: &Path, value: &T) -> anyhow::Result<()> {
    write_private(path, &serde_json::to_vec_pretty(value)?)
}

/// # Errors
/// When the disk refuses.
pub fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let aside = path.with_extension("new");
    let _ = fs::remove_file(&aside);
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

/// Reads a secret from its file, or makes it: `bytes` random ones in hexadecimal.
///
/// # Errors
/// When the disk refuses.
pub fn ensure_secret(path: &Path, bytes: usize) -> anyhow::Result<SecretString> {
    if !path.exists() {
        let random: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
        write_private(path, hex::encode(random).as_bytes())?;
    }
    read_secret(path)
}

/// # Errors
/// When the file cannot be read.
pub fn read_secret(path: &Path) -> anyhow::Result<SecretString> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(text.trim().to_owned().into())
}

fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}
