//! An AWS of the test's own on a free port, ended when dropped: `tests/datacentre` verifies signatures and trust policies.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use updraft_app::AwsIdentity;
use updraft_aws::{Client, Credentials, FixedCredentials, Place};
use updraft_testing::free_port;

pub(crate) const PRINCIPAL: &str = "arn:aws:iam::123456789012:root";

pub(crate) struct Aws {
    server: Child,
    address: SocketAddr,
    http: reqwest::Client,
}

// === impl Aws ===

impl Aws {
    /// None where the tests' tools are not installed.
    pub(crate) async fn open() -> Option<Self> {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests");
        let python = tests.join("../.tools/python/bin/python");
        if !python.exists() {
            eprintln!("skipped: the tests' Python tools are not in .tools (tests/run puts them there)");
            return None;
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let server = Command::new(python)
            .args(["-m", "datacentre", "--port", &address.port().to_string()])
            .current_dir(tests)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let aws = Self {
            server,
            address,
            http: reqwest::Client::new(),
        };
        for _ in 0..600 {
            if aws.http.get(aws.at("calls")).send().await.is_ok() {
                return Some(aws);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the data centre does not answer");
    }

    fn at(&self, what: &str) -> String {
        format!("http://{}/datacentre/{what}", self.address)
    }

    async fn ask(&self, what: &str, asked: Value) -> Value {
        let answer = self.http.post(self.at(what)).json(&asked).send().await.unwrap();
        assert!(answer.status().is_success(), "{what}: {}", answer.status());
        answer.json().await.unwrap()
    }

    /// Who Updraft is there.
    pub(crate) async fn identity(&self) -> AwsIdentity {
        let own = self.ask("credentials", json!({})).await;
        let own = ["access_key", "secret_key"].map(|key| own[key].as_str().unwrap().to_owned());
        at(self.address, own)
    }

    /// A role that trusts Updraft, by an external id or by none.
    pub(crate) async fn role(&self, arn: &str, external_id: Option<&str>) {
        let role = json!({"arn": arn, "external_id": external_id});
        self.ask("role", role).await;
    }

    /// A role with this trust policy, in place of the one it had.
    pub(crate) async fn trust(&self, arn: &str, policy: &Value) {
        self.ask("role", json!({"arn": arn, "trust": policy})).await;
    }

    /// The next role that is asked for is refused.
    pub(crate) async fn refuse(&self) {
        let fault = json!({"action": "AssumeRole", "code": "AccessDenied", "status": 403});
        self.ask("fault", fault).await;
    }

    pub(crate) async fn asked(&self) -> u64 {
        self.ask("calls", json!({})).await["AssumeRole"]
            .as_u64()
            .unwrap_or(0)
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Somebody at an AWS that does not answer.
pub(crate) fn unasked() -> AwsIdentity {
    let _ = rustls::crypto::ring::default_provider().install_default();
    at(
        SocketAddr::from(([127, 0, 0, 1], 9)),
        ["none", "none"].map(str::to_owned),
    )
}

/// Somebody at an AWS that verifies no signature.
pub(crate) fn anybody_at(address: SocketAddr) -> AwsIdentity {
    let _ = rustls::crypto::ring::default_provider().install_default();
    at(address, ["AKIA", "secret"].map(str::to_owned))
}

fn at(address: SocketAddr, [access_key, secret_key]: [String; 2]) -> AwsIdentity {
    let own = FixedCredentials(Credentials {
        access_key,
        secret_key: secret_key.into(),
        session_token: None,
        expires_at: None,
    });
    let place = Place {
        region: "eu-west-1".to_owned(),
        endpoint: Some(format!("http://{address}/").parse().unwrap()),
    };
    AwsIdentity::new(
        PRINCIPAL.parse().unwrap(),
        Client::new(place, Arc::new(own)).unwrap(),
    )
}
