//! A control plane without agents' processes: a fresh database, the simulated provider, agents and storage in memory.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::future::poll_fn;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{Connection as _, Row as _};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use updraft_api::agent::{ReencryptionOutcome, ReencryptionReport, Report};
use updraft_control::reconciler::{Assignments, AssignmentsError, Liveness, Parts, Reconciler, Settings};
use updraft_model::{
    AgentPhase, ClusterId, NodeId, NodeRole, OperationKind, OperationState, Phase, Power, Step, TenantId,
};
use updraft_provider::simulated::{Faults, Machine, SimulatedProvider};
use updraft_provider::{
    BootSecret, ClientToken, ClusterStorage, ClusterWanted, NodeProvider, NodeStatus, NodeWanted,
    ProviderError, StorageAccess,
};
use updraft_store::metadata::MetadataServer;
use updraft_store::restore_holds::{self, Hold};
use updraft_store::secrets::MasterKey;
use updraft_store::testing::TestDatabase;
use updraft_store::{Store, node_identity, nodes};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    database: TestDatabase,
    pub(crate) provider: Arc<SimulatedProvider>,
    pub(crate) storage: Arc<Buckets>,
    pub(crate) cluster: ClusterId,
    liveness: Arc<Liveness>,
    reclaimed: Reclaimed,
    template: String,
    time: JoinHandle<()>,
}

/// A reconciler that runs.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

/// Nodes whose agents say that they will be taken back.
type Reclaimed = Arc<Mutex<HashSet<NodeId>>>;

#[derive(Default)]
pub(crate) struct Buckets(Mutex<HashSet<ClusterId>>);

/// Numbers assignments by what they would be made of.
struct Numbers {
    store: Store,
    template: String,
}

impl Stage {
    pub(crate) async fn new(faults: Faults) -> Self {
        let database = TestDatabase::create().await.unwrap();
        let (cluster, template) = (
            insert_cluster(&database).await,
            format!("template_{}", Uuid::new_v4().simple()),
        );
        let mut admin = sqlx::PgConnection::connect(database.url().expose_secret())
            .await
            .unwrap();
        sqlx::query(sqlx::AssertSqlSafe(format!("create database {template}")))
            .execute(&mut admin)
            .await
            .unwrap();
        let lag = Duration::from_millis(20 * (faults.listed_after + 2));
        let provider = Arc::new(SimulatedProvider::new(3, faults, lag).with_networks());
        let liveness = Arc::new(Liveness::new(Utc::now()));
        let reclaimed = Reclaimed::default();
        let time = tokio::spawn(pass_time(
            database.store().clone(),
            Arc::clone(&provider),
            Arc::clone(&liveness),
            Arc::clone(&reclaimed),
        ));
        Self {
            database,
            provider,
            storage: Arc::default(),
            cluster,
            liveness,
            reclaimed,
            template,
            time,
        }
    }

    /// From now on the node's agent says that its machine will be taken back.
    pub(crate) fn give_notice(&self, node: NodeId) {
        self.reclaimed.lock().unwrap().insert(node);
    }

    pub(crate) async fn running(faults: Faults) -> Self {
        let stage = Self::new(faults).await;
        stage.ask(OperationKind::Start, Power::Running).await;
        let running = stage.run();
        stage.reaches(&Phase::Running).await;
        stage.operation_ends(OperationState::Succeeded).await;
        running.end().await;
        stage
    }

    pub(crate) fn reconciler(&self) -> Reconciler {
        self.reconciler_with_lease(Duration::from_secs(20))
    }

    pub(crate) fn reconciler_with_lease(&self, lease: Duration) -> Reconciler {
        self.reconciler_with(|settings| settings.lease = lease, Arc::clone(&self.liveness))
    }

    /// Another process of control, which hears what its `liveness` hears.
    pub(crate) fn reconciler_with(
        &self,
        change: impl FnOnce(&mut Settings),
        liveness: Arc<Liveness>,
    ) -> Reconciler {
        self.reconciler_over(Arc::clone(&self.provider) as _, change, liveness)
    }

    /// One whose nodes are somewhere else, too.
    pub(crate) fn run_over(&self, provider: Arc<dyn NodeProvider>) -> Running {
        Running::of(self.reconciler_over(provider, |_| {}, Arc::clone(&self.liveness)))
    }

