//! A real agent that is told to make way for another: it does, or stays, and its services notice neither.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use updraft_agent::Error;
use updraft_agent::control::ControlClient;
use updraft_api::agent::{AgentAssignment, AgentOffer, Register, Report};
use updraft_model::{AgentPhase, NodeId, Protocol, ServiceName};

use crate::support::{Control, TestNode, eventually, process, service};

/// Of the agent that the machine was made with.
const MADE_WITH: &str = "0101010101010101010101010101010101010101010101010101010101010101";

/// What systemd is to an agent: it starts the one that the machine was made with, again and again.
struct Unit {
    child: Arc<Mutex<Option<Child>>>,
    ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

// === impl Unit ===

impl Unit {
    fn start(node: &TestNode) -> Self {
        let made_with = node.root().join("opt/agent");
        std::fs::create_dir_all(&made_with).unwrap();
        let program = made_with.join("updraft-agent");
        std::fs::copy(agent(), &program).unwrap();
        std::fs::write(made_with.join(".sha256"), format!("{MADE_WITH}\n")).unwrap();
        let (child, ended) = (
            Arc::<Mutex<Option<Child>>>::default(),
            Arc::<AtomicBool>::default(),
        );
        let (bootstrap, log) = (node.bootstrap(), node.root().join("agent.log"));
        let thread = std::thread::spawn({
            let (child, ended) = (child.clone(), ended.clone());
            move || {
                while !ended.load(Ordering::SeqCst) {
                    let started = run(&program, &bootstrap, &log);
                    *child.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
                    while child
                        .lock()
                        .unwrap()
                        .as_mut()
                        .unwrap()
                        .try_wait()
                        .unwrap()
                        .is_none()
                    {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
            }
        });
        Self {
            child,
            ended,
            thread: Some(thread),
        }
    }

    fn kill(&self) {
        if let Some(child) = &mut *self.child.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = child.kill();
        }
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        self.kill();
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn run(program: &Path, bootstrap: &Path, log: &Path) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(log)
        .unwrap();
    Command::new(program)
        .arg("--bootstrap")
        .arg(bootstrap)
        // Nobody is there.
        .env("UPDRAFT_BOOT_METADATA", "http://127.0.0.1:9")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// The real one, without what only debuggers read: to pack and to hash it takes some time in a test.
fn agent() -> PathBuf {
    let small = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("agent-{}", std::process::id()));
    if !small.exists() {
        let stripped = Command::new("strip")
            .arg("-o")
            .arg(&small)
            .arg(env!("CARGO_BIN_EXE_updraft-agent"))
            .status();
        if !stripped.is_ok_and(|status| status.success()) {
            std::fs::copy(env!("CARGO_BIN_EXE_updraft-agent"), &small).unwrap();
        }
    }
    small
}

/// Packs files as `infra/agent/build` does.
fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

/// Says where an archive is; returns its digest.
async fn publish(control: &Control, archive: Vec<u8>) -> String {
    let digest = hex::encode(Sha256::digest(&archive));
    let router = Router::new().route(
        "/agent.tar.gz",
        axum::routing::get(move || async move { archive }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/agent.tar.gz", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    control.offer_agent(&digest, AgentOffer { url: url.into() });
    digest
}

fn tell(control: &Control, release: &str, attempt: i64, prove_within_s: u32) {
    control.change(|assignment| {
        assignment.agent = Some(AgentAssignment {
            release: release.to_owned(),
            attempt,
            prove_within_s,
        });
    });
}

fn runs(report: &Report, release: &str) -> bool {
    let standing = report.agent.as_ref();
    report.phase == AgentPhase::Running
        && standing.is_some_and(|agent| agent.release.as_deref() == Some(release))
}

fn has_refused(report: &Report, release: &str, attempt: i64) -> bool {
    let refused = report.agent.as_ref().and_then(|agent| agent.refused.as_ref());
    refused.is_some_and(|refused| refused.release == release && refused.attempt == attempt)
}

async fn running() -> (Control, TestNode, Unit) {
    let control = Control::start().await;
    let mut node = TestNode::new(&control);
    node.metadata = Some("http://127.0.0.1:9".to_owned());
    control.assign(node.assignment(vec![service(ServiceName::Scheduler, "exec sleep 1000")]));
    let unit = Unit::start(&node);
    control
        .report_where("the agent that it was made with", |report| {
            runs(report, MADE_WITH)
        })
        .await;
    (control, node, unit)
}

#[tokio::test]
async fn another_agent_takes_over_and_services_notice_nothing() {
    let (control, node, unit) = running().await;
    let before = process(&control.phase(AgentPhase::Running).await, ServiceName::Scheduler);
    let own = std::fs::read(agent()).unwrap();
    let release = publish(
        &control,
        packed(&[("updraft-agent", &own), ("notes", b"another")]),
    )
    .await;
    tell(&control, &release, 1, 30);

    let report = control
        .report_where("the other agent", |report| runs(report, &release))
        .await;
    assert_eq!(process(&report, ServiceName::Scheduler), before);
    let event = control.event("agent_replaced").await;
    assert!(event.message.contains(&release[..12]), "{}", event.message);
    // Nobody but the agent's own user may write, or even read there.
    let home = node.path(&format!("agent/releases/{release}"));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home.join("updraft-agent")), 0o500);
    assert_eq!((mode(&home), mode(&node.path("agent"))), (0o700, 0o700));

    unit.kill();
    control.change(|_| {});
    let report = control
        .report_where("the other agent again", |report| {
            runs(report, &release) && report.assignment_version == Some(3)
        })
        .await;
    assert_eq!(process(&report, ServiceName::Scheduler), before);
}

#[tokio::test]
async fn what_cannot_take_over_is_told_of_and_the_one_that_works_stays() {
    let (control, node, _unit) = running().await;
    let before = process(&control.phase(AgentPhase::Running).await, ServiceName::Scheduler);
    let other = publish(&control, packed(&[("updraft-agent", b"#!/bin/sh\nexit 0\n")])).await;
    let foreign = hex::encode(Sha256::digest("what control names"));
    control.offer_agent(&foreign, control.agent_offer(&other));
    let linked = publish(&control, packed(&[("bin/updraft-agent", b"#!/bin/sh\nexit 0\n")])).await;
    let refuses = publish(
        &control,
        packed(&[("updraft-agent", b"#!/bin/sh\necho no such words >&2; exit 3\n")]),
    )
    .await;
    let no_program = publish(&control, packed(&[("updraft-agent", b"\x7fELF?")])).await;
    // These two can read the node, and are begun.
    let check = "#!/bin/sh\ncase \"$*\" in *--check*) exit 0;; esac\n";
    let ends = publish(
        &control,
        packed(&[("updraft-agent", format!("{check}exit 1\n").as_bytes())]),
    )
    .await;
    let hangs = publish(
        &control,
        packed(&[("updraft-agent", format!("{check}exec sleep 1000\n").as_bytes())]),
    )
    .await;

    for (release, why) in [
        (&foreign, "another digest"),
        (&linked, "no plain file"),
        (&refuses, "no such words"),
        (&no_program, "does not run here"),
        (&ends, "no report of it"),
        (&hangs, "no report of it"),
    ] {
        tell(&control, release, 1, 1);
        let report = control
            .report_where("a refusal", |report| {
                has_refused(report, release, 1) && runs(report, MADE_WITH)
            })
            .await;
        let refused = report.agent.unwrap().refused.unwrap();
        assert!(refused.why.contains(why), "{why}: {}", refused.why);
        assert_eq!(
            process(&control.phase(AgentPhase::Running).await, ServiceName::Scheduler),
            before
        );
    }
    let told = || {
        control
            .events()
            .iter()
            .filter(|event| event.kind == "agent_rolled_back")
            .count()
    };
    eventually("each was told of", || told() == 6).await;

    // Once is enough, unless somebody asks again.
    let attempts = || {
        let log = std::fs::read_to_string(node.root().join("agent.log")).unwrap();
        log.matches("Another agent is tried").count()
    };
    let before_again = attempts();
    control.change(|_| {});
    let version = control.version();
    control
        .report_where("the version", |report| report.assignment_version == Some(version))
        .await;
    assert_eq!(attempts(), before_again);
    tell(&control, &hangs, 2, 1);
    control
        .report_where("another refusal", |report| has_refused(report, &hangs, 2))
        .await;
    assert_eq!(attempts(), before_again + 1);
}

#[tokio::test]
async fn a_node_that_shares_its_machine_runs_nothing_that_is_named_to_it() {
    let control = Control::start().await;
    let node = TestNode::new(&control);
    let release = publish(&control, packed(&[("updraft-agent", b"#!/bin/sh\nexit 0\n")])).await;
    control.assign(node.assignment(vec![service(ServiceName::Scheduler, "exec sleep 1000")]));
    let _agent = node.spawn_agent();
    control.phase(AgentPhase::Running).await;
    tell(&control, &release, 1, 1);
    let report = control
        .report_where("the word", |report| report.assignment_version == Some(2))
        .await;
    assert_eq!(report.agent.unwrap().refused, None);
    assert!(!node.path("agent/releases").exists());
}

#[tokio::test]
async fn a_control_too_far_away_is_not_believed_and_neighbours_are() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let register = |spoken: Option<u32>| async move {
        let answered = move || async move {
            let mut headers = axum::http::HeaderMap::new();
            if let Some(spoken) = spoken {
                headers.insert(Protocol::HEADER, spoken.into());
            }
            let registered = r#"{"node_token": "t", "ca_pem": "", "cert_pem": "", "key_pem": ""}"#;
            (headers, [("content-type", "application/json")], registered)
        };
        let router = Router::new().route("/agent/v1/register", post(answered));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let asked = Register {
            node: NodeId(uuid::Uuid::nil()),
            bootstrap_token: "once".into(),
            instance: None,
            agent_version: "0".to_owned(),
            protocol: Protocol::OWN.0,
            renews: true,
        };
        ControlClient::new(&url, "".into())
            .unwrap()
            .register(&asked)
            .await
    };
    let own = Protocol::OWN.0;
    for neighbour in [None, Some(own - 1), Some(own), Some(own + 1)] {
        assert!(register(neighbour).await.is_ok(), "{neighbour:?}");
    }
    let refused = register(Some(own + 2)).await.unwrap_err();
    assert!(matches!(refused, Error::Protocol(_)), "{refused}");
    assert!(
        refused.to_string().contains("upgrade this side first"),
        "{refused}"
    );
}
