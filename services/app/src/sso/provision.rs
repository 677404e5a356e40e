//! Whom a vouched identity is: by (tenant, issuer, subject), never by the address.
//!
//! An identity seen for the first time is the person whom the tenant's own directory (SCIM) knows by an id that the person
//! cannot choose (or by a name, where the tenant says that nobody can), or a new person: also where the address is that of a local account or of somebody in another tenant. Accounts of Updraft's own are
//! never joined to a provider's word.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use updraft_authz::{Actor, Credential};
use updraft_model::{ProviderConfig, ScimLink, SessionId, TenantId, TenantRole, UserId};
use updraft_sso::{SessionToken, VouchedIdentity, saml};
use updraft_store::identities::{self, IdentityName, KnownPerson, Said};
use updraft_store::identity_providers::ProviderRecord;
use updraft_store::provider_sessions::{self, ProviderSession};
use updraft_store::sessions::NewSession;
use updraft_store::{PgConnection, domains, people, ways_in};
use uuid::Uuid;

use super::SsoError;
use crate::audit::{By, Change, Target, attempt, besides};
use crate::{App, AppError};

/// Longest name and address that are kept.
const MAX_TEXT: usize = 254;

impl App {
    /// Opens a session of the provider's tenant for whoever it vouches for; its token and end.
    pub(super) async fn open_session(
        &self,
        tx: &mut PgConnection,
        provider: &ProviderRecord,
        vouched: &VouchedIdentity,
    ) -> Result<(String, DateTime<Utc>), AppError> {
        let now = self.now();
        let user = self.recognise(tx, provider, vouched).await?;
        let rules = ways_in::rules(tx, provider.tenant).await?;
        let expires_at = self.ends(provider, vouched, rules.session_seconds, now);
        let (token, session) = (SessionToken::random(), SessionId(Uuid::now_v7()));
        let row = NewSession {
            id: session,
            token_hash: token.hash(),
            tenant: provider.tenant,
            user,
            expires_at,
        };
        crate::sessions::open(tx, &row).await?;
        let by = ProviderSession {
            provider: provider.id,
            subject: &vouched.subject,
            session: vouched.provider_session.as_deref(),
            id_token: vouched.id_token.as_ref(),
        };
        provider_sessions::vouch(tx, &self.config().master_key, session, &by).await?;
        let actor = member(tx, provider.tenant, user, session).await?;
        let action = match provider.config {
            ProviderConfig::Oidc(_) => "sign_in.oidc",
            ProviderConfig::Saml(_) => "sign_in.saml",
        };
        let through = json!({"identity_provider": provider.name, "subject": vouched.subject});
        attempt(action).done(tx, &actor, Change::made(through)).await?;
        Ok((token.expose().to_owned(), expires_at))
    }

    fn ends(
        &self,
        provider: &ProviderRecord,
        vouched: &VouchedIdentity,
        tenant_seconds: Option<i32>,
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let longest = self.session_lifetime(tenant_seconds);
        let longest = match provider.config {
            ProviderConfig::Oidc(_) => longest,
            ProviderConfig::Saml(_) => longest.min(saml::LONGEST_SESSION),
        };
        let end = now + longest;
        vouched.session_until.map_or(end, |until| end.min(until))
    }

    /// How long a session lasts at most, by the tenant's own rule.
    pub(crate) fn session_lifetime(&self, tenant_seconds: Option<i32>) -> TimeDelta {
        let own = TimeDelta::from_std(self.config().session_lifetime).unwrap_or(TimeDelta::hours(12));
        tenant_seconds.map_or(own, |seconds| TimeDelta::seconds(seconds.into()))
    }

    async fn recognise(
        &self,
        tx: &mut PgConnection,
        provider: &ProviderRecord,
        vouched: &VouchedIdentity,
    ) -> Result<UserId, AppError> {
        let name = IdentityName {
            tenant: provider.tenant,
            issuer: vouched.issuer.clone(),
            subject: vouched.subject.clone(),
        };
        let known = match identities::find(tx, &name).await? {
            Some(known) => Some(known),
            None => in_directory(tx, provider, vouched).await?,
        };
        let user = match known {
            Some(KnownPerson { disabled: true, .. }) => return Err(switched_off().into()),
            Some(known) => known.user,
            None => {
                let user = add(tx, provider.tenant, vouched).await?;
                provisioned(tx, provider, user, vouched).await?;
                user
            }
        };
        let (email, called) = (address(vouched), display_name(vouched));
        identities::describe_user(tx, provider.tenant, user, &email, &called).await?;
        self.write_down(tx, provider, &name, user, vouched).await?;
        Ok(user)
    }

