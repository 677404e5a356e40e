//! What processes are told when they start, by `up` or by an installation's own files, which only their owner reads.

mod metadata;
mod nodes;
#[cfg(test)]
mod rendered;

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use updraft_app::AirflowUrl;
use updraft_authz::TrustedProxies;
use updraft_aws::PrincipalArn;
use updraft_control::mail::{MailFrom, SmtpUrl};
use updraft_sso::outbound::Destination;
use url::Url;

pub(crate) use nodes::{
    BucketFile, Ec2Nodes, LocalNodes, NodeKeys, NodesFile, ReadyRuntime, StorageFile, TemplateOf,
    check_control_url,
};

/// Every port of one Updraft on this machine, counted from `--port-base`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) console: u16,
    pub(crate) edge: u16,
    /// Agents and edges talk to control here.
    pub(crate) internal: u16,
    pub(crate) control_postgres: u16,
    pub(crate) metadata_postgres: u16,
    /// The first of eight.
    pub(crate) s3: u16,
    /// Agents dial tunnels to the edge here.
    pub(crate) tunnels: u16,
}

/// `updraft control --config`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ControlFile {
    pub(crate) data_dir: PathBuf,
    pub(crate) port_base: u16,
    /// Where control listens; without it, on loopback at the ports that `port_base` counts.
    #[serde(default)]
    pub(crate) listen: Option<ListenFile>,
    /// Balancers that are believed about whom they ask for: `["10.0.1.0/24"]`. Everybody else's `X-Forwarded-For` is ignored.
    #[serde(default)]
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) console_url: String,
    /// Template with `{cluster}`, `{tenant}` and `{cluster_ip}`: see `docs/tenants.md`.
    pub(crate) airflow_url: String,
    #[serde(serialize_with = "expose")]
    pub(crate) database_url: SecretString,
    #[serde(serialize_with = "expose")]
    pub(crate) metadata_url: SecretString,
    /// Certificates in PEM that nodes hold the metadata server to; without it their drivers encrypt if the server does, whoever
    /// it is.
    #[serde(default)]
    pub(crate) metadata_ca_file: Option<PathBuf>,
    /// With nodes on EC2, connections to the metadata server need not be verified: on a network where nobody else listens or
    /// answers.
    #[serde(default)]
    pub(crate) metadata_plain: bool,
    pub(crate) master_key_file: PathBuf,
    pub(crate) edge_token_file: PathBuf,
    /// Where nodes come from, and with them what they are made of.
    pub(crate) nodes: NodesFile,
    /// What clusters' own packages come from; none: the public index.
    #[serde(default)]
    pub(crate) package_index: Option<Url>,
    /// What control may reach for a tenant (its identity provider, for example) beyond https on the public internet:
    /// `["127.0.0.1:9000", "idp.corp.internal"]`. For every tenant, so it is the installation's to say.
    #[serde(default)]
    pub(crate) outbound_allow: Vec<Destination>,
    /// Bytes that logs may take on a node's disk while their bucket is away: ten minutes at 5 MB/s are 3 GB.
    #[serde(default = "log_disk_bytes")]
    pub(crate) log_disk_bytes: u64,
    /// The mail server that links to set a new password go out by; without it nobody is offered one.
    #[serde(default)]
    pub(crate) mail: Option<MailFile>,
    /// Who this installation is at AWS: who assumes tenants' roles. Without it nobody is offered to name one.
    #[serde(default)]
    pub(crate) aws: Option<AwsFile>,
    /// How often identity providers are asked again about people who are signed in.
    pub(crate) identity_refresh_seconds: u64,
    /// How long a queue that scales by itself needs fewer workers before some go.
    #[serde(default = "five_minutes")]
    pub(crate) scale_in_after_seconds: u64,
    /// Where agents of web nodes dial tunnels to: the edges, or a TCP balancer before them. Without it edges connect to
    /// web nodes.
    #[serde(default)]
    pub(crate) tunnel_address: Option<String>,
}

pub(crate) fn ten_seconds() -> u64 {
    10
}

fn five_minutes() -> u64 {
    300
}

pub(crate) fn log_disk_bytes() -> u64 {
    4 << 30
}

