//! A cluster's keys become others, whatever dies meanwhile; the old ones open nothing, and lie nowhere.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use secrecy::ExposeSecret as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgConnection};
use updraft_app::metadata;
use updraft_control::reconciler::secret;
use updraft_model::{OperationKind, OperationState, Phase, Power};
use updraft_provider::simulated::Faults;
use updraft_store::secrets::{self, MasterKey};

use crate::killed::Operation;
use crate::stage::Stage;

const TURNED: [&str; 7] = [
    secret::FERNET_KEY,
    secret::JWT_SECRET,
    secret::BROKER_PASSWORD,
    secret::DATABASE_PASSWORD,
    secret::DSN,
    secret::CA_CERTIFICATE,
    secret::CA_KEY,
];

impl Stage {
    async fn ask_for_other_keys(&self, power: Power) {
        let turn = "insert into key_turns (cluster_id, tenant_id, stage, attempt)
                 select id, tenant_id, 'draining', generation from clusters
             on conflict (cluster_id) do update
             set stage = 'draining', attempt = excluded.attempt, failure = null, changed_at = now()";
        self.ask_with(OperationKind::RotateKeys, power, turn).await;
    }

    async fn secret(&self, name: &str) -> Option<String> {
        let mut connection = self.store().connection().await.unwrap();
        let key = MasterKey::from_bytes([7; 32]);
        let found = secrets::get(&mut connection, &key, self.cluster, name)
            .await
            .unwrap();
        found.map(|secret| secret.expose_secret().to_owned())
    }

    async fn keys(&self) -> BTreeMap<&'static str, String> {
        let mut keys = BTreeMap::new();
        for name in TURNED {
            keys.insert(name, self.secret(name).await.unwrap());
        }
        keys.insert("the password's verifier", self.verifier().await);
        keys
    }

    /// What Postgres holds a password against. The server of these tests lets everybody in: that an old password is refused
    /// is shown by `tests/e2e/test_cluster_keys.py`.
    async fn verifier(&self) -> String {
        let role = format!("airflow_{}", self.cluster);
        self.value(&format!(
            "select rolpassword from pg_authid where rolname = '{role}'"
        ))
        .await
    }

    async fn key_stage(&self) -> String {
        self.value("select stage from key_turns").await
    }
}

async fn connect(dsn: &str) -> Result<PgConnection, sqlx::Error> {
    PgConnectOptions::from_str(dsn).unwrap().connect().await
}

async fn assert_all_are_others(stage: &Stage, before: &BTreeMap<&'static str, String>) {
    let after = stage.keys().await;
    for (name, old) in before {
        assert_ne!(old, &after[name], "{name}");
    }
    connect(&after[secret::DSN]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_survives_death_anywhere() {
    Operation {
        name: "rotation of keys",
        boundaries: 100,
        changes: &[
            "commit of update key_turns",
            "provider: terminate",
            "metadata server: alter role",
            "provider: launch",
        ],
        ends: OperationState::Succeeded,
        before: async |stage: &Stage| {
            stage.starts().await;
            let before = stage.keys().await;
            let guest = connect(&before[secret::DSN]).await.unwrap();
            (before, guest)
        },
        ask: async |stage: &Stage| stage.ask_for_other_keys(Power::Running).await,
        whole: async |stage: &Stage, (before, mut guest): (BTreeMap<_, _>, PgConnection)| {
            assert_all_are_others(stage, &before).await;
            assert_eq!(stage.secret(secret::FERNET_KEYS_BEFORE).await, None);
            assert_eq!(stage.key_stage().await, "settled");
            let stays = sqlx::query("select 1").execute(&mut guest).await;
            assert!(stays.is_err(), "who came in with the old password is still there");
            // Each node was replaced once.
            stage.assert_runs_on(3, 6).await;
        },
    }
    .survives_death_anywhere()
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_clusters_keys_are_turned_at_once_and_its_next_start_writes_anew() {
    let stage = Stage::running(Faults::default()).await;
    let before = stage.keys().await;
    let running = stage.run();
    stage.ask(OperationKind::Stop, Power::Stopped).await;
    stage.reaches(&Phase::Stopped).await;
    // Asked again before anything was written anew: what the first one was may still be needed.
    for _ in 0..2 {
        stage.ask_for_other_keys(Power::Stopped).await;
        stage.operation_ends(OperationState::Succeeded).await;
    }
    assert!(stage.provider.live().is_empty());
    assert_all_are_others(&stage, &before).await;
    let kept = stage.secret(secret::FERNET_KEYS_BEFORE).await.unwrap();
    let kept: Vec<_> = kept.split(',').collect();
    assert!(
        kept.len() == 2 && kept[1] == before[secret::FERNET_KEY],
        "two turns, newest first"
    );
    stage.ask(OperationKind::Start, Power::Running).await;
    stage.reaches(&Phase::Running).await;
    stage.operation_ends(OperationState::Succeeded).await;
    assert_eq!(stage.secret(secret::FERNET_KEYS_BEFORE).await, None);
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leads_to_a_database_of_the_tenants_own_is_not_turned() {
    let stage = Stage::new(Faults::default()).await;
    stage.brings_a_database().await;
    let brought = [metadata::DSN, metadata::AUTHORITY, metadata::OWNER];
    let mut tx = stage.store().begin().await.unwrap();
    for name in brought {
        let key = MasterKey::from_bytes([7; 32]);
        secrets::put(&mut tx, &key, stage.cluster, name, &name.into())
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let running = stage.run();
    stage.ask(OperationKind::Start, Power::Running).await;
    stage.reaches(&Phase::Running).await;
    let fernet_key = stage.secret(secret::FERNET_KEY).await;
    stage.ask_for_other_keys(Power::Running).await;
    stage.operation_ends(OperationState::Succeeded).await;
    assert_ne!(stage.secret(secret::FERNET_KEY).await, fernet_key);
    for name in brought {
        assert_eq!(stage.secret(name).await.as_deref(), Some(name));
    }
    running.end().await;
}
