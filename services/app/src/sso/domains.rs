//! Domains of people's addresses, proven by a DNS record.

use chrono::TimeDelta;
use serde_json::json;
use updraft_api::sign_in::{DomainView, Domains, NewDomain, UpdateDomain};
use updraft_authz::{Actor, TenantAction};
use updraft_model::{ProviderId, TenantId};
use updraft_sso::random_code;
use updraft_store::domains::{self, DomainRecord};
use updraft_store::{PgConnection, StoreError};

use super::{SsoError, TxtAnswer, providers};
use crate::audit::{By, Change, Target, attempt, besides};
use crate::error::{AppError, Resource};
use crate::{App, access};

const MAX_DOMAINS: usize = 100;
/// How old a proof may get before the record is looked at again …
const LOOK_AGAIN_AFTER: TimeDelta = TimeDelta::hours(24);
/// … and how long it holds while the record is gone.
const GRACE: TimeDelta = TimeDelta::days(3);

impl App {
    /// # Errors
    /// [`AppError::Forbidden`].
    pub async fn list_domains(&self, actor: &Actor) -> Result<Domains, AppError> {
        access::tenant(actor, TenantAction::ManagePeople)?;
        let mut connection = self.store().connection().await?;
        let records = domains::list(&mut connection, actor.tenant).await?;
        Ok(Domains {
            items: records.into_iter().map(view).collect(),
        })
    }

    /// Claims a domain; nothing follows until its record was seen.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::Invalid`]; [`AppError::NotFound`] for an unknown provider;
    /// [`SsoError::DomainClaimed`].
    pub async fn add_domain(&self, actor: &Actor, new: NewDomain) -> Result<DomainView, AppError> {
        let attempt = attempt("domain.add");
        access::tenant(actor, TenantAction::ManagePeople)?;
        let domain = checked_domain(&new.domain)?;
        let mut tx = self.store().begin().await?;
        if domains::list(&mut tx, actor.tenant).await?.len() >= MAX_DOMAINS {
            return Err(AppError::invalid(
                "domain",
                "an organisation has at most 100 domains",
            ));
        }
        check_provider(&mut tx, actor.tenant, new.provider).await?;
        let challenge = format!("updraft-domain={}", random_code());
        domains::insert(&mut tx, actor.tenant, &domain, &challenge, new.provider)
            .await
            .map_err(|error| match error {
                StoreError::Conflict { .. } => SsoError::DomainClaimed {
                    domain: domain.clone(),
                }
                .into(),
                other => AppError::Store(other),
            })?;
        let record = find(&mut tx, actor.tenant, &domain).await?;
        attempt
            .on(Target::new("domain", &record.domain, None))
            .done(&mut tx, actor, Change::none())
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(view(record))
    }

    /// Sends a domain's people elsewhere to sign in.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NotFound`].
    pub async fn update_domain(
        &self,
        actor: &Actor,
        domain: &str,
        update: UpdateDomain,
    ) -> Result<DomainView, AppError> {
        let attempt = attempt("domain.update");
        access::tenant(actor, TenantAction::ManagePeople)?;
        let mut tx = self.store().begin().await?;
        let before = find(&mut tx, actor.tenant, domain).await?;
        check_provider(&mut tx, actor.tenant, update.provider).await?;
        domains::set_provider(&mut tx, actor.tenant, &before.domain, update.provider).await?;
        let record = find(&mut tx, actor.tenant, domain).await?;
        attempt
            .on(Target::new("domain", &record.domain, None))
            .done(
                &mut tx,
                actor,
                Change::between(
                    json!({"provider": before.provider}),
                    json!({"provider": record.provider}),
                ),
            )
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(view(record))
    }

    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NotFound`].
    pub async fn remove_domain(&self, actor: &Actor, domain: &str) -> Result<(), AppError> {
        let attempt = attempt("domain.remove");
        access::tenant(actor, TenantAction::ManagePeople)?;
        let mut tx = self.store().begin().await?;
        let record = find(&mut tx, actor.tenant, domain).await?;
        domains::delete(&mut tx, actor.tenant, &record.domain).await?;
        attempt
            .on(Target::new("domain", &record.domain, None))
            .done(&mut tx, actor, Change::none())
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Looks at the record now.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NotFound`]; [`SsoError::DomainNotProven`], [`SsoError::DomainTaken`].
    pub async fn check_domain(&self, actor: &Actor, domain: &str) -> Result<DomainView, AppError> {
        let attempt = attempt("domain.prove");
        access::tenant(actor, TenantAction::ManagePeople)?;
        let record = {
            let mut connection = self.store().connection().await?;
            find(&mut connection, actor.tenant, domain).await?
        };
        let name = record_name(&record.domain);
        let said = self.config().dns.look_up(&name).await;
        if let Some(why) = unproven(&said, &name, &record.challenge) {
            return Err(SsoError::DomainNotProven { why }.into());
        }
        let mut tx = self.store().begin().await?;
        domains::set_verified(&mut tx, actor.tenant, &record.domain, Some(self.now()))
            .await
            .map_err(|error| match error.is_conflict_on("domains_verified") {
                true => AppError::from(SsoError::DomainTaken {
                    domain: record.domain.clone(),
                }),
                false => AppError::Store(error),
            })?;
        let record = find(&mut tx, actor.tenant, domain).await?;
        attempt
            .on(Target::new("domain", &record.domain, None))
            .done(&mut tx, actor, Change::none())
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(view(record))
    }

    /// Looks again at proofs that have got old. For a background task.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn recheck_domains(&self) -> Result<(), AppError> {
        let now = self.now();
        let old = {
            let mut connection = self.store().connection().await?;
            domains::seen_before(&mut connection, now - LOOK_AGAIN_AFTER, 50).await?
        };
        for record in old {
            let name = record_name(&record.domain);
            let said = self.config().dns.look_up(&name).await;
            let lapsed = record.verified_at.is_none_or(|seen| seen < now - GRACE);
            let seen_at = match (unproven(&said, &name, &record.challenge), said) {
                (None, _) => Some(now),
                (Some(_), TxtAnswer::Records(_)) if lapsed => None,
                (Some(_), TxtAnswer::Records(_) | TxtAnswer::Unknown) => continue,
            };
            let mut tx = self.store().begin().await?;
            domains::set_verified(&mut tx, record.tenant, &record.domain, seen_at).await?;
            if seen_at.is_some() != record.verified_at.is_some() {
                let change = Change::made(json!({"proven": seen_at.is_some()}));
                besides("domain.recheck")
                    .on(Target::new("domain", &record.domain, None))
                    .done(&mut tx, By::system(Some(record.tenant)), change)
                    .await?;
            }
            tx.commit().await.map_err(StoreError::from)?;
        }
        Ok(())
    }
}

