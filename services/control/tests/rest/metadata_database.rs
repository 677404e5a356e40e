//! A metadata database that a tenant brings: what is taken, who sees what of it, and when it is changed.

use serde_json::{Value, json};
use updraft_app::metadata;
use updraft_model::{ClusterId, ClusterRole, TenantRole};
use updraft_store::secrets::{self, MasterKey};

use crate::support::{Answer, Someone, World, request};

const PASSWORD: &str = "planted-52a1";
const DSN: &str = "postgresql://ada:planted-52a1@db.example.com:6432/airflow?sslmode=disable";

async fn world() -> (World, Someone) {
    let world = World::new().await;
    let tenant = world.tenant("acme").await;
    let owner = world.owner(tenant).await;
    (world, owner)
}

async fn made(world: &World, owner: &Someone, name: &str, start: bool) -> (ClusterId, Value) {
    let new = json!({"name": name, "metadata_dsn": DSN, "start": start});
    let answer = world.post(owner, "/clusters", new).await;
    assert!(!answer.text.contains(PASSWORD), "{}", answer.text);
    let cluster = answer.must_be(202)["cluster"].clone();
    (serde_json::from_value(cluster["id"].clone()).unwrap(), cluster)
}

async fn update(world: &World, who: &Someone, cluster: ClusterId, change: Value) -> Answer {
    let path = format!("/clusters/{cluster}");
    let seen = world.get(who, &path).await.must_be(200)["generation"].to_string();
    let asked = request("PATCH", &path)
        .bearer(who)
        .header("if-match", &format!("\"{seen}\""));
    world.send(asked.json(&change)).await
}

async fn sealed(world: &World, cluster: ClusterId) -> Option<String> {
    use secrecy::ExposeSecret as _;
    let mut tx = world.tx().await;
    let key = MasterKey::from_bytes([7; 32]);
    let kept = secrets::get(&mut tx, &key, cluster, metadata::DSN).await.unwrap();
    kept.map(|dsn| dsn.expose_secret().to_owned())
}

#[tokio::test]
async fn a_dsn_is_written_only_and_its_place_is_shown() {
    let (world, owner) = world().await;
    let (id, cluster) = made(&world, &owner, "demo", true).await;
    assert_eq!(
        cluster["spec"]["metadata_database"],
        json!({"host": "db.example.com", "port": 6432, "database": "airflow", "user": "ada", "sslmode": "disable"})
    );
    assert_eq!(
        sealed(&world, id).await.unwrap(),
        "postgresql://ada:planted%2D52a1@db.example.com:6432/airflow"
    );
    for path in [
        "/audit".to_owned(),
        "/clusters".to_owned(),
        format!("/clusters/{id}"),
        format!("/clusters/{id}/events"),
        format!("/clusters/{id}/operations"),
    ] {
        let told = world.get(&owner, &path).await;
        told.must_be(200);
        assert!(!told.text.contains("planted"), "{path}: {}", told.text);
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_by_name_and_nothing_is_made() {
    let (world, owner) = world().await;
    for (change, field) in [
        (
            json!({"metadata_dsn": "mysql://ada:planted-52a1@db/x"}),
            "metadata_dsn",
        ),
        (
            json!({"metadata_dsn": "postgresql://ada:planted-52a1@db/x?passfile=/etc/shadow"}),
            "metadata_dsn",
        ),
        (json!({"metadata_dsn": DSN, "metadata_ca": "none"}), "metadata_ca"),
        (json!({"metadata_ca": "alone"}), "metadata_ca"),
    ] {
        let mut new = change.clone();
        new["name"] = json!("demo");
        let answer = world.post(&owner, "/clusters", new).await;
        assert!(!answer.text.contains(PASSWORD), "{}", answer.text);
        assert_eq!(answer.refused_field(422), field, "{change}");
    }
    let listed = world.get(&owner, "/clusters").await.must_be(200);
    assert_eq!(listed["items"], json!([]));
}

#[tokio::test]
async fn another_dsn_is_taken_by_a_stopped_cluster_alone() {
    let (world, owner) = world().await;
    let another = json!({"metadata_dsn": DSN.replace("planted", "another")});
    let (runs, _) = made(&world, &owner, "runs", true).await;
    let refused = update(&world, &owner, runs, another.clone()).await;
    assert!(refused.text.contains("cluster-runs") && !refused.text.contains("another-52a1"));
    refused.must_be(409);
    assert!(sealed(&world, runs).await.unwrap().contains("planted"));

    let (stands, _) = made(&world, &owner, "stands", false).await;
    update(&world, &owner, stands, another.clone()).await.must_be(202);
    assert!(sealed(&world, stands).await.unwrap().contains("another"));
    let audit = world.get(&owner, "/audit").await.text;
    assert!(
        audit.contains("given anew") && !audit.contains("another%2D52a1"),
        "{audit}"
    );

    let ours = world.cluster(&owner, "ours").await;
    let refused = update(&world, &owner, ours, another).await;
    assert_eq!(refused.refused_field(422), "metadata_dsn");
}

#[tokio::test]
async fn strangers_and_users_change_nothing_of_it() {
    let (world, owner) = world().await;
    let (id, _) = made(&world, &owner, "demo", false).await;
    let stranger = world.owner(world.tenant("other").await).await;
    world
        .get(&stranger, &format!("/clusters/{id}"))
        .await
        .must_be(404);
    let asked = |who: &Someone| {
        request("PATCH", &format!("/clusters/{id}"))
            .bearer(who)
            .header("if-match", "\"1\"")
            .json(&json!({"metadata_dsn": DSN.replace("planted", "stolen")}))
    };
    world.send(asked(&stranger)).await.must_be(404);
    let user = world.someone(owner.tenant, TenantRole::Member).await;
    world.grant(&user, id, ClusterRole::User).await;
    world.send(asked(&user)).await.must_be(403);
    assert!(sealed(&world, id).await.unwrap().contains("planted"));
}
