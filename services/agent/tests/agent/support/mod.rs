//! A fake control that speaks the agent's protocol, nodes with directories of their own, and agents as real processes
//! that can be killed.

pub(crate) mod shipping;
pub(crate) mod storage;
pub(crate) mod tls;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::sync::watch;
use updraft_agent::process::{ProcessId, Stat};
use updraft_api::agent::{
    AgentEvent, AgentOffer, Assignment, DagDelivery, EnvironmentOffer, HealthCheck, NodeCertificate,
    NodePower, ParentAssignment, Register, Registered, Report, ServiceAssignment, StopPolicy,
};
use updraft_model::{
    AgentPhase, ClusterId, Generation, NodeId, NodeRole, ServiceName, ServiceState, ServiceStatus,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Control, as far as agents know it.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) url: String,
    state: Arc<ControlState>,
}

struct ControlState {
    assignment: watch::Sender<Option<Assignment>>,
    reports: watch::Sender<Vec<Report>>,
    events: Mutex<BTreeMap<u64, AgentEvent>>,
    offers: Mutex<BTreeMap<String, EnvironmentOffer>>,
    agents: Mutex<BTreeMap<String, AgentOffer>>,
    registered: Mutex<u32>,
    renewed: Mutex<Vec<String>>,
    /// Reports that were not taken; none: they are.
    turned_away: Mutex<Option<usize>>,
    pki: Pki,
}

/// A cluster's certificates.
#[derive(Clone)]
pub(crate) struct Pki {
    pub(crate) ca_pem: String,
    key_pem: String,
}

pub(crate) struct TestNode {
    dir: tempfile::TempDir,
    pub(crate) node: NodeId,
    pub(crate) address: String,
    pub(crate) service_user: Option<String>,
    pub(crate) builder_user: Option<String>,
    pub(crate) shared_dir: PathBuf,
    /// Where the metadata service of this instance is; none: it is no instance.
    pub(crate) metadata: Option<String>,
    control_url: String,
}

/// A real agent process, killed when dropped.
pub(crate) struct AgentProcess {
    child: Child,
}

// === impl Control ===

impl Control {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(ControlState {
            assignment: watch::Sender::new(None),
            reports: watch::Sender::new(Vec::new()),
            events: Mutex::default(),
            offers: Mutex::default(),
            agents: Mutex::default(),
            registered: Mutex::default(),
            renewed: Mutex::default(),
            turned_away: Mutex::default(),
            pki: Pki::new(),
        });
        let router = Router::new()
            .route("/agent/v1/register", post(register))
            .route("/agent/v1/certificate", post(certificate))
            .route("/agent/v1/assignment", get(assignment))
            .route("/agent/v1/report", post(report))
            .route("/agent/v1/environments/{digest}", get(environment))
            .route("/agent/v1/agent/{release}", get(agent))
            .with_state(Arc::clone(&state));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub(crate) fn assign(&self, assignment: Assignment) {
        self.state.assignment.send_replace(Some(assignment));
    }