/// Where the record has to be.
fn record_name(domain: &str) -> String {
    format!("_updraft-challenge.{domain}")
}

/// Why what DNS said is no proof.
fn unproven(said: &TxtAnswer, name: &str, challenge: &str) -> Option<String> {
    match said {
        TxtAnswer::Unknown => Some(format!("DNS gave no answer for {name}: try again in a minute")),
        TxtAnswer::Records(records) if records.is_empty() => Some(format!(
            "there is no TXT record at {name}: add it and check again; DNS can take some minutes"
        )),
        TxtAnswer::Records(records) if records.iter().any(|record| record.trim() == challenge) => None,
        TxtAnswer::Records(_) => Some(format!(
            "the TXT record at {name} says something else: it has to say exactly {challenge}"
        )),
    }
}

async fn check_provider(
    tx: &mut PgConnection,
    tenant: TenantId,
    provider: Option<ProviderId>,
) -> Result<(), AppError> {
    if let Some(provider) = provider {
        providers::find(tx, tenant, provider).await?;
    }
    Ok(())
}

async fn find(
    connection: &mut PgConnection,
    tenant: TenantId,
    domain: &str,
) -> Result<DomainRecord, AppError> {
    let found = domains::find(connection, tenant, &domain.to_lowercase()).await?;
    found.ok_or(AppError::NotFound(Resource::Domain))
}

fn view(record: DomainRecord) -> DomainView {
    DomainView {
        record_name: record_name(&record.domain),
        record_value: record.challenge,
        domain: record.domain,
        provider: record.provider,
        verified_at: record.verified_at,
        created_at: record.created_at,
    }
}

/// In lower case, as DNS has it (internationalised names in their `xn--` form).
fn checked_domain(text: &str) -> Result<String, AppError> {
    let domain = text.trim().trim_end_matches('.').to_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let labels: Vec<_> = domain.split('.').collect();
    let named = labels
        .last()
        .is_some_and(|last| last.chars().any(|c| c.is_ascii_alphabetic()));
    if labels.len() >= 2 && domain.len() <= 230 && labels.iter().all(|part| label(part)) && named {
        Ok(domain)
    } else {
        Err(AppError::invalid("domain", "write it like example.com"))
    }
}

#[cfg(test)]
mod tests {
    use super::{TxtAnswer, checked_domain, unproven};

    #[test]
    fn domains_are_names_as_dns_has_them() {
        assert_eq!(checked_domain(" Example.COM. ").unwrap(), "example.com");
        for bad in [
            "",
            "localhost",
            "exa mple.com",
            "-a.com",
            "a..com",
            "*.com",
            "10.0.0.1",
            "a@b.com",
            "é.com",
        ] {
            assert!(checked_domain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_challenge_itself_proves_a_domain() {
        let said = |texts: &[&str]| TxtAnswer::Records(texts.iter().map(|text| (*text).to_owned()).collect());
        let why = |answer| unproven(&answer, "_updraft-challenge.example.com", "updraft-domain=abc");
        assert_eq!(why(said(&["v=spf1", "updraft-domain=abc"])), None);
        for bad in [
            said(&[]),
            said(&["updraft-domain=abcd", "xupdraft-domain=abc"]),
            TxtAnswer::Unknown,
        ] {
            assert!(why(bad).is_some());
        }
    }
}
