//! Sources of clusters that are older than several sources, and what nodes hear of.

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;
    use updraft_model::{ClusterId, ClusterSpec, DagSource, TenantId};
    use updraft_store::testing::TestDatabase;
    use updraft_store::{Channel, Tx, dag_wishes};
    use uuid::Uuid;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));
    const MIGRATION: &str = include_str!("../../../migrations/0010_dag_delivery.sql");

    async fn run(tx: &mut Tx, statements: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned()))
            .execute(&mut **tx)
            .await
            .unwrap();
    }

    async fn with_cluster(database: &TestDatabase, spec: &str) -> Tx {
        let mut tx = database.store().begin().await.unwrap();
        let tenant = TENANT;
        let rows = format!(
            "insert into tenants (id, name) values ('{tenant}', 'Acme');
             insert into clusters (tenant_id, name, spec, power) values ('{tenant}', 'demo', '{spec}', 'stopped');"
        );
        run(&mut tx, &rows).await;
        tx
    }

    #[tokio::test]
    async fn a_clusters_one_source_becomes_the_source_of_its_top() {
        let database = TestDatabase::create().await.unwrap();
        let old = r#"{"runtime":"r","workers":2,"dag_source":{"kind":"cluster_bucket","prefix":"team/"}}"#;
        let mut tx = with_cluster(&database, old).await;
        let begins = MIGRATION.find("update clusters").unwrap();
        let ends = MIGRATION[begins..].find(';').unwrap();
        // A second time changes nothing.
        for _ in 0..2 {
            run(&mut tx, &MIGRATION[begins..begins + ends]).await;
        }
        let spec: serde_json::Value = sqlx::query_scalar("select spec from clusters")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        assert!(spec.get("dag_source").is_none());
        let spec: ClusterSpec = serde_json::from_value(spec).unwrap();
        assert_eq!((spec.runtime.as_str(), spec.workers), ("r", 2));
        let [only] = &spec.dag_sources[..] else {
            panic!("{spec:?}")
        };
        assert!(only.folder.is_top());
        assert_eq!(
            only.source,
            DagSource::ClusterBucket {
                prefix: "team/".into()
            }
        );
    }

    #[tokio::test]
    async fn agents_hear_of_a_sync_and_a_pin_at_once() {
        let database = TestDatabase::create().await.unwrap();
        let spec = r#"{"runtime":"r","dag_sources":[]}"#;
        with_cluster(&database, spec).await.commit().await.unwrap();
        let mut heard = database.store().listen(&[Channel::Clusters]).await.unwrap();
        for pin in [None, Some("abc"), None] {
            let mut tx = database.store().begin().await.unwrap();
            match pin {
                None => dag_wishes::sync(&mut tx, TENANT, ClusterId(1)).await.unwrap(),
                pin => dag_wishes::pin(&mut tx, TENANT, ClusterId(1), pin).await.unwrap(),
            }
            tx.commit().await.unwrap();
            let announced = timeout(Duration::from_secs(5), heard.next()).await;
            announced.expect("nobody was told").unwrap();
        }
        let mut tx = database.store().begin().await.unwrap();
        let wishes = dag_wishes::find(&mut tx, TENANT, ClusterId(1)).await.unwrap();
        assert_eq!((wishes.sync, wishes.pinned.as_deref()), (3, Some("abc")));
        let elsewhere = dag_wishes::sync(&mut tx, TenantId(Uuid::from_u128(9)), ClusterId(1)).await;
        assert!(elsewhere.is_err());
    }
}
