//! Scripts before services, as real processes: run once, tried beside what runs, and never in its way.

use std::collections::BTreeMap;

use updraft_api::agent::{
    BuildLimits, Report, ScriptAssignment, ScriptFailure, ScriptFrom, ScriptOutcome, TrialAssignment,
};
use updraft_model::{AgentPhase, NodeRole, ServiceName, ServiceState};

use crate::support::{Control, TestNode, service};

const LIMITS: BuildLimits = BuildLimits {
    time_s: 20,
    memory_bytes: 128 << 20,
    disk_bytes: 32 << 20,
    processes: 32,
};

fn script(digest: &str, text: &str) -> ScriptAssignment {
    ScriptAssignment {
        digest: digest.to_owned(),
        from: ScriptFrom::Inline {
            text: text.to_owned(),
        },
        env: BTreeMap::from([
            ("REGION".to_owned(), "eu-west-1".to_owned()),
            // What a node says of itself is not the cluster's to say.
            ("UPDRAFT_NODE_ROLE".to_owned(), "worker".to_owned()),
        ]),
        limits: LIMITS,
    }
}

fn trial(attempt: i64, text: &str) -> TrialAssignment {
    TrialAssignment {
        attempt,
        script: script("tried", text),
        object: None,
        roles: vec![NodeRole::Scheduler, NodeRole::Worker],
    }
}

/// More in memory than it may have, in files that no process has mapped and nobody can name.
const HOARD: &str = r#"exec python3 -c '
import os, time
held = [os.memfd_create(str(number)) for number in range(8)]
for file in held:
    for _ in range(24):
        os.write(file, bytes(1 << 20))
time.sleep(1000)'"#;

/// A service that waits for the script, and says what the script left.
fn waiting(digest: &str) -> updraft_api::agent::ServiceAssignment {
    let mut service = service(ServiceName::ApiServer, "echo began >> began; exec sleep 1000");
    service.after_script = true;
    service.digest = format!("with-{digest}");
    service
}

fn failure(report: &Report) -> Option<(ScriptFailure, String)> {
    match report.script.as_ref()?.outcome.clone() {
        ScriptOutcome::Failed { cause, message } => Some((cause, message)),
        ScriptOutcome::Running | ScriptOutcome::Done => None,
    }
}

fn refusal(report: &Report, attempt: i64) -> Option<(ScriptFailure, String)> {
    let trial = report.trial.as_ref().filter(|trial| trial.attempt == attempt)?;
    match trial.outcome.clone() {
        ScriptOutcome::Failed { cause, message } => Some((cause, message)),
        ScriptOutcome::Running | ScriptOutcome::Done => None,
    }
}

fn api_server(report: &Report) -> (ServiceState, Option<i32>) {
    let found = report.services.iter().find(|s| s.name == ServiceName::ApiServer);
    found.map(|service| (service.state, service.pid)).unwrap()
}

#[tokio::test]
async fn a_script_is_run_once_before_services_and_its_output_is_logged() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let mut assignment = node.assignment(vec![waiting("one")]);
    assignment.script = Some(script(
        "one",
        "set -e\necho \"$UPDRAFT_NODE_ROLE in $REGION\"\nmkdir bin; echo made > bin/tool\n\
         test ! -e ../../work/began; test \"$HOME\" = \"$UPDRAFT_BOOTSTRAP_DIR\"; test \"$PWD\" = \"$HOME\"\n\
         test \"$(cat /proc/[0-9]*/environ 2>/dev/null | grep -c token-of)\" = 0\nsleep 1000 &\n",
    ));
    control.assign(assignment);
    let agent = node.spawn_agent();
    let report = control.phase(AgentPhase::Running).await;
    assert_eq!(report.script.unwrap().outcome, ScriptOutcome::Done);
    let made = std::fs::read_to_string(node.path("bootstrap/one/bin/tool")).unwrap();
    assert_eq!(made, "made\n");
    let log = || std::fs::read_to_string(node.path("logs/bootstrap.log")).unwrap();
    assert!(log().contains(" web in eu-west-1\n"), "{}", log());

    // An agent that begins anew does not run it again, and finds what runs.
    let pid = api_server(&control.phase(AgentPhase::Running).await).1;
    agent.kill();
    let before = log();
    let _agent = node.spawn_agent();
    let report = control.next_generation().await;
    assert_eq!(api_server(&report).1, pid);
    assert_eq!(log(), before);
}

