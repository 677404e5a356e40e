//! A forgotten password: asked for by anybody for any address, answered alike whoever has it, and looked up afterwards.
//!
//! What is asked is only written down, in the same way for every address, so that neither answer nor time tells who has
//! an account. In the background the account is looked up, and its link and the mail that carries it are written in one
//! transaction. A link goes to the address that the account has, never to what was typed, and only where there is a
//! password to set: whoever comes through an identity provider, or from a directory, gets no mail.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration as StdDuration;

use chrono::Duration;
use secrecy::SecretString;
use updraft_api::passwords::ForgottenPassword;
use updraft_model::AuditOutcome;
use updraft_sso::{SignInQuota, random_code, sha256};
use updraft_store::mail_outbox::{self, Addressed, Asked};
use updraft_store::password_links::{self, LinkHolder, NewLink, Way};
use updraft_store::{StoreError, Tx};
use uuid::Uuid;

use crate::audit::{By, Change, Origin, Refusal, Target, attempt, origin};
use crate::people::checked_email;
use crate::{App, AppError};

/// How long a mailed link is good, and its mail is tried to be sent.
const LIFETIME: Duration = Duration::hours(1);
/// Links mailed to one person within that time, whoever asks for them from wherever.
const MOST_LINKS: i64 = 3;

/// What came of a request.
enum Answered {
    Mailed,
    /// A stable word.
    Refused(&'static str),
}

/// How often it may be asked: for an address three times and then each 20 minutes; by a client 20 times and then each
/// half minute.
pub(crate) fn quota() -> SignInQuota {
    SignInQuota {
        account_burst: NonZeroU32::MIN.saturating_add(2),
        account_refill: StdDuration::from_secs(20 * 60),
        address_burst: NonZeroU32::MIN.saturating_add(19),
        address_refill: StdDuration::from_secs(30),
    }
}

impl App {
    /// Whether this installation was told of a mail server.
    #[must_use]
    pub fn sends_mail(&self) -> bool {
        self.config().sends_mail
    }

    /// Asks for a mail with a link that sets a new password. The answer is the same whether or not there is such an
    /// account.
    ///
    /// # Errors
    /// [`AppError::NoMail`]; [`AppError::Invalid`] on `email`; [`AppError::TooManyTries`].
    pub async fn forgot_password(&self, forgotten: ForgottenPassword, from: IpAddr) -> Result<(), AppError> {
        let _recorded_when_answered = attempt("password_link.request").claimed_by(&forgotten.email);
        if !self.sends_mail() {
            return Err(AppError::NoMail);
        }
        let recipient = checked_email(&forgotten.email)?;
        self.forgotten_limits()
            .check(&recipient, from)
            .map_err(|retry_after| AppError::TooManyTries { retry_after })?;
        let origin = origin();
        let asked = Asked {
            id: Uuid::now_v7(),
            recipient,
            address: origin.address,
            user_agent: origin.user_agent,
            request_id: origin.request_id,
        };
        let mut connection = self.store().connection().await?;
        mail_outbox::insert(&mut connection, &asked).await?;
        self.mail_bell().notify_one();
        Ok(())
    }

    /// Looks up who asked, and writes their mails. For a background task; says how many requests there were.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn answer_forgotten(&self) -> Result<usize, AppError> {
        let mut answered = 0;
        while self.answer_next().await? {
            answered += 1;
        }
        Ok(answered)
    }

    async fn answer_next(&self) -> Result<bool, AppError> {
        let mut tx = self.store().begin().await?;
        let Some(asked) = mail_outbox::lock_asked(&mut tx).await? else {
            return Ok(false);
        };
        let origin = Origin {
            address: asked.address,
            user_agent: asked.user_agent.clone(),
            request_id: asked.request_id.clone(),
        };
        self.audited(origin, self.answer(tx, asked), |outcome, _| refusal(outcome))
            .await?;
        Ok(true)
    }

    /// Link and mail, or neither.
    async fn answer(&self, mut tx: Tx, asked: Asked) -> Result<Answered, AppError> {
        let attempt = attempt("password_link.request").claimed_by(&asked.recipient);
        let holder = password_links::lock_for_mail(&mut tx, &asked.recipient).await?;
        let answered = match holder {
            None => Answered::Refused("no-password"),
            Some(holder) if self.has_enough(&mut tx, &holder).await? => Answered::Refused("too-many-mails"),
            Some(holder) => {
                self.mail_link(&mut tx, asked.id, &holder).await?;
                let by = By::claimed(holder.tenant, &holder.email);
                let attempt = attempt.on(Target::person(holder.user, &holder.email));
                attempt.done(&mut tx, by, Change::none()).await?;
                Answered::Mailed
            }
        };
        if let Answered::Refused(_) = answered {
            mail_outbox::delete(&mut tx, asked.id).await?;
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(answered)
    }

    async fn has_enough(&self, tx: &mut Tx, holder: &LinkHolder) -> Result<bool, AppError> {
        Ok(password_links::count_mailed(tx, holder.user, self.now()).await? >= MOST_LINKS)
    }

    async fn mail_link(&self, tx: &mut Tx, id: Uuid, holder: &LinkHolder) -> Result<(), AppError> {
        let code = random_code();
        let (hash, expires_at) = (sha256(code.as_bytes()), self.now() + LIFETIME);
        let link = NewLink {
            hash,
            user: holder.user,
            way: Way::Mail,
            expires_at,
        };
        password_links::insert(tx, &link).await?;
        let addressed = Addressed {
            tenant: holder.tenant,
            recipient: &holder.email,
            link_hash: hash,
            link: &SecretString::from(self.password_page(&code)),
            expires_at,
        };
        let key = &self.config().master_key;
        Ok(mail_outbox::set_addressed(tx, key, id, &addressed).await?)
    }
}

/// The tenant of the account, if there is one, is shown who asked in vain.
fn refusal(outcome: &Result<Answered, AppError>) -> Option<Refusal> {
    match outcome {
        Ok(Answered::Refused(reason)) => Some(Refusal {
            outcome: AuditOutcome::Refused,
            reason: Some((*reason).to_owned()),
            action: "password_link.request".to_owned(),
            target: None,
        }),
        Ok(Answered::Mailed) | Err(_) => None,
    }
}
