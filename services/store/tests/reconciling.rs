//! What the reconciler relies on: leases with fences, lives of nodes, sealed secrets, metadata databases.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use updraft_model::{ClusterId, Generation, NodeId, NodeRole, Power};
use updraft_store::changes::{self, Interest, Mark};
use updraft_store::leases::Full;
use updraft_store::metadata::MetadataServer;
use updraft_store::nodes::{self, LaunchFailureRecord, NewNode};
use updraft_store::secrets::{self, MasterKey, random_token};
use updraft_store::testing::TestDatabase;
use updraft_store::{
    Store, StoreError, Tx, assignments, controls, leases, node_identity, operation_steps, template,
};
use uuid::Uuid;

const MINUTE: Duration = Duration::from_secs(60);

async fn database_with_cluster() -> (TestDatabase, ClusterId) {
    let database = TestDatabase::create().await.unwrap();
    let first = 5_000_000_000 + i64::from(Uuid::new_v4().as_u128() as u32);
    let tenant = Uuid::new_v4();
    let mut connection = database.store().connection().await.unwrap();
    let statements = format!(
        "alter table clusters alter id restart with {first};
         insert into tenants (id, name) values ('{tenant}', 'tenant');
         insert into clusters (tenant_id, name, spec, power) values ('{tenant}', 'demo',
             '{{\"runtime\":\"r\",\"dag_sources\":[{{\"source\":{{\"kind\":\"cluster_bucket\",\"prefix\":\"dags/\"}}}}]}}', 'stopped');"
    );
    connection
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statements)))
        .await
        .unwrap();
    drop(connection);
    (database, ClusterId(first))
}

fn node(cluster: ClusterId) -> NewNode {
    let id = NodeId(Uuid::now_v7());
    NewNode {
        id,
        cluster,
        role: NodeRole::Web,
        ordinal: 1,
        queue: None,
        instance_type: None,
        generation: Generation::FIRST,
        request: serde_json::json!({ "exact": true }),
        client_token: id.to_string(),
    }
}

#[tokio::test]
async fn what_is_read_together_is_of_one_moment() {
    let (database, cluster) = database_with_cluster().await;
    let store = database.store();
    let mut look = store.snapshot().await.unwrap();
    let before = leases::load(&mut look, cluster).await.unwrap().unwrap();

    let asked = format!(
        "update clusters set generation = generation + 1;
         insert into operations (id, tenant_id, cluster_id, kind, generation)
             select '{}', tenant_id, id, 'update', generation from clusters where id = {};",
        Uuid::now_v7(),
        cluster.0
    );
    let mut other = store.connection().await.unwrap();
    other
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(asked)))
        .await
        .unwrap();

    assert!(
        operation_steps::running(&mut look, cluster)
            .await
            .unwrap()
            .is_none()
    );
    let after = operation_steps::running(&mut other, cluster)
        .await
        .unwrap()
        .unwrap();
    assert!(after.generation > before.generation);
}

#[tokio::test]
async fn a_control_learns_whom_the_others_hear_and_nothing_of_itself() {
    let (database, _) = database_with_cluster().await;
    let mut connection = database.store().connection().await.unwrap();
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    let heard = [NodeId(Uuid::now_v7()), NodeId(Uuid::now_v7())];
    let key = MasterKey::from_bytes([7; 32]);
    let none: &[NodeId] = &[];
    assert!(
        !controls::tell(&mut connection, one, None, &key).await.unwrap(),
        "nothing is on record"
    );
    controls::tell(&mut connection, one, Some((1, none)), &key)
        .await
        .unwrap();
    controls::tell(&mut connection, other, Some((1, none)), &key)
        .await
        .unwrap();
    controls::tell(&mut connection, other, Some((2, &heard[..])), &key)
        .await
        .unwrap();
    let learnt = controls::others(&mut connection, one, &[]).await.unwrap();
    assert_eq!((learnt.len(), learnt[0].change), (1, Some(2)));
    assert_eq!(learnt[0].heard.as_deref(), Some(&heard[..]));
    assert!(learnt[0].age < MINUTE);
    let learnt = controls::others(&mut connection, other, &[]).await.unwrap();
    assert!(learnt.iter().all(|control| control.heard.as_deref() == Some(&[])));

    assert!(controls::tell(&mut connection, other, None, &key).await.unwrap());
    let known = controls::others(&mut connection, one, &[(other, 2)])
        .await
        .unwrap();
    assert_eq!(known[0].heard, None, "what is known already was read again");
    let known = controls::others(&mut connection, one, &[(other, 1)])
        .await
        .unwrap();
    assert_eq!(known[0].heard.as_deref(), Some(&heard[..]));
}

