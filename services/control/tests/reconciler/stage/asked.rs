//! What tests ask of a cluster, past the API, and what they look up.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::json;
use sqlx::Row as _;
use updraft_model::{NodeId, NodeRole, OperationKind, OperationState, Phase, Power, Step, TenantId};
use updraft_provider::{BootSecret, ClientToken, ClusterWanted, NodeProvider as _, NodeWanted};
use updraft_store::Store;
use uuid::Uuid;

use super::Stage;

const PATIENCE: Duration = Duration::from_secs(60);

impl Stage {
    pub(crate) async fn ask(&self, kind: OperationKind, power: Power) {
        self.ask_with(kind, power, "").await;
    }

    /// And what this operation writes besides, in one transaction.
    pub(crate) async fn ask_with(&self, kind: OperationKind, power: Power, besides: &str) {
        let restart = i64::from(kind == OperationKind::Restart);
        let statements = format!(
            "update clusters set power = '{}', generation = generation + 1, wake_at = now(),
                 restart_nonce = restart_nonce + {restart};
             update operations set state = 'superseded' where state = 'running';
             insert into operations (id, tenant_id, cluster_id, kind, generation)
                 select '{}', tenant_id, id, '{}', generation from clusters;
             {besides}",
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

    /// Workers are to be machines of this kind.
    pub(crate) async fn give_workers(&self, instance_type: &str) {
        let queue = json!([{"name": "default", "instance_type": instance_type, "min": 1, "max": 1}]);
        self.execute(&format!(
            "update clusters set spec = jsonb_set(spec, '{{worker_queues}}', '{queue}')"
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

    pub(crate) async fn expire_leases(&self) {
        self.execute("update clusters set lease_until = now() - interval '1 second'")
            .await;
    }

    /// Every node was launched an hour ago, and its last report was written down then.
    pub(crate) async fn long_ago(&self) {
        self.execute(
            "update nodes set launched_at = launched_at - interval '1 hour', reported_at = reported_at - interval '1 hour'",
        )
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
                             and (n.request #>> '{wanted,generation}')::bigint = c.generation
                             and (n.request #>> '{wanted,fence}')::bigint between 1 and c.fence)
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
        let wanted = NodeWanted::plain(self.cluster, node, NodeRole::Worker, 9);
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
            worker_types: BTreeSet::new(),
        };
        self.provider.prepare_cluster(&wanted).await.unwrap();
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

    /// Databases and roles of the cluster's, complete or not.
    pub(crate) async fn left_on_metadata_server(&self) -> i64 {
        let name = format!("airflow_{}", self.cluster);
        self.value(&format!(
            "select (select count(*) from pg_database where datname in ('{name}', '{name}_unfinished'))
                 + (select count(*) from pg_roles where rolname = '{name}')"
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

fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
}
