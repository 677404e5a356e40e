//! A data centre of the test's own on a free port, ended when dropped.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};
use updraft_aws::{Credentials, ExternalId, FixedCredentials};
use updraft_model::{ClusterId, Generation, NodeId, NodeRole, TenantId};
use updraft_provider::contract::{MOMENT, Subject};
use updraft_provider::{
    BootSecret, ClientToken, ClusterWanted, Launched, NodeProvider, NodeWanted, ProviderError, ProviderId,
};
use updraft_provider_ec2::{Ec2Config, Ec2Provider};
use updraft_testing::free_port;
use uuid::Uuid;

pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const ACCOUNT: &str = "123456789012";

pub(crate) struct DataCentre {
    server: Child,
    address: SocketAddr,
    http: reqwest::Client,
    log: tempfile::TempDir,
}

/// A provider on it, for the contract.
pub(crate) struct On {
    pub(crate) provider: Ec2Provider,
}

// === impl DataCentre ===

impl DataCentre {
    /// None where the tests' tools are not installed. Where `tests/run` runs the test they are, or nothing would be tested.
    pub(crate) async fn open() -> Option<Self> {
        let Some(python) = python() else {
            assert!(
                std::env::var_os("UPDRAFT_TESTS").is_none(),
                "the tests' Python tools are not in .tools, though tests/run puts them there"
            );
            eprintln!("skipped: the tests' Python tools are not in .tools (tests/run puts them there)");
            return None;
        };
        let port = free_port();
        let log = tempfile::tempdir().unwrap();
        let output = std::fs::File::create(log.path().join("log")).unwrap();
        let server = Command::new(python)
            .args(["-m", "datacentre", "--port", &port.to_string()])
            .current_dir(tests_dir())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let centre = Self {
            server,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            http: reqwest::Client::new(),
            log,
        };
        centre.wait().await;
        Some(centre)
    }

