//! On a real object store that has roles: SeaweedFS with its own STS.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use updraft_provider::ClusterStorage as _;
use updraft_testing::free_ports;

use super::super::bucket_settings::settings;
use super::*;

const ROLE: &str = "arn:aws:iam::123456789012:role/updraft-storage";

/// Ended when dropped.
struct Store {
    server: Child,
    endpoint: String,
    dir: tempfile::TempDir,
}

// === impl Store ===

impl Store {
    /// None where it is not installed.
    async fn start() -> Option<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/parts/bin/weed");
        if !program.exists() {
            eprintln!("skipped: weed is not in .tools (tests/run puts it there)");
            return None;
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, value: serde_json::Value| {
            std::fs::write(dir.path().join(name), value.to_string()).unwrap();
        };
        write(
            "identities",
            json!({"identities": [{"name": "admin", "actions": ["Admin"],
                "credentials": [{"accessKey": "admin", "secretKey": "secret-of-the-admin"}]}]}),
        );
        write("roles", roles());
        write(
            "keys",
            json!({"access_key": "admin", "secret_key": "secret-of-the-admin"}),
        );
        let ports = free_ports::<8>();
        let port = ports[0];
        let mut command = Command::new(program);
        command
            .args([
                "server",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-s3",
                "-volume.max=50",
            ])
            .args(["-master.telemetry=false", "-master.volumeSizeLimitMB=64"])
            .args([
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-s3.config=identities",
                "-s3.iam.config=roles",
            ])
            .args(
                NAMES
                    .iter()
                    .zip(ports)
                    .map(|(name, port)| format!("-{name}={port}")),
            )
            .arg("-dir=.")
            .current_dir(dir.path());
        let server = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let store = Self {
            server,
            endpoint: format!("http://127.0.0.1:{port}"),
            dir,
        };
        store.wait().await;
        Some(store)
    }