    /// What the provider says of the person now, for the rules on groups, domains and addresses.
    pub(super) async fn write_down(
        &self,
        tx: &mut PgConnection,
        provider: &ProviderRecord,
        name: &IdentityName,
        user: UserId,
        vouched: &VouchedIdentity,
    ) -> Result<(), AppError> {
        let said = Said {
            provider: provider.id,
            groups: &vouched.groups,
            email_verified: vouched.email.is_some() && vouched.email_verified,
            hosted_domain: vouched.hosted_domain.as_deref(),
            refresh_token: vouched.refresh_token.as_ref(),
            refresh_at: vouched
                .refresh_token
                .as_ref()
                .map(|_| self.now() + self.refresh_interval()),
        };
        let before = identities::groups(tx, name).await?.unwrap_or_default();
        identities::put(tx, &self.config().master_key, name, user, &said).await?;
        if before != vouched.groups {
            let groups = |groups: &[String]| json!({"groups": groups});
            besides("person.groups")
                .on(Target::person(user, &address(vouched)))
                .done(
                    tx,
                    by(provider),
                    Change::between(groups(&before), groups(&vouched.groups)),
                )
                .await?;
        }
        Ok(())
    }
}

fn by(provider: &ProviderRecord) -> By {
    By::provider(provider.tenant, provider.id, &provider.name)
}

/// A person came with their first sign-in.
async fn provisioned(
    tx: &mut PgConnection,
    provider: &ProviderRecord,
    user: UserId,
    vouched: &VouchedIdentity,
) -> Result<(), AppError> {
    let email = address(vouched);
    let made = json!({
        "email": email,
        "name": display_name(vouched),
        "issuer": vouched.issuer,
        "subject": vouched.subject,
    });
    besides("person.provision")
        .on(Target::person(user, &email))
        .done(tx, by(provider), Change::made(made))
        .await
}

/// Who has just signed in.
async fn member(
    tx: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    session: SessionId,
) -> Result<Actor, AppError> {
    let member = people::find_member(tx, tenant, user).await?;
    let member = member.ok_or(AppError::NotSignedIn)?;
    Ok(Actor {
        user,
        tenant,
        tenant_role: member.tenant_role,
        credential: Credential::Session(session),
        is_service: false,
        email: member.email,
        name: member.name,
    })
}

/// The directory's person of that id or name, as the provider is set up to be believed, or of that address where the
/// tenant has proven the domain and the provider the address.
async fn in_directory(
    tx: &mut PgConnection,
    provider: &ProviderRecord,
    vouched: &VouchedIdentity,
) -> Result<Option<KnownPerson>, AppError> {
    let tenant = provider.tenant;
    let found = match (link(&provider.config), &vouched.user_name) {
        (ScimLink::UserName, Some(user_name)) => {
            identities::find_in_directory(tx, tenant, &vouched.issuer, user_name).await?
        }
        (ScimLink::ExternalId, _) => {
            identities::find_by_external_id(tx, tenant, &vouched.issuer, &vouched.directory_id).await?
        }
        (ScimLink::Nothing, _) | (ScimLink::UserName, None) => None,
    };
    if found.is_some() {
        return Ok(found);
    }
    let Some(email) = vouched.email.as_deref().filter(|_| vouched.email_verified) else {
        return Ok(None);
    };
    let Some((_, domain)) = email.rsplit_once('@') else {
        return Ok(None);
    };
    let proven = domains::find(tx, tenant, &domain.to_lowercase())
        .await?
        .is_some_and(|domain| domain.verified_at.is_some());
    if !proven {
        return Ok(None);
    }
    Ok(identities::find_in_directory(tx, tenant, &vouched.issuer, email).await?)
}

/// A SAML provider's NameID is the identity itself: whoever could choose it could be anybody anyway.
fn link(config: &ProviderConfig) -> ScimLink {
    match config {
        ProviderConfig::Oidc(oidc) => oidc.scim_link(),
        ProviderConfig::Saml(_) => ScimLink::UserName,
    }
}

async fn add(tx: &mut PgConnection, tenant: TenantId, vouched: &VouchedIdentity) -> Result<UserId, AppError> {
    let user = UserId(Uuid::now_v7());
    identities::insert_directory_user(tx, user, &address(vouched), &display_name(vouched)).await?;
    people::insert_membership(tx, tenant, user, TenantRole::Member).await?;
    Ok(user)
}

/// What is shown as the person's address: only shown, for it may be anything.
fn address(vouched: &VouchedIdentity) -> String {
    let said = vouched.email.as_deref().or(vouched.user_name.as_deref());
    plain(said.unwrap_or(&vouched.subject)).to_lowercase()
}

fn display_name(vouched: &VouchedIdentity) -> String {
    let said = vouched.name.as_deref().map(plain).filter(|name| !name.is_empty());
    said.unwrap_or_else(|| address(vouched))
}

fn plain(text: &str) -> String {
    let printable = text.trim().chars().filter(|c| !c.is_control());
    printable.take(MAX_TEXT).collect()
}

fn switched_off() -> SsoError {
    SsoError::refused(
        "sign_in.member_disabled",
        "your access to this organisation was switched off",
    )
}
