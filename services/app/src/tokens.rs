//! API tokens: made by people who signed in, for themselves or for a service account, and revoked.

use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use updraft_api::edge::TokenUses;
use updraft_api::rest::Page;
use updraft_api::tokens::{CreatedToken, NewToken, TokenView};
use updraft_authz::{Actor, ApiToken, Credential, TenantAction, tenant_allows};
use updraft_model::{TokenId, TokenLimit, UserId};
use updraft_store::api_tokens::{self, TokenRecord};
use updraft_store::{PgConnection, StoreError, service_accounts};
use uuid::Uuid;

use crate::audit::{Change, Target, attempt};
use crate::error::{AppError, Resource};
use crate::page::page;
use crate::{App, PageRequest, access};

const USUAL_DAYS: u32 = 90;
const MOST_DAYS: u32 = 365;
const LONGEST_NAME: usize = 100;
/// More than one edge uses in half a minute; the rest comes with the next report.
const USES_AT_ONCE: usize = 10_000;

impl App {
    /// One's own tokens; owners see those of everybody, service accounts included.
    ///
    /// # Errors
    /// [`AppError::Invalid`] on `cursor` or `limit`.
    pub async fn list_tokens(
        &self,
        actor: &Actor,
        request: PageRequest,
    ) -> Result<Page<TokenView>, AppError> {
        let (limit, after) = (request.limit()?, request.position::<TokenId>()?);
        let of = (!tenant_allows(actor, TenantAction::ManagePeople)).then_some(actor.user);
        let mut connection = self.store().connection().await?;
        let tokens = api_tokens::list(&mut connection, actor.tenant, of, after, limit + 1).await?;
        Ok(page(tokens, limit, |token| token.id.to_string(), view))
    }

    /// Makes a token. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`AppError::NeedsSession`]: a token makes no tokens. [`AppError::Forbidden`] for a service account's or one
    /// without end; [`AppError::NotFound`] for the service account; [`AppError::Invalid`].
    pub async fn create_token(&self, actor: &Actor, new: NewToken) -> Result<CreatedToken, AppError> {
        let attempt = attempt("token.create");
        access::session(actor, "make API tokens")?;
        let name = checked_name(&new.name)?;
        let expires_at = expiry(actor, &new, self.now())?;
        let token = ApiToken::from_random(&updraft_sso::random_bits());
        let id = TokenId(Uuid::now_v7());

        let mut tx = self.store().begin().await?;
        let owner = owner(&mut tx, actor, &new).await?;
        let row = api_tokens::NewToken {
            id,
            tenant: actor.tenant,
            user: owner,
            name: &name,
            limit: new.role,
            token_hash: token.hash().0,
            hint: token.hint(),
            created_by: actor.user,
            expires_at,
        };
        api_tokens::insert(&mut tx, &row).await?;
        let record = api_tokens::find(&mut tx, actor.tenant, id)
            .await?
            .ok_or(AppError::NotFound(Resource::Token))?;
        let token_view = view(record);
        attempt
            .on(Target::new("token", id, Some(&name)))
            .done(&mut tx, actor, Change::made(json!(token_view)))
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(CreatedToken {
            text: token.expose().to_owned(),
            token: token_view,
        })
    }

    /// Ends a token for good: one's own, or, for owners, anybody's. A token may end itself, and no other.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; [`AppError::NeedsSession`].
    pub async fn revoke_token(&self, actor: &Actor, token: TokenId) -> Result<(), AppError> {
        let attempt = attempt("token.revoke");
        if !is_itself(actor, token) {
            access::session(actor, "revoke other tokens")?;
        }
        let mut tx = self.store().begin().await?;
        let record = api_tokens::find(&mut tx, actor.tenant, token)
            .await?
            .filter(|record| record.user == actor.user || tenant_allows(actor, TenantAction::ManagePeople))
            .ok_or(AppError::NotFound(Resource::Token))?;
        api_tokens::revoke(&mut tx, actor.tenant, token, self.now())
            .await
            .map_err(|error| match error {
                StoreError::Missing { .. } => AppError::NotFound(Resource::Token),
                other => AppError::Store(other),
            })?;
        attempt
            .on(Target::new("token", token, Some(record.name.as_str())))
            .done(&mut tx, actor, Change::removed(json!(view(record))))
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// What an edge tells of tokens that were used there.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn note_token_uses(&self, told: TokenUses) -> Result<(), AppError> {
        let now = self.now();
        let uses: Vec<_> = told
            .uses
            .iter()
            .take(USES_AT_ONCE)
            .filter_map(|one| Some((one.token, DateTime::from_timestamp(one.at, 0)?.min(now))))
            .collect();
        let mut connection = self.store().connection().await?;
        Ok(api_tokens::note_uses(&mut connection, &uses).await?)
    }
}

fn is_itself(actor: &Actor, token: TokenId) -> bool {
    matches!(actor.credential, Credential::Token { id, .. } if id == token)
}

fn checked_name(name: &str) -> Result<String, AppError> {
    let name = name.trim();
    let length = name.chars().count();
    if (1..=LONGEST_NAME).contains(&length) && !name.chars().any(char::is_control) {
        return Ok(name.to_owned());
    }
    Err(AppError::invalid(
        "name",
        "a token's name has 1 to 100 characters on one line",
    ))
}

fn expiry(actor: &Actor, new: &NewToken, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, AppError> {
    if new.never_expires {
        if !tenant_allows(actor, TenantAction::ManagePeople) {
            return Err(AppError::Forbidden {
                action: "make tokens that never expire",
            });
        }
        return match new.expires_in_days {
            None => Ok(None),
            Some(_) => Err(AppError::invalid(
                "expires_in_days",
                "leave it out for a token that never expires",
            )),
        };
    }
    let days = new.expires_in_days.unwrap_or(USUAL_DAYS);
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(AppError::invalid(
            "expires_in_days",
            "a token lives 1 to 365 days",
        ));
    }
    Ok(Some(now + Duration::days(days.into())))
}

/// Whose the token will be. SCIM tokens are the directory's, not a person's who may leave.
async fn owner(connection: &mut PgConnection, actor: &Actor, new: &NewToken) -> Result<UserId, AppError> {
    let Some(account) = new.service_account else {
        return match new.role {
            TokenLimit::Scim => Err(AppError::invalid(
                "service_account",
                "a SCIM token belongs to a service account: make one for your directory and name it here",
            )),
            TokenLimit::Full | TokenLimit::Admin | TokenLimit::User => Ok(actor.user),
        };
    };
    access::tenant(actor, TenantAction::ManagePeople)?;
    let known = service_accounts::find_name(connection, actor.tenant, account).await?;
    known
        .map(|_| account)
        .ok_or(AppError::NotFound(Resource::ServiceAccount))
}

fn view(record: TokenRecord) -> TokenView {
    TokenView {
        id: record.id,
        name: record.name,
        role: record.limit,
        owner: record.user,
        owner_email: record.email,
        service_account: record.is_service,
        hint: record.hint,
        created_by: record.created_by,
        created_at: record.created_at,
        expires_at: record.expires_at,
        used_at: record.used_at,
    }
}