#[tokio::test]
async fn a_change_that_becomes_visible_late_is_told_all_the_same() {
    let (database, cluster) = database_with_cluster().await;
    let store = database.store();
    let mut late = store.begin().await.unwrap();
    late.execute("update clusters set phase = '{\"state\": \"stopping\"}'")
        .await
        .unwrap();
    let mut connection = store.connection().await.unwrap();
    connection
        .execute("insert into tenants (id, name) values (gen_random_uuid(), 'other')")
        .await
        .unwrap();

    let mut reader = store.snapshot().await.unwrap();
    let before = changes::mark(&mut reader).await.unwrap();
    reader.commit().await.unwrap();
    late.commit().await.unwrap();

    let mut reader = store.snapshot().await.unwrap();
    let now = changes::mark(&mut reader).await.unwrap();
    let told = changes::between(&mut reader, before, now, Interest::Edges)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(told.clusters, [cluster].into());
    let identities = changes::between(&mut reader, before, now, Interest::Identities)
        .await
        .unwrap();
    assert!(identities.unwrap().is_empty());
    reader.commit().await.unwrap();
    let (mut reader, later) = untold(store).await;
    // The database was restored: what it tells is of another time.
    assert_eq!(
        changes::between(&mut reader, later, before, Interest::Edges)
            .await
            .unwrap(),
        None
    );
}

/// A mark from which nothing is told: every transaction that was open before has ended, also those of the server's
/// other databases.
async fn untold(store: &Store) -> (Tx, Mark) {
    for _ in 0..200 {
        let mut reader = store.snapshot().await.unwrap();
        let now = changes::mark(&mut reader).await.unwrap();
        let told = changes::between(&mut reader, now, now, Interest::Edges)
            .await
            .unwrap()
            .unwrap();
        if told.is_empty() {
            return (reader, now);
        }
        reader.commit().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("what was told is told for ever");
}

#[tokio::test]
async fn what_is_due_next_is_no_cluster_that_somebody_looks_at() {
    let (database, _) = database_with_cluster().await;
    let mut connection = database.store().connection().await.unwrap();
    let due = leases::next_due(&mut connection, &Full::default()).await.unwrap();
    assert_eq!(due, Some(TimeDelta::zero()));
    let lease = leases::take_due(&mut connection, Uuid::new_v4(), MINUTE, &Full::default())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        leases::next_due(&mut connection, &Full::default()).await.unwrap(),
        None
    );
    let later = lease.taken_at + TimeDelta::seconds(40);
    leases::release(&mut connection, &lease, later).await.unwrap();
    let due = leases::next_due(&mut connection, &Full::default())
        .await
        .unwrap()
        .unwrap();
    assert!(
        due > TimeDelta::seconds(20) && due <= TimeDelta::seconds(40),
        "{due}"
    );
}

#[tokio::test]
async fn a_lease_is_held_by_one_and_a_late_holder_is_fenced_off() {
    let (database, cluster) = database_with_cluster().await;
    let mut connection = database.store().connection().await.unwrap();
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    let first = leases::take_due(&mut connection, one, Duration::ZERO, &Full::default())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(first.cluster, cluster);
    let second = leases::take_due(&mut connection, other, MINUTE, &Full::default())
        .await
        .unwrap()
        .unwrap();
    assert!(
        leases::take_due(&mut connection, one, MINUTE, &Full::default())
            .await
            .unwrap()
            .is_none()
    );
    assert!(second.fence > first.fence);
    let late = leases::hold(&mut connection, &first).await;
    assert!(matches!(late, Err(StoreError::Missing { what: "lease" })));
    assert!(leases::renew(&mut connection, &first, MINUTE).await.is_err());
    leases::hold(&mut connection, &second).await.unwrap();
}

