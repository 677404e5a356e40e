//! Removes old logs, cluster after cluster, for ever. Which and how is the use case's.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use updraft_app::App;

/// Between two looks whether it is a cluster's turn.
const EVERY: Duration = Duration::from_secs(60);

pub async fn sweep_logs(app: App, shutdown: CancellationToken) {
    let forever = async {
        loop {
            match app.sweep_logs().await {
                // Another one may wait.
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "old logs of a cluster are there for longer than asked"
                ),
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    shutdown.run_until_cancelled(forever).await;
}
