//! Real rules in a network namespace of the test's own. Needs root and `nft`; run by the tests' root tier.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use async_trait::async_trait;
use secrecy::SecretString;
use updraft_model::{ClusterId, NodeId, NodeRole};
use updraft_provider::local::{Isolation, LocalProvider, LocalSettings, ServiceUser, ServiceUsers};
use updraft_provider::{BootSecret, ClientToken, NodeProvider as _, NodeWanted, ProviderError};
use uuid::Uuid;

/// Users 70000 + cluster: they need no entry in the user database.
struct Numbers;

#[async_trait]
impl ServiceUsers for Numbers {
    async fn ensure(&self, cluster: ClusterId) -> Result<ServiceUser, ProviderError> {
        let id = 70_000 + u32::try_from(cluster.0).unwrap();
        Ok(ServiceUser {
            name: format!("cluster-{cluster}"),
            uid: id,
            gid: id,
        })
    }

    async fn ensure_builder(&self, cluster: ClusterId) -> Result<ServiceUser, ProviderError> {
        let id = 71_000 + u32::try_from(cluster.0).unwrap();
        Ok(ServiceUser {
            name: format!("builder-{cluster}"),
            uid: id,
            gid: id,
        })
    }
}

/// Tries as that user; listens as root on the address first.
const REACHES: &str = r"
import encodings.idna, os, socket, sys
server = socket.create_server((sys.argv[2], int(sys.argv[3])))
if os.fork() == 0:
    os.setuid(int(sys.argv[1]))
    try:
        socket.create_connection((sys.argv[2], int(sys.argv[3])), 2).close()
    except OSError:
        os._exit(1)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
";

fn reaches(user: u32, address: &str, port: u16) -> bool {
    let status = Command::new("python3")
        .args(["-c", REACHES, &user.to_string(), address, &port.to_string()])
        .status();
    status.unwrap().success()
}

#[tokio::test]
async fn a_clusters_processes_reach_their_own_nodes_and_what_is_shared_only() {
    let may = Command::new("unshare")
        .args(["-n", "nft", "list", "ruleset"])
        .output();
    if !may.is_ok_and(|output| output.status.success()) {
        // Root is kept apart from nobody unless this ran.
        assert!(
            !rustix::process::geteuid().is_root(),
            "nft is missing: install the package nftables"
        );
        eprintln!("needs root: an ordinary user's clusters share that user and are not kept apart");
        return;
    }
    if std::env::var_os("UPDRAFT_TEST_NAMESPACE").is_none() {
        let own = std::env::current_exe().unwrap();
        let script = "ip link set lo up && exec \"$0\" a_clusters_processes --nocapture";
        let mut inside = Command::new("unshare");
        inside
            .args(["-n", "sh", "-c", script])
            .arg(own)
            .env("UPDRAFT_TEST_NAMESPACE", "1");
        assert!(inside.status().unwrap().success());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let agent = dir.path().join("agent");
    std::fs::write(&agent, "#!/bin/sh\nexec sleep 60\n").unwrap();
    std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
    let settings = LocalSettings {
        data_dir: dir.path().to_owned(),
        agent: vec![agent.into()],
        users: Some(std::sync::Arc::new(Numbers)),
    };
    let isolation = Isolation {
        trusted: vec![60_000],
        shared_ports: vec![7704, 7705],
    };
    let (provider, applied) = LocalProvider::open(settings).unwrap().isolate(isolation).await;
    applied.unwrap();
    let mut addresses = Vec::new();
    for cluster in [1, 2] {
        let node = NodeId(Uuid::new_v4());
        let wanted = NodeWanted::plain(ClusterId(cluster), node, NodeRole::Web, 1);
        let request = provider.prepare(&wanted).await.unwrap();
        let boot = BootSecret(SecretString::from("{}"));
        addresses.push(
            provider
                .launch(&request, &ClientToken::of(node), &boot)
                .await
                .unwrap(),
        );
    }
    let (one, other) = (addresses[0].address.to_string(), addresses[1].address.to_string());
    assert!(reaches(70_001, &one, 8080), "its own node");
    assert!(!reaches(70_001, &other, 8080), "another cluster's node");
    assert!(reaches(71_001, &one, 8080), "the node that it builds on");
    assert!(!reaches(71_001, &other, 8080), "another cluster's node");
    assert!(!reaches(71_001, "127.0.0.1", 7702), "control's internal listener");
    assert!(!reaches(1000, &one, 8080), "a user of the machine");
    assert!(
        reaches(0, &one, 8080) && reaches(60_000, &other, 8080),
        "control and edge"
    );
    assert!(reaches(70_001, "127.0.0.1", 7704), "the metadata Postgres");
    assert!(!reaches(70_001, "127.0.0.1", 7703), "control's Postgres");
    assert!(!reaches(70_001, "127.0.0.1", 7702), "control's internal listener");
    assert!(reaches(1000, "127.0.0.1", 7702), "what is none of ours");
    for launched in &addresses {
        provider.terminate(&launched.id).await.unwrap();
    }
    provider.lift_isolation().await.unwrap();
    assert!(reaches(1000, &one, 8080), "no rule is left");
}
