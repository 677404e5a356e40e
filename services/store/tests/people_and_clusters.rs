//! The store's own promises, on a real database: what is scoped, what is locked, what is announced.

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::Utc;
    use updraft_model::{
        BootstrapSpec, ClusterId, ClusterRole, ClusterSpec, DagFolder, DagSource, EnvironmentSpec,
        FolderSource, LogsSpec, OperationId, OperationKind, OperationState, Power, SessionId, TenantId,
        TenantRole, UserId,
    };
    use updraft_store::idempotency_keys::{self, Claim};
    use updraft_store::operations::{self, NewOperation};
    use updraft_store::sessions::{self, NewSession};
    use updraft_store::tenants::{self, Quota, Tenant};
    use updraft_store::testing::TestDatabase;
    use updraft_store::{Channel, PgConnection, StoreError, clusters, event_log, grants, people, standings};
    use uuid::Uuid;

    async fn tenant(connection: &mut PgConnection, name: &str) -> (TenantId, UserId) {
        let tenant = TenantId(Uuid::now_v7());
        let quota = Quota {
            max_clusters: 3,
            max_nodes: 9,
        };
        tenants::insert(
            connection,
            &Tenant {
                id: tenant,
                name: name.to_owned(),
                quota,
            },
        )
        .await
        .unwrap();
        let user = UserId(Uuid::now_v7());
        people::insert_user(connection, user, &format!("{name}@example.com"), name, None)
            .await
            .unwrap();
        people::insert_membership(connection, tenant, user, TenantRole::Owner)
            .await
            .unwrap();
        (tenant, user)
    }

    fn spec() -> ClusterSpec {
        ClusterSpec {
            runtime: "airflow-3.3.2".to_owned(),
            aws_account: None,
            workers: 2,
            worker_concurrency: 2,
            worker_queues: Vec::new(),
            schedule: updraft_model::Schedule::default(),
            stop_when_idle: updraft_model::IdleStop::default(),
            on_stop: None,
            metadata_database: None,
            broker: updraft_model::Broker::default(),
            dag_sources: vec![FolderSource {
                folder: DagFolder::default(),
                source: DagSource::Push {},
                ca_certificate: None,
            }],
            environment: EnvironmentSpec::default(),
            environment_variables: [("REGION".to_owned(), "eu".to_owned())].into_iter().collect(),
            bootstrap: BootstrapSpec::default(),
            config: [("core.parallelism".to_owned(), "4".to_owned())]
                .into_iter()
                .collect(),
            logs: LogsSpec::default(),
            tags: [("env".to_owned(), "prod".to_owned())].into_iter().collect(),
        }
    }

    async fn cluster(connection: &mut PgConnection, tenant: TenantId, name: &str) -> ClusterId {
        clusters::insert(
            connection,
            tenant,
            &name.parse().unwrap(),
            &spec(),
            Power::Running,
        )
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn migrating_twice_changes_nothing() {
        let database = TestDatabase::create().await.unwrap();
        database.store().migrate().await.unwrap();
        database.store().ping().await.unwrap();
    }

    #[tokio::test]
    async fn a_cluster_comes_back_as_it_was_written_to_its_own_tenant_only() {
        let database = TestDatabase::create().await.unwrap();
        let mut tx = database.store().begin().await.unwrap();
        let (a, ada) = tenant(&mut tx, "a").await;
        let (b, bob) = tenant(&mut tx, "b").await;
        let id = cluster(&mut tx, a, "demo").await;
        let found = clusters::find(&mut tx, a, ada, id).await.unwrap().unwrap();
        assert_eq!(
            (found.spec, found.generation.0, found.power),
            (spec(), 1, Power::Running)
        );
        assert!(clusters::find(&mut tx, b, bob, id).await.unwrap().is_none());
        assert!(!clusters::lock(&mut tx, b, id).await.unwrap());
        assert!(standings::find(&mut tx, b, bob, id).await.unwrap().is_none());
        assert!(
            clusters::list(&mut tx, b, bob, None, None, 10)
                .await
                .unwrap()
                .is_empty()
        );
        for refused in [
            clusters::set_power(&mut tx, b, id, Power::Deleted, false).await,
            clusters::set_spec(&mut tx, b, id, found.generation, &spec()).await,
            clusters::set_service_wishes(&mut tx, b, id, &found.service_wishes).await,
        ] {
            assert!(matches!(refused, Err(StoreError::Missing { .. })));
        }
    }

    #[tokio::test]
    async fn a_name_is_refused_by_the_constraint_that_says_so() {
        let database = TestDatabase::create().await.unwrap();
        let mut tx = database.store().begin().await.unwrap();
        let (a, _) = tenant(&mut tx, "a").await;
        cluster(&mut tx, a, "demo").await;
        let again = clusters::insert(&mut tx, a, &"demo".parse().unwrap(), &spec(), Power::Stopped).await;
        assert!(again.unwrap_err().is_conflict_on("clusters_name"));
    }

    #[tokio::test]
    async fn usage_counts_nodes_of_what_is_asked_to_run() {
        let database = TestDatabase::create().await.unwrap();
        let mut tx = database.store().begin().await.unwrap();
        let (a, _) = tenant(&mut tx, "a").await;
        let one = cluster(&mut tx, a, "one").await;
        let two = cluster(&mut tx, a, "two").await;
        cluster(&mut tx, a, "three").await;
        clusters::set_power(&mut tx, a, two, Power::Stopped, false)
            .await
            .unwrap();
        let mut larger = spec();
        larger.workers = 5;
        clusters::insert(&mut tx, a, &"four".parse().unwrap(), &larger, Power::Running)
            .await
            .unwrap();
        let all = clusters::usage(&mut tx, a, None).await.unwrap();
        assert_eq!((all.clusters, all.nodes), (4, 4 + 4 + 7));
        let others = clusters::usage(&mut tx, a, Some(one)).await.unwrap();
        assert_eq!((others.clusters, others.nodes), (3, 4 + 7));
    }

    #[tokio::test]
    async fn opening_an_operation_supersedes_the_running_one() {
        let database = TestDatabase::create().await.unwrap();
        let mut tx = database.store().begin().await.unwrap();
        let (a, ada) = tenant(&mut tx, "a").await;
        let id = cluster(&mut tx, a, "demo").await;
        let mut opened = Vec::new();
        for kind in [OperationKind::Create, OperationKind::Stop] {
            let operation = NewOperation {
                id: OperationId(Uuid::now_v7()),
                tenant: a,
                cluster: id,
                kind,
                generation: updraft_model::Generation(1),
                requested_by: Some(ada),
                cause: None,
            };
            operations::open(&mut tx, &operation).await.unwrap();
            opened.push(operation.id);
        }
        let first = operations::find(&mut tx, a, opened[0]).await.unwrap().unwrap();
        assert_eq!(
            (first.state, first.finished_at.is_some()),
            (OperationState::Superseded, true)
        );
        assert_eq!(
            operations::find_running(&mut tx, a, id)
                .await
                .unwrap()
                .unwrap()
                .id,
            opened[1]
        );
        let (b, _) = tenant(&mut tx, "b").await;
        assert!(operations::find(&mut tx, b, opened[1]).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn removing_a_member_takes_sessions_and_grants_along() {
        let database = TestDatabase::create().await.unwrap();
        let mut tx = database.store().begin().await.unwrap();
        let (a, ada) = tenant(&mut tx, "a").await;
        let id = cluster(&mut tx, a, "demo").await;
        grants::put(&mut tx, a, id, ada, ClusterRole::User).await.unwrap();
        let expires_at = Utc::now() + chrono::Duration::hours(1);
        let session = NewSession {
            id: SessionId(Uuid::now_v7()),
            token_hash: [1; 32],
            tenant: a,
            user: ada,
            expires_at,
        };
        sessions::insert(&mut tx, &session).await.unwrap();
        assert!(
            sessions::find_by_token(&mut tx, &[1; 32], Utc::now())
                .await
                .unwrap()
                .is_some()
        );
        assert!(
            sessions::find_by_token(&mut tx, &[1; 32], expires_at)
                .await
                .unwrap()
                .is_none(),
            "expired"
        );

        people::remove_member(&mut tx, a, ada).await.unwrap();
        assert!(
            sessions::find_by_token(&mut tx, &[1; 32], Utc::now())
                .await
                .unwrap()
                .is_none()
        );
        assert!(grants::list(&mut tx, a, id, None, 10).await.unwrap().is_empty());
        assert!(
            people::password_record(&mut tx, "a@example.com")
                .await
                .unwrap()
                .is_none(),
            "forgotten"
        );
    }

    #[tokio::test]
    async fn revoked_sessions_are_told_until_they_would_have_expired() {
        let database = TestDatabase::create().await.unwrap();
        let mut tx = database.store().begin().await.unwrap();
        let (a, ada) = tenant(&mut tx, "a").await;
        let (now, hour) = (Utc::now(), chrono::Duration::hours(1));
        let id = SessionId(Uuid::now_v7());
        let session = NewSession {
            id,
            token_hash: [2; 32],
            tenant: a,
            user: ada,
            expires_at: now + hour,
        };
        sessions::insert(&mut tx, &session).await.unwrap();
        assert!(sessions::revoked(&mut tx, now).await.unwrap().is_empty());
        sessions::revoke(&mut tx, id, now).await.unwrap();
        sessions::revoke(&mut tx, id, now).await.unwrap();
        assert_eq!(sessions::revoked(&mut tx, now).await.unwrap(), [id]);
        assert!(sessions::revoked(&mut tx, now + hour).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_key_whose_process_died_is_taken_over_only_by_the_same_request() {
        let database = TestDatabase::create().await.unwrap();
        let mut tx = database.store().begin().await.unwrap();
        let (a, _) = tenant(&mut tx, "a").await;
        let (past, future) = (
            Utc::now() - chrono::Duration::hours(1),
            Utc::now() + chrono::Duration::hours(1),
        );
        let route = "POST /x";
        let first = idempotency_keys::claim(&mut tx, a, "k", route, &[1; 32], past)
            .await
            .unwrap();
        assert_eq!(first, Claim::Mine);
        let working = idempotency_keys::claim(&mut tx, a, "k", route, &[1; 32], past)
            .await
            .unwrap();
        assert_eq!(working, Claim::InProgress);
        let other = idempotency_keys::claim(&mut tx, a, "k", route, &[2; 32], future)
            .await
            .unwrap();
        assert_eq!(other, Claim::OtherRequest);
        let taken_over = idempotency_keys::claim(&mut tx, a, "k", route, &[1; 32], future)
            .await
            .unwrap();
        assert_eq!(taken_over, Claim::Mine);
        let body = serde_json::json!({"a": 1});
        idempotency_keys::complete(&mut tx, a, "k", 202, &body)
            .await
            .unwrap();
        let answered = idempotency_keys::claim(&mut tx, a, "k", route, &[1; 32], future)
            .await
            .unwrap();
        assert_eq!(answered, Claim::Answered { status: 202, body });
    }

    #[tokio::test]
    async fn changes_are_announced_to_those_who_listen() {
        let database = TestDatabase::create().await.unwrap();
        let channels = [Channel::Clusters, Channel::Events, Channel::Policy];
        let mut announcements = database.store().listen(&channels).await.unwrap();
        let mut tx = database.store().begin().await.unwrap();
        let (a, _) = tenant(&mut tx, "a").await;
        let id = cluster(&mut tx, a, "demo").await;
        event_log::append(&mut tx, a, Some(id), "made", "it was made")
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let mut heard = Vec::new();
        while heard.len() < 3 {
            let next = tokio::time::timeout(Duration::from_secs(10), announcements.next()).await;
            heard.extend(next.expect("nothing is announced").unwrap());
        }
        assert!(heard.contains(&(Channel::Clusters, id.to_string())));
        assert!(heard.contains(&(Channel::Events, "1".to_owned())));
        assert!(heard.iter().any(|(channel, _)| *channel == Channel::Policy));
    }
}