    /// The same with so many places, and calls that are never given up.
    pub(crate) fn run_with_places(&self, provider: Arc<dyn NodeProvider>, places: usize) -> Running {
        let change = |settings: &mut Settings| {
            settings.parallel = places;
            settings.call_timeout = Duration::from_secs(3600);
            settings.lease = Duration::from_secs(3700);
        };
        Running::of(self.reconciler_over(provider, change, Arc::clone(&self.liveness)))
    }

    fn reconciler_over(
        &self,
        provider: Arc<dyn NodeProvider>,
        change: impl FnOnce(&mut Settings),
        liveness: Arc<Liveness>,
    ) -> Reconciler {
        let mut settings = Settings {
            control_url: "http://127.0.0.1:1".to_owned(),
            lease: Duration::from_secs(20),
            sweep: Duration::from_millis(100),
            scale_in_after: Duration::from_secs(2),
            watch: Duration::from_millis(100),
            fresh: Duration::from_millis(20),
            ..Settings::default()
        };
        change(&mut settings);
        let store = self.database.store().clone();
        let numbers = Numbers {
            store: store.clone(),
            template: self.template.clone(),
        };
        Reconciler::new(Parts {
            store,
            master_key: Arc::new(MasterKey::from_bytes([7; 32])),
            metadata: MetadataServer::new(self.database.url()),
            provider,
            storage: Arc::clone(&self.storage) as _,
            assignments: Arc::new(numbers),
            liveness,
            settings,
        })
    }

    pub(crate) fn run(&self) -> Running {
        Running::of(self.reconciler())
    }

    /// A running one whose list is only compared when it changes: nothing makes up for a wake-up that is missed.
    /// Nodes are to run this agent.
    pub(crate) fn run_with_agent(&self, release: &str) -> Running {
        let change = |settings: &mut Settings| {
            settings.agent_release = Some(release.to_owned());
            settings.agents = Duration::from_millis(50);
        };
        Running::of(self.reconciler_with(change, Arc::clone(&self.liveness)))
    }

    pub(crate) fn run_without_sweeps(&self) -> Running {
        let liveness = Arc::clone(&self.liveness);
        let rarely = |settings: &mut Settings| settings.sweep = Duration::from_secs(3600);
        Running::of(self.reconciler_with(rarely, liveness))
    }

    /// Drops a driver after 1, 2, 3 … polls until one gets to the end of what is there to do.
    pub(crate) async fn kill_at_every_point(&self, done: impl AsyncFn() -> bool) {
        for polls in 1..2000 {
            if done().await {
                return;
            }
            self.expire_leases().await;
            self.wake().await;
            let reconciler = self.reconciler();
            polled_at_most(polls, reconciler.look_at_one_due()).await;
        }
        panic!("never done");
    }

    pub(crate) async fn ask(&self, kind: OperationKind, power: Power) {
        let restart = i64::from(kind == OperationKind::Restart);
        let statements = format!(
            "update clusters set power = '{}', generation = generation + 1, wake_at = now(),
                 restart_nonce = restart_nonce + {restart};
             update operations set state = 'superseded' where state = 'running';
             insert into operations (id, tenant_id, cluster_id, kind, generation)
                 select '{}', tenant_id, id, '{}', generation from clusters;",
            word(&power),
            Uuid::now_v7(),
            word(&kind),
        );
        self.execute(&statements).await;
    }

    pub(crate) async fn scale(&self, workers: u32) {
        self.execute(&format!(
            "update clusters set spec = jsonb_set(spec, '{{workers}}', '{workers}')"
        ))
        .await;
        let power: String = self.value("select power from clusters").await;
        if power == "running" {
            self.ask(OperationKind::Update, Power::Running).await;
        }
    }

    pub(crate) async fn retag(&self, key: &str, value: &str) {
        self.execute(&format!(
            "update clusters set spec = jsonb_set(spec, '{{tags}}', '{{\"{key}\": \"{value}\"}}')"
        ))
        .await;
        self.ask(OperationKind::Update, Power::Running).await;
    }

    pub(crate) async fn wake(&self) {
        self.execute("update clusters set wake_at = now() where deleted_at is null")
            .await;
    }

    /// When the cluster is looked at next, if nobody wakes it, from now.
    pub(crate) async fn next_look_s(&self) -> i64 {
        self.value("select extract(epoch from wake_at - now())::bigint from clusters")
            .await
    }

