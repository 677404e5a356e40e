//! Who someone is to a tenant's identity provider: (tenant, issuer, subject), never the address.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;
use updraft_model::{ProviderId, TenantId, UserId};

use crate::StoreError;
use crate::secrets::{MasterKey, SecretError};

/// The name of an identity; nothing else is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityName {
    pub tenant: TenantId,
    /// OIDC issuer or SAML entity id.
    pub issuer: String,
    pub subject: String,
}

/// A person found by who they are elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPerson {
    pub user: UserId,
    /// Switched off by a directory or an owner.
    pub disabled: bool,
}

/// What the provider says of the person now.
#[derive(Clone, Debug)]
pub struct Said<'a> {
    pub provider: ProviderId,
    pub groups: &'a [String],
    pub email_verified: bool,
    pub hosted_domain: Option<&'a str>,
    pub refresh_token: Option<&'a SecretString>,
    /// When to ask again; nothing without a refresh token.
    pub refresh_at: Option<DateTime<Utc>>,
}

/// An identity to ask its provider about.
#[derive(Debug)]
pub struct DueIdentity {
    pub name: IdentityName,
    pub provider: ProviderId,
    pub refresh_token: SecretString,
}

/// # Errors
/// When the database cannot be asked.
pub async fn find(
    connection: &mut PgConnection,
    name: &IdentityName,
) -> Result<Option<KnownPerson>, StoreError> {
    let row = sqlx::query!(
        r#"select i.user_id, m.disabled_at is not null as "disabled!"
         from identities i join memberships m on m.tenant_id = i.tenant_id and m.user_id = i.user_id
         where i.tenant_id = $1 and i.issuer = $2 and i.subject = $3"#,
        name.tenant.0,
        name.issuer,
        name.subject,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| KnownPerson {
        user: UserId(row.user_id),
        disabled: row.disabled,
    }))
}

/// The person whom the tenant's directory (SCIM) calls so, unless this issuer knows them under another subject already:
/// who takes over somebody's name does not take over the person.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find_in_directory(
    connection: &mut PgConnection,
    tenant: TenantId,
    issuer: &str,
    user_name: &str,
) -> Result<Option<KnownPerson>, StoreError> {
    let row = sqlx::query!(
        r#"select s.user_id, m.disabled_at is not null as "disabled!"
         from scim_users s join memberships m on m.tenant_id = s.tenant_id and m.user_id = s.user_id
         where s.tenant_id = $1 and lower(s.user_name) = lower($2)
           and not exists (select from identities i
             where i.tenant_id = s.tenant_id and i.user_id = s.user_id and i.issuer = $3)"#,
        tenant.0,
        user_name,
        issuer,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| KnownPerson {
        user: UserId(row.user_id),
        disabled: row.disabled,
    }))
}

/// The same by what the directory calls the person for ever. Nobody where it calls several so.
///
/// # Errors
/// When the database cannot be asked.
pub async fn find_by_external_id(
    connection: &mut PgConnection,
    tenant: TenantId,
    issuer: &str,
    external_id: &str,
) -> Result<Option<KnownPerson>, StoreError> {
    let rows = sqlx::query!(
        r#"select s.user_id, m.disabled_at is not null as "disabled!"
         from scim_users s join memberships m on m.tenant_id = s.tenant_id and m.user_id = s.user_id
         where s.tenant_id = $1 and s.external_id = $2
           and not exists (select from identities i
             where i.tenant_id = s.tenant_id and i.user_id = s.user_id and i.issuer = $3)
         limit 2"#,
        tenant.0,
        external_id,
        issuer,
    )
    .fetch_all(connection)
    .await?;
    Ok(match &rows[..] {
        [row] => Some(KnownPerson {
            user: UserId(row.user_id),
            disabled: row.disabled,
        }),
        _ => None,
    })
}

