//! One control process with many clusters: what an idle cluster costs, how quickly REST answers, and how long a restart
//! takes. Real Postgres, real assignments; nodes are simulated, and their agents report by call.
//!
//! `tests/bench/scale/run` runs it and says what the columns mean.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::Utc;
use secrecy::SecretString;
use serde_json::json;
use sqlx::Row as _;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use updraft_api::agent::Report;
use updraft_control::agents::follow;
use updraft_control::assignments::{Desk, News, Places};
use updraft_control::edges::{SnapshotSettings, keep_current};
use updraft_control::reconciler::{Liveness, Parts, Reconciler, Reports, Settings, secret};
use updraft_model::{AgentPhase, ClusterId, NodeId, NodeRole};
use updraft_provider::simulated::SimulatedProvider;
use updraft_provider::{
    BootSecret, ClientToken, ClusterStorage, LaunchRequest, Launched, ListedNode, NodeProvider, NodeStatus,
    NodeWanted, ProviderError, ProviderId, StorageAccess,
};
use updraft_runtimes::Catalogue;
use updraft_store::metadata::MetadataServer;
use updraft_store::secrets::{self, MasterKey};
use uuid::Uuid;

use crate::support::{Someone, World};

/// Agents report each 5 s.
const REPORTS: Duration = Duration::from_secs(5);
const ROLES: [(NodeRole, u32); 4] = [
    (NodeRole::Scheduler, 1),
    (NodeRole::Web, 1),
    (NodeRole::Worker, 1),
    (NodeRole::Worker, 2),
];
/// Of one tenant.
const TOGETHER: usize = 100;

struct Installation {
    world: World,
    owner: Someone,
    provider: Arc<SimulatedProvider>,
    clusters: usize,
}

/// A control process in this one: ends when it is dropped.
struct Control {
    _shutdown: DropGuard,
    liveness: Arc<Liveness>,
}

/// CPU time so far, and memory.
#[derive(Clone, Copy)]
struct Used {
    at: Instant,
    here_s: f64,
    postgres_s: f64,
}

struct Nowhere;

// === impl Installation ===

impl Installation {
    async fn of(clusters: usize) -> Self {
        let this = Self::without_nodes(clusters).await;
        this.insert_nodes().await;
        this.execute("analyze").await;
        this
    }

    /// Each is asked to start.
    async fn start_all(&self) {
        self.execute(
            "update clusters set phase = '{\"state\": \"stopped\"}', wake_at = now();
             insert into operations (id, tenant_id, cluster_id, kind, generation)
                 select gen_random_uuid(), tenant_id, id, 'start', generation from clusters",
        )
        .await;
    }

    async fn running(&self) -> usize {
        let running = self.value("select count(*) from clusters where phase ->> 'state' = 'running'");
        usize::try_from(running.await).unwrap()
    }

    async fn without_nodes(clusters: usize) -> Self {
        let world = World::new().await;
        let home = world.tenant("home").await;
        let owner = world.owner(home).await;
        let this = Self {
            world,
            owner,
            provider: Arc::new(SimulatedProvider::perfect()),
            clusters,
        };
        this.insert_clusters().await;
        this.insert_secrets().await;
        this
    }

    async fn insert_clusters(&self) {
        let (clusters, home) = (self.clusters, self.owner.tenant.0);
        let spec = json!({"runtime": "airflow-3.3.2", "workers": 2,
            "dag_sources": [{"source": {"kind": "cluster_bucket", "prefix": "dags/"}}]});
        self.execute(&format!(
            "alter table clusters alter id restart with 1;
             insert into tenants (id, name) select gen_random_uuid(), 't' || i from generate_series(1, {others}) i;
             create temporary table homes as select row_number() over (order by id <> '{home}', name) - 1 as i, id from tenants;
             insert into clusters (tenant_id, name, spec, power, phase)
                 select (select id from homes where homes.i = n / {TOGETHER}), 'c' || n, '{spec}', 'running',
                        '{{\"state\": \"running\"}}'
                 from generate_series(0, {clusters} - 1) n;
             insert into cluster_resources (cluster_id, kind, state, ready_at)
                 select id, kind, 'ready', now() from clusters, unnest(array['secrets', 'database', 'storage']) kind",
            others = clusters.div_ceil(TOGETHER),
        ))
        .await;
    }

