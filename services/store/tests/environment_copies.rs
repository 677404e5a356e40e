//! What clusters hold of packed environments: the first archive of a name is the tenant's, and nothing leaves a tenant.

#[cfg(test)]
mod tests {
    use updraft_model::{ClusterId, TenantId};
    use updraft_store::environment_copies::{self, EnvironmentCopy, Holder};
    use updraft_store::testing::TestDatabase;
    use updraft_store::{StoreError, Tx};
    use uuid::Uuid;

    const ACME: TenantId = TenantId(Uuid::from_u128(1));
    const GLOBEX: TenantId = TenantId(Uuid::from_u128(2));

    /// Clusters 1 to 3 are Acme's, 4 is Globex's.
    async fn clusters(database: &TestDatabase) -> Tx {
        let mut tx = database.store().begin().await.unwrap();
        let rows = format!(
            "insert into tenants (id, name) values ('{ACME}', 'Acme'), ('{GLOBEX}', 'Globex');
             insert into clusters (tenant_id, name, spec, power) values
                 ('{ACME}', 'one', '{{}}', 'stopped'), ('{ACME}', 'two', '{{}}', 'stopped'),
                 ('{ACME}', 'three', '{{}}', 'stopped'), ('{GLOBEX}', 'one', '{{}}', 'stopped');"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(rows))
            .execute(&mut *tx)
            .await
            .unwrap();
        tx
    }

    fn copy(digest: u8, sha256: u8, shared: bool) -> EnvironmentCopy {
        EnvironmentCopy {
            digest: format!("{digest:024x}"),
            sha256: format!("{sha256:064x}"),
            bytes: 1,
            shared,
            index_credential: None,
        }
    }

    async fn record(tx: &mut Tx, cluster: i64, copy: &EnvironmentCopy) -> bool {
        let tenant = if cluster == 4 { GLOBEX } else { ACME };
        environment_copies::record(tx, tenant, ClusterId(cluster), copy)
            .await
            .unwrap()
    }

    async fn holders(tx: &mut Tx, tenant: TenantId, cluster: i64) -> Vec<Holder> {
        let digest = copy(1, 0, true).digest;
        environment_copies::holders(tx, tenant, ClusterId(cluster), &digest)
            .await
            .unwrap()
    }

    fn who(holders: &[Holder]) -> Vec<(i64, i64)> {
        holders
            .iter()
            .map(|one| (one.cluster.0, one.built_by.0))
            .collect()
    }

    #[tokio::test]
    async fn another_archive_is_its_own_clusters_as_long_as_somebody_holds_the_first() {
        let database = TestDatabase::create().await.unwrap();
        let mut tx = clusters(&database).await;
        assert!(record(&mut tx, 1, &copy(1, 7, true)).await);
        assert!(record(&mut tx, 2, &copy(1, 7, true)).await, "it fetched that");
        assert!(!record(&mut tx, 3, &copy(1, 8, true)).await, "it built another");
        assert!(
            !record(&mut tx, 1, &copy(1, 9, true)).await,
            "the second holds the first still"
        );
        assert_eq!(who(&holders(&mut tx, ACME, 3).await), [(3, 3), (2, 1)]);
        assert_eq!(who(&holders(&mut tx, ACME, 2).await), [(2, 1)]);
        environment_copies::forget_cluster(&mut tx, ACME, ClusterId(2))
            .await
            .unwrap();
        assert!(
            record(&mut tx, 2, &copy(1, 6, true)).await,
            "nobody holds the first any more"
        );
        assert!(
            !record(&mut tx, 3, &copy(1, 8, true)).await,
            "saying it again changes nothing"
        );
    }

    #[tokio::test]
    async fn no_tenant_sees_or_forgets_what_another_holds() {
        let database = TestDatabase::create().await.unwrap();
        let mut tx = clusters(&database).await;
        record(&mut tx, 1, &copy(1, 7, true)).await;
        assert_eq!(who(&holders(&mut tx, GLOBEX, 4).await), []);
        assert!(
            record(&mut tx, 4, &copy(1, 8, true)).await,
            "the first of its own tenant"
        );
        let theirs = holders(&mut tx, GLOBEX, 4).await.remove(0);
        let refused = environment_copies::forget(&mut tx, ACME, &theirs).await;
        assert!(matches!(refused, Err(StoreError::Missing { .. })));
        environment_copies::forget(&mut tx, GLOBEX, &theirs)
            .await
            .unwrap();
        assert_eq!(who(&holders(&mut tx, ACME, 1).await), [(1, 1)]);
    }

    #[tokio::test]
    async fn what_was_not_named_for_longest_is_forgotten_first() {
        let database = TestDatabase::create().await.unwrap();
        let mut tx = clusters(&database).await;
        for digest in 1..=12 {
            record(&mut tx, 1, &copy(digest, digest, true)).await;
        }
        let old = "update environment_copies set named_at = named_at - interval '1 hour' where digest = $1";
        sqlx::query(old)
            .bind(copy(5, 0, true).digest)
            .execute(&mut *tx)
            .await
            .unwrap();
        record(&mut tx, 1, &copy(13, 13, true)).await;
        let left: Vec<String> = sqlx::query_scalar("select digest from environment_copies order by digest")
            .fetch_all(&mut *tx)
            .await
            .unwrap();
        assert_eq!(left.len(), 12);
        assert!(!left.contains(&copy(5, 0, true).digest));
    }
}
