//! Starts and stops clusters at their times, and stops those that nobody needs, for ever. Which and how is the use cases'.

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

pub async fn follow_idleness(app: App, shutdown: CancellationToken) {
    let forever = async {
        loop {
            match app.follow_idleness().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a cluster that may be idle is looked at later"
                ),
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    shutdown.run_until_cancelled(forever).await;
}
