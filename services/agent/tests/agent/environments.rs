//! Environments of the cluster's own on SeaweedFS: made apart and sealed before the cluster's code sees them, taken by
//! other clusters as they were packed, and brought to every node's disk.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use object_store::ObjectStoreExt as _;
use object_store::signer::Signer as _;
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};
use updraft_api::agent::{
    BuildAssignment, BuildLimits, BuildOutcome, EnvironmentAssignment, EnvironmentOffer, KeptReport, Report,
    environment_key,
};
use updraft_model::{AgentPhase, ServiceName};

use crate::kept_scripts::with;
use crate::support::storage::{Storage, client};
use crate::support::{AgentProcess, Control, TestNode, eventually, process, service};

const DIGEST: &str = "0123456789abcdef01234567";
const LIMITS: BuildLimits = BuildLimits {
    time_s: 60,
    memory_bytes: 512 << 20,
    disk_bytes: 32 << 20,
    processes: 64,
};
/// Tries what a task may try, once a build has something to be touched.
const SERVICE: &str = "while [ ! -e $AT/meeting/made ]; do sleep 0.02; done
    for build in $AT/environments/.building-*; do
        echo evil > $build/environment/lib/word.py; mv $build $AT/environments/mine; rm -rf $build; chmod 777 $build
    done
    touch $AT/meeting/tried; exec sleep 1000";