    async fn expire_leases(&self) {
        self.execute("update clusters set lease_until = now() - interval '1 second'")
            .await;
    }

    /// Every node was launched an hour ago.
    pub(crate) async fn long_ago(&self) {
        self.execute("update nodes set launched_at = launched_at - interval '1 hour'")
            .await;
    }

    pub(crate) async fn launch_ages_s(&self) -> Vec<i64> {
        let mut connection = self.database.store().connection().await.unwrap();
        sqlx::query_scalar("select extract(epoch from now() - launched_at)::bigint from nodes")
            .fetch_all(&mut *connection)
            .await
            .unwrap()
    }

    /// What is asked of the provider names tenant and generation.
    pub(crate) async fn nodes_say_whose_they_are(&self) -> bool {
        self.value(
            "select bool_and((n.request #>> '{wanted,tenant}')::uuid = c.tenant_id
                             and (n.request #>> '{wanted,generation}')::bigint = c.generation)
             from nodes n join clusters c on c.id = n.cluster_id",
        )
        .await
    }

    /// A launch of long ago takes effect only now: its record is gone.
    pub(crate) async fn late_launch(&self) {
        let node: Uuid = self
            .value("select id from nodes where role = 'worker' and state = 'gone' limit 1")
            .await;
        let node = NodeId(node);
        let wanted = NodeWanted {
            cluster: self.cluster,
            node,
            role: NodeRole::Worker,
            ordinal: 9,
            queue: None,
            instance_type: None,
            tenant: None,
            generation: None,
            network: None,
        };
        let request = self.provider.prepare(&wanted).await.unwrap();
        let boot = BootSecret(SecretString::from("{}"));
        self.provider
            .launch(&request, &ClientToken::of(NodeId(Uuid::now_v7())), &boot)
            .await
            .unwrap();
    }

    /// A network that was asked for long ago is there only now.
    pub(crate) async fn late_network(&self) {
        let wanted = ClusterWanted {
            cluster: self.cluster,
            tenant: TenantId(Uuid::nil()),
            control_url: String::new(),
        };
        self.provider.prepare_cluster(&wanted).await.unwrap();
    }

    /// What `pg_dump` of the server's own release writes.
    pub(crate) async fn dump(&self) -> Vec<u8> {
        let output = Command::new(self.tool("pg_dump").await)
            .arg(format!("--dbname={}", self.database.url().expose_secret()))
            .output();
        let output = output.unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// The database is what it was when it was dumped.
    pub(crate) async fn restore(&self, dump: &[u8]) {
        self.execute("drop schema public cascade; create schema public")
            .await;
        let mut psql = Command::new(self.tool("psql").await)
            .args(["--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"])
            .arg(format!("--dbname={}", self.database.url().expose_secret()))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        psql.stdin.take().unwrap().write_all(dump).unwrap();
        assert!(psql.wait().unwrap().success());
    }

    async fn tool(&self, name: &str) -> PathBuf {
        let directory: String = self
            .value("select setting from pg_config where name = 'BINDIR'")
            .await;
        Path::new(&directory).join(name)
    }

    pub(crate) async fn hold(&self) -> Option<Hold> {
        let mut connection = self.database.store().connection().await.unwrap();
        restore_holds::open(&mut connection).await.unwrap()
    }

    pub(crate) async fn confirm(&self, hold: &Hold) {
        let mut tx = self.database.store().begin().await.unwrap();
        restore_holds::confirm(&mut tx, hold).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The id that the next cluster is given.
    pub(crate) async fn next_cluster(&self) -> i64 {
        self.value("select nextval(pg_get_serial_sequence('clusters', 'id'))")
            .await
    }

    pub(crate) async fn phase(&self) -> Phase {
        let phase: serde_json::Value = self.value("select phase from clusters").await;
        serde_json::from_value(phase).unwrap()
    }

    pub(crate) async fn reaches(&self, phase: &Phase) {
        self.until(&format!("phase {phase}"), async || self.phase().await == *phase)
            .await;
    }

    pub(crate) async fn operation_ends(&self, wanted: OperationState) {
        self.until("the operation's end", async || {
            self.operation_state().await != "running"
        })
        .await;
        assert_eq!(self.operation_state().await, word(&wanted));
    }

    pub(crate) async fn operation_state(&self) -> String {
        self.value("select state from operations order by id desc limit 1")
            .await
    }

    pub(crate) async fn steps(&self) -> Vec<Step> {
        let steps: serde_json::Value = self
            .value("select steps from operations order by id desc limit 1")
            .await;
        serde_json::from_value(steps).unwrap()
    }

    pub(crate) async fn events(&self, kind: &str) -> i64 {
        self.value(&format!("select count(*) from events where kind = '{kind}'"))
            .await
    }

    pub(crate) fn store(&self) -> &Store {
        self.database.store()
    }

    pub(crate) async fn secrets(&self) -> i64 {
        self.value("select count(*) from cluster_secrets").await
    }

    pub(crate) async fn stop_times(&self) -> HashMap<String, DateTime<Utc>> {
        let mut connection = self.database.store().connection().await.unwrap();
        let rows = sqlx::query("select role, stop_asked_at from nodes")
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    pub(crate) async fn never_stopped(&self) -> bool {
        self.value("select bool_and(stop_asked_at is null) from nodes")
            .await
    }

    pub(crate) async fn deleted(&self) -> bool {
        self.value("select deleted_at is not null from clusters").await
    }

    pub(crate) async fn is_deleted(&self) {
        self.until("the cluster's deletion", async || self.deleted().await)
            .await;
    }

    pub(crate) async fn brings_a_database(&self) {
        self.execute(
            r#"update clusters set spec = spec || '{"metadata_database":
                {"host": "db", "port": 5432, "database": "x", "user": "u", "sslmode": "require"}}'"#,
        )
        .await;
    }

    pub(crate) async fn has_metadata_database(&self) -> bool {
        let name = format!("airflow_{}", self.cluster);
        self.value(&format!(
            "select exists (select from pg_database where datname = '{name}')"
        ))
        .await
    }

    pub(crate) async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !condition().await {
            if tokio::time::Instant::now() > deadline {
                panic!(
                    "waited in vain for {what}: {:?} {:#?}",
                    self.phase().await,
                    self.steps().await
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn execute(&self, statements: &str) {
        let mut connection = self.database.store().connection().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements))
            .execute(&mut *connection)
            .await
            .unwrap();
    }

    pub(crate) async fn value<T>(&self, statement: &str) -> T
    where
        T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let mut connection = self.database.store().connection().await.unwrap();
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_one(&mut *connection)
            .await
            .unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.time.abort();
        let (url, template, cluster) = (self.database.url(), self.template.clone(), self.cluster);
        let cleaner = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                MetadataServer::new(url.clone())
                    .drop_database(cluster)
                    .await
                    .ok()?;
                let mut admin = sqlx::PgConnection::connect(url.expose_secret()).await.ok()?;
                let statement = format!("drop database if exists {template} with (force)");
                sqlx::query(sqlx::AssertSqlSafe(statement))
                    .execute(&mut admin)
                    .await
                    .ok()
            })
        });
        let _ = cleaner.join();
    }
}