    async fn wait(&self) {
        for _ in 0..600 {
            if self.http.get(self.at("calls")).send().await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!(
            "the data centre does not answer: {:?}",
            std::fs::read_to_string(self.log.path().join("log"))
        );
    }

    fn at(&self, what: &str) -> String {
        format!("http://{}/datacentre/{what}", self.address)
    }

    /// Asks the data centre itself.
    pub(crate) async fn ask(&self, what: &str, asked: Value) -> Value {
        let answer = self.http.post(self.at(what)).json(&asked).send().await.unwrap();
        assert!(answer.status().is_success(), "{what}: {}", answer.status());
        answer.json().await.unwrap()
    }

    /// The next call of this action, or so many, are answered like this.
    pub(crate) async fn fault(&self, action: &str, code: &str, status: u16, times: u32) {
        let fault = json!({"action": action, "code": code, "status": status, "times": times});
        self.ask("fault", fault).await;
    }

    pub(crate) async fn calls(&self, action: &str) -> u64 {
        self.ask("calls", json!({})).await[action].as_u64().unwrap_or(0)
    }

    /// Instances that cost money.
    pub(crate) async fn live(&self) -> usize {
        let all = self.ask("instances", json!({})).await;
        all.as_object()
            .unwrap()
            .values()
            .filter(|state| *state != "terminated")
            .count()
    }

    /// What an instance is tagged with.
    pub(crate) async fn tags(&self, id: &ProviderId) -> Value {
        let asked = json!({"account": ACCOUNT, "region": REGION, "resource": id.0});
        self.ask("tags", asked).await
    }

    /// Where the subnets' default route leads: `out`, `internet-gateway`, `nowhere`.
    pub(crate) async fn way_out(&self, to: &str) {
        let asked = json!({"account": ACCOUNT, "region": REGION, "to": to});
        self.ask("way-out", asked).await;
    }

    /// Security groups that somebody made, with what they let in.
    pub(crate) async fn groups(&self) -> Value {
        self.ask("groups", json!({"account": ACCOUNT, "region": REGION}))
            .await
    }

    /// As [`DataCentre::config`], with a security group for each cluster.
    pub(crate) async fn config_without_groups(&self) -> Value {
        let mut config = self.config().await;
        config.as_object_mut().unwrap().remove("security_groups");
        config
    }

    pub(crate) async fn config(&self) -> Value {
        self.config_of(ACCOUNT).await
    }

    pub(crate) async fn config_of(&self, account: &str) -> Value {
        let world = self
            .ask("world", json!({"account": account, "region": REGION}))
            .await;
        json!({
            "installation": "test",
            "region": REGION,
            "endpoint": format!("http://{}/", self.address),
            "subnets": world["subnets"],
            "security_groups": world["security_groups"],
            "image": world["image"],
            "instance_profile": world["instance_profile"],
            "root_volume": {"gib": 20, "device": world["root_device"]},
            "scheduler": {"instance_type": "m6i.large"},
            "web": {"instance_type": "m6i.large"},
            "worker": {"instance_type": "m6i.xlarge"},
            "archives": [{"sha256": "0".repeat(64), "directory": "agent", "url": "https://bucket.example.com/agent.tar.gz"}],
        })
    }

    pub(crate) async fn provider(&self) -> Ec2Provider {
        self.provider_with(self.config().await).await
    }

    /// A role as a tenant makes it: whom it trusts and what it may do as Updraft prints it for this configuration.
    pub(crate) async fn role(&self, arn: &str, external_id: &impl Serialize, config: &Value) {
        let usual = ["scheduler", "web", "worker"].map(|role| &config[role]["instance_type"]);
        let key_pairs: Vec<_> = config["key_pair"].as_str().into_iter().collect();
        let account = json!({
            "installation": config["installation"], "usual": usual, "key_pairs": key_pairs, "config": config,
        });
        let role = json!({"arn": arn, "external_id": external_id, "account": account});
        self.ask("role", role).await;
    }

    /// Updraft's own, which may do anything in its own account.
    pub(crate) async fn own_credentials(&self) -> FixedCredentials {
        let own = self.ask("credentials", json!({})).await;
        FixedCredentials(Credentials {
            access_key: own["access_key"].as_str().unwrap().to_owned(),
            secret_key: own["secret_key"].as_str().unwrap().into(),
            session_token: None,
            expires_at: None,
        })
    }

    /// By a role of the account, with the permissions that Updraft prints for this configuration and no others, unless the
    /// configuration names one.
    pub(crate) async fn provider_with(&self, mut config: Value) -> Ec2Provider {
        if config["account"].is_null() {
            let (role, external_id) = (
                format!("arn:aws:iam::{ACCOUNT}:role/updraft/{}", Uuid::now_v7()),
                ExternalId::generate(),
            );
            self.role(&role, &external_id, &config).await;
            config["account"] = json!({"role": role, "external_id": external_id});
        }
        let own = self.own_credentials().await;
        let config: Ec2Config = serde_json::from_value(config).unwrap();
        Ec2Provider::with_credentials(config, Arc::new(own)).unwrap()
    }
}

impl Drop for DataCentre {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[async_trait]
impl Subject for On {
    fn provider(&self) -> &dyn NodeProvider {
        &self.provider
    }

    fn fresh_node(&self) -> NodeId {
        NodeId(Uuid::now_v7())
    }

    async fn pass_time(&self) {
        tokio::time::sleep(MOMENT).await;
    }
}

pub(crate) fn boot(node: NodeId) -> BootSecret {
    let boot = json!({"control_url": "https://agents.example.com", "node": node, "token": "token"});
    BootSecret(SecretString::from(boot.to_string()))
}

pub(crate) fn wanted(cluster: i64, role: NodeRole) -> NodeWanted {
    NodeWanted {
        tenant: Some(TenantId(Uuid::from_u128(0xacce))),
        generation: Some(Generation(3)),
        fence: Some(12),
        ..NodeWanted::plain(ClusterId(cluster), NodeId(Uuid::now_v7()), role, 1)
    }
}

pub(crate) fn cluster(number: i64) -> ClusterWanted {
    ClusterWanted {
        cluster: ClusterId(number),
        tenant: TenantId(Uuid::from_u128(0xacce)),
        control_url: "https://127.0.0.1".to_owned(),
        worker_types: BTreeSet::new(),
    }
}

/// Prepares and launches.
pub(crate) async fn launch(provider: &Ec2Provider, wanted: &NodeWanted) -> Result<Launched, ProviderError> {
    let request = provider.prepare(wanted).await?;
    provider
        .launch(&request, &ClientToken::of(wanted.node), &boot(wanted.node))
        .await
}

pub(crate) fn tests_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

pub(crate) fn python() -> Option<PathBuf> {
    let python = tests_dir().join("../.tools/python/bin/python");
    python.exists().then_some(python)
}