    async fn insert_secrets(&self) {
        let key = key();
        let storage = json!({"endpoint": "http://127.0.0.1:1", "region": "us-east-1", "bucket": "b",
            "access_key": "a", "secret_key": "s", "session_token": null});
        let mut tx = self.world.tx().await;
        for cluster in (1..=self.clusters).map(|id| ClusterId(i64::try_from(id).unwrap())) {
            for (name, value) in [
                (
                    secret::DSN,
                    format!("postgresql://airflow_{cluster}:secret@10.0.0.1:5432/airflow_{cluster}"),
                ),
                (secret::FERNET_KEY, "fernet".to_owned()),
                (secret::JWT_SECRET, "jwt".to_owned()),
                (secret::BROKER_PASSWORD, "broker".to_owned()),
                (secret::STORAGE, storage.to_string()),
            ] {
                secrets::put(&mut tx, &key, cluster, name, &SecretString::from(value))
                    .await
                    .unwrap();
            }
        }
        tx.commit().await.unwrap();
    }

    async fn insert_nodes(&self) {
        let (mut ids, mut clusters, mut roles) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ordinals, mut provider_ids, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for cluster in 1..=self.clusters {
            for (role, ordinal) in ROLES {
                let wanted = NodeWanted {
                    cluster: ClusterId(i64::try_from(cluster).unwrap()),
                    node: NodeId(Uuid::now_v7()),
                    role,
                    ordinal,
                    queue: None,
                    instance_type: None,
                    tenant: None,
                    generation: None,
                    network: None,
                };
                let request = self.provider.prepare(&wanted).await.unwrap();
                let boot = BootSecret(SecretString::from("{}"));
                let token = ClientToken::of(wanted.node);
                let launched = self.provider.launch(&request, &token, &boot).await.unwrap();
                ids.push(wanted.node.0);
                clusters.push(wanted.cluster.0);
                roles.push(role.to_string());
                ordinals.push(i32::try_from(ordinal).unwrap());
                provider_ids.push(launched.id.0);
                addresses.push(launched.address.to_string());
            }
        }
        let mut tx = self.world.tx().await;
        sqlx::query(
            "insert into nodes (id, cluster_id, role, ordinal, generation, state, request, client_token, provider_id, address,
                                launched_at)
             select id, cluster, role, ordinal, 1, 'launched', '{}', 'updraft-' || id, provider, address, now()
             from unnest($1::uuid[], $2::bigint[], $3::text[], $4::int[], $5::text[], $6::text[])
                 as node (id, cluster, role, ordinal, provider, address)",
        )
        .bind(ids)
        .bind(clusters)
        .bind(roles)
        .bind(ordinals)
        .bind(provider_ids)
        .bind(addresses)
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }

    /// Reconciler, agents' endpoint's listener, and edges' picture.
    fn control(&self) -> Control {
        self.control_over(self.provider.clone(), Settings::default())
    }

    fn control_over(&self, provider: Arc<dyn NodeProvider>, settings: Settings) -> Control {
        let store = self.world.database.store().clone();
        let liveness = Arc::new(Liveness::new(Utc::now()));
        let news = Arc::new(News::default());
        let shutdown = CancellationToken::new();
        let reconciler = Reconciler::new(Parts {
            store: store.clone(),
            master_key: key(),
            metadata: MetadataServer::new(self.world.database.url()),
            provider,
            storage: Arc::new(Nowhere),
            assignments: Arc::new(self.desk(&news)),
            liveness: liveness.clone(),
            settings,
        });
        tokio::spawn(Arc::new(reconciler).run(shutdown.clone()));
        tokio::spawn(follow(store.clone(), news, shutdown.clone()));
        let signing = updraft_authz::SigningKey::from_seed("edges", &[9; 32]).unwrap();
        let edges = SnapshotSettings {
            session_keys: updraft_app::SessionKeys::fixed(signing.clone()),
            airflow_key: signing,
            console_url: "http://localhost:7700".into(),
            host_of: Box::new(|_, cluster| format!("c{cluster}.example.com")),
            tunnels: None,
        };
        tokio::spawn(keep_current(
            store.clone(),
            edges,
            watch::channel(None).0,
            shutdown.clone(),
        ));
        let agents = report_for_ever(store.clone(), Reports::new(store, liveness.clone()));
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(agents));
        Control {
            _shutdown: shutdown.drop_guard(),
            liveness,
        }
    }

    fn desk(&self, news: &Arc<News>) -> Desk {
        Desk {
            store: self.world.database.store().clone(),
            master_key: key(),
            catalogue: Arc::new(Catalogue::embedded().unwrap()),
            places: Arc::new(Nowhere),
            airflow_keys: Vec::new(),
            outbound_allow: Vec::new(),
            log_disk_bytes: 1 << 30,
            base_url: Box::new(|_, cluster| format!("https://c{cluster}.example.com")),
            tunnels: None,
            news: news.clone(),
        }
    }

    /// Every cluster was looked at since, runs, and nobody has a reason to look again soon.
    async fn settles(&self, looks_before: i64) -> Duration {
        let began = Instant::now();
        loop {
            let left: i64 = self
                .value(&format!(
                    "select count(*) from clusters where phase ->> 'state' <> 'running' or fence <= {looks_before}
                         or wake_at < now() + interval '60 seconds'"
                ))
                .await;
            if left == 0 {
                return began.elapsed();
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// p50 and p99 of a page of clusters and of one cluster, in milliseconds.
    async fn answers(&self, times: usize) -> [f64; 4] {
        let mut took: [Vec<f64>; 2] = Default::default();
        for _ in 0..times {
            for (kind, path) in ["/clusters", "/clusters/1"].into_iter().enumerate() {
                let began = Instant::now();
                self.world.get(&self.owner, path).await.must_be(200);
                took[kind].push(began.elapsed().as_secs_f64() * 1000.0);
            }
        }
        let [mut list, mut show] = took;
        let at = |of: &mut Vec<f64>, share: usize| {
            of.sort_by(f64::total_cmp);
            of[(of.len() * share / 100).min(of.len() - 1)]
        };
        [
            at(&mut list, 50),
            at(&mut list, 99),
            at(&mut show, 50),
            at(&mut show, 99),
        ]
    }

    async fn used(&self) -> Used {
        let mut connection = self.world.database.store().connection().await.unwrap();
        let pids: Vec<i32> =
            sqlx::query_scalar("select pid from pg_stat_activity where datname = current_database()")
                .fetch_all(&mut *connection)
                .await
                .unwrap();
        Used {
            at: Instant::now(),
            here_s: cpu_s("self"),
            postgres_s: pids.iter().map(|pid| cpu_s(&pid.to_string())).sum(),
        }
    }

    /// Percent of one core over so long: of this process, and of Postgres for it.
    async fn load(&self, lasts: Duration) -> (f64, f64) {
        let before = self.used().await;
        tokio::time::sleep(lasts).await;
        let after = self.used().await;
        let share = |cpu_s: f64| 100.0 * cpu_s / (after.at - before.at).as_secs_f64();
        (
            share(after.here_s - before.here_s),
            share(after.postgres_s - before.postgres_s),
        )
    }

    /// What agents' reports alone cost.
    async fn reports_alone(&self) -> (f64, f64) {
        let store = self.world.database.store().clone();
        let reports = Reports::new(store.clone(), Arc::new(Liveness::new(Utc::now())));
        let agents = tokio::spawn(report_for_ever(store, reports));
        tokio::time::sleep(3 * REPORTS).await;
        let load = self.load(4 * REPORTS).await;
        agents.abort();
        load
    }

    async fn looks(&self) -> i64 {
        self.value("select sum(fence)::bigint from clusters").await
    }

    async fn execute(&self, statements: &str) {
        let mut connection = self.world.database.store().connection().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements))
            .execute(&mut *connection)
            .await
            .unwrap();
    }

    async fn value(&self, statement: &str) -> i64 {
        let mut connection = self.world.database.store().connection().await.unwrap();
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_one(&mut *connection)
            .await
            .unwrap()
    }
}

