//! What a bootstrap token is good for: one identity, from one node, for a time. Beside each refusal stands what is taken.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use chrono::{TimeDelta, Utc};
use sqlx::pool::PoolConnection;
use sqlx::{Executor as _, Postgres};
use updraft_model::{ClusterId, Generation, NodeId, NodeRole};
use updraft_store::nodes::{self, NewNode};
use updraft_store::testing::TestDatabase;
use updraft_store::{StoreError, node_identity};
use uuid::Uuid;

const TOKEN: &[u8] = &[1; 32];
const LASTS: TimeDelta = TimeDelta::minutes(15);

/// A node that is being launched with [`TOKEN`].
struct World {
    connection: PoolConnection<Postgres>,
    _database: TestDatabase,
    node: NodeId,
}

// === impl World ===

impl World {
    async fn new() -> Self {
        Self::with_token_for(LASTS).await
    }

    async fn with_token_for(lasts: TimeDelta) -> Self {
        let database = TestDatabase::create().await.unwrap();
        let mut connection = database.store().connection().await.unwrap();
        let tenant = Uuid::new_v4();
        let spec = r#"{"runtime":"r","dag_sources":[{"source":{"kind":"cluster_bucket","prefix":"dags/"}}]}"#;
        let cluster = format!(
            "insert into tenants (id, name) values ('{tenant}', 'tenant');
             insert into clusters (tenant_id, name, spec, power) values ('{tenant}', 'demo', '{spec}', 'running');"
        );
        connection
            .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(cluster)))
            .await
            .unwrap();
        let node = NodeId(Uuid::now_v7());
        let mut world = Self {
            connection,
            _database: database,
            node,
        };
        world.intend(node, 1).await;
        world.launch(node, TOKEN, lasts).await;
        world
    }

    async fn intend(&mut self, node: NodeId, ordinal: u32) {
        let new = NewNode {
            id: node,
            cluster: ClusterId(1),
            role: NodeRole::Worker,
            ordinal,
            queue: None,
            instance_type: None,
            generation: Generation::FIRST,
            request: serde_json::json!({}),
            client_token: node.to_string(),
        };
        nodes::intend(&mut self.connection, &new).await.unwrap();
    }

    async fn launch(&mut self, node: NodeId, token: &[u8], lasts: TimeDelta) {
        nodes::begin_launch(&mut self.connection, node, token, Utc::now() + lasts)
            .await
            .unwrap();
    }

    /// Whether the node is taken with it, and then by this identity.
    async fn redeem(&mut self, token: &[u8], identity: &[u8]) -> bool {
        let node = self.node;
        self.redeem_as(node, token, identity).await
    }

    async fn redeem_as(&mut self, node: NodeId, token: &[u8], identity: &[u8]) -> bool {
        let redeemed =
            node_identity::redeem_bootstrap(&mut self.connection, node, token, identity, None).await;
        match redeemed {
            Ok(redeemed) => {
                assert_eq!(redeemed.unwrap().node, node);
                true
            }
            Err(StoreError::Missing { .. }) => false,
            Err(other) => panic!("{other}"),
        }
    }

    /// Whom control sees who uses it.
    async fn use_identity(&mut self, identity: &[u8]) -> Option<NodeId> {
        let found = node_identity::by_identity(&mut self.connection, identity).await;
        found.unwrap().map(|found| found.node)
    }
}

#[tokio::test]
async fn a_token_is_used_up_by_the_first_use_of_what_it_was_traded_for() {
    let mut world = World::new().await;
    let node = world.node;
    assert!(world.redeem(TOKEN, b"lost").await);
    // The answer got lost, or the agent died before its disk had it.
    assert!(world.redeem(TOKEN, b"kept").await);
    assert_eq!(
        world.use_identity(b"lost").await,
        None,
        "another took the place of the first identity"
    );
    assert!(
        world.redeem(TOKEN, b"kept").await,
        "a use of what is worth nothing uses nothing up"
    );
    assert_eq!(world.use_identity(b"kept").await, Some(node));
    assert!(!world.redeem(TOKEN, b"a thief's").await);
    assert_eq!(world.use_identity(b"a thief's").await, None);
    assert_eq!(world.use_identity(b"kept").await, Some(node));
}

#[tokio::test]
async fn a_launch_that_is_asked_for_again_brings_no_spent_token_back() {
    let mut world = World::new().await;
    let node = world.node;
    assert!(world.redeem(TOKEN, b"kept").await);
    assert_eq!(world.use_identity(b"kept").await, Some(node));
    // Control crashed before it noted the provider's answer: the same bytes are sent again.
    world.launch(node, TOKEN, LASTS).await;
    assert!(!world.redeem(TOKEN, b"a thief's").await);
    assert_eq!(world.use_identity(b"kept").await, Some(node));
}

#[tokio::test]
async fn a_token_that_expired_is_refused_until_the_launch_is_asked_for_again() {
    let mut world = World::with_token_for(-TimeDelta::seconds(1)).await;
    let node = world.node;
    assert!(!world.redeem(TOKEN, b"late").await);
    assert_eq!(world.use_identity(b"late").await, None);
    world.launch(node, TOKEN, LASTS).await;
    assert!(world.redeem(TOKEN, b"in time").await);
}

#[tokio::test]
async fn only_the_nodes_own_token_is_taken() {
    let mut world = World::new().await;
    let other = NodeId(Uuid::now_v7());
    world.intend(other, 2).await;
    world.launch(other, &[2; 32], LASTS).await;
    for wrong in [&[2; 32][..], &[3; 32], &TOKEN[..31], b""] {
        assert!(!world.redeem(wrong, b"guessed").await, "{wrong:?}");
    }
    let unknown = NodeId(Uuid::now_v7());
    assert!(!world.redeem_as(unknown, TOKEN, b"guessed").await);
    assert_eq!(world.use_identity(b"guessed").await, None);
    assert!(world.redeem(TOKEN, b"own").await);
    assert!(world.redeem_as(other, &[2; 32], b"other").await);
}

#[tokio::test]
async fn a_node_that_is_ended_or_gone_is_taken_no_more_and_has_no_identity() {
    let mut world = World::new().await;
    let node = world.node;
    assert!(world.redeem(TOKEN, b"kept").await);
    nodes::begin_termination(&mut world.connection, node, None, None)
        .await
        .unwrap();
    assert!(!world.redeem(TOKEN, b"late").await);
    assert_eq!(
        world.use_identity(b"kept").await,
        Some(node),
        "it reports until it has ended"
    );
    nodes::forget(&mut world.connection, node, None).await.unwrap();
    assert!(!world.redeem(TOKEN, b"late").await);
    assert_eq!(world.use_identity(b"kept").await, None);
}

/// Both ways in: what is forgotten has no token, and no token helps who is forgotten.
#[tokio::test]
async fn the_token_of_a_node_that_is_gone_is_refused_also_where_it_is_still_on_record() {
    let mut world = World::new().await;
    let node = world.node;
    nodes::record_launched(&mut world.connection, node, "i-own", "10.0.0.1")
        .await
        .unwrap();
    for (state, is_taken) in [
        ("kept", false),
        ("terminating", false),
        ("gone", false),
        ("launched", true),
    ] {
        // The row may say what it likes of the token.
        let set = sqlx::query(
            "update nodes set state = $2, gone_at = case $2 when 'gone' then now() end, bootstrap_hash = $3
             where id = $1",
        );
        let set = set.bind(node.0).bind(state).bind(TOKEN);
        set.execute(&mut *world.connection).await.unwrap();
        assert_eq!(world.redeem(TOKEN, b"own").await, is_taken, "{state}");
    }
}
