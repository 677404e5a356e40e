//! Whether control works.

use updraft_api::rest::{Health, MailHealth};
use updraft_model::NodeAccount;
use updraft_store::{mail_outbox, restore_holds};

use crate::{App, AppError};

impl App {
    /// Never fails: what does not work is what it says.
    pub async fn health(&self) -> Health {
        let database = self.store().ping().await.is_ok();
        Health {
            status: if database { "ok" } else { "degraded" }.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            database,
            mail: self.mail_health().await.unwrap_or(MailHealth::Failing),
            held_after_restore: self.is_held().await.unwrap_or(false),
        }
    }

    /// Whether nothing is ended until an operator has confirmed that control's database was restored.
    pub(crate) async fn is_held(&self) -> Result<bool, AppError> {
        let mut connection = self.store().connection().await?;
        Ok(restore_holds::is_open(&mut connection, NodeAccount::Installation).await?)
    }

    /// As the last try to send anything went, by whichever control process.
    async fn mail_health(&self) -> Result<MailHealth, AppError> {
        if !self.sends_mail() {
            return Ok(MailHealth::Off);
        }
        let mut connection = self.store().connection().await?;
        Ok(match mail_outbox::last_try_failed(&mut connection).await? {
            true => MailHealth::Failing,
            false => MailHealth::Ok,
        })
    }
}