    async fn wait(&self) {
        for _ in 0..600 {
            if reqwest::get(&self.endpoint).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the object store does not answer");
    }

    fn storage(&self, node_keys: &serde_json::Value) -> InstallationStorage {
        let file: StorageFile = serde_json::from_value(json!({
            "region": "us-east-1",
            "endpoint": self.endpoint,
            "bucket_prefix": "updraft-cluster-",
            "keys_file": self.dir.path().join("keys"),
            "node_keys": node_keys,
        }))
        .unwrap();
        InstallationStorage::open(&file).unwrap()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

const NAMES: [&str; 8] = [
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
];

/// A role that opens every cluster's bucket, as Terraform makes it: sessions of it open less.
fn roles() -> serde_json::Value {
    let everywhere = [
        "arn:aws:s3:::updraft-cluster-*",
        "arn:aws:s3:::updraft-cluster-*/*",
    ];
    json!({
        "sts": {"tokenDuration": "1h", "maxSessionLength": "12h", "issuer": "test",
            "signingKey": "c2lnbmluZy1rZXktb2YtdGhlLXRlc3QtMzItYnl0ZXM="},
        "policy": {"defaultEffect": "Deny", "storeType": "memory"},
        "policies": [{"name": "clusters", "document": {"Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": everywhere}]}}],
        "roles": [{"roleName": "updraft-storage", "roleArn": ROLE, "attachedPolicies": ["clusters"],
            "trustPolicy": {"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["sts:AssumeRole"]}]}}],
    })
}

fn opened(access: &StorageAccess, bucket: &str) -> AmazonS3 {
    let builder = AmazonS3Builder::new()
        .with_endpoint(&access.endpoint)
        .with_region(&access.region)
        .with_bucket_name(bucket)
        .with_access_key_id(&access.access_key)
        .with_secret_access_key(access.secret_key.expose_secret())
        .with_client_options(ClientOptions::new().with_allow_http(true));
    let builder = match &access.session_token {
        Some(token) => builder.with_token(token.expose_secret()),
        None => builder,
    };
    builder.build().unwrap()
}

/// Writes, reads, lists and removes.
async fn works_in(store: &AmazonS3) -> bool {
    let key = "logs/one".into();
    let done = async {
        store.put(&key, "one".into()).await?;
        store.get(&key).await?.bytes().await?;
        store.list_with_delimiter(None).await?;
        store.delete(&key).await
    };
    done.await.is_ok()
}

/// What IAM makes of it, `tests/datacentre/tests` says of the file.
#[test]
fn a_session_for_nodes_is_limited_as_it_is_evaluated_elsewhere() {
    let kept = include_str!("../../../../tests/datacentre/tests/storage-session.json");
    let made = one_bucket(&ROLE.parse().unwrap(), "updraft-cluster-1");
    let [made, kept] = [&made, kept].map(|policy| serde_json::from_str::<serde_json::Value>(policy).unwrap());
    assert_eq!(made, kept, "put it into storage-session.json, and run its tests");
}

#[tokio::test]
async fn nodes_open_their_own_clusters_bucket_and_no_other() {
    let Some(store) = Store::start().await else { return };
    let storage = store.storage(&json!({"role": ROLE}));
    let (one, other) = (ClusterId(1), ClusterId(2));
    let access = storage.ensure(one).await.unwrap();
    let others = storage.ensure(other).await.unwrap();
    assert_eq!(access.bucket, "updraft-cluster-1");
    assert!(access.session_token.is_some());
    assert!(works_in(&opened(&access, &access.bucket)).await);
    let trespass = opened(&access, &others.bucket);
    assert!(trespass.put(&"a".into(), "a".into()).await.is_err());
    assert!(trespass.get(&"logs/one".into()).await.is_err());
    assert!(trespass.list_with_delimiter(None).await.is_err());

    // What is made again is the same bucket, by another session; the one before still works.
    let again = storage.ensure(one).await.unwrap();
    assert_eq!(again.bucket, access.bucket);
    let renewed = StorageSessions::open(&storage, one).await.unwrap();
    assert_ne!(renewed.access_key, access.access_key);
    assert!(works_in(&opened(&renewed, &access.bucket)).await);

    let own = storage.of(one);
    own.store()
        .await
        .unwrap()
        .put(&"dags/a.py".into(), "a".into())
        .await
        .unwrap();
    storage.remove(one).await.unwrap();
    storage.remove(one).await.unwrap();
    let (found, _) = own.ask(Method::HEAD, String::new()).await.unwrap();
    assert_eq!(found, StatusCode::NOT_FOUND, "the bucket is still there");
    assert!(works_in(&opened(&others, &others.bucket)).await);
}

#[tokio::test]
async fn a_bucket_that_nodes_could_not_write_to_is_told_before_there_are_any() {
    let Some(store) = Store::start().await else { return };
    let mut storage = store.storage(&json!({"role": ROLE}));
    let access = storage.ensure(ClusterId(1)).await.unwrap();
    let left = opened(&access, &access.bucket)
        .list_with_delimiter(None)
        .await
        .unwrap();
    assert!(left.objects.is_empty(), "{:?}", left.objects);

    // Updraft itself may make it, and its role for nodes opens others.
    "elsewhere-".clone_into(&mut storage.file.bucket_prefix);
    let refused = storage.ensure(ClusterId(1)).await.unwrap_err().to_string();
    assert!(
        refused.contains("may not write to the bucket elsewhere-1") && refused.contains("`node_keys`"),
        "{refused}"
    );
}

#[tokio::test]
async fn without_roles_nodes_have_the_installations_keys() {
    let Some(store) = Store::start().await else { return };
    let storage = store.storage(&json!("shared"));
    let access = storage.ensure(ClusterId(1)).await.unwrap();
    assert!(access.session_token.is_none() && !storage.has_sessions());
    assert!(works_in(&opened(&access, &access.bucket)).await);
    let audit = ControlBucket {
        bucket: storage.of(ClusterId(1)).bucket,
        credentials: storage.credentials.clone(),
    };
    audit.put("audit/one", b"line".to_vec()).await.unwrap();
}

#[tokio::test]
async fn a_bucket_gets_the_settings_that_it_lacks_and_keeps_those_that_it_has() {
    let Some(store) = Store::start().await else { return };
    let storage = store.storage(&json!("shared"));
    let access = storage.ensure(ClusterId(1)).await.unwrap();
    let own = storage.of(ClusterId(1));
    let [encryption, policy, lifecycle] = settings(&access.bucket, "us-east-1");
    // An operator's rules stay.
    let theirs = lifecycle.wanted.replace(">7<", ">30<");
    let (status, said) = own.setting(&Method::PUT, lifecycle.name, theirs).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{said}");
    assert!(!own.set_if_missing(&lifecycle).await.unwrap());
    let (_, said) = own
        .setting(&Method::GET, lifecycle.name, String::new())
        .await
        .unwrap();
    assert!(said.contains("<DaysAfterInitiation>30<"), "{said}");

    storage.ensure(ClusterId(2)).await.unwrap();
    let other = storage.of(ClusterId(2));
    for setting in [&encryption, &lifecycle] {
        assert!(other.set_if_missing(setting).await.unwrap(), "{}", setting.name);
        assert!(!other.set_if_missing(setting).await.unwrap(), "{}", setting.name);
    }

    // This store is asked without TLS.
    assert!(works_in(&opened(&access, &access.bucket)).await);
    assert!(own.set_if_missing(&policy).await.unwrap());
    assert!(!works_in(&opened(&access, &access.bucket)).await);
    let refused = own.set_if_missing(&policy).await.unwrap_err().to_string();
    assert!(refused.contains("403 AccessDenied"), "{refused}");
    // That is told, and keeps no cluster from starting.
    own.settle().await;
}