impl Running {
    pub(crate) fn of(reconciler: Reconciler) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(Arc::new(reconciler).run(shutdown.clone()));
        Self { shutdown, task }
    }

    pub(crate) async fn end(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(30), self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

impl Buckets {
    pub(crate) fn has(&self, cluster: ClusterId) -> bool {
        self.0.lock().unwrap().contains(&cluster)
    }
}

#[async_trait]
impl ClusterStorage for Buckets {
    async fn ensure(&self, cluster: ClusterId) -> Result<StorageAccess, ProviderError> {
        self.0.lock().unwrap().insert(cluster);
        Ok(StorageAccess {
            endpoint: "http://127.0.0.1:1".to_owned(),
            region: "us-east-1".to_owned(),
            bucket: format!("cluster-{cluster}"),
            access_key: "key".to_owned(),
            secret_key: SecretString::from("secret"),
            session_token: None,
        })
    }

    async fn remove(&self, cluster: ClusterId) -> Result<(), ProviderError> {
        self.0.lock().unwrap().remove(&cluster);
        Ok(())
    }
}

#[async_trait]
impl Assignments for Numbers {
    fn forget(&self, _: ClusterId) {}

    async fn refresh(&self, cluster: ClusterId) -> Result<(), AssignmentsError> {
        let mut tx = self.store.begin().await.unwrap();
        let state =
            sqlx::query("select generation, restart_nonce from clusters where id = $1").bind(cluster.0);
        let state = state.fetch_one(&mut *tx).await.unwrap();
        for node in nodes::live(&mut tx, cluster).await.unwrap() {
            let made_of = (
                state.get::<i64, _>(0),
                state.get::<i64, _>(1),
                node.stop_asked_at.is_some(),
            );
            node_identity::assignment_version(&mut tx, node.id, format!("{made_of:?}").as_bytes())
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
        Ok(())
    }

    fn template_of(&self, _runtime: &str) -> String {
        self.template.clone()
    }

    fn new_authority(&self, _cluster: ClusterId) -> Result<(String, SecretString), AssignmentsError> {
        let fresh = || Uuid::now_v7().to_string();
        Ok((fresh(), fresh().into()))
    }
}

pub(crate) fn is_up(machine: &Machine) -> bool {
    machine.status == NodeStatus::Running
}

/// The provider's time passes, and every running node's agent takes up its assignment and reports.
async fn pass_time(
    store: Store,
    provider: Arc<SimulatedProvider>,
    liveness: Arc<Liveness>,
    reclaimed: Reclaimed,
) {
    let reports = updraft_control::reconciler::Reports::new(store.clone(), liveness);
    loop {
        provider.tick();
        for machine in provider.live().iter().filter(|machine| is_up(machine)) {
            let report = match store.connection().await {
                Ok(mut connection) => {
                    let row = sqlx::query(
                        "select assignment_version, power, agent_wanted, role,
                                (select attempt from key_turns where stage = 'reencrypting' and role = 'scheduler')
                         from nodes where id = $1 and state = 'launched'",
                    );
                    row.bind(machine.node.0)
                        .fetch_optional(&mut *connection)
                        .await
                        .ok()
                        .flatten()
                }
                Err(_) => return,
            };
            if let Some(row) = report {
                let phase = if row.get::<String, _>(1) == "stop" {
                    AgentPhase::Stopped
                } else {
                    AgentPhase::Running
                };
                let is_reclaimed = reclaimed.lock().unwrap().contains(&machine.node);
                let report = Report {
                    reclaimed_at: is_reclaimed.then(Utc::now),
                    reencryption: row.get::<Option<i64>, _>(4).map(written_anew),
                    agent: Some(crate::agents::standing(row.get(2), row.get(3))),
                    ..said(machine.node, row.get(0), phase)
                };
                let _ = reports.accept(machine.node, report).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn said(node: NodeId, version: i64, phase: AgentPhase) -> Report {
    Report {
        node,
        assignment_version: Some(version),
        generation: None,
        phase,
        services: Vec::new(),
        steps: Vec::new(),
        events: Vec::new(),
        dag_version: None,
        dags: updraft_api::agent::DagReport::default(),
        build: None,
        script: None,
        metadata: None,
        trial: None,
        logs: updraft_api::agent::LogReport::default(),
        cpu_percent: None,
        memory_bytes: None,
        reencryption: None,
        load: None,
        reclaimed_at: None,
        agent_version: "test".to_owned(),
        agent: None,
    }
}

fn written_anew(attempt: i64) -> ReencryptionReport {
    ReencryptionReport {
        attempt,
        outcome: ReencryptionOutcome::Done,
    }
}

/// Clusters of different tests share one metadata server: their ids must differ.
async fn insert_cluster(database: &TestDatabase) -> ClusterId {
    let mut connection = database.store().connection().await.unwrap();
    let first = 1_000_000 + i64::from(Uuid::new_v4().as_u128() as u32);
    let tenant = Uuid::new_v4();
    let statements = format!(
        "alter table clusters alter id restart with {first};
         insert into tenants (id, name) values ('{tenant}', 'tenant');
         insert into clusters (tenant_id, name, spec, power) values ('{tenant}', 'demo',
             '{{\"runtime\":\"airflow-3.3.2\",\"workers\":1,\"dag_sources\":[{{\"source\":{{\"kind\":\"cluster_bucket\",\"prefix\":\"dags/\"}}}}]}}',
             'stopped');"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements))
        .execute(&mut *connection)
        .await
        .unwrap();
    ClusterId(first)
}

async fn polled_at_most<F: Future>(polls: usize, future: F) {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return std::task::Poll::Ready(());
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| ())
    })
    .await;
}

fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}
