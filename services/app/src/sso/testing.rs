//! "Test this connection", and what depends on it: only what passed its test signs people in.

use secrecy::SecretString;
use serde_json::{Value, json};
use updraft_api::sign_in::{IdentityProviderView, ProviderCheck, ProviderCheckOutcome, ProviderTest};
use updraft_authz::{Actor, TenantAction};
use updraft_model::{ProviderConfig, ProviderId};
use updraft_sso::{Check, CheckOutcome, Refusal, VouchedIdentity};
use updraft_store::identity_providers::{self, ProviderRecord};
use updraft_store::{PgConnection, StoreError, provider_sessions, ways_in};

use super::providers::{find, target};
use super::{SsoError, lockout};
use crate::audit::{Change, attempt};
use crate::{App, AppError, access};

/// More groups than these are counted, not named.
const NAMED_GROUPS: usize = 20;

impl App {
    /// Looks at everything that can be known without a person signing in.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NotFound`].
    pub async fn test_identity_provider(
        &self,
        actor: &Actor,
        provider: ProviderId,
    ) -> Result<IdentityProviderView, AppError> {
        let attempt = attempt("identity_provider.test");
        access::tenant(actor, TenantAction::ManagePeople)?;
        let ready = {
            let mut connection = self.store().connection().await?;
            let record = find(&mut connection, actor.tenant, provider).await?;
            self.ready(&mut connection, record).await?
        };
        let checks = self.check_with(&ready.record, &ready.speaks, self.now()).await?;
        let why: Vec<_> = checks.iter().filter_map(|check| check.why).collect();
        let test = self.test_of(ready.record.version, checks, false);
        let mut tx = self.store().begin().await?;
        keep_test(&mut tx, &ready.record, &test).await?;
        let mut found = json!({"passed": test.passed, "version": test.version});
        if !why.is_empty() {
            found["why"] = json!(why);
        }
        let change = Change::made(found);
        attempt
            .on(target(&ready.record))
            .done(&mut tx, actor, change)
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.show_identity_provider(actor, provider).await
    }

    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NotFound`]; [`SsoError::NotTested`].
    pub async fn enable_identity_provider(
        &self,
        actor: &Actor,
        provider: ProviderId,
    ) -> Result<IdentityProviderView, AppError> {
        let attempt = attempt("identity_provider.enable");
        access::tenant(actor, TenantAction::ManagePeople)?;
        let mut tx = self.store().begin().await?;
        ways_in::lock(&mut tx, actor.tenant).await?;
        let record = find(&mut tx, actor.tenant, provider).await?;
        let (version, target) = (record.version, target(&record));
        let view = self.provider_view(record);
        let passed = view
            .last_test
            .as_ref()
            .is_some_and(|test| test.passed && test.version == version);
        if !passed {
            return Err(SsoError::NotTested.into());
        }
        identity_providers::set_enabled(&mut tx, actor.tenant, provider, true).await?;
        attempt.on(target).done(&mut tx, actor, Change::none()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.show_identity_provider(actor, provider).await
    }

    /// Whoever is signed in through it is signed out.
    ///
    /// # Errors
    /// [`AppError::Forbidden`], [`AppError::NotFound`]; [`SsoError::LastWayIn`].
    pub async fn disable_identity_provider(
        &self,
        actor: &Actor,
        provider: ProviderId,
    ) -> Result<IdentityProviderView, AppError> {
        let attempt = attempt("identity_provider.disable");
        access::tenant(actor, TenantAction::ManagePeople)?;
        let mut tx = self.store().begin().await?;
        let ways = ways_in::lock(&mut tx, actor.tenant).await?;
        find(&mut tx, actor.tenant, provider).await?;
        lockout::may_lose(&ways, provider, "Disabling it")?;
        identity_providers::set_enabled(&mut tx, actor.tenant, provider, false).await?;
        provider_sessions::revoke_all_through(&mut tx, actor.tenant, provider, self.now()).await?;
        let record = find(&mut tx, actor.tenant, provider).await?;
        attempt
            .on(target(&record))
            .done(&mut tx, actor, Change::none())
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(self.provider_view(record))
    }

    /// An enabled provider is never changed into one that does not work.
    pub(super) async fn test_before_change(
        &self,
        before: &ProviderRecord,
        config: &ProviderConfig,
        secret: Option<&SecretString>,
    ) -> Result<Value, AppError> {
        let secret = match secret {
            Some(secret) => Some(secret.clone()),
            None => {
                let mut connection = self.store().connection().await?;
                let key = &self.config().master_key;
                identity_providers::secret(&mut connection, key, before.tenant, before.id).await?
            }
        };
        let speaks = self.speaks(before, config.clone(), secret)?;
        let checks = self.check_with(before, &speaks, self.now()).await?;
        let test = self.test_of(before.version + 1, checks, false);
        match test
            .checks
            .iter()
            .find(|check| check.outcome == ProviderCheckOutcome::Bad)
        {
            Some(bad) => Err(SsoError::TestFailed {
                why: bad.text.clone(),
            }
            .into()),
            None => written(&test),
        }
    }

    /// What a test sign-in showed, in the protocol's words or ours.
    pub(super) async fn record_explained(
        &self,
        record: &ProviderRecord,
        checks: Vec<Check>,
        identity: &Result<VouchedIdentity, Refusal>,
    ) -> Result<(), AppError> {
        let checks = if checks.is_empty() { said(identity) } else { checks };
        let test = self.test_of(record.version, checks, identity.is_ok());
        let mut connection = self.store().connection().await?;
        keep_test(&mut connection, record, &test).await
    }

    fn test_of(&self, version: i64, checks: Vec<Check>, signed_in: bool) -> ProviderTest {
        let passed = !checks.is_empty() && checks.iter().all(|check| check.outcome != CheckOutcome::Bad);
        ProviderTest {
            version,
            at: self.now(),
            passed,
            checks: checks.into_iter().map(shown).collect(),
            signed_in,
        }
    }
}

/// Who came, and what rules could go by.
fn said(identity: &Result<VouchedIdentity, Refusal>) -> Vec<Check> {
    let vouched = match identity {
        Ok(vouched) => vouched,
        Err(refusal) => return vec![Check::refused("sign_in", refusal.clone())],
    };
    let who = vouched.email.as_deref().or(vouched.user_name.as_deref());
    let who = who.unwrap_or(&vouched.subject);
    let signed_in = format!("The provider vouched for {who} (subject {}).", vouched.subject);
    let groups = match vouched.groups.len() {
        0 => Check::warning(
            "groups",
            "No groups came: rules on groups will find nobody. Name the claim, or give the client the scope for it.",
        ),
        count => {
            let named: Vec<_> = vouched
                .groups
                .iter()
                .take(NAMED_GROUPS)
                .map(String::as_str)
                .collect();
            let text = format!("{count} groups: {}.", named.join(", "));
            Check::good("groups", text)
        }
    };
    vec![Check::good("sign_in", signed_in), groups]
}

fn shown(check: Check) -> ProviderCheck {
    ProviderCheck {
        name: check.name.to_owned(),
        outcome: match check.outcome {
            CheckOutcome::Good => ProviderCheckOutcome::Good,
            CheckOutcome::Warning => ProviderCheckOutcome::Warning,
            CheckOutcome::Bad => ProviderCheckOutcome::Bad,
        },
        text: check.text,
    }
}

async fn keep_test(
    connection: &mut PgConnection,
    record: &ProviderRecord,
    test: &ProviderTest,
) -> Result<(), AppError> {
    let (tenant, id) = (record.tenant, record.id);
    identity_providers::record_test(connection, tenant, id, record.version, &written(test)?).await?;
    Ok(())
}

fn written(test: &ProviderTest) -> Result<Value, AppError> {
    serde_json::to_value(test).map_err(|_| AppError::Internal {
        what: "writing a test down",
    })
}
