//! Asking providers again about people who are signed in: so that changed groups and people who left are noticed.
//!
//! Idempotent and without input: whatever is due is asked, by whichever control process gets it. A provider that gives
//! no answer changes nothing; one that no longer vouches for somebody ends their sessions.

use chrono::TimeDelta;
use futures::{StreamExt as _, stream};
use serde_json::json;
use updraft_sso::oidc::Refreshed;
use updraft_store::identities::{self, DueIdentity};
use updraft_store::{StoreError, identity_providers, provider_sessions};

use super::protocol::Speaks;
use super::providers::target;
use crate::audit::{By, Change, attempt};
use crate::{App, AppError};

const AT_ONCE: i64 = 50;

impl App {
    /// How many were asked about. For a background task.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn refresh_identities(&self) -> Result<usize, AppError> {
        let now = self.now();
        let due = {
            let mut connection = self.store().connection().await?;
            let key = &self.config().master_key;
            identities::take_due(&mut connection, key, now, now + self.refresh_interval(), AT_ONCE).await?
        };
        let asked = due.len();
        // Side by side: a provider that is slow to answer delays no other tenant's news.
        stream::iter(due)
            .for_each_concurrent(None, |identity| async move {
                if let Err(error) = self.ask_again(&identity).await {
                    tracing::warn!(%error, provider.id = %identity.provider, "A person could not be asked about again");
                }
            })
            .await;
        Ok(asked)
    }

    pub(super) fn refresh_interval(&self) -> TimeDelta {
        TimeDelta::from_std(self.config().identity_refresh).unwrap_or(TimeDelta::minutes(10))
    }

    async fn ask_again(&self, due: &DueIdentity) -> Result<(), AppError> {
        let ready = {
            let mut connection = self.store().connection().await?;
            let found = identity_providers::find(&mut connection, due.name.tenant, due.provider).await?;
            let Some(record) = found.filter(|record| record.enabled) else {
                return Ok(());
            };
            self.ready(&mut connection, record).await?
        };
        let Speaks::Oidc { config, secret } = &ready.speaks else {
            return Ok(());
        };
        let (subject, token) = (&due.name.subject, &due.refresh_token);
        let answer = self
            .oidc()
            .refresh(config, secret.as_ref(), subject, token, self.now())
            .await;
        let mut tx = self.store().begin().await?;
        match answer {
            Ok(Refreshed::Vouched(vouched)) => {
                let Some(known) = identities::find(&mut tx, &due.name).await? else {
                    return Ok(());
                };
                self.write_down(&mut tx, &ready.record, &due.name, known.user, &vouched)
                    .await?;
            }
            Ok(Refreshed::Gone(refusal)) => {
                tracing::info!(refusal.code, provider.id = %due.provider, "A provider no longer vouches for somebody");
                identities::forget_refresh(&mut tx, &due.name).await?;
                let now = self.now();
                let ended =
                    provider_sessions::revoke(&mut tx, due.provider, Some(subject), None, now, now).await?;
                let by = By::provider(ready.record.tenant, ready.record.id, &ready.record.name);
                let change = Change::made(json!({"sessions_ended": ended, "why": refusal.code}));
                attempt("sign_out.provider")
                    .on(target(&ready.record))
                    .done(&mut tx, by, change)
                    .await?;
            }
            Err(refusal) => {
                tracing::info!(refusal.code, provider.id = %due.provider, "A provider gave no answer about somebody");
            }
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}