/// A person who exists in one tenant, because its provider says so.
///
/// # Errors
/// When the database cannot be asked.
pub async fn insert_directory_user(
    connection: &mut PgConnection,
    user: UserId,
    email: &str,
    name: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into users (id, email, name, origin) values ($1, $2, $3, 'directory')",
        user.0,
        email,
        name,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Address and name as the provider has them now, unless they are not its to say: a local account's are its own, and
/// what a directory (SCIM) keeps is the directory's.
///
/// # Errors
/// When the database cannot be asked.
pub async fn describe_user(
    connection: &mut PgConnection,
    tenant: TenantId,
    user: UserId,
    email: &str,
    name: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update users u set email = $3, name = $4
         where u.id = $2 and u.origin = 'directory' and (u.email, u.name) is distinct from ($3, $4)
           and exists (select from memberships m where m.tenant_id = $1 and m.user_id = u.id)
           and not exists (select from scim_users s where s.tenant_id = $1 and s.user_id = u.id)",
        tenant.0,
        user.0,
        email,
        name,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The groups the provider last said that the person is in; none when it has said nothing yet.
///
/// # Errors
/// When the database cannot be asked.
pub async fn groups(
    connection: &mut PgConnection,
    name: &IdentityName,
) -> Result<Option<Vec<String>>, StoreError> {
    let groups = sqlx::query_scalar!(
        "select groups from identities where tenant_id = $1 and issuer = $2 and subject = $3",
        name.tenant.0,
        name.issuer,
        name.subject,
    )
    .fetch_optional(connection)
    .await?;
    Ok(groups)
}

/// Writes what the provider says. An identity that is there keeps its person.
///
/// # Errors
/// When the database cannot be asked.
pub async fn put(
    connection: &mut PgConnection,
    key: &MasterKey,
    name: &IdentityName,
    user: UserId,
    said: &Said<'_>,
) -> Result<(), SecretError> {
    let refresh = said
        .refresh_token
        .map(|token| key.seal(&context(name), "refresh token", token))
        .transpose()?;
    sqlx::query!(
        "insert into identities (tenant_id, issuer, subject, provider_id, user_id, groups, email_verified, hosted_domain,
           refresh_ciphertext, refresh_due_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (tenant_id, issuer, subject) do update set
           provider_id = excluded.provider_id, groups = excluded.groups, email_verified = excluded.email_verified,
           hosted_domain = excluded.hosted_domain, seen_at = now(),
           refresh_ciphertext = coalesce(excluded.refresh_ciphertext, identities.refresh_ciphertext),
           refresh_due_at = coalesce(excluded.refresh_due_at, identities.refresh_due_at)",
        name.tenant.0,
        name.issuer,
        name.subject,
        said.provider.0,
        user.0,
        said.groups,
        said.email_verified,
        said.hosted_domain,
        refresh,
        said.refresh_at,
    )
    .execute(connection)
    .await
    .map_err(StoreError::from)?;
    Ok(())
}

/// Takes identities with a live session whose time to be asked about has come, and moves that time to `again_at`: of
/// several control processes one gets each. What no longer opens is left out.
///
/// # Errors
/// When the database cannot be asked.
pub async fn take_due(
    connection: &mut PgConnection,
    key: &MasterKey,
    now: DateTime<Utc>,
    again_at: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<DueIdentity>, StoreError> {
    let rows = sqlx::query!(
        r#"update identities i set refresh_due_at = $2
         from (select d.tenant_id, d.issuer, d.subject from identities d
               join identity_providers p on p.id = d.provider_id and p.enabled
               where d.refresh_due_at <= $1 and d.refresh_ciphertext is not null
                 and exists (select from sessions s where s.tenant_id = d.tenant_id and s.user_id = d.user_id
                   and s.provider_id = d.provider_id and s.revoked_at is null and s.expires_at > $1)
               order by d.refresh_due_at limit $3 for update of d skip locked) due
         where (i.tenant_id, i.issuer, i.subject) = (due.tenant_id, due.issuer, due.subject)
         returning i.tenant_id, i.issuer, i.subject, i.provider_id, i.refresh_ciphertext as "sealed!""#,
        now,
        again_at,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let open = |name: IdentityName, provider, sealed: &[u8]| {
        let refresh_token = key.open(&context(&name), "refresh token", sealed).ok()?;
        Some(DueIdentity {
            name,
            provider: ProviderId(provider),
            refresh_token,
        })
    };
    let due = rows.into_iter().filter_map(|row| {
        let name = IdentityName {
            tenant: TenantId(row.tenant_id),
            issuer: row.issuer,
            subject: row.subject,
        };
        open(name, row.provider_id, &row.sealed)
    });
    Ok(due.collect())
}

/// The provider no longer answers for this identity: nothing is left to ask it with.
///
/// # Errors
/// When the database cannot be asked.
pub async fn forget_refresh(connection: &mut PgConnection, name: &IdentityName) -> Result<(), StoreError> {
    sqlx::query!(
        "update identities set refresh_ciphertext = null, refresh_due_at = null
         where tenant_id = $1 and issuer = $2 and subject = $3",
        name.tenant.0,
        name.issuer,
        name.subject,
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn context(name: &IdentityName) -> String {
    format!(
        "updraft/identity/{}/{}/{}",
        name.tenant, name.issuer, name.subject
    )
}