/// EC2's documented buckets for `RunInstances`, in a time that passes more quickly: on this side who waits for their turn,
/// on the other one that refuses whoever did not.
struct Limited {
    provider: Arc<SimulatedProvider>,
    speed: f64,
    ours: Mutex<Tokens>,
    theirs: Mutex<Tokens>,
    calls: Mutex<Calls>,
}

struct Tokens {
    left: f64,
    at: Instant,
}

#[derive(Clone, Copy, Default)]
struct Calls {
    first: Option<Instant>,
    last: Option<Instant>,
    made: u32,
    refused: u32,
}

// === impl Limited ===

impl Limited {
    const BURST: f64 = 5.0;
    const PER_SECOND: f64 = 2.0;

    fn new(provider: &Arc<SimulatedProvider>, speed: f64) -> Self {
        let tokens = || {
            Mutex::new(Tokens {
                left: Self::BURST,
                at: Instant::now(),
            })
        };
        Self {
            provider: provider.clone(),
            speed,
            ours: tokens(),
            theirs: tokens(),
            calls: Mutex::default(),
        }
    }

    fn take(&self, of: &Mutex<Tokens>) -> bool {
        let mut tokens = of.lock().unwrap();
        let back = tokens.at.elapsed().as_secs_f64() * Self::PER_SECOND * self.speed;
        tokens.left = (tokens.left + back).min(Self::BURST);
        tokens.at = Instant::now();
        let is_there = tokens.left >= 1.0;
        tokens.left -= f64::from(u8::from(is_there));
        is_there
    }

