//! The one place where refusals are recorded: where a request leaves the app.

use updraft_model::AuditOutcome;
use updraft_store::audit_log::{self, Entry};
use updraft_store::{StoreError, people};

use super::fold::Verdict;
use super::request::{Known, Origin, under_way};
use super::{Attempt, By, Target, line};
use crate::App;

/// That a request was refused, or failed, as whoever answered it saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub outcome: AuditOutcome,
    /// A problem's word: `forbidden`. None: what a use case refused with.
    pub reason: Option<String>,
    /// What was tried, for when no use case came to say so.
    pub action: String,
    /// What it was tried on, likewise.
    pub target: Option<Target>,
}

impl App {
    /// Carries out one request, and records that it was refused if `refusal` says so of its answer. `refusal` is also
    /// told whether a use case began to change something.
    pub async fn audited<F: Future>(
        &self,
        origin: Origin,
        work: F,
        refusal: impl FnOnce(&F::Output, bool) -> Option<Refusal>,
    ) -> F::Output {
        let (output, known) = under_way(origin.clone(), work).await;
        if let Some(refusal) = refusal(&output, known.attempt.is_some()) {
            let (entry, claimed) = refused(origin, known, refusal);
            self.record_refusals(entry, claimed, 1).await;
        }
        output
    }

    /// One refusal, or as many as somebody else has counted already.
    pub(super) async fn record_refusals(&self, entry: Entry, claimed: Option<String>, times: u32) {
        let verdict = self.refusals().judge(&entry, times, self.now());
        let written = match verdict {
            Verdict::Write => self.write_refusal(entry, claimed).await,
            Verdict::Counted => Ok(()),
            Verdict::CountedUntil(until) => {
                tokio::spawn(
                    self.clone()
                        .close_fold((until - self.now()).to_std().unwrap_or_default()),
                );
                Ok(())
            }
        };
        if let Err(error) = written {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a refusal could not be written to the audit log"
            );
        }
    }

    async fn write_refusal(&self, entry: Entry, claimed: Option<String>) -> Result<(), StoreError> {
        let mut connection = self.store().connection().await?;
        let tenant = match (entry.tenant, claimed) {
            (None, Some(email)) => {
                people::tenant_of_address(&mut connection, &email.trim().to_lowercase()).await?
            }
            (tenant, _) => tenant,
        };
        audit_log::append(&mut connection, &Entry { tenant, ..entry }).await?;
        Ok(())
    }

    /// Writes what was counted when the window is over. What a process counted when it dies is lost, at most a minute
    /// of repetitions.
    async fn close_fold(self, after: std::time::Duration) {
        tokio::time::sleep(after).await;
        let counted = self.refusals().close();
        for entry in counted {
            let claimed = entry.tenant.is_none().then(|| entry.actor_name.clone());
            if let Err(error) = self.write_refusal(entry, claimed).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "counted refusals could not be written to the audit log"
                );
            }
        }
    }
}

/// The line, and the account that somebody claims who has not proven it.
fn refused(origin: Origin, known: Known, refusal: Refusal) -> (Entry, Option<String>) {
    let claimed = known.claimed.filter(|_| known.by.is_none());
    let by = known
        .by
        .unwrap_or_else(|| By::nobody(claimed.as_deref().unwrap_or_default()));
    let (action, target) = match known.attempt {
        Some(Attempt { action, target, .. }) => (action.to_owned(), target.or(refusal.target)),
        None => (refusal.action, refusal.target),
    };
    let entry = Entry {
        reason: refusal.reason.or(known.reason),
        ..line(origin, by, refusal.outcome, action, target)
    };
    (entry, claimed)
}
