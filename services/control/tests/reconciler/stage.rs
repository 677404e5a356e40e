//! A control plane without agents' processes: a fresh database, the simulated provider, agents and storage in memory.

mod agents;
mod asked;
mod backup;
mod parts;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::Connection as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use updraft_api::agent::Report;
use updraft_control::reconciler::{Assignments, Liveness, Parts, Reconciler, Reports, Settings};
use updraft_model::{ClusterId, NodeId, OperationKind, OperationState, Phase, Power};
use updraft_provider::NodeProvider;
use updraft_provider::simulated::{Faults, Machine, SimulatedProvider};
use updraft_store::Store;
use updraft_store::metadata::MetadataServer;
use updraft_store::secrets::MasterKey;
use updraft_store::testing::TestDatabase;
use uuid::Uuid;

use agents::{pass_moment, pass_time};
use parts::{Buckets, Numbers};

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

    /// Time passes only between looks, and what was done just now is seen at once: the same is done in the same looks.
    pub(crate) async fn still() -> Self {
        let stage = Self::new(Faults::default()).await;
        stage.time.abort();
        stage
    }

    /// Another cluster in a world in which nothing happened yet.
    pub(crate) async fn anew(&mut self) {
        self.execute(
            "delete from events; delete from operations; delete from nodes; delete from clusters; delete from tenants",
        )
        .await;
        self.cluster = insert_cluster(&self.database).await;
        self.provider = Arc::new(SimulatedProvider::perfect().with_networks());
        self.storage = Arc::default();
        self.is_heard_by_another_process();
    }

    /// One that has heard nothing yet.
    pub(crate) fn is_heard_by_another_process(&mut self) {
        self.liveness = Arc::new(Liveness::new(Utc::now()));
    }

    pub(crate) async fn a_moment_passes(&self) {
        let reports = Reports::new(self.store().clone(), Arc::clone(&self.liveness));
        pass_moment(self.store(), &self.provider, &reports, &self.reclaimed)
            .await
            .unwrap();
    }

    pub(crate) fn url(&self) -> SecretString {
        self.database.url()
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

    /// What the node's agent said last.
    pub(crate) fn last_word(&self, node: NodeId) -> Report {
        let (_, report) = self.liveness.latest(node).unwrap();
        (*report).clone()
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
        let mut parts = Parts {
            provider,
            liveness,
            ..self.parts()
        };
        change(&mut parts.settings);
        Reconciler::new(parts)
    }

    /// One whose list of nodes is never of before.
    pub(crate) fn reconciler_at_once(&self) -> Reconciler {
        Reconciler::new(self.parts_at_once())
    }

    pub(crate) fn parts_at_once(&self) -> Parts {
        let mut parts = self.parts();
        (parts.settings.fresh, parts.settings.watch) = (Duration::ZERO, Duration::ZERO);
        parts
    }

    fn parts(&self) -> Parts {
        Parts {
            store: self.store().clone(),
            master_key: Arc::new(MasterKey::from_bytes([7; 32])),
            metadata: MetadataServer::new(self.database.url()),
            provider: Arc::clone(&self.provider) as _,
            storage: Arc::clone(&self.storage) as _,
            assignments: self.assignments(self.store()),
            liveness: Arc::clone(&self.liveness),
            settings: Settings {
                control_url: "http://127.0.0.1:1".to_owned(),
                lease: Duration::from_secs(20),
                sweep: Duration::from_millis(100),
                scale_in_after: Duration::from_secs(2),
                watch: Duration::from_millis(100),
                fresh: Duration::from_millis(20),
                ..Settings::default()
            },
        }
    }

    pub(crate) fn assignments(&self, store: &Store) -> Arc<dyn Assignments> {
        Arc::new(Numbers::new(store.clone(), self.template.clone()))
    }

    pub(crate) fn run(&self) -> Running {
        Running::of(self.reconciler())
    }

    /// Nodes are to run this agent.
    pub(crate) fn run_with_agent(&self, release: &str) -> Running {
        let change = |settings: &mut Settings| {
            settings.agent_release = Some(release.to_owned());
            settings.agents = Duration::from_millis(50);
        };
        Running::of(self.reconciler_with(change, Arc::clone(&self.liveness)))
    }

    /// Its list is only compared when it changes: nothing makes up for a wake-up that is missed.
    pub(crate) fn run_without_sweeps(&self) -> Running {
        let liveness = Arc::clone(&self.liveness);
        let rarely = |settings: &mut Settings| settings.sweep = Duration::from_secs(3600);
        Running::of(self.reconciler_with(rarely, liveness))
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

pub(crate) fn is_up(machine: &Machine) -> bool {
    machine.status.is_up()
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
