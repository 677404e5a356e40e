//! One listener on the database for all waiting agents.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use updraft_store::{Channel, Store, StoreError};

const AT_LEAST_EACH: Duration = Duration::from_secs(5);

/// Ticks when some assignment may have changed.
#[derive(Clone)]
pub struct Changes {
    ticks: watch::Receiver<u64>,
}

// === impl Changes ===

impl Changes {
    /// Starts to listen, until shut down; while the database is away it ticks by the clock.
    #[must_use]
    pub fn follow(store: Store, shutdown: CancellationToken) -> Self {
        let (sender, ticks) = watch::channel(0);
        tokio::spawn(async move {
            let forever = async {
                loop {
                    if let Err(error) = listen(&store, &sender).await {
                        tracing::warn!(%error, "changes cannot be heard; agents are told later");
                        sleep(Duration::from_secs(1)).await;
                    }
                }
            };
            shutdown.run_until_cancelled(forever).await;
        });
        Self { ticks }
    }

    /// Returns at the next tick after the last one seen by this copy.
    pub(crate) async fn next(&mut self) {
        if self.ticks.changed().await.is_err() {
            // Control is shutting down: the poll ends by its own time limit.
            std::future::pending::<()>().await;
        }
    }
}

async fn listen(store: &Store, sender: &watch::Sender<u64>) -> Result<(), StoreError> {
    let mut announcements = store.listen(&[Channel::Clusters, Channel::Policy]).await?;
    loop {
        sender.send_modify(|ticks| *ticks += 1);
        if let Ok(announced) = timeout(AT_LEAST_EACH, announcements.next()).await {
            announced?;
        }
    }
}
