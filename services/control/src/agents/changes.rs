//! One listener on the database for all waiting agents.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use updraft_store::{Channel, Store, StoreError};

const AT_LEAST_EACH: Duration = Duration::from_secs(5);

/// Ticks whenever the database announces something that may change an assignment, and by the clock, until shut down.
pub async fn follow(store: Store, ticks: watch::Sender<u64>, shutdown: CancellationToken) {
    let forever = async {
        loop {
            if let Err(error) = listen(&store, &ticks).await {
                tracing::warn!(%error, "changes cannot be heard; agents are told later");
                sleep(Duration::from_secs(1)).await;
            }
        }
    };
    shutdown.run_until_cancelled(forever).await;
}

async fn listen(store: &Store, ticks: &watch::Sender<u64>) -> Result<(), StoreError> {
    let mut announcements = store.listen(&[Channel::Clusters, Channel::Policy]).await?;
    loop {
        ticks.send_modify(|ticks| *ticks += 1);
        if let Ok(announced) = timeout(AT_LEAST_EACH, announcements.next()).await {
            announced?;
        }
    }
}