    /// What came of the rate that was allowed between the first call and the last, in percent.
    fn share(&self) -> f64 {
        let calls = *self.calls.lock().unwrap();
        let lasted = (calls.last.unwrap() - calls.first.unwrap()).as_secs_f64();
        100.0 * f64::from(calls.made) / (Self::BURST + Self::PER_SECOND * self.speed * lasted)
    }
}

#[async_trait]
impl NodeProvider for Limited {
    fn name(&self) -> &'static str {
        "limited"
    }

    fn listing_lag(&self) -> Duration {
        self.provider.listing_lag()
    }

    async fn prepare(&self, wanted: &NodeWanted) -> Result<LaunchRequest, ProviderError> {
        self.provider.prepare(wanted).await
    }

    async fn launch(
        &self,
        request: &LaunchRequest,
        token: &ClientToken,
        boot: &BootSecret,
    ) -> Result<Launched, ProviderError> {
        while !self.take(&self.ours) {
            tokio::time::sleep(Duration::from_secs_f64(0.1 / (Self::PER_SECOND * self.speed))).await;
        }
        let is_let_in = self.take(&self.theirs);
        {
            let mut calls = self.calls.lock().unwrap();
            calls.first = calls.first.or(Some(Instant::now()));
            calls.last = Some(Instant::now());
            calls.made += 1;
            calls.refused += u32::from(!is_let_in);
        }
        if !is_let_in {
            return Err(ProviderError::Throttled);
        }
        self.provider.launch(request, token, boot).await
    }

    async fn start(&self, id: &ProviderId, boot: &BootSecret) -> Result<Launched, ProviderError> {
        self.provider.start(id, boot).await
    }

    async fn stop(&self, id: &ProviderId) -> Result<(), ProviderError> {
        self.provider.stop(id).await
    }

    async fn terminate(&self, id: &ProviderId) -> Result<(), ProviderError> {
        self.provider.terminate(id).await
    }

    async fn list(&self, cluster: Option<ClusterId>) -> Result<Vec<ListedNode>, ProviderError> {
        self.provider.list(cluster).await
    }

    async fn describe(&self, id: &ProviderId) -> Result<NodeStatus, ProviderError> {
        self.provider.describe(id).await
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: tests/bench/scale/run"]
async fn a_storm_of_starts_uses_the_rate_that_ec2_allows() {
    let number = |name: &str, usual: f64| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (clusters, speed) = (number("UPDRAFT_STORM", 100.0), number("UPDRAFT_STORM_SPEED", 4.0));
    let installation = Installation::without_nodes(clusters as usize).await;
    let limited = Arc::new(Limited::new(&installation.provider, speed));
    installation.start_all().await;
    let settings = Settings {
        queued: Settings::default().queued.div_f64(speed),
        ..Settings::default()
    };
    let _control = installation.control_over(limited.clone(), settings);
    let [mut list, mut show] = [0.0_f64, 0.0];
    while installation.running().await < installation.clusters {
        let [_, p99_list, _, p99_show] = installation.answers(20).await;
        (list, show) = (list.max(p99_list), show.max(p99_show));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let calls = *limited.calls.lock().unwrap();
    println!(
        "{clusters} clusters started, {} calls of RunInstances, time passing {speed} times as quickly: {:.1} % of the allowed \
         rate, {} refused, slowest answers: list {list:.0} ms, show {show:.0} ms",
        calls.made,
        limited.share(),
        calls.refused,
    );
    assert_eq!(calls.refused, 0);
    assert_eq!(
        installation.provider.machines().len(),
        installation.clusters * ROLES.len()
    );
    assert!(limited.share() >= 90.0, "{:.1} %", limited.share());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: tests/bench/scale/run"]
async fn what_many_clusters_cost() {
    let sizes = std::env::var("UPDRAFT_SCALE").unwrap_or_else(|_| "100".to_owned());
    let idle = std::env::var("UPDRAFT_SCALE_IDLE_S").map_or(60, |s| s.parse().unwrap());
    for clusters in sizes.split(',').map(|size| size.parse().unwrap()) {
        let installation = Installation::of(clusters).await;
        let control = installation.control();
        let first = installation.settles(0).await;
        let quiet = installation.answers(300).await;
        let looks = installation.looks().await;
        let (here, postgres) = installation.load(Duration::from_secs(idle)).await;
        let looks = installation.looks().await - looks;
        let nodes_heard = control.liveness.heard(Utc::now()).len();
        drop(control);
        let (reports, _) = installation.reports_alone().await;
        installation.execute("update clusters set wake_at = now()").await;
        let machines = installation.provider.machines().len();
        let control = installation.control();
        let busy = tokio::join!(installation.answers(300), installation.settles(0));
        drop(control);
        println!(
            "{clusters} clusters, {nodes_heard} nodes heard: first looks {:.0} s; idle for {idle} s: control {here:.1} % \
             (agents' reports alone {reports:.1} %) and Postgres {postgres:.1} % of a core, {looks} looks; memory {} MiB; list p50 {:.1} p99 {:.1} ms, show p50 {:.1} \
             p99 {:.1} ms; restarted, all looked at again after {:.0} s, meanwhile list p99 {:.1} ms, show p99 {:.1} ms",
            first.as_secs_f64(),
            memory_mib(),
            quiet[0],
            quiet[1],
            quiet[2],
            quiet[3],
            busy.1.as_secs_f64(),
            busy.0[1],
            busy.0[3],
        );
        assert_eq!(
            installation.provider.machines().len(),
            machines,
            "a node was launched anew"
        );
        assert_eq!(installation.provider.live().len(), machines, "a node was ended");
    }
}

/// Every agent says each 5 s that all is well with what it was given.
async fn report_for_ever(store: updraft_store::Store, reports: Reports) {
    let mut given: HashMap<NodeId, i64> = HashMap::new();
    for round in 0_u64.. {
        let began = Instant::now();
        let is_growing = given.len() < usize::try_from(launched(&store).await).unwrap();
        if round < 12 || round % 12 == 0 || is_growing {
            let mut connection = store.connection().await.unwrap();
            let rows = sqlx::query("select id, assignment_version from nodes where state = 'launched'");
            let rows = rows.fetch_all(&mut *connection).await.unwrap();
            given.extend(rows.iter().map(|row| (NodeId(row.get(0)), row.get(1))));
        }
        let each = REPORTS / u32::try_from(given.len().max(1)).unwrap();
        for (done, (node, version)) in given.iter().enumerate() {
            if *version > 0 {
                reports.accept(*node, said(*node, *version)).await.unwrap();
            }
            let due = each * u32::try_from(done).unwrap();
            if due > began.elapsed() + Duration::from_millis(20) {
                tokio::time::sleep(due - began.elapsed()).await;
            }
        }
        tokio::time::sleep(REPORTS.saturating_sub(began.elapsed())).await;
    }
}

async fn launched(store: &updraft_store::Store) -> i64 {
    let mut connection = store.connection().await.unwrap();
    sqlx::query_scalar("select count(*) from nodes where state = 'launched'")
        .fetch_one(&mut *connection)
        .await
        .unwrap()
}

fn said(node: NodeId, version: i64) -> Report {
    Report {
        node,
        assignment_version: Some(version),
        generation: None,
        phase: AgentPhase::Running,
        services: Vec::new(),
        steps: Vec::new(),
        events: Vec::new(),
        dag_version: None,
        dags: updraft_api::agent::DagReport::default(),
        build: None,
        script: None,
        trial: None,
        logs: updraft_api::agent::LogReport::default(),
        cpu_percent: None,
        memory_bytes: None,
        load: None,
        reclaimed_at: None,
        agent_version: "test".to_owned(),
        agent: None,
    }
}

fn key() -> Arc<MasterKey> {
    Arc::new(MasterKey::from_bytes([7; 32]))
}

/// User and system time of a process.
fn cpu_s(process: &str) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else {
        return 0.0;
    };
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

fn memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

impl Places for Nowhere {
    fn node_dir(&self, node: NodeId) -> String {
        format!("/var/lib/updraft/{node}")
    }

    fn shared_dir(&self, cluster: ClusterId) -> String {
        format!("/var/lib/updraft/cluster-{cluster}")
    }

    fn environment_dir(&self, runtime: &str) -> Option<String> {
        Some(format!("/opt/updraft/{runtime}"))
    }

    fn environments_dir(&self, cluster: ClusterId) -> String {
        format!("/var/lib/updraft/environments-{cluster}")
    }

    fn uv_binary(&self) -> String {
        "/opt/updraft/uv".to_owned()
    }

    fn package_index(&self) -> Option<String> {
        None
    }

    fn forget(&self, _: ClusterId) {}

    fn broker_binary(&self) -> String {
        "/opt/updraft/valkey-server".to_owned()
    }

    fn template_database(&self, runtime: &str) -> String {
        format!("template_{runtime}")
    }
}

#[async_trait]
impl ClusterStorage for Nowhere {
    async fn ensure(&self, _: ClusterId) -> Result<StorageAccess, ProviderError> {
        Err(ProviderError::Refused("there is none".to_owned()))
    }

    async fn remove(&self, _: ClusterId) -> Result<(), ProviderError> {
        Ok(())
    }
}
