//! Sends the mail that waits in the database: links to set a forgotten password.
//!
//! Request, link and mail are in the database before anything is sent, so control may die at any moment, and any number
//! of control processes share the work. A mail server that is away stops nothing: mail waits for it as long as its link
//! is good, `GET /health` says `failing`, the log says why, and what was given up is in the audit log.

mod letter;
mod smtp;

use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use updraft_app::{App, AppError, Letter, Undelivered};

pub use smtp::{MailFrom, MailSettingsError, Smtp, SmtpUrl};

/// How often it is looked for what another process wrote down, and what is to be tried again.
const EVERY: Duration = Duration::from_secs(2);

/// Takes mail, or says why not.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// # Errors
    /// When it did not take the letter, or when that is not known.
    async fn send(&self, letter: &Letter) -> Result<(), MailError>;
}

#[derive(Debug, Error)]
pub enum MailError {
    #[error("the mail could not be written")]
    Unwritable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the mail server refused the mail")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the mail server could not be reached, or takes no mail from us now")]
    Away(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the mail server took longer than {} s", .0.as_secs())]
    Slow(Duration),
}

/// Does it, over and over.
pub struct Post<M> {
    app: App,
    mailer: M,
}

// === impl MailError ===

impl MailError {
    fn undelivered(&self) -> Undelivered {
        match self {
            Self::Unwritable(_) | Self::Refused(_) => Undelivered::Refused,
            Self::Away(_) | Self::Slow(_) => Undelivered::ForNow,
        }
    }
}

// === impl Post ===

impl<M: Mailer> Post<M> {
    #[must_use]
    pub fn new(app: App, mailer: M) -> Self {
        Self { app, mailer }
    }

    pub async fn run(self, shutdown: CancellationToken) {
        let forever = async {
            loop {
                if let Err(error) = self.round().await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "mail could not be looked after");
                }
                let _rung_or_time = tokio::time::timeout(EVERY, self.app.mail_bell().notified()).await;
            }
        };
        shutdown.run_until_cancelled(forever).await;
    }

    /// Answers what was asked and sends what is due; says how much was sent.
    ///
    /// # Errors
    /// When the database is away: nothing is lost, and the next round goes on from there.
    pub async fn round(&self) -> Result<usize, AppError> {
        self.app.answer_forgotten().await?;
        let mut sent = 0;
        while let Some(letter) = self.app.next_letter().await? {
            match self.mailer.send(&letter).await {
                Ok(()) => {
                    self.app.letter_sent(&letter).await?;
                    sent += 1;
                }
                Err(error) => self.failed(&letter, &error).await?,
            }
        }
        Ok(sent)
    }

    async fn failed(&self, letter: &Letter, error: &MailError) -> Result<(), AppError> {
        let pause = self.app.letter_failed(letter, error.undelivered()).await?;
        let next_try_ms = pause.map(|pause| pause.num_milliseconds());
        tracing::warn!(
            mail.id = %letter.id,
            error = error as &dyn std::error::Error,
            next_try_ms,
            "a mail was not sent"
        );
        Ok(())
    }
}
