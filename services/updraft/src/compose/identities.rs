//! Asking again what identity providers and DNS said: people who left, groups that changed, domains that were given up.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use updraft_app::App;

const DOMAINS_EVERY: Duration = Duration::from_secs(60 * 60);

/// Asks about whoever is due; several control processes share the work.
pub(crate) async fn refresh(app: App, shutdown: CancellationToken) {
    let pause = (app.config().identity_refresh / 4).clamp(Duration::from_secs(1), Duration::from_secs(30));
    let forever = async {
        loop {
            if let Err(error) = app.refresh_identities().await {
                tracing::warn!(%error, "identity providers could not be asked again");
            }
            tokio::time::sleep(pause).await;
        }
    };
    shutdown.run_until_cancelled(forever).await;
}

pub(crate) async fn recheck_domains(app: App, shutdown: CancellationToken) {
    let forever = async {
        loop {
            if let Err(error) = app.recheck_domains().await {
                tracing::warn!(%error, "domains could not be looked at again");
            }
            tokio::time::sleep(DOMAINS_EVERY).await;
        }
    };
    shutdown.run_until_cancelled(forever).await;
}
