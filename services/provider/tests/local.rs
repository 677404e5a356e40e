//! The local provider, with a shell script for an agent.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use updraft_model::{ClusterId, NodeId, NodeRole};
use updraft_provider::contract::{MOMENT, Subject, check};
use updraft_provider::local::{LocalProvider, LocalSettings};
use updraft_provider::{ClientToken, Launched, NodeProvider, NodeStatus, NodeWanted, ProviderError};
use uuid::Uuid;

/// Starts a service in a session of its own, records it as agents do, and ends both when asked to stop. Of a node that is gone it
/// takes the logs, when there is somewhere to put them.
const AGENT: &str = r#"#!/bin/bash
dir=$(dirname "$2")
if [ "$3" = --remains ]; then
    grep -q "\"node_dir\":\"$dir\"" "$2" && cp "$dir"/logs/* "$(dirname "$0")/bucket/"
    exit
fi
mkdir -p "$dir/logs"
echo "last words of $(basename "$dir")" > "$dir/logs/$(basename "$dir").log"
mkdir -p "$dir/run"
cp "$2" "$dir/seen.json"
if [ ! -e "$dir/run/worker.json" ] || ! kill -0 "$(cat "$dir/service.pid")" 2>/dev/null; then
    (cd / && exec env -i setsid sleep 1000) >/dev/null 2>&1 &
    pid=$!
    echo $pid > "$dir/service.pid"
    while read -r -a stat < "/proc/$pid/stat"; [ "${stat[5]}" != "$pid" ]; do :; done
    echo "{\"process\":{\"pid\":$pid,\"start_time\":${stat[21]}}}" > "$dir/run/worker.json"
fi
while [ ! -e "$dir/stop" ]; do sleep 0.02; done
kill "$(cat "$dir/service.pid")"
rm "$dir/run/worker.json"
"#;

struct Machine {
    dir: TempDir,
    provider: Arc<LocalProvider>,
    supervision: CancellationToken,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let agent = dir.path().join("agent.sh");
        std::fs::write(&agent, AGENT).unwrap();
        std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
        let provider = Arc::new(open(dir.path()));
        let supervision = CancellationToken::new();
        tokio::spawn(Arc::clone(&provider).supervise(supervision.clone()));
        Self {
            dir,
            provider,
            supervision,
        }
    }

    /// Control dies and comes back.
    fn restart_control(&mut self) {
        self.supervision.cancel();
        self.provider = Arc::new(open(self.dir.path()));
        self.supervision = CancellationToken::new();
        tokio::spawn(Arc::clone(&self.provider).supervise(self.supervision.clone()));
    }

    async fn launch(&self, node: NodeId) -> Result<Launched, ProviderError> {
        let wanted = NodeWanted::plain(ClusterId(1), node, NodeRole::Web, 1);
        let request = self.provider.prepare(&wanted).await?;
        self.provider
            .launch(&request, &ClientToken::of(node), &self.boot(node))
            .await
    }

    fn node_dir(&self, node: NodeId) -> PathBuf {
        self.provider.layout().node_dir(node)
    }

    fn agent_pid(&self, node: NodeId) -> Option<i32> {
        let text = std::fs::read_to_string(self.node_dir(node).join("agent.json")).ok()?;
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        i32::try_from(value["process"]["pid"].as_i64()?).ok()
    }

    fn service_pid(&self, node: NodeId) -> Option<i32> {
        self.node_dir(node)
            .join("run/worker.json")
            .exists()
            .then_some(())?;
        std::fs::read_to_string(self.node_dir(node).join("service.pid"))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    async fn until<T>(&self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(value) = condition() {
                return value;
            }
            tokio::time::sleep(MOMENT).await;
        }
        panic!("waited in vain for {what}");
    }
}

#[async_trait]
impl Subject for Machine {
    fn provider(&self) -> &dyn NodeProvider {
        &*self.provider
    }

    fn fresh_node(&self) -> NodeId {
        NodeId(Uuid::new_v4())
    }

    async fn pass_time(&self) {
        tokio::time::sleep(MOMENT).await;
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.supervision.cancel();
        for pid in std::fs::read_dir(self.dir.path().join("nodes"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let service = std::fs::read_to_string(pid.path().join("service.pid")).unwrap_or_default();
            let agent = std::fs::read_to_string(pid.path().join("agent.json")).unwrap_or_default();
            let agent: serde_json::Value = serde_json::from_str(&agent).unwrap_or_default();
            for pid in [service.trim().parse().ok(), agent["process"]["pid"].as_i64()]
                .into_iter()
                .flatten()
            {
                kill(i32::try_from(pid).unwrap());
            }
        }
    }
}

fn open(data_dir: &Path) -> LocalProvider {
    let agent = vec![OsString::from(data_dir.join("agent.sh"))];
    LocalProvider::open(LocalSettings {
        data_dir: data_dir.to_owned(),
        agent,
        users: None,
    })
    .unwrap()
}

fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

fn kill(pid: i32) {
    let _ = rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_obeys_the_laws() {
    let machine = Machine::new();
    check(&machine, ClusterId(1), ClusterId(2)).await.unwrap();
    assert!(machine.provider.list(None).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_dies_is_started_again_and_its_services_go_on() {
    let machine = Machine::new();
    let node = machine.fresh_node();
    machine.launch(node).await.unwrap();
    let service = machine.until("the service", || machine.service_pid(node)).await;
    let agent = machine.agent_pid(node).unwrap();
    kill(agent);
    machine
        .until("another agent", || {
            machine.agent_pid(node).filter(|pid| *pid != agent)
        })
        .await;
    assert!(is_alive(service));
    assert_eq!(
        machine.provider.list(None).await.unwrap()[0].status,
        NodeStatus::Running
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_control_finds_its_nodes_and_leaves_them_alone() {
    let mut machine = Machine::new();
    let node = machine.fresh_node();
    let launched = machine.launch(node).await.unwrap();
    let service = machine.until("the service", || machine.service_pid(node)).await;
    let agent = machine.agent_pid(node).unwrap();
    machine.restart_control();
    assert_eq!(machine.launch(node).await.unwrap(), launched);
    assert_eq!(machine.agent_pid(node), Some(agent));
    assert!(is_alive(agent) && is_alive(service));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_node_leaves_no_process_and_no_file() {
    let machine = Machine::new();
    let node = machine.fresh_node();
    let launched = machine.launch(node).await.unwrap();
    let service = machine.until("the service", || machine.service_pid(node)).await;
    let agent = machine.agent_pid(node).unwrap();
    machine.provider.terminate(&launched.id).await.unwrap();
    assert!(!is_alive(agent) && !is_alive(service));
    assert!(!machine.node_dir(node).exists());
    assert!(!machine.provider.layout().shared_dir(ClusterId(1)).exists());
    assert!(machine.launch(node).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_logged_last_is_shipped_after_its_end_whatever_restarts_meanwhile() {
    let mut machine = Machine::new();
    let node = machine.fresh_node();
    let launched = machine.launch(node).await.unwrap();
    machine.until("the service", || machine.service_pid(node)).await;
    let remains = machine.dir.path().join("nodes/.remains").join(node.to_string());
    std::fs::create_dir(machine.node_dir(node).join("work")).unwrap();
    machine.provider.terminate(&launched.id).await.unwrap();
    machine
        .until("all but the logs to go", || {
            (!remains.join("work").exists()).then_some(())
        })
        .await;
    assert!(remains.join("logs").exists(), "there is no bucket yet");
    machine.restart_control();
    let bucket = machine.dir.path().join("bucket");
    std::fs::create_dir(&bucket).unwrap();
    machine
        .until("the remains to go", || (!remains.exists()).then_some(()))
        .await;
    let words = std::fs::read_to_string(bucket.join(format!("{node}.log"))).unwrap();
    assert_eq!(words, format!("last words of {node}\n"));
    assert!(machine.provider.list(None).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deleted_clusters_nodes_logged_is_removed_unshipped() {
    let machine = Machine::new();
    let node = machine.fresh_node();
    let launched = machine.launch(node).await.unwrap();
    machine.until("the service", || machine.service_pid(node)).await;
    machine.provider.terminate(&launched.id).await.unwrap();
    let remains = machine.dir.path().join("nodes/.remains").join(node.to_string());
    let layout = machine.provider.layout();
    layout.forget_remains(ClusterId(2)).unwrap();
    assert!(remains.exists(), "another cluster's");
    layout.forget_remains(ClusterId(1)).unwrap();
    assert!(!remains.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_all_keeps_the_nodes_and_they_start_again() {
    let mut machine = Machine::new();
    let node = machine.fresh_node();
    let launched = machine.launch(node).await.unwrap();
    let service = machine.until("the service", || machine.service_pid(node)).await;
    machine.provider.stop_all(Duration::from_secs(10)).await.unwrap();
    assert!(!is_alive(service));
    assert_eq!(
        machine.provider.describe(&launched.id).await.unwrap(),
        NodeStatus::Stopped
    );
    machine.restart_control();
    assert_eq!(
        machine.provider.describe(&launched.id).await.unwrap(),
        NodeStatus::Stopped
    );
    assert_eq!(
        machine
            .provider
            .start(&launched.id, &machine.boot(node))
            .await
            .unwrap(),
        launched
    );
    machine
        .until("a new service", || {
            machine.service_pid(node).filter(|pid| *pid != service)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ran_before_the_machine_restarted_has_stopped() {
    let machine = Machine::new();
    machine.supervision.cancel();
    let node = machine.fresh_node();
    let launched = machine.launch(node).await.unwrap();
    machine.until("the service", || machine.service_pid(node)).await;
    let before = serde_json::json!({ "process": { "pid": 1, "start_time": 1 }, "boot": "another" });
    kill(machine.agent_pid(node).unwrap());
    std::fs::write(machine.node_dir(node).join("agent.json"), before.to_string()).unwrap();
    assert_eq!(
        machine.provider.describe(&launched.id).await.unwrap(),
        NodeStatus::Stopped
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_told_what_only_the_provider_knows() {
    let machine = Machine::new();
    let node = machine.fresh_node();
    let launched = machine.launch(node).await.unwrap();
    machine.until("the service", || machine.service_pid(node)).await;
    let seen = std::fs::read_to_string(machine.node_dir(node).join("seen.json")).unwrap();
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["node_dir"], machine.node_dir(node).to_str().unwrap());
    assert_eq!(
        seen["address"].as_str().unwrap().parse::<IpAddr>().unwrap(),
        launched.address
    );
    assert_eq!(seen["token"], "t");
    let mode = std::fs::metadata(machine.node_dir(node).join("bootstrap.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