    /// Changes the assignment and its version.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Assignment)) {
        self.state.assignment.send_modify(|current| {
            let current = current.as_mut().expect("assigned before");
            current.version += 1;
            change(current);
        });
    }

    pub(crate) fn events(&self) -> Vec<AgentEvent> {
        self.state.events.lock().unwrap().values().cloned().collect()
    }

    /// What nodes may take.
    pub(crate) fn offer(&self, digest: &str, offer: EnvironmentOffer) {
        self.state.offers.lock().unwrap().insert(digest.to_owned(), offer);
    }

    /// Where an agent's archive is.
    pub(crate) fn offer_agent(&self, release: &str, offer: AgentOffer) {
        self.state
            .agents
            .lock()
            .unwrap()
            .insert(release.to_owned(), offer);
    }

    pub(crate) fn agent_offer(&self, release: &str) -> AgentOffer {
        self.state.agents.lock().unwrap()[release].clone()
    }

    /// Of the assignment.
    pub(crate) fn version(&self) -> i64 {
        self.state.assignment.borrow().as_ref().unwrap().version
    }

    /// Certificates that were given beside those of registrations.
    pub(crate) fn renewals(&self) -> Vec<String> {
        self.state.renewed.lock().unwrap().clone()
    }

    pub(crate) fn registrations(&self) -> u32 {
        *self.state.registered.lock().unwrap()
    }

    /// Takes no report from now on, or takes them again.
    pub(crate) fn hear(&self, hears: bool) {
        *self.state.turned_away.lock().unwrap() = (!hears).then_some(0);
    }

    /// Since it hears none.
    pub(crate) fn turned_away(&self) -> usize {
        self.state.turned_away.lock().unwrap().unwrap_or_default()
    }

    /// The first report from now on, or the latest one, that satisfies.
    pub(crate) async fn report_where(&self, what: &str, wanted: impl Fn(&Report) -> bool) -> Report {
        let mut reports = self.state.reports.subscribe();
        let found = tokio::time::timeout(PATIENCE, async {
            let found = reports
                .wait_for(|reports| reports.last().is_some_and(&wanted))
                .await
                .unwrap();
            found.last().cloned().unwrap()
        })
        .await;
        match found {
            Ok(report) => report,
            Err(_) => {
                let last = self.state.reports.borrow().last().cloned();
                panic!(
                    "no report of {what}; the last one: {last:#?}; events: {:#?}",
                    self.events()
                )
            }
        }
    }

    pub(crate) async fn phase(&self, phase: AgentPhase) -> Report {
        self.report_where(phase.as_str(), |report| report.phase == phase)
            .await
    }

    /// The first report of a node that runs what it is told now: another generation of the same.
    pub(crate) async fn next_generation(&self) -> Report {
        let mut next = updraft_model::Generation(0);
        self.change(|assignment| {
            next = assignment.generation.next();
            assignment.generation = next;
        });
        self.report_where("the next generation", |report| {
            report.generation == Some(next) && report.phase == AgentPhase::Running
        })
        .await
    }

    pub(crate) async fn event(&self, kind: &str) -> AgentEvent {
        let mut reports = self.state.reports.subscribe();
        let found = || self.events().into_iter().find(|event| event.kind == kind);
        let told = reports.wait_for(|_| found().is_some());
        if tokio::time::timeout(PATIENCE, told).await.is_err() {
            let last = self.state.reports.borrow().last().cloned();
            panic!("no event {kind}; the last report: {last:#?}");
        }
        found().unwrap()
    }
}

async fn register(State(state): State<Arc<ControlState>>, Json(asked): Json<Register>) -> Json<Registered> {
    *state.registered.lock().unwrap() += 1;
    let (cert_pem, key_pem) = state.pki.issue("web.1.updraft.internal");
    Json(Registered {
        node_token: format!("token-of-{}", asked.node).into(),
        ca_pem: state.pki.ca_pem.clone(),
        cert_pem,
        key_pem: key_pem.into(),
        // As of a control that knows of no end.
        renew_after_s: None,
    })
}

async fn certificate(State(state): State<Arc<ControlState>>) -> Json<NodeCertificate> {
    let (cert_pem, key_pem) = state.pki.issue("web.1.updraft.internal");
    state.renewed.lock().unwrap().push(cert_pem.clone());
    Json(NodeCertificate {
        ca_pem: state.pki.ca_pem.clone(),
        cert_pem,
        key_pem: key_pem.into(),
        renew_after_s: 864_000,
    })
}

async fn assignment(
    State(state): State<Arc<ControlState>>,
    Query(query): Query<BTreeMap<String, i64>>,
) -> Result<Json<Assignment>, StatusCode> {
    let mut assignments = state.assignment.subscribe();
    let after = query["after"];
    let newer =
        assignments.wait_for(|current| current.as_ref().is_some_and(|current| current.version > after));
    match tokio::time::timeout(Duration::from_secs(2), newer).await {
        Ok(Ok(current)) => Ok(Json(current.clone().unwrap())),
        _ => Err(StatusCode::NO_CONTENT),
    }
}