#[tokio::test]
async fn a_wish_during_a_look_makes_the_cluster_due_at_once() {
    let (database, cluster) = database_with_cluster().await;
    let mut connection = database.store().connection().await.unwrap();
    let tomorrow = Utc::now() + TimeDelta::days(1);
    let lease = leases::take_due(&mut connection, Uuid::new_v4(), MINUTE, &Full::default())
        .await
        .unwrap()
        .unwrap();
    leases::wake(&mut connection, cluster).await.unwrap();
    leases::release(&mut connection, &lease, tomorrow).await.unwrap();
    let lease = leases::take_due(&mut connection, Uuid::new_v4(), MINUTE, &Full::default())
        .await
        .unwrap()
        .unwrap();
    leases::release(&mut connection, &lease, tomorrow).await.unwrap();
    assert!(
        leases::take_due(&mut connection, Uuid::new_v4(), MINUTE, &Full::default())
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_node_of_a_tenants_account_proves_itself_by_its_instance_and_not_by_another() {
    let (database, cluster) = database_with_cluster().await;
    let mut connection = database.store().connection().await.unwrap();
    let node = NodeId(Uuid::now_v7());
    let new = NewNode {
        id: node,
        cluster,
        role: NodeRole::Web,
        ordinal: 1,
        queue: None,
        instance_type: None,
        generation: Generation(1),
        request: serde_json::json!({}),
        client_token: "token".to_owned(),
    };
    nodes::intend(&mut connection, &new).await.unwrap();
    let later = Utc::now() + TimeDelta::minutes(5);
    nodes::begin_launch(&mut connection, node, b"once", later)
        .await
        .unwrap();
    let account = Uuid::new_v4();
    let id = format!("{account}/i-0a1b");
    nodes::record_launched(&mut connection, node, &id, "10.0.0.1")
        .await
        .unwrap();
    for other in ["i-0a1c", "0a1b", account.to_string().as_str(), ""] {
        let refused =
            node_identity::redeem_bootstrap(&mut connection, node, b"once", b"mine", Some(other)).await;
        assert!(
            matches!(refused, Err(StoreError::Missing { .. })),
            "as {other:?}: {refused:?}"
        );
    }
    let known = node_identity::redeem_bootstrap(&mut connection, node, b"once", b"mine", Some("i-0a1b"))
        .await
        .unwrap();
    assert_eq!(known.map(|known| known.node), Some(node));
}

#[tokio::test]
async fn clusters_of_an_account_without_a_place_wait_and_are_not_due_either() {
    let (database, _) = database_with_cluster().await;
    let mut connection = database.store().connection().await.unwrap();
    let installation = Full {
        installation: true,
        tenants: Vec::new(),
    };
    let taken = leases::take_due(&mut connection, Uuid::new_v4(), MINUTE, &installation).await;
    assert_eq!(taken.unwrap(), None);
    assert_eq!(
        leases::next_due(&mut connection, &installation).await.unwrap(),
        None
    );
    let others = Full {
        installation: false,
        tenants: vec![updraft_model::AwsAccountId(Uuid::new_v4())],
    };
    assert!(
        leases::next_due(&mut connection, &others)
            .await
            .unwrap()
            .is_some()
    );
    let taken = leases::take_due(&mut connection, Uuid::new_v4(), MINUTE, &others).await;
    assert!(taken.unwrap().is_some());
}

#[tokio::test]
async fn a_place_holds_one_node_until_it_is_gone() {
    let (database, cluster) = database_with_cluster().await;
    let mut connection = database.store().connection().await.unwrap();
    let first = node(cluster);
    nodes::intend(&mut connection, &first).await.unwrap();
    let second = nodes::intend(&mut connection, &node(cluster)).await.unwrap_err();
    assert!(second.is_conflict_on("nodes_one_per_place"));
    nodes::begin_launch(&mut connection, first.id, b"hash", Utc::now())
        .await
        .unwrap();
    nodes::record_launched(&mut connection, first.id, "i-1", "10.0.0.1")
        .await
        .unwrap();
    assert!(
        nodes::record_launched(&mut connection, first.id, "i-2", "10.0.0.2")
            .await
            .is_err()
    );
    nodes::begin_termination(&mut connection, first.id, Some("silent"), None)
        .await
        .unwrap();
    nodes::forget(&mut connection, first.id, None).await.unwrap();
    nodes::intend(&mut connection, &node(cluster)).await.unwrap();
    let lost = nodes::lost_since(&mut connection, cluster, Utc::now() - TimeDelta::minutes(1))
        .await
        .unwrap();
    assert_eq!((lost.len(), lost[0].loss.as_str()), (1, "silent"));
}

#[tokio::test]
async fn a_node_that_is_to_stop_is_read_with_what_is_wanted_of_its_cluster_and_why_it_was_given_up() {
    let (database, cluster) = database_with_cluster().await;
    let mut connection = database.store().connection().await.unwrap();
    let reclaimed = node(cluster);
    launched(&mut connection, &reclaimed).await;
    let change = format!("update clusters set power = 'running' where id = {}", cluster.0);
    connection
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(change)))
        .await
        .unwrap();
    nodes::ask_stop(&mut connection, reclaimed.id, Some("reclaimed"))
        .await
        .unwrap();
    let rows = assignments::rows(&mut connection, reclaimed.id).await;
    let rows = rows.unwrap().unwrap();
    assert_eq!(
        (rows.run, rows.power, rows.loss.as_deref()),
        (false, Power::Running, Some("reclaimed"))
    );
}

