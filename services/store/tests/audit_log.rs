//! The audit log keeps what it was told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use sqlx::Executor as _;
use updraft_model::{AuditActorKind, AuditOutcome, TenantId};
use updraft_store::audit_log::{self, Entry, Filter};
use updraft_store::testing::TestDatabase;
use uuid::Uuid;

fn entry(tenant: Option<TenantId>) -> Entry {
    Entry {
        tenant,
        actor_kind: AuditActorKind::Person,
        actor_id: Some(Uuid::now_v7()),
        actor_name: "ada@example.com".to_owned(),
        credential: Some("session:1".to_owned()),
        action: "cluster.update".to_owned(),
        outcome: AuditOutcome::Done,
        reason: None,
        target: Some("cluster:1".to_owned()),
        target_name: Some("demo".to_owned()),
        before: Some(serde_json::json!({"workers": 1})),
        after: Some(serde_json::json!({"workers": 2})),
        address: Some("2001:db8::1".parse().unwrap()),
        user_agent: Some("curl/8".to_owned()),
        request_id: Some("1".to_owned()),
    }
}

#[tokio::test]
async fn a_line_comes_back_as_it_was_written_to_whom_it_belongs() {
    let database = TestDatabase::create().await.unwrap();
    let mut tx = database.store().begin().await.unwrap();
    let tenant = Some(TenantId(Uuid::now_v7()));
    for whose in [tenant, None] {
        let written = entry(whose);
        let id = audit_log::append(&mut tx, &written).await.unwrap();
        let lines = audit_log::list_before(&mut tx, whose, &Filter::default(), None, 10)
            .await
            .unwrap();
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].id, &lines[0].entry), (id, &written));
    }
}

#[tokio::test]
async fn no_line_is_changed_or_removed() {
    let database = TestDatabase::create().await.unwrap();
    let tenant = Some(TenantId(Uuid::now_v7()));
    let mut tx = database.store().begin().await.unwrap();
    audit_log::append(&mut tx, &entry(tenant)).await.unwrap();
    tx.commit().await.unwrap();
    for tampering in [
        "update audit_log set actor_name = 'somebody else'",
        "delete from audit_log",
        "truncate audit_log",
        "truncate audit_log cascade",
    ] {
        let mut connection = database.store().connection().await.unwrap();
        let refused = connection.execute(tampering).await.unwrap_err();
        assert!(
            refused.to_string().contains("append-only"),
            "{tampering}: {refused}"
        );
    }
    let mut connection = database.store().connection().await.unwrap();
    let lines = audit_log::list_before(&mut connection, tenant, &Filter::default(), None, 10)
        .await
        .unwrap();
    assert_eq!(lines.len(), 1);
}
