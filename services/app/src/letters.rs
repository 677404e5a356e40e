//! The mail that waits to be sent, one at a time: whoever takes one says what became of it, or it is given to somebody
//! else after a while. So a mail may go out twice after a crash, and is never lost by one.

use chrono::{DateTime, Duration, Utc};
use secrecy::SecretString;
use updraft_model::TenantId;
use updraft_store::StoreError;
use updraft_store::mail_outbox::{self, Due};
use uuid::Uuid;

use crate::audit::{Target, failed_by_system};
use crate::{App, AppError};

/// Longer than any try to send takes.
const LEASE: Duration = Duration::minutes(2);
/// Doubled with each try, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::seconds(5);
const LONGEST_PAUSE: Duration = Duration::minutes(5);

/// A link to set a new password, to be mailed.
#[derive(Debug)]
pub struct Letter {
    /// The same however often it is tried: mail programs show one mail.
    pub id: Uuid,
    pub to: String,
    pub link: SecretString,
    pub expires_at: DateTime<Utc>,
    tenant: TenantId,
    tries: i32,
}

/// Why a letter could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// The mail server will never take this one.
    Refused,
    /// It may take it later.
    ForNow,
}

impl App {
    /// The next letter whose turn it is.
    ///
    /// # Errors
    /// When the database cannot be asked, or the link does not open.
    pub async fn next_letter(&self) -> Result<Option<Letter>, AppError> {
        loop {
            let mut connection = self.store().connection().await?;
            let (key, now) = (&self.config().master_key, self.now());
            let Some(due) = mail_outbox::claim_due(&mut connection, key, now, now + LEASE).await? else {
                return Ok(None);
            };
            if due.used {
                mail_outbox::finish(&mut connection, due.id, now, false).await?;
                continue;
            }
            let letter = Letter::from(due);
            if letter.expires_at > now {
                return Ok(Some(letter));
            }
            drop(connection);
            self.give_up(&letter, "expired").await?;
        }
    }

    /// # Errors
    /// When the database cannot be asked: then the letter is sent once more.
    pub async fn letter_sent(&self, letter: &Letter) -> Result<(), AppError> {
        let mut connection = self.store().connection().await?;
        Ok(mail_outbox::finish(&mut connection, letter.id, self.now(), false).await?)
    }

    /// Says when it is tried again; none: it is given up, and the audit log says so.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn letter_failed(
        &self,
        letter: &Letter,
        why: Undelivered,
    ) -> Result<Option<Duration>, AppError> {
        let (now, pause) = (self.now(), pause(letter.tries));
        match why {
            Undelivered::Refused => self.give_up(letter, "refused-by-mail-server").await?,
            Undelivered::ForNow if now + pause >= letter.expires_at => {
                self.give_up(letter, "expired").await?;
            }
            Undelivered::ForNow => {
                let mut connection = self.store().connection().await?;
                mail_outbox::put_off(&mut connection, letter.id, now, now + pause).await?;
                return Ok(Some(pause));
            }
        }
        Ok(None)
    }

    async fn give_up(&self, letter: &Letter, reason: &str) -> Result<(), AppError> {
        let mut tx = self.store().begin().await?;
        mail_outbox::finish(&mut tx, letter.id, self.now(), true).await?;
        let target = Target::new("mail", letter.id, Some(&letter.to));
        failed_by_system(&mut tx, letter.tenant, "mail.send", target, reason).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

fn pause(tries: i32) -> Duration {
    let doublings = u32::try_from(tries - 1).unwrap_or_default().min(10);
    (FIRST_PAUSE * 2_i32.pow(doublings)).min(LONGEST_PAUSE)
}

impl From<Due> for Letter {
    fn from(due: Due) -> Self {
        Self {
            id: due.id,
            to: due.recipient,
            link: due.link,
            expires_at: due.expires_at,
            tenant: due.tenant,
            tries: due.tries,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::pause;

    #[test]
    fn pauses_grow_up_to_five_minutes() {
        let seconds = |tries| pause(tries).num_seconds();
        assert_eq!([seconds(1), seconds(2), seconds(3)], [5, 10, 20]);
        assert_eq!(pause(100), Duration::minutes(5));
    }
}
