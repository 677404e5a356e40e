//! Scripts from a tenant's bucket, on SeaweedFS and moto: read once, by who tries them, and kept for every node.

use std::collections::BTreeMap;

use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use updraft_api::agent::{
    Assignment, BuildLimits, KeyPair, Report, ScriptAssignment, ScriptFailure, ScriptFrom, ScriptObject,
    ScriptOutcome, TrialAssignment,
};
use updraft_model::{AgentPhase, NodeRole, ServiceName};

use crate::foreign::put;
use crate::support::storage::{self, Storage};
use crate::support::{Control, TestNode, service};

const OBJECT: &str = "scripts/boot.sh";
const KEPT: &str = "updraft/bootstrap/kept";
const SCRIPT: &str = "mkdir bin && echo made > bin/tool && echo \"as $UPDRAFT_NODE_ROLE\"";

fn script() -> ScriptAssignment {
    ScriptAssignment {
        digest: "kept".to_owned(),
        from: ScriptFrom::Kept { key: KEPT.to_owned() },
        env: BTreeMap::new(),
        limits: BuildLimits {
            time_s: 20,
            memory_bytes: 128 << 20,
            disk_bytes: 32 << 20,
            processes: 32,
        },
    }
}

fn trial(attempt: i64, endpoint: &str, key: &str, secret: &str) -> TrialAssignment {
    TrialAssignment {
        attempt,
        script: script(),
        object: Some(ScriptObject {
            endpoint: Some(endpoint.to_owned()),
            region: "us-east-1".to_owned(),
            bucket: storage::BUCKET.to_owned(),
            key: key.to_owned(),
            credential: Some(KeyPair {
                access_key: storage::KEY.0.to_owned(),
                secret_key: secret.into(),
                session_token: None,
            }),
        }),
        roles: vec![NodeRole::Scheduler, NodeRole::Worker],
    }
}

/// The store is the cluster's own and the tenant's too.
pub(crate) fn with(storage: &Storage, mut assignment: Assignment) -> Assignment {
    assignment.dags.endpoint = storage.endpoint();
    assignment.dags.bucket = storage::BUCKET.to_owned();
    assignment.dags.access_key = storage::KEY.0.to_owned();
    assignment.dags.secret_key = storage::KEY.1.into();
    assignment.dags.outbound_allow = vec![storage.endpoint().trim_start_matches("http://").to_owned()];
    assignment
}

fn outcome(report: &Report, attempt: i64) -> Option<ScriptOutcome> {
    let trial = report.trial.as_ref().filter(|trial| trial.attempt == attempt)?;
    (trial.outcome != ScriptOutcome::Running).then(|| trial.outcome.clone())
}

async fn tried(control: &Control, asked: TrialAssignment) -> ScriptOutcome {
    let attempt = asked.attempt;
    control.change(|assignment| assignment.trial = Some(asked));
    let report = control
        .report_where("the trial's end", |report| outcome(report, attempt).is_some())
        .await;
    outcome(&report, attempt).unwrap()
}

async fn is_kept(storage: Option<Storage>, checks_keys: bool) {
    let Some(storage) = storage else { return };
    let endpoint = storage.endpoint();
    put(&storage, OBJECT, SCRIPT).await;
    put(&storage, "scripts/empty.sh", " \n").await;
    let control = Control::start().await;
    let node = TestNode::new(&control);
    control.assign(with(&storage, node.assignment(Vec::new())));
    let _agent = node.spawn_agent();

    let mut refused = vec![
        (trial(1, &endpoint, "scripts/none.sh", storage::KEY.1), "404"),
        (
            trial(2, &endpoint, "scripts/empty.sh", storage::KEY.1),
            "it is empty",
        ),
        (
            trial(3, "https://127.0.0.1", OBJECT, storage::KEY.1),
            "not on the public internet",
        ),
    ];
    if checks_keys {
        refused.push((trial(4, &endpoint, OBJECT, "not its secret"), "403"));
    }
    for (asked, said) in refused {
        let ScriptOutcome::Failed { cause, message } = tried(&control, asked).await else {
            panic!("{said}: it was not refused");
        };
        assert_eq!(cause, ScriptFailure::Source, "{message}");
        assert!(
            message.contains(said) && !message.contains("not its secret"),
            "{said}: {message}"
        );
    }
    let store = storage::client(&endpoint);
    assert!(
        store.get(&Path::from(KEPT)).await.is_err(),
        "what was refused is not kept"
    );

    let good = trial(5, &endpoint, OBJECT, storage::KEY.1);
    assert_eq!(tried(&control, good).await, ScriptOutcome::Done);
    // Nodes run what was tried, whatever became of the object.
    store.delete(&Path::from(OBJECT)).await.unwrap();
    let mut waiting = service(ServiceName::ApiServer, "exec sleep 1000");
    waiting.after_script = true;
    control.change(|assignment| {
        assignment.trial = None;
        assignment.script = Some(script());
        assignment.services = vec![waiting];
    });
    let is_done = |report: &Report| {
        let script = report.script.as_ref();
        script.is_some_and(|script| script.outcome == ScriptOutcome::Done)
    };
    control
        .report_where("a script that was run", |report| {
            is_done(report) && report.phase == AgentPhase::Running
        })
        .await;
    assert_eq!(
        std::fs::read_to_string(node.path("bootstrap/kept/bin/tool")).unwrap(),
        "made\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_a_bucket_is_tried_and_kept_for_all_nodes_on_seaweedfs() {
    is_kept(Storage::seaweed().await, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_a_bucket_is_tried_and_kept_for_all_nodes_on_moto() {
    is_kept(Storage::moto().await, false).await;
}