#[tokio::test]
async fn why_a_provider_ended_a_node_is_known_when_that_is_gone() {
    let (database, cluster) = database_with_cluster().await;
    let mut connection = database.store().connection().await.unwrap();
    let ended = node(cluster);
    let why = LaunchFailureRecord {
        kind: "quota".to_owned(),
        message: "the volume limit is reached".to_owned(),
    };
    nodes::intend(&mut connection, &ended).await.unwrap();
    let early = nodes::record_late_failure(&mut connection, ended.id, &why).await;
    assert!(early.is_err(), "its launch was not taken yet");
    nodes::record_launched(&mut connection, ended.id, "i-1", "10.0.0.1")
        .await
        .unwrap();
    nodes::begin_termination(&mut connection, ended.id, Some("vanished"), None)
        .await
        .unwrap();
    nodes::record_late_failure(&mut connection, ended.id, &why)
        .await
        .unwrap();
    nodes::forget(&mut connection, ended.id, None).await.unwrap();
    let since = Utc::now() - TimeDelta::minutes(1);
    let lost = nodes::lost_since(&mut connection, cluster, since).await.unwrap();
    assert_eq!(lost[0].launch_failure, Some(why));
}

async fn launched(connection: &mut PgConnection, node: &NewNode) {
    nodes::intend(connection, node).await.unwrap();
    nodes::record_launched(connection, node.id, "i-1", "10.0.0.1")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_cancelled_begin_leaves_no_transaction_open() {
    let (database, _) = database_with_cluster().await;
    for _ in 0..50 {
        let begin = database.store().begin();
        let _ = tokio::time::timeout(Duration::from_micros(200), begin).await;
    }
    for _ in 0..10 {
        let mut connection = database.store().connection().await.unwrap();
        let query = "select count(*) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'";
        let open: i64 = sqlx::query_scalar(query)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        if open == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a transaction stays open");
}

#[tokio::test]
async fn a_secret_opens_only_where_it_belongs() {
    let (database, cluster) = database_with_cluster().await;
    let mut connection = database.store().connection().await.unwrap();
    let (key, other) = (MasterKey::from_bytes([1; 32]), MasterKey::from_bytes([2; 32]));
    let secret = SecretString::from("fernet");
    secrets::put(&mut connection, &key, cluster, "fernet_key", &secret)
        .await
        .unwrap();
    let kept = secrets::get(&mut connection, &key, cluster, "fernet_key")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.expose_secret(), "fernet");
    assert!(
        secrets::get(&mut connection, &other, cluster, "fernet_key")
            .await
            .is_err()
    );
    let again = secrets::ensure(&mut connection, &key, cluster, "fernet_key", &random_token())
        .await
        .unwrap();
    assert_eq!(again.expose_secret(), "fernet");
    let moved = "insert into cluster_secrets (cluster_id, name, ciphertext)
                 select cluster_id, 'moved', ciphertext from cluster_secrets";
    connection.execute(moved).await.unwrap();
    assert!(
        secrets::get(&mut connection, &key, cluster, "moved")
            .await
            .is_err()
    );
    connection
        .execute("update cluster_secrets set ciphertext = set_byte(ciphertext, 20, 0)")
        .await
        .unwrap();
    assert!(
        secrets::get(&mut connection, &key, cluster, "fernet_key")
            .await
            .is_err()
    );
}

#[test]
fn the_master_key_is_made_once_and_is_nobody_elses_to_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let path = std::env::temp_dir().join(format!("updraft-master-{}", Uuid::new_v4()));
    let first = MasterKey::load_or_create(&path).unwrap();
    let second = MasterKey::load_or_create(&path).unwrap();
    assert_eq!(
        first.derive("a").expose_secret(),
        second.derive("a").expose_secret()
    );
    assert_ne!(
        first.derive("a").expose_secret(),
        first.derive("b").expose_secret()
    );
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    std::fs::write(&path, b"short").unwrap();
    assert!(MasterKey::load_or_create(&path).is_err());
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_metadata_database_is_cloned_owned_and_closed_to_others() {
    let (database, cluster) = database_with_cluster().await;
    metadata_is_cloned_owned_and_closed_to_others(database.url(), cluster).await;
}

/// As RDS has them: who administers there is no superuser.
#[tokio::test]
async fn an_administrator_who_makes_databases_and_roles_is_enough() {
    let (database, cluster) = database_with_cluster().await;
    let mut superuser = connect(&database.url()).await.unwrap();
    let name = format!("operator_{}", Uuid::new_v4().simple());
    for statement in [
        format!("create role {name} login createdb createrole password 'operator'"),
        format!("create database {name} owner {name}"),
    ] {
        superuser.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
    let server: PgConnectOptions = database.url().expose_secret().parse().unwrap();
    let (host, port) = (server.get_host(), server.get_port());
    let admin = SecretString::from(format!("postgresql://{name}:operator@{host}:{port}/{name}"));
    metadata_is_cloned_owned_and_closed_to_others(admin, cluster).await;
    for statement in [
        format!("drop database {name} with (force)"),
        format!("drop role {name}"),
    ] {
        superuser.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
}

async fn metadata_is_cloned_owned_and_closed_to_others(admin: SecretString, cluster: ClusterId) {
    let name = format!("template_{}", Uuid::new_v4().simple());
    template::ensure(&admin, &name).await.unwrap();
    let mut inside = connect(&template::address_of(&admin, &name).unwrap())
        .await
        .unwrap();
    inside
        .execute(sqlx::raw_sql(
            "create table dag (id serial primary key, name text); insert into dag (name) values ('a');
             create type state as enum ('on'); create view v as select * from dag; create sequence lone;",
        ))
        .await
        .unwrap();
    inside.close().await.unwrap();
    template::seal(&admin, &name).await.unwrap();

    let server = MetadataServer::new(admin.clone());
    let password = random_token();
    // A clone begun by a control that died.
    let mut control = connect(&admin).await.unwrap();
    let unfinished = format!("create database airflow_{cluster}_unfinished");
    control.execute(sqlx::AssertSqlSafe(unfinished)).await.unwrap();
    let dsn = server.ensure_database(cluster, &name, &password).await.unwrap();
    assert_eq!(
        server
            .ensure_database(cluster, &name, &password)
            .await
            .unwrap()
            .expose_secret(),
        dsn.expose_secret()
    );

    let mut own = connect(&dsn).await.unwrap();
    own.execute("insert into dag (name) values ('b'); alter table dag add column more int; drop view v; drop sequence lone")
        .await
        .unwrap_or_else(|_| panic!("it owns what is in it"));
    let strangers: i64 = sqlx::query_scalar(
        "select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'public' and pg_get_userbyid(c.relowner) <> current_user",
    )
    .fetch_one(&mut own)
    .await
    .unwrap();
    assert_eq!(strangers, 0);

    let other = ClusterId(cluster.0 + 1);
    let stranger = server
        .ensure_database(other, &name, &random_token())
        .await
        .unwrap();
    let trespass: PgConnectOptions = stranger.expose_secret().parse().unwrap();
    let refused = trespass.database(&format!("airflow_{cluster}")).connect().await;
    assert!(refused.is_err(), "another cluster's role gets in");

    server.drop_database(cluster).await.unwrap();
    server.drop_database(cluster).await.unwrap();
    server.drop_database(other).await.unwrap();
    assert!(connect(&dsn).await.is_err());
    let drop = format!("alter database {name} is_template false");
    control.execute(sqlx::AssertSqlSafe(drop)).await.unwrap();
    control
        .execute(sqlx::AssertSqlSafe(format!("drop database {name}")))
        .await
        .unwrap();
}

async fn connect(url: &SecretString) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect(url.expose_secret()).await
}

#[tokio::test]
async fn a_bootstrap_token_is_good_from_the_instance_alone_that_was_recorded() {
    let (database, cluster) = database_with_cluster().await;
    let mut connection = database.store().connection().await.unwrap();
    let new = node(cluster);
    nodes::intend(&mut connection, &new).await.unwrap();
    let (token, identity) = ([1; 32], [2; 32]);
    let later = Utc::now() + TimeDelta::minutes(15);
    nodes::begin_launch(&mut connection, new.id, &token, later)
        .await
        .unwrap();
    let mut redeem = async |token: &[u8], instance: Option<&str>| {
        let redeemed =
            node_identity::redeem_bootstrap(&mut connection, new.id, token, &identity, instance).await;
        redeemed.map(|identity| identity.is_some())
    };
    // The instance is faster than the provider's answer: it asks again. With a wrong token it is refused at once.
    assert!(matches!(redeem(&token, Some("i-own")).await, Ok(false)));
    assert!(redeem(&[9; 32], Some("i-own")).await.is_err());
    let mut other = database.store().connection().await.unwrap();
    nodes::record_launched(&mut other, new.id, "i-own", "10.0.0.1")
        .await
        .unwrap();
    assert!(redeem(&token, Some("i-other")).await.is_err());
    assert!(matches!(redeem(&token, Some("i-own")).await, Ok(true)));
    assert!(matches!(redeem(&token, None).await, Ok(true)), "a local node");
}

#[tokio::test]
async fn a_secret_that_ages_is_replaced_and_one_that_is_gone_stays_gone() {
    let (database, cluster) = database_with_cluster().await;
    let mut connection = database.store().connection().await.unwrap();
    let key = MasterKey::from_bytes([7; 32]);
    let (old, new) = (SecretString::from("old"), SecretString::from("new"));
    secrets::put(&mut connection, &key, cluster, "storage", &old)
        .await
        .unwrap();
    let mut aged = async |age| {
        let before = Utc::now() - age;
        let aged = secrets::aged(&mut connection, "storage", before).await.unwrap();
        aged.contains(&cluster)
    };
    assert!(aged(TimeDelta::seconds(-1)).await && !aged(TimeDelta::minutes(1)).await);
    let replaced = secrets::replace(&mut connection, &key, cluster, "storage", &new).await;
    assert!(replaced.unwrap());
    let kept = secrets::get(&mut connection, &key, cluster, "storage").await;
    assert_eq!(kept.unwrap().unwrap().expose_secret(), "new");
    secrets::remove_all(&mut connection, cluster).await.unwrap();
    let replaced = secrets::replace(&mut connection, &key, cluster, "storage", &new).await;
    assert!(!replaced.unwrap(), "a deleted cluster has a secret again");
}
