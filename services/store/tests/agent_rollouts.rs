//! Which nodes are told to run another agent, and when nobody is any more.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use sqlx::pool::PoolConnection;
use sqlx::{Executor as _, Postgres};
use updraft_model::{ClusterId, Generation, NodeId, NodeRole, Protocol};
use updraft_store::agent_rollouts::{self, Progress};
use updraft_store::nodes::{self, NewNode};
use updraft_store::secrets::MasterKey;
use updraft_store::testing::TestDatabase;
use updraft_store::{PgConnection, assignments, controls, node_agents};
use uuid::Uuid;

const OLD: &str = "0a";
const NEW: &str = "0b";

struct World {
    database: TestDatabase,
    /// Clusters 1 and 2 run, with a scheduler's and a web node each. Cluster 3 is stopped.
    nodes: Vec<(NodeId, ClusterId)>,
}

// === impl World ===

impl World {
    async fn new() -> Self {
        let database = TestDatabase::create().await.unwrap();
        let mut connection = database.store().connection().await.unwrap();
        let tenant = Uuid::new_v4();
        let spec = r#"{"runtime":"r","dag_sources":[{"source":{"kind":"cluster_bucket","prefix":"dags/"}}]}"#;
        let clusters = format!(
            "insert into tenants (id, name) values ('{tenant}', 'tenant');
             insert into clusters (tenant_id, name, spec, power, phase)
             select '{tenant}', 'c' || n, '{spec}', case n when 3 then 'stopped' else 'running' end,
                 '{{\"state\": \"running\"}}' from generate_series(1, 3) n;"
        );
        connection
            .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(clusters)))
            .await
            .unwrap();
        let mut made = Vec::new();
        for cluster in (1..=3).map(ClusterId) {
            for role in [NodeRole::Scheduler, NodeRole::Web] {
                made.push((launched(&mut connection, cluster, role).await, cluster));
            }
        }
        drop(connection);
        Self {
            database,
            nodes: made,
        }
    }

    async fn connection(&self) -> PoolConnection<Postgres> {
        self.database.store().connection().await.unwrap()
    }

    fn of(&self, cluster: i64) -> BTreeSet<NodeId> {
        let own = self.nodes.iter().filter(|(_, other)| other.0 == cluster);
        own.map(|(node, _)| *node).collect()
    }
}

async fn launched(connection: &mut PgConnection, cluster: ClusterId, role: NodeRole) -> NodeId {
    let id = NodeId(Uuid::now_v7());
    let node = NewNode {
        id,
        cluster,
        role,
        ordinal: 1,
        queue: None,
        instance_type: None,
        generation: Generation::FIRST,
        request: serde_json::json!({}),
        client_token: id.to_string(),
    };
    nodes::intend(connection, &node).await.unwrap();
    nodes::record_launched(connection, id, &id.to_string(), "127.64.0.9")
        .await
        .unwrap();
    node_agents::record(connection, id, Protocol::OWN, Some(OLD))
        .await
        .unwrap();
    id
}

#[tokio::test]
async fn of_each_running_cluster_one_node_is_told_at_a_time() {
    let world = World::new().await;
    let mut connection = world.connection().await;
    agent_rollouts::hold(&mut connection, NEW).await.unwrap();
    let next = agent_rollouts::next(&mut connection, (NEW, 1), 10, None)
        .await
        .unwrap();
    let clusters: Vec<_> = next.iter().map(|(_, cluster)| cluster.0).collect();
    assert_eq!(
        clusters,
        [1, 2],
        "the stopped one's nodes come with its next start"
    );
    assert_eq!(
        agent_rollouts::next(&mut connection, (NEW, 1), 1, None)
            .await
            .unwrap()
            .len(),
        1
    );

    let first = next[0].0;
    agent_rollouts::tell(&mut connection, NEW, &[first])
        .await
        .unwrap();
    let wanted = assignments::rows(&mut connection, first)
        .await
        .unwrap()
        .unwrap()
        .agent;
    assert_eq!(wanted, Some((NEW.to_owned(), 1)));
    assert!(node_agents::is_told(&mut connection, first, NEW).await.unwrap());
    let under_way = agent_rollouts::under_way(&mut connection, (NEW, 1))
        .await
        .unwrap();
    assert_eq!(under_way.iter().map(|one| one.node).collect::<Vec<_>>(), [first]);
    let next = agent_rollouts::next(&mut connection, (NEW, 1), 10, None)
        .await
        .unwrap();
    assert_eq!(next.iter().map(|(_, cluster)| cluster.0).collect::<Vec<_>>(), [2]);

    node_agents::record(&mut connection, first, Protocol::OWN, Some(NEW))
        .await
        .unwrap();
    assert!(
        agent_rollouts::under_way(&mut connection, (NEW, 1))
            .await
            .unwrap()
            .is_empty()
    );
    let next = agent_rollouts::next(&mut connection, (NEW, 1), 10, None)
        .await
        .unwrap();
    let other: BTreeSet<_> = world.of(1).into_iter().filter(|node| *node != first).collect();
    assert_eq!(BTreeSet::from([next[0].0]), other);
    let progress = agent_rollouts::progress(&mut connection, NEW).await.unwrap();
    assert_eq!(
        progress,
        Progress {
            done: 1,
            others: 5,
            silent: 0
        }
    );

    // A cluster that is changed is left alone, and so are agents that say no release.
    for node in world.of(1) {
        node_agents::record(&mut connection, node, Protocol::FIRST, None)
            .await
            .unwrap();
    }
    let operation = format!(
        "insert into operations (id, tenant_id, cluster_id, kind, generation)
         select '{}', tenant_id, id, 'update', 1 from clusters where id = 2",
        Uuid::now_v7()
    );
    connection
        .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(operation)))
        .await
        .unwrap();
    assert_eq!(
        agent_rollouts::next(&mut connection, (NEW, 1), 10, None)
            .await
            .unwrap(),
        []
    );
}