#[tokio::test]
async fn with_a_script_that_fails_nothing_starts_and_nothing_that_runs_is_touched() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let mut assignment = node.assignment(vec![waiting("bad")]);
    assignment.script = Some(script("bad", "echo one; echo two >&2; printf three; exit 3"));
    control.assign(assignment);
    let _agent = node.spawn_agent();
    let report = control
        .report_where("a failed script", |report| failure(report).is_some())
        .await;
    let (cause, message) = failure(&report).unwrap();
    assert_eq!(cause, ScriptFailure::Exit);
    assert_eq!(
        message,
        "It ended with exit code 3. Its last lines:\none\ntwo\nthree"
    );
    assert_eq!(report.phase, AgentPhase::Preparing);
    assert_eq!(api_server(&report), (ServiceState::Waiting, None));
    assert!(control.event("bootstrap_failed").await.message.contains("three"));
    assert!(!node.path("bootstrap/bad").exists());

    control.change(|assignment| {
        assignment.script = Some(script("good", "exit 0"));
        assignment.services = vec![waiting("good")];
    });
    let pid = api_server(&control.phase(AgentPhase::Running).await).1;
    assert!(pid.is_some());

    // Another one fails: what runs goes on, but the node is not what it is to be.
    control.change(|assignment| {
        assignment.script = Some(script("worse", "exit 4"));
        assignment.services = vec![waiting("worse")];
    });
    let report = control
        .report_where("another failed script", |report| {
            failure(report).is_some_and(|(_, message)| message.contains("code 4"))
        })
        .await;
    assert_eq!(api_server(&report), (ServiceState::Healthy, pid));
    assert_eq!(report.phase, AgentPhase::Preparing);

    // Back to the one before: it is not even run again.
    control.change(|assignment| {
        assignment.script = Some(script("good", "exit 0"));
        assignment.services = vec![waiting("good")];
    });
    let report = control.phase(AgentPhase::Running).await;
    assert_eq!(api_server(&report).1, pid);
}

