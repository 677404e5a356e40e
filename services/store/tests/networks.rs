//! What clusters' nodes are in: those with instances from before it was kept have what they need.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use updraft_model::ClusterId;
use updraft_store::resources::{self, ResourceKind};
use updraft_store::testing::TestDatabase;
use updraft_store::{Tx, known_nodes};

const MIGRATION: &str = include_str!("../../../migrations/0029_networks.sql");

async fn run(tx: &mut Tx, statements: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned()))
        .execute(&mut **tx)
        .await
        .unwrap();
}

/// Clusters 1 to 4: with an instance, with a node of this machine, with an instance that has gone, with none.
async fn with_clusters(database: &TestDatabase) -> Tx {
    let mut tx = database.store().begin().await.unwrap();
    let node = |cluster: u8, provider: &str, state: &str| {
        format!(
            "insert into nodes (id, cluster_id, role, ordinal, generation, state, request, client_token)
             values (gen_random_uuid(), {cluster}, 'web', 1, 1, '{state}', '{{\"provider\": \"{provider}\"}}', 't{cluster}');"
        )
    };
    let mut rows =
        "insert into tenants (id, name) values ('00000000-0000-0000-0000-000000000001', 'Acme');".to_owned();
    for cluster in 1..=4 {
        rows += &format!(
            "insert into clusters (id, tenant_id, name, spec, power) overriding system value
             values ({cluster}, '00000000-0000-0000-0000-000000000001', 'demo-{cluster}', '{{}}', 'running');"
        );
    }
    rows += &[
        node(1, "ec2", "launched"),
        node(2, "local", "launched"),
        node(3, "ec2", "gone"),
    ]
    .concat();
    run(&mut tx, &rows).await;
    tx
}

#[tokio::test]
async fn clusters_that_have_instances_have_what_these_are_in() {
    let database = TestDatabase::create().await.unwrap();
    let mut tx = with_clusters(&database).await;
    let begins = MIGRATION.find("insert into cluster_resources").unwrap();
    run(&mut tx, &MIGRATION[begins..]).await;
    for (cluster, has) in [(1, true), (2, false), (3, false), (4, false)] {
        let found = resources::find(&mut tx, ClusterId(cluster), ResourceKind::Network)
            .await
            .unwrap();
        assert_eq!(
            found.is_some_and(|record| record.ready_at.is_some()),
            has,
            "{cluster}"
        );
    }
}

#[tokio::test]
async fn what_is_no_more_and_what_never_was_is_not_there() {
    let database = TestDatabase::create().await.unwrap();
    let mut tx = with_clusters(&database).await;
    run(&mut tx, "update clusters set deleted_at = now() where id = 2").await;
    let asked = [1, 2, 9].map(ClusterId);
    let gone = known_nodes::not_there(&mut tx, &asked).await.unwrap();
    assert_eq!(gone, [ClusterId(2), ClusterId(9)]);
}
