//! Variables, secrets and bootstrap scripts of a cluster: what is taken, what is refused by name, and what is never shown.

use serde_json::{Value, json};
use updraft_model::{ClusterId, ClusterRole, TenantRole};
use updraft_store::secrets::MasterKey;
use updraft_store::task_secrets;

use crate::support::{Answer, Someone, World, request};

const VALUE: &str = "planted-value-93bd";

async fn world() -> (World, Someone, ClusterId) {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    let cluster = world.cluster(&owner, "demo").await;
    (world, owner, cluster)
}

impl World {
    async fn secrets(&self, who: &Someone, cluster: ClusterId, change: Value) -> Answer {
        let path = format!("/clusters/{cluster}/secrets");
        self.send(request("PATCH", &path).bearer(who).json(&change)).await
    }

    /// Changes the cluster as it is now.
    async fn update(&self, who: &Someone, cluster: ClusterId, change: Value) -> Answer {
        let path = format!("/clusters/{cluster}");
        let seen = self.get(who, &path).await.must_be(200)["generation"].to_string();
        let asked = request("PATCH", &path)
            .bearer(who)
            .header("if-match", &format!("\"{seen}\""));
        self.send(asked.json(&change)).await
    }
}

#[tokio::test]
async fn secrets_are_set_listed_and_removed_and_their_values_never_shown() {
    let (world, owner, cluster) = world().await;
    let set = json!({"set": {"WAREHOUSE": VALUE, "AIRFLOW_CONN_DB": format!("postgres://a:{VALUE}@db/x")}});
    let accepted = world.secrets(&owner, cluster, set).await;
    assert!(!accepted.text.contains(VALUE), "{}", accepted.text);
    let accepted = accepted.must_be(202);
    assert_eq!(
        (&accepted["operation"]["kind"], &accepted["cluster"]["generation"]),
        (&json!("update"), &json!(2))
    );

    let listed = world.get(&owner, &format!("/clusters/{cluster}/secrets")).await;
    assert!(!listed.text.contains(VALUE), "{}", listed.text);
    let names: Vec<_> = listed.must_be(200)["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].clone())
        .collect();
    assert_eq!(names, [json!("AIRFLOW_CONN_DB"), json!("WAREHOUSE")]);

    world
        .secrets(&owner, cluster, json!({"remove": ["WAREHOUSE"]}))
        .await
        .must_be(202);
    for path in [
        "/audit",
        &format!("/clusters/{cluster}/events"),
        &format!("/clusters/{cluster}"),
        &format!("/clusters/{cluster}/operations"),
    ] {
        let told = world.get(&owner, path).await;
        told.must_be(200);
        assert!(!told.text.contains(VALUE), "{path}: {}", told.text);
    }
    let audit = world.get(&owner, "/audit").await.text;
    assert!(
        audit.contains("task_secrets.change") && audit.contains("WAREHOUSE"),
        "{audit}"
    );
}

#[tokio::test]
async fn a_secret_lies_encrypted_and_opens_for_its_own_cluster_alone() {
    let (world, owner, cluster) = world().await;
    let other = world.cluster(&owner, "other").await;
    world
        .secrets(&owner, cluster, json!({"set": {"A": VALUE}}))
        .await
        .must_be(202);
    let mut tx = world.tx().await;
    let stored: Vec<(Vec<u8>,)> = sqlx::query_as("select ciphertext from task_secrets")
        .fetch_all(&mut *tx)
        .await
        .unwrap();
    assert_eq!(stored.len(), 1);
    assert!(
        !stored[0]
            .0
            .windows(VALUE.len())
            .any(|part| part == VALUE.as_bytes())
    );

    let key = MasterKey::from_bytes([7; 32]);
    let (ours, away) = (owner.tenant, world.tenant("away").await);
    let opened = task_secrets::open(&mut tx, &key, ours, cluster).await.unwrap();
    assert_eq!(opened.len(), 1);
    assert!(
        task_secrets::open(&mut tx, &key, ours, other)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        task_secrets::open(&mut tx, &key, away, cluster)
            .await
            .unwrap()
            .is_empty()
    );
    // A row that was moved to another cluster does not open.
    sqlx::query("update task_secrets set cluster_id = $1")
        .bind(other.0)
        .execute(&mut *tx)
        .await
        .unwrap();
    assert!(task_secrets::open(&mut tx, &key, ours, other).await.is_err());
}

#[tokio::test]
async fn what_is_no_secret_is_refused_by_name_and_its_value_not_repeated() {
    let (world, owner, cluster) = world().await;
    world
        .update(
            &owner,
            cluster,
            json!({"environment_variables": {"REGION": "eu"}}),
        )
        .await
        .must_be(202);
    for (set, field) in [
        (json!({"LD_PRELOAD": VALUE}), "set.LD_PRELOAD"),
        (json!({"UPDRAFT_LOGS": VALUE}), "set.UPDRAFT_LOGS"),
        (
            json!({"AIRFLOW__CORE__FERNET_KEY": VALUE}),
            "set.AIRFLOW__CORE__FERNET_KEY",
        ),
        (json!({"a-b": VALUE}), "set.a-b"),
        (json!({"REGION": VALUE}), "set.REGION"),
        (json!({"EMPTY": ""}), "set.EMPTY"),
        (json!({"LONG": VALUE.repeat(2_000)}), "set.LONG"),
    ] {
        let answer = world.secrets(&owner, cluster, json!({"set": set})).await;
        assert!(!answer.text.contains(VALUE), "{}", answer.text);
        assert_eq!(answer.refused_field(422), field);
    }
    let missing = world
        .secrets(&owner, cluster, json!({"remove": ["NOWHERE"]}))
        .await;
    assert_eq!(missing.refused_field(422), "remove.NOWHERE");
    assert_eq!(
        world.secrets(&owner, cluster, json!({})).await.refused_field(422),
        "set"
    );

    world
        .secrets(&owner, cluster, json!({"set": {"TOKEN": VALUE}}))
        .await
        .must_be(202);
    let clash = world
        .update(&owner, cluster, json!({"environment_variables": {"TOKEN": "x"}}))
        .await;
    assert_eq!(clash.refused_field(422), "environment_variables.TOKEN");
}

#[tokio::test]
async fn secrets_are_for_admins_of_the_cluster_alone() {
    let (world, owner, cluster) = world().await;
    let user = world.someone(owner.tenant, TenantRole::Member).await;
    world.grant(&user, cluster, ClusterRole::User).await;
    let path = format!("/clusters/{cluster}/secrets");
    world.get(&user, &path).await.problem(403);
    world
        .secrets(&user, cluster, json!({"set": {"A": VALUE}}))
        .await
        .problem(403);
    let away = world.tenant("away").await;
    let stranger = world.owner(away).await;
    world.get(&stranger, &path).await.problem(404);
    world
        .secrets(&stranger, cluster, json!({"set": {"A": VALUE}}))
        .await
        .problem(404);
}

#[tokio::test]
async fn variables_and_scripts_are_part_of_the_spec_and_refused_by_field() {
    let (world, owner, cluster) = world().await;
    let asked = json!({
        "environment_variables": {"REGION": "eu-west-1", "AIRFLOW__CORE__PARALLELISM": "8"},
        "bootstrap": {"script": {"kind": "inline", "text": format!("echo {VALUE}\n")}, "time_limit_s": 30},
    });
    let changed = world.update(&owner, cluster, asked).await.must_be(202);
    let spec = &changed["cluster"]["spec"];
    assert_eq!(spec["environment_variables"]["REGION"], "eu-west-1");
    assert_eq!(spec["bootstrap"]["time_limit_s"], 30);
    // A script may hold what is secret: the audit log has none of it.
    let audit = world.get(&owner, "/audit").await.text;
    assert!(audit.contains("eu-west-1") && !audit.contains(VALUE), "{audit}");
    // It is tried before any node is given it.
    assert_eq!(changed["cluster"]["environment"]["state"], "building");
    assert_eq!(
        changed["cluster"]["environment"]["live_bootstrap"].get("script"),
        None
    );
    let back = world
        .update(&owner, cluster, json!({"bootstrap": {}}))
        .await
        .must_be(202);
    assert_eq!(back["cluster"].get("environment"), None, "{back}");

    for (change, field) in [
        (
            json!({"environment_variables": {"PATH": "/x"}}),
            "environment_variables.PATH",
        ),
        (
            json!({"environment_variables": {"AIRFLOW_CONN_A": "x"}}),
            "environment_variables.AIRFLOW_CONN_A",
        ),
        (
            json!({"environment_variables": {"AIRFLOW__CORE__EXECUTOR": "x"}}),
            "environment_variables.AIRFLOW__CORE__EXECUTOR",
        ),
        (
            json!({"bootstrap": {"script": {"kind": "inline", "text": " "}}}),
            "bootstrap.script.text",
        ),
        (
            json!({"bootstrap": {"time_limit_s": 4000}}),
            "bootstrap.time_limit_s",
        ),
        (
            json!({"bootstrap": {"script": {"kind": "s3", "bucket": "ours", "key": "boot.sh", "region": "eu-west-1", "credential": "nowhere"}}}),
            "bootstrap.script.credential",
        ),
        (
            json!({"bootstrap": {"script": {"kind": "s3", "bucket": "ours", "key": "../x", "region": "eu-west-1"}}}),
            "bootstrap.script.key",
        ),
    ] {
        assert_eq!(
            world.update(&owner, cluster, change).await.refused_field(422),
            field
        );
    }
}

#[tokio::test]
async fn an_object_is_read_anew_whenever_it_is_named() {
    let (world, owner, cluster) = world().await;
    let object = json!({"bootstrap": {"script": {"kind": "s3", "bucket": "ours", "key": "boot.sh", "region": "eu-west-1"}, "read_at": 99}});
    let first = world.update(&owner, cluster, object.clone()).await.must_be(202);
    assert_eq!(first["cluster"]["spec"]["bootstrap"]["read_at"], 2);
    let again = world.update(&owner, cluster, object).await.must_be(202);
    assert_eq!(again["cluster"]["spec"]["bootstrap"]["read_at"], 3);
    let other = world
        .update(&owner, cluster, json!({"tags": {}}))
        .await
        .must_be(202);
    assert_eq!(
        other["cluster"]["spec"]["bootstrap"]["read_at"], 3,
        "nobody named it"
    );
}