#[tokio::test]
async fn a_trial_is_run_as_each_role_and_leaves_nothing() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let mut assignment = node.assignment(Vec::new());
    assignment.trial = Some(trial(
        1,
        "echo \"as $UPDRAFT_NODE_ROLE, trial $UPDRAFT_BOOTSTRAP_TRIAL\"; touch made",
    ));
    control.assign(assignment);
    let _agent = node.spawn_agent();
    let report = control
        .report_where("a good trial", |report| {
            let trial = report.trial.as_ref();
            trial.is_some_and(|trial| trial.outcome == ScriptOutcome::Done)
        })
        .await;
    assert!(report.trial.unwrap().finished_at.is_some());
    let log = std::fs::read_to_string(node.path("logs/bootstrap.log")).unwrap();
    for said in ["as scheduler, trial 1", "as worker, trial 1"] {
        assert!(log.contains(said), "{log}");
    }
    let left = std::fs::read_dir(node.path("bootstrap")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn bad_trials_are_refused_with_their_reason_while_services_run() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let mut assignment = node.assignment(vec![service(ServiceName::ApiServer, "exec sleep 1000")]);
    control.assign(assignment.clone());
    let _agent = node.spawn_agent();
    let pid = api_server(&control.phase(AgentPhase::Running).await).1;
    let cases = [
        (
            "case $UPDRAFT_NODE_ROLE in worker) echo no; exit 9;; esac",
            ScriptFailure::Exit,
            "Tried as worker",
        ),
        (
            "echo hanging; sleep 1000 & sleep 1000",
            ScriptFailure::Time,
            "hanging",
        ),
        (
            "trap '' TERM INT; while :; do :; done",
            ScriptFailure::Time,
            "within 2 s",
        ),
        (
            "dd if=/dev/zero of=one bs=1M count=20; dd if=/dev/zero of=two bs=1M count=20",
            ScriptFailure::Disk,
            "MiB of disk",
        ),
        (
            "x=$(head -c 200M /dev/zero | tr '\\0' x); sleep 9",
            ScriptFailure::Memory,
            "MiB of memory",
        ),
        (
            "for i in $(seq 60); do sleep 1000 & done; wait",
            ScriptFailure::Processes,
            "processes",
        ),
        (
            "exec 3>one 4>two; rm one two; head -c 20M /dev/zero >&3; head -c 20M /dev/zero >&4; sleep 1000",
            ScriptFailure::Disk,
            "MiB of disk",
        ),
        (HOARD, ScriptFailure::Memory, "MiB of memory"),
        (
            "unshare --map-root-user --mount sleep 1000",
            ScriptFailure::Memory,
            "mount namespace",
        ),
        ("kill -9 $$", ScriptFailure::Exit, "signal 9"),
        ("#!/no/such/interpreter\n", ScriptFailure::Exit, "exit code"),
    ];
    for (attempt, (text, cause, said)) in (1_i64..).zip(cases) {
        assignment.version += 1;
        assignment.trial = Some(trial(attempt, text));
        if cause == ScriptFailure::Time {
            assignment.trial.as_mut().unwrap().script.limits.time_s = 2;
        }
        control.assign(assignment.clone());
        let report = control
            .report_where(text, |report| refusal(report, attempt).is_some())
            .await;
        let (refused, message) = refusal(&report, attempt).unwrap();
        assert!(message.contains(said), "{text}: {message}");
        assert_eq!(refused, cause, "{text}: {message}");
        assert_eq!(api_server(&report), (ServiceState::Healthy, pid), "{text}");
        assert_eq!(std::fs::read_dir(node.path("bootstrap")).unwrap().count(), 0);
    }
}

/// What it would take from the services' own places, or leave there for them to load.
const PROWLER: &str = r#"
cd ../..
for secret in agent work/broker-password logs/scheduler.log ../shared/prefork.sock; do
  if [ -e "$secret" ]; then echo "SEEN: $secret"; fi
done
for left in work/plugins/evil.py work/airflow.cfg exit/worker logs/left ../shared/left; do
  if ( mkdir -p "$(dirname "$left")" && echo x > "$left" ) 2>/dev/null; then echo "LEFT: $left"; fi
done
echo x > /dev/shm/left-by-a-script; ls "$HOME/tmp"
if [ "$(find . -type f | wc -l)" != 2 ]; then find . -type f; fi
exit 7
"#;

#[tokio::test]
async fn a_script_sees_nothing_of_the_services_places_and_leaves_nothing_there() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let mut assignment = node.assignment(vec![service(
        ServiceName::ApiServer,
        "mkdir -p plugins; echo secret > broker-password; exec sleep 1000",
    )]);
    control.assign(assignment.clone());
    let _agent = node.spawn_agent();
    control.phase(AgentPhase::Running).await;
    std::fs::write(node.shared_dir.join("prefork.sock"), "").unwrap();

    assignment.version += 1;
    assignment.trial = Some(trial(1, PROWLER));
    control.assign(assignment);
    let report = control
        .report_where("the end", |report| refusal(report, 1).is_some())
        .await;
    let (_, message) = refusal(&report, 1).unwrap();
    assert_eq!(
        message,
        "Tried as scheduler: It ended with exit code 7. Its last lines:\nleft-by-a-script"
    );
    assert!(!std::path::Path::new("/dev/shm/left-by-a-script").exists());
    for left in [
        "work/plugins/evil.py",
        "work/airflow.cfg",
        "exit/worker",
        "logs/left",
    ] {
        assert!(!node.path(left).exists(), "{left}");
    }
}
