//! An installation with many clusters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde_json::json;
use updraft_control::reconciler::secret;
use updraft_model::{ClusterId, NodeId, NodeRole};
use updraft_provider::simulated::SimulatedProvider;
use updraft_provider::{BootSecret, ClientToken, NodeProvider, NodeWanted};
use updraft_store::secrets::{self, MasterKey};
use uuid::Uuid;

use super::agents::REGISTERED;
use super::usage::{Used, cpu_s};
use crate::support::{Someone, World};

pub(super) const ROLES: [(NodeRole, u32); 4] = [
    (NodeRole::Scheduler, 1),
    (NodeRole::Web, 1),
    (NodeRole::Worker, 1),
    (NodeRole::Worker, 2),
];
/// Of one tenant.
const TOGETHER: usize = 100;

pub(super) struct Installation {
    pub(super) world: World,
    owner: Someone,
    pub(super) provider: Arc<SimulatedProvider>,
    pub(super) clusters: usize,
}

// === impl Installation ===

impl Installation {
    pub(super) async fn of(clusters: usize) -> Self {
        let this = Self::without_nodes(clusters).await;
        this.insert_nodes().await;
        this.execute("analyze").await;
        this
    }

    /// Each is asked to start.
    pub(super) async fn start_all(&self) {
        self.execute(
            "update clusters set phase = '{\"state\": \"stopped\"}', wake_at = now();
             insert into operations (id, tenant_id, cluster_id, kind, generation)
                 select gen_random_uuid(), tenant_id, id, 'start', generation from clusters",
        )
        .await;
    }

    pub(super) async fn running(&self) -> usize {
        let running = self.value("select count(*) from clusters where phase ->> 'state' = 'running'");
        usize::try_from(running.await).unwrap()
    }

    pub(super) async fn without_nodes(clusters: usize) -> Self {
        let world = World::new().await;
        let home = world.tenant("home").await;
        let owner = world.owner(home).await;
        let this = Self {
            world,
            owner,
            provider: Arc::new(SimulatedProvider::perfect()),
            clusters,
        };
        this.execute(REGISTERED).await;
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
                let wanted = NodeWanted::plain(
                    ClusterId(i64::try_from(cluster).unwrap()),
                    NodeId(Uuid::now_v7()),
                    role,
                    ordinal,
                );
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

    /// Every cluster was looked at since, runs, and nobody has a reason to look again soon.
    pub(super) async fn settles(&self, looks_before: i64) -> Duration {
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
    pub(super) async fn answers(&self, times: usize) -> [f64; 4] {
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

    pub(super) async fn used(&self) -> Used {
        let mut connection = self.world.database.store().connection().await.unwrap();
        let pids: Vec<i32> =
            sqlx::query_scalar("select pid from pg_stat_activity where datname = current_database()")
                .fetch_all(&mut *connection)
                .await
                .unwrap();
        Used {
            at: Instant::now(),
            here_s: cpu_s("self"),
            postgres_s: pids
                .into_iter()
                .map(|pid| (pid, cpu_s(&pid.to_string())))
                .collect(),
        }
    }

    /// Percent of one core over so long: of this process, and of Postgres for it.
    pub(super) async fn load(&self, lasts: Duration) -> (f64, f64) {
        let before = self.used().await;
        tokio::time::sleep(lasts).await;
        self.used().await.since(&before)
    }

    pub(super) async fn looks(&self) -> i64 {
        self.value("select sum(fence)::bigint from clusters").await
    }

    pub(super) async fn execute(&self, statements: &str) {
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

pub(super) fn key() -> Arc<MasterKey> {
    Arc::new(MasterKey::from_bytes([7; 32]))
}
