//! How a tenant's people may sign in, and which of the ways its owners have gone: so that nobody locks the last one out.

use sqlx::PgConnection;
use updraft_model::{ProviderId, TenantId};

use crate::StoreError;
use crate::error::one_row;

/// What a tenant's owners can sign in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnersWays {
    /// The tenant allows passwords, and an owner has one.
    pub password: bool,
    /// Enabled providers that an owner has signed in through.
    pub providers: Vec<ProviderId>,
}

/// How long and by what means people of a tenant sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInRules {
    pub password_sign_in: bool,
    /// Null: the installation's own limit.
    pub session_seconds: Option<i32>,
}

/// The owners' ways in; none of them is taken away by another transaction until this one ends.
///
/// # Errors
/// [`StoreError::Missing`] when there is no such tenant.
pub async fn lock(connection: &mut PgConnection, tenant: TenantId) -> Result<OwnersWays, StoreError> {
    let allowed = sqlx::query_scalar!(
        "select password_sign_in from tenants where id = $1 for no key update",
        tenant.0
    )
    .fetch_optional(&mut *connection)
    .await?
    .ok_or(StoreError::Missing { what: "tenant" })?;
    let by_password = sqlx::query_scalar!(
        r#"select exists (select from memberships m join users u on u.id = m.user_id
             where m.tenant_id = $1 and m.role = 'owner' and m.disabled_at is null
               and u.origin = 'local' and u.password_hash is not null) as "exists!""#,
        tenant.0
    )
    .fetch_one(&mut *connection)
    .await?;
    let providers = sqlx::query_scalar!(
        "select distinct p.id from identity_providers p
         join identities i on i.tenant_id = p.tenant_id and i.provider_id = p.id
         join memberships m on m.tenant_id = i.tenant_id and m.user_id = i.user_id
         where p.tenant_id = $1 and p.enabled and m.role = 'owner' and m.disabled_at is null",
        tenant.0
    )
    .fetch_all(connection)
    .await?;
    Ok(OwnersWays {
        password: allowed && by_password,
        providers: providers.into_iter().map(ProviderId).collect(),
    })
}

/// # Errors
/// [`StoreError::Missing`] when there is no such tenant.
pub async fn rules(connection: &mut PgConnection, tenant: TenantId) -> Result<SignInRules, StoreError> {
    sqlx::query_as!(
        SignInRules,
        "select password_sign_in, session_seconds from tenants where id = $1",
        tenant.0
    )
    .fetch_optional(connection)
    .await?
    .ok_or(StoreError::Missing { what: "tenant" })
}

/// # Errors
/// [`StoreError::Missing`] when there is no such tenant.
pub async fn set_rules(
    connection: &mut PgConnection,
    tenant: TenantId,
    rules: SignInRules,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "update tenants set password_sign_in = $2, session_seconds = $3 where id = $1",
        tenant.0,
        rules.password_sign_in,
        rules.session_seconds,
    )
    .execute(connection)
    .await?;
    one_row("tenant", done.rows_affected())
}
