//! Control knows who agents are before they speak, and forgets it as soon as it is no longer so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use updraft_control::agents::Identities;
use updraft_model::NodeRole;

use crate::nodes::launched;
use crate::support::World;

/// Nothing is believed for longer than 5 s; most of this is the machine's.
const SECONDS: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_gone_is_refused_within_seconds_and_without_an_announcement() {
    let world = World::new().await;
    let owner = world.owner(world.tenant("acme").await).await;
    let cluster = world.cluster(&owner, "demo").await;
    let node = launched(&world, cluster, NodeRole::Worker, None).await;
    let other = launched(&world, cluster, NodeRole::Web, None).await;
    let tokens: [[u8; 32]; 2] = [Sha256::digest("worker").into(), Sha256::digest("web").into()];
    let mut connection = world.database.store().connection().await.unwrap();
    for (node, token) in [node, other].into_iter().zip(tokens) {
        let named = sqlx::query("update nodes set identity_hash = $2 where id = $1")
            .bind(node.0)
            .bind(&token[..]);
        named.execute(&mut *connection).await.unwrap();
    }

    let identities = Arc::<Identities>::default();
    let (store, shutdown) = (world.database.store().clone(), CancellationToken::new());
    let (kept, shared) = (identities.clone(), store.clone());
    let _stop = shutdown.clone().drop_guard();
    tokio::spawn(async move { kept.keep_true(&shared, shutdown).await });
    let known = async |token: &[u8; 32]| {
        identities
            .find(&store, token)
            .await
            .unwrap()
            .map(|found| found.node)
    };
    while identities.remembered_count() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        (known(&tokens[0]).await, known(&tokens[1]).await),
        (Some(node), Some(other))
    );

    let gone =
        sqlx::query("update nodes set state = 'gone', identity_hash = null where id = $1").bind(node.0);
    gone.execute(&mut *connection).await.unwrap();
    let began = Instant::now();
    while known(&tokens[0]).await.is_some() {
        assert!(began.elapsed() < SECONDS, "a node that is gone is still believed");
        tokio::task::yield_now().await;
    }
    assert_eq!(known(&tokens[1]).await, Some(other));
}
