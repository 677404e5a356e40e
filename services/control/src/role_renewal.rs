//! Has tenants' roles assumed again before their sessions end, for ever. Which and when is the use case's.

use std::error::Error;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use updraft_app::App;

/// Between two looks: a session has half an hour left when it is first tried to get another.
const EVERY: Duration = Duration::from_secs(60);

pub async fn renew_roles(app: App, shutdown: CancellationToken) {
    let forever = async {
        loop {
            match app.renew_roles().await {
                Ok(refusals) => refusals.iter().for_each(|refusal| {
                    tracing::warn!(
                        tenant.id = %refusal.tenant,
                        error = refusal as &dyn Error,
                        "a role's session will end if this goes on"
                    );
                }),
                Err(error) => tracing::warn!(error = &error as &dyn Error, "roles could not be looked after"),
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    shutdown.run_until_cancelled(forever).await;
}