/// Services' and builder's.
type Users = [Option<&'static str>; 2];
const APART: Users = [Some("nobody"), Some("daemon")];

/// One cluster: its control, and the node that builds for it.
struct Cluster {
    control: Control,
    node: TestNode,
    _agent: AgentProcess,
}

// === impl Cluster ===

impl Cluster {
    async fn start(storage: &Storage, users: Users, services: &str) -> Self {
        let control = Control::start().await;
        let mut node = TestNode::new(&control);
        let [services_user, builder] = users.map(|user| user.map(str::to_owned));
        (node.service_user, node.builder_user) = (services_user, builder);
        open(node.root(), 0o755);
        let bin = node.root().join("base/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join("python"), include_str!("support/builder.py")).unwrap();
        open(&bin.join("python"), 0o755);
        let script = format!("AT={}\n{services}", node.root().display());
        let assignment = node.assignment(vec![service(ServiceName::Scheduler, &script)]);
        control.assign(with(storage, assignment));
        let agent = node.spawn_agent();
        Self {
            control,
            node,
            _agent: agent,
        }
    }

    fn home(&self) -> PathBuf {
        self.node.root().join("environments")
    }

    fn module(&self) -> PathBuf {
        self.home().join(DIGEST).join("lib/word.py")
    }

    /// As it says, once it has been kept.
    async fn builds(&self) -> KeptReport {
        let (root, home) = (self.node.root().display().to_string(), self.home());
        self.control.change(|assignment| {
            assignment.build = Some(BuildAssignment {
                digest: DIGEST.to_owned(),
                attempt: 1,
                directory: home.join(DIGEST).display().to_string(),
                base_dir: format!("{root}/base"),
                before_dir: format!("{root}/base"),
                keep: Vec::new(),
                recorded: false,
                requirements: "greeter".to_owned(),
                allow_source_builds: false,
                plugins: None,
                uv: "/uv".to_owned(),
                index_url: None,
                own_index: None,
                limits: LIMITS,
            });
        });
        let done = |report: &Report| {
            let build = report.build.as_ref();
            build.is_some_and(|build| {
                build.kept.is_some() || matches!(build.outcome, BuildOutcome::Refused { .. })
            })
        };
        let report = self.control.report_where("the build's end", done).await;
        let build = report.build.unwrap();
        assert_eq!(build.outcome, BuildOutcome::Ready);
        build.kept.unwrap()
    }

    fn word(&self) -> String {
        std::fs::read_to_string(self.module()).unwrap()
    }
}

fn open(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// As control would name it.
async fn offer(storage: &Storage, sha256: &str, bytes: u64) -> EnvironmentOffer {
    let key = environment_key(DIGEST, sha256).into();
    let store = client(&storage.endpoint());
    let url = store
        .signed_url(reqwest::Method::GET, &key, Duration::from_secs(60))
        .await
        .unwrap();
    EnvironmentOffer {
        url: url.to_string().into(),
        sha256: sha256.to_owned(),
        bytes,
        shared: true,
    }
}

#[tokio::test]
async fn what_one_cluster_built_another_gets_as_it_was_made_whatever_the_first_ones_code_tries() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("needs root: an ordinary user's clusters share that user");
        return;
    }
    let Some(storage) = Storage::seaweed().await else {
        return;
    };
    let one = Cluster::start(&storage, APART, SERVICE).await;
    let meeting = one.node.root().join("meeting");
    std::fs::create_dir(&meeting).unwrap();
    open(&meeting, 0o777);
    let kept = one.builds().await;
    let daemon = nix::unistd::User::from_name("daemon").unwrap().unwrap().uid;
    assert!(
        one.word().ends_with(&format!("# by {daemon}\n")),
        "{}",
        one.word()
    );
    assert!(kept.apart);
    let key = environment_key(DIGEST, &kept.sha256);
    assert_eq!(storage.listing().await, [(key, kept.bytes)]);
    let left: Vec<_> = std::fs::read_dir(one.home()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");

    let other = Cluster::start(&storage, APART, "exec sleep 1000").await;
    other
        .control
        .offer(DIGEST, offer(&storage, &kept.sha256, kept.bytes).await);
    let taken = other.builds().await;
    assert_eq!((other.word(), taken), (one.word(), kept.clone()));

    let careful = Cluster::start(&storage, APART, "exec sleep 1000").await;
    let damaged = EnvironmentOffer {
        sha256: "0".repeat(64),
        ..offer(&storage, &kept.sha256, kept.bytes).await
    };
    careful.control.offer(DIGEST, damaged);
    let own = careful.builds().await;
    assert_ne!(careful.word(), one.word(), "it was built anew");
    assert_ne!(own.sha256, kept.sha256);

    // As on a node of before there were builders.
    let old = Cluster::start(&storage, [Some("nobody"), None], "exec sleep 1000").await;
    let own = old.builds().await;
    assert!(!own.apart, "what the services' user built is given to nobody");
}

/// Packed, with its digest.
fn archive() -> (Vec<u8>, String) {
    let mut tar = Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
    for (name, text) in [("lib/word.py", "WORD = 'there'\n"), ("bin/tool", "#!/bin/sh\n")] {
        let mut header = Header::new_gnu();
        header.set_mode(0o640);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    let bytes = tar.into_inner().unwrap().finish().unwrap();
    let digest = hex::encode(Sha256::digest(&bytes));
    (bytes, digest)
}

#[tokio::test]
async fn a_node_fetches_what_it_is_to_run_with_and_runs_on_until_that_is_there() {
    let Some(storage) = Storage::seaweed().await else {
        return;
    };
    let cluster = Cluster::start(&storage, [None, None], "exec sleep 1000").await;
    let report = cluster.control.phase(AgentPhase::Running).await;
    let before = process(&report, ServiceName::Scheduler);
    let (root, home) = (cluster.node.root().display().to_string(), cluster.home());
    cluster.control.change(|assignment| {
        assignment.environment_dir = home.join(DIGEST).display().to_string();
        assignment.environment = Some(EnvironmentAssignment {
            digest: DIGEST.to_owned(),
            base_dir: format!("{root}/base"),
            keep: vec![DIGEST.to_owned()],
            disk_bytes: 1 << 20,
        });
        assignment.services[0].digest = "2".to_owned();
    });
    let report = cluster.control.phase(AgentPhase::Preparing).await;
    assert_eq!(process(&report, ServiceName::Scheduler), before);
    let (bytes, sha256) = archive();
    let (length, key) = (bytes.len() as u64, environment_key(DIGEST, &sha256));
    let store = client(&storage.endpoint());
    store.put(&key.into(), bytes.into()).await.unwrap();
    cluster
        .control
        .offer(DIGEST, offer(&storage, &sha256, length).await);
    eventually("the environment", || cluster.module().is_file()).await;
    let changed = |report: &Report| {
        report.phase == AgentPhase::Running && process(report, ServiceName::Scheduler) != before
    };
    cluster.control.report_where("the change", changed).await;
    assert_eq!(cluster.word(), "WORD = 'there'\n");
}
