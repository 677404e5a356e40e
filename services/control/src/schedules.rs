//! Starts and stops clusters at their times, for ever. Which and how is the use case's.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use updraft_app::App;

/// Between two looks whether a cluster's time has come: cron counts in minutes.
const EVERY: Duration = Duration::from_secs(5);

pub async fn follow_schedules(app: App, shutdown: CancellationToken) {
    let forever = async {
        loop {
            match app.follow_schedule().await {
                // Another one may be due.
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a schedule is followed later than it says"
                ),
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    shutdown.run_until_cancelled(forever).await;
}
