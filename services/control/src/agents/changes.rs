//! One listener on the database for all waiting agents.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use updraft_model::ClusterId;
use updraft_store::{Channel, Store, StoreError};

use crate::assignments::News;

/// Passes on what the database announces of clusters, until shut down.
pub async fn follow(store: Store, news: Arc<News>, shutdown: CancellationToken) {
    let forever = async {
        loop {
            if let Err(error) = listen(&store, &news).await {
                tracing::warn!(%error, "changes cannot be heard; agents are told later");
                sleep(Duration::from_secs(1)).await;
            }
        }
    };
    shutdown.run_until_cancelled(forever).await;
}

async fn listen(store: &Store, news: &News) -> Result<(), StoreError> {
    let mut announcements = store.listen(&[Channel::Clusters]).await?;
    // What was announced before is not known.
    news.all_changed();
    loop {
        let announced = announcements.next().await?;
        let cluster = announced
            .and_then(|(_, payload)| payload.parse().ok())
            .map(ClusterId);
        match cluster {
            Some(cluster) => news.changed(cluster),
            None => news.all_changed(),
        }
    }
}