#[tokio::test]
async fn one_that_fails_stops_it_for_everybody_until_somebody_asks_again() {
    let world = World::new().await;
    let mut connection = world.connection().await;
    agent_rollouts::hold(&mut connection, NEW).await.unwrap();
    let (told, other) = (world.nodes[0].0, world.nodes[2].0);
    agent_rollouts::tell(&mut connection, NEW, &[told]).await.unwrap();
    for (of, node) in [((NEW, 1), other), ((NEW, 2), told), ((OLD, 1), told)] {
        let noted = agent_rollouts::note_failure(&mut connection, of, node, "it lies")
            .await
            .unwrap();
        assert!(!noted, "{of:?}");
    }
    let noted = async |connection: &mut PgConnection| {
        agent_rollouts::note_failure(connection, (NEW, 1), told, "it hangs")
            .await
            .unwrap()
    };
    assert!(noted(&mut connection).await && !noted(&mut connection).await);
    let wanted = assignments::rows(&mut connection, told).await.unwrap().unwrap();
    assert_eq!(wanted.agent, None, "its own word is taken back");
    let next = agent_rollouts::next(&mut connection, (NEW, 1), 10, None)
        .await
        .unwrap();
    assert_eq!(next.iter().map(|(_, cluster)| cluster.0).collect::<Vec<_>>(), [2]);
    let only = agent_rollouts::next(&mut connection, (NEW, 1), 10, Some(ClusterId(1))).await;
    assert_eq!(only.unwrap(), []);
    let failed = async |connection: &mut PgConnection| {
        agent_rollouts::stop(connection, (NEW, 1), told, "it hangs")
            .await
            .unwrap()
    };
    assert!(failed(&mut connection).await && !failed(&mut connection).await);
    let rollout = agent_rollouts::hold(&mut connection, NEW).await.unwrap();
    let stopped = rollout.stopped.unwrap();
    assert_eq!((stopped.node, stopped.why.as_str()), (Some(told), "it hangs"));
    let wanted = assignments::rows(&mut connection, told)
        .await
        .unwrap()
        .unwrap()
        .agent;
    assert_eq!(wanted, None, "the word is taken back");

    assert!(agent_rollouts::resume(&mut connection, NEW).await.unwrap());
    assert!(!agent_rollouts::resume(&mut connection, NEW).await.unwrap());
    let rollout = agent_rollouts::hold(&mut connection, NEW).await.unwrap();
    assert_eq!((rollout.attempt, rollout.stopped), (2, None));
    assert_eq!(
        agent_rollouts::next(&mut connection, (NEW, 2), 10, None)
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn controls_that_do_not_agree_tell_nothing_and_one_that_does_not_understand_an_agent_finds_out() {
    let world = World::new().await;
    let mut connection = world.connection().await;
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    assert_eq!(agent_rollouts::agreed(&mut connection).await.unwrap(), None);
    for control in [one, other] {
        controls::tell(
            &mut connection,
            control,
            Some((1, &[])),
            &MasterKey::from_bytes([7; 32]),
        )
        .await
        .unwrap();
        agent_rollouts::name(&mut connection, control, Some(NEW))
            .await
            .unwrap();
    }
    let agreed = async |connection: &mut PgConnection| agent_rollouts::agreed(connection).await.unwrap();
    assert_eq!(agreed(&mut connection).await.as_deref(), Some(NEW));
    for disagrees in [Some(OLD), None] {
        agent_rollouts::name(&mut connection, other, disagrees)
            .await
            .unwrap();
        assert_eq!(agreed(&mut connection).await, None);
    }

    assert_eq!(node_agents::too_far_apart(&mut connection).await.unwrap(), []);
    let far = Protocol(Protocol::OWN.0 + 2);
    node_agents::record(&mut connection, world.nodes[0].0, far, None)
        .await
        .unwrap();
    assert_eq!(
        node_agents::too_far_apart(&mut connection).await.unwrap(),
        [(far, 1)]
    );
    // A database of before there were such words.
    connection
        .execute(sqlx::raw_sql("alter table nodes drop column agent_protocol"))
        .await
        .unwrap();
    assert_eq!(node_agents::too_far_apart(&mut connection).await.unwrap(), []);
}