/// Two addresses: people and programs come to the one, agents and edges to the other.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListenFile {
    pub(crate) public: SocketAddr,
    pub(crate) internal: SocketAddr,
}

/// Its credentials are those of control's environment, else of the machine's role.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AwsFile {
    /// Whom tenants' trust policies name.
    pub(crate) identity: PrincipalArn,
    /// Where roles are asked for.
    pub(crate) region: String,
    /// Instead of AWS's own address.
    #[serde(default)]
    pub(crate) endpoint: Option<Url>,
}

/// How mail is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailFile {
    /// `smtps://user@host:465`, or `smtp://user@host:587` with STARTTLS.
    pub(crate) smtp_url: SmtpUrl,
    /// Holds the password of the user in `smtp_url`.
    pub(crate) smtp_password_file: Option<PathBuf>,
    pub(crate) from: MailFrom,
}

/// `updraft edge --config`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EdgeFile {
    pub(crate) state_dir: PathBuf,
    /// One directory per runtime with its pre-compressed static files.
    pub(crate) asset_dir: PathBuf,
    /// `https://agents.updraft.example.com`; plain `http` on loopback, or where `plain_http` says so.
    pub(crate) control_url: String,
    /// Control is asked without TLS, on a network where nobody else listens.
    #[serde(default)]
    pub(crate) plain_http: bool,
    /// An authority to believe for `control_url` beside the machine's own, PEM.
    #[serde(default)]
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) console_url: String,
    pub(crate) edge_token_file: PathBuf,
    pub(crate) port: u16,
    /// Where hosts that are names are served, and health by address; without it, loopback.
    #[serde(default)]
    pub(crate) listen: Option<IpAddr>,
    /// How browsers come: by https, where a balancer before the edges has the certificate.
    #[serde(default)]
    pub(crate) https: bool,
    /// As in control's file.
    #[serde(default)]
    pub(crate) trusted_proxies: TrustedProxies,
    /// Where tunnels are accepted.
    #[serde(default)]
    pub(crate) tunnel_listen: Option<SocketAddr>,
    /// Told to stop, for how long it serves on while its health check fails: what balancers need to take it out.
    #[serde(default)]
    pub(crate) leave_seconds: u64,
    /// And then, how long open requests may take.
    #[serde(default = "ten_seconds")]
    pub(crate) drain_seconds: u64,
}

// === impl Ports ===

impl Ports {
    /// How many ports there are.
    pub(crate) const COUNT: u16 = 14;

    #[must_use]
    pub(crate) fn from_base(base: u16) -> Self {
        Self {
            console: base,
            edge: base + 1,
            internal: base + 2,
            control_postgres: base + 3,
            metadata_postgres: base + 4,
            s3: base + 5,
            tunnels: base + 13,
        }
    }

    #[must_use]
    pub(crate) fn console_url(&self) -> String {
        format!("http://localhost:{}", self.console)
    }

    #[must_use]
    pub(crate) fn internal_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.internal)
    }

    #[must_use]
    pub(crate) fn tunnel_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.tunnels).into()
    }

    #[must_use]
    pub(crate) fn airflow_url(&self) -> AirflowUrl {
        AirflowUrl::local(self.edge)
    }
}

/// # Errors
/// When the file cannot be read or is not what this version writes.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not a configuration file", path.display()))
}

/// Writes it aside (0600) and renames it in.
///
/// # Errors
/// When the disk refuses.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> anyhow::Result<()> {
    write_private(path, &serde_json::to_vec_pretty(value)?)
}

/// # Errors
/// When the disk refuses.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let aside = path.with_extension("new");
    let _ = fs::remove_file(&aside);
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&aside)?;
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
pub(crate) fn ensure_secret(path: &Path, bytes: usize) -> anyhow::Result<SecretString> {
    if !path.exists() {
        let random: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
        write_private(path, hex::encode(random).as_bytes())?;
    }
    read_secret(path)
}

/// # Errors
/// When the file cannot be read.
pub(crate) fn read_secret(path: &Path) -> anyhow::Result<SecretString> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(text.trim().to_owned().into())
}

fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}