async fn environment(
    State(state): State<Arc<ControlState>>,
    axum::extract::Path(digest): axum::extract::Path<String>,
) -> Result<Json<EnvironmentOffer>, StatusCode> {
    let offer = state.offers.lock().unwrap().get(&digest).cloned();
    offer.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn agent(
    State(state): State<Arc<ControlState>>,
    axum::extract::Path(release): axum::extract::Path<String>,
) -> Result<Json<AgentOffer>, StatusCode> {
    let offer = state.agents.lock().unwrap().get(&release).cloned();
    offer.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn report(State(state): State<Arc<ControlState>>, Json(report): Json<Report>) -> StatusCode {
    if let Some(turned_away) = &mut *state.turned_away.lock().unwrap() {
        *turned_away += 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    state
        .events
        .lock()
        .unwrap()
        .extend(report.events.iter().map(|event| (event.sequence, event.clone())));
    state.reports.send_modify(|reports| reports.push(report));
    StatusCode::OK
}

// === impl Pki ===

impl Pki {
    pub(crate) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self {
            ca_pem: params.self_signed(&key).unwrap().pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// Certificate and key.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        self.issue_until(name, None)
    }

    /// The same, good until the beginning of that year.
    pub(crate) fn issue_until(&self, name: &str, year: Option<i32>) -> (String, String) {
        let key = rcgen::KeyPair::from_pem(&self.key_pem).unwrap();
        let issuer = rcgen::Issuer::from_ca_cert_pem(&self.ca_pem, key).unwrap();
        let own = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        if let Some(year) = year {
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
        }
        (
            params.signed_by(&own, &issuer).unwrap().pem(),
            own.serialize_pem(),
        )
    }
}

// === impl TestNode ===

impl TestNode {
    pub(crate) fn new(control: &Control) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let node = NodeId(uuid::Uuid::new_v4());
        let shared_dir = dir.path().join("shared");
        Self {
            dir,
            node,
            address: address(),
            service_user: None,
            builder_user: None,
            shared_dir,
            metadata: None,
            control_url: control.url.clone(),
        }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join("node").join(relative)
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn bootstrap(&self) -> PathBuf {
        let path = self.dir.path().join("bootstrap.json");
        let text = serde_json::json!({
            "control_url": self.control_url, "node": self.node, "token": "once",
            "node_dir": self.dir.path().join("node"), "address": self.address,
            "service_user": self.service_user, "builder_user": self.builder_user, "shared_dir": self.shared_dir,
            "instance": self.metadata.as_ref().map(|_| "i-0123456789abcdef0"),
        });
        std::fs::write(&path, text.to_string()).unwrap();
        path
    }

    /// An agent as a process of its own: this test binary, told to be one.
    pub(crate) fn spawn_agent(&self) -> AgentProcess {
        self.spawn("UPDRAFT_TEST_BOOTSTRAP")
    }

    /// What ships the logs that a node has left.
    pub(crate) fn spawn_for_remains(&self) -> AgentProcess {
        self.spawn("UPDRAFT_TEST_REMAINS")
    }

    fn spawn(&self, role: &str) -> AgentProcess {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("agent.log"))
            .unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "be_an_agent", "--nocapture", "--test-threads=1"])
            .env(role, self.bootstrap())
            .envs(self.metadata.iter().map(|url| ("UPDRAFT_BOOT_METADATA", url)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        AgentProcess { child }
    }

    pub(crate) fn assignment(&self, services: Vec<ServiceAssignment>) -> Assignment {
        Assignment {
            version: 1,
            cluster: ClusterId(1),
            node: self.node,
            role: NodeRole::Web,
            generation: Generation(1),
            power: NodePower::Run,
            environment_dir: "/".to_owned(),
            environment: None,
            build: None,
            requirements_file: None,
            script: None,
            trial: None,
            metadata: None,
            reencryption: None,
            parent: ParentAssignment::default(),
            services,
            files: Vec::new(),
            directories: Vec::new(),
            dags: DagDelivery {
                endpoint: "http://127.0.0.1:9".to_owned(),
                region: "us-east-1".to_owned(),
                bucket: "none".to_owned(),
                versions_prefix: "updraft/dag-versions/".to_owned(),
                access_key: "none".to_owned(),
                secret_key: "none".into(),
                session_token: None,
                resolver: false,
                sources: Vec::new(),
                pinned: None,
                kept: Vec::new(),
                sync_nonce: 0,
                outbound_allow: Vec::new(),
            },
            logs: None,
            relays: Vec::new(),
            tells_load: false,
            tunnel: None,
            agent: None,
        }
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        // Services outlive agents; they must not outlive tests.
        let records = std::fs::read_dir(self.path("run"))
            .into_iter()
            .flatten()
            .flatten();
        for record in records {
            let text = std::fs::read_to_string(record.path()).unwrap_or_default();
            let process = serde_json::from_str::<serde_json::Value>(&text).ok();
            let process = process.and_then(|record| serde_json::from_value(record["process"].clone()).ok());
            if let Some(process) = process.flatten() {
                let _ =
                    updraft_agent::process::kill_tree(process, "none", rustix::process::geteuid().as_raw());
            }
        }
    }
}

// === impl AgentProcess ===

impl AgentProcess {
    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    pub(crate) async fn exit(mut self) -> std::process::ExitStatus {
        let mut status = None;
        eventually("the agent to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of the test binary's `be_an_agent`.
pub(crate) fn be_an_agent() {
    let agent = std::env::var("UPDRAFT_TEST_BOOTSTRAP").ok();
    let remains = std::env::var("UPDRAFT_TEST_REMAINS").ok();
    if agent.is_none() && remains.is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        let shutdown = async move {
            term.recv().await;
        };
        let done = match (agent, remains) {
            (Some(bootstrap), _) => updraft_agent::run(Path::new(&bootstrap), shutdown).await,
            (None, Some(bootstrap)) => updraft_agent::ship_remains(Path::new(&bootstrap), shutdown).await,
            (None, None) => Ok(()),
        };
        done.unwrap();
    });
    // The rest of the test harness has nothing to say.
    std::process::exit(0);
}

/// `sh -c script` as a service that is healthy while it runs.
pub(crate) fn service(name: ServiceName, script: &str) -> ServiceAssignment {
    ServiceAssignment {
        name,
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        secrets: Vec::new(),
        prefork: false,
        after_script: false,
        after_metadata: false,
        after: Vec::new(),
        health: HealthCheck::Process,
        warm: Vec::new(),
        interval_s: 1,
        start_within_s: 60,
        ports: Vec::new(),
        stop: StopPolicy {
            signal: "TERM".to_owned(),
            grace_s: 10,
        },
        restart_nonce: 0,
        enabled: true,
        digest: "1".to_owned(),
    }
}

pub(crate) fn status(report: &Report, name: ServiceName) -> &ServiceStatus {
    report
        .services
        .iter()
        .find(|status| status.name == name)
        .expect("the service is reported")
}

pub(crate) fn is(report: &Report, name: ServiceName, state: ServiceState) -> bool {
    report
        .services
        .iter()
        .any(|status| status.name == name && status.state == state)
}

pub(crate) fn process(report: &Report, name: ServiceName) -> ProcessId {
    ProcessId::of(status(report, name).pid.expect("it has a pid")).expect("it runs")
}

pub(crate) fn is_gone(pid: i32) -> bool {
    Stat::read(pid).is_none_or(|stat| stat.is_dead())
}

pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A loopback address that no other test uses.
pub(crate) fn address() -> String {
    let number = unique();
    format!(
        "127.{}.{}.{}",
        100 + (std::process::id() >> 8) % 100,
        std::process::id() % 256,
        number % 250 + 2
    )
}

pub(crate) fn unique() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
