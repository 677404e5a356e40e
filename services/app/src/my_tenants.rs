//! The tenants that one person belongs to, and going from one to another.
//!
//! A session grants only the tenant whose way of signing in proved it. A password of Updraft's own is good wherever its
//! account was invited and passwords are taken; what one tenant's identity provider said is worth nothing in another.

use chrono::Duration;
use updraft_api::rest::SignedIn;
use updraft_api::tenants::MyTenant;
use updraft_authz::{Actor, Credential};
use updraft_model::{SessionId, TenantId};
use updraft_sso::SessionToken;
use updraft_store::memberships::{self, Belonging, Standing};
use updraft_store::sessions::{self, NewSession};
use updraft_store::{PgConnection, StoreError};
use uuid::Uuid;

use crate::audit::{Change, attempt};
use crate::error::{AppError, Resource};
use crate::tenancy::TenancyRefusal;
use crate::{App, access};

impl App {
    /// # Errors
    /// When the database cannot be asked.
    pub async fn list_my_tenants(&self, actor: &Actor) -> Result<Vec<MyTenant>, AppError> {
        let mut connection = self.store().connection().await?;
        let standing = match actor.credential.session() {
            Some(session) => memberships::standing(&mut connection, actor.tenant, session).await?,
            None => None,
        };
        let belongings = memberships::of_person(&mut connection, actor.user).await?;
        let mine = belongings.into_iter().map(|belonging| MyTenant {
            current: belonging.tenant == actor.tenant,
            obstacle: obstacle(standing, &belonging, actor.tenant).map(str::to_owned),
            tenant: belonging.tenant,
            name: belonging.name,
            tenant_role: belonging.role,
        });
        Ok(mine.collect())
    }

    /// A session in another tenant of one's own, no longer than this one, which ends.
    ///
    /// # Errors
    /// [`AppError::NotFound`] unless the person belongs there; [`TenancyRefusal::CannotSwitch`],
    /// [`AppError::NeedsSession`]; [`AppError::Invalid`] when they are there already.
    pub async fn switch_tenant(&self, actor: &Actor, tenant: TenantId) -> Result<SignedIn, AppError> {
        let attempt = attempt("sign_in.switch_tenant");
        let session = access::session(actor, "go to another organisation")?;
        let mut tx = self.store().begin().await?;
        let standing = memberships::standing(&mut tx, actor.tenant, session)
            .await?
            .ok_or(AppError::NotSignedIn)?;
        let there = belonging(&mut tx, actor, tenant).await?;
        if tenant == actor.tenant {
            return Err(AppError::invalid("tenant", "you are in this organisation now"));
        }
        if let Some(obstacle) = obstacle(Some(standing), &there, actor.tenant) {
            let obstacle = obstacle.to_owned();
            return Err(TenancyRefusal::CannotSwitch { obstacle }.into());
        }
        let now = self.now();
        let longest = there
            .session_seconds
            .map(|seconds| now + Duration::seconds(seconds.into()));
        let token = SessionToken::random();
        let new = NewSession {
            id: SessionId(Uuid::now_v7()),
            token_hash: token.hash(),
            tenant,
            user: actor.user,
            expires_at: longest.map_or(standing.expires_at, |end| end.min(standing.expires_at)),
        };
        crate::sessions::open(&mut tx, &new).await?;
        sessions::revoke(&mut tx, session, now).await?;
        let there = Actor {
            tenant,
            tenant_role: there.role,
            credential: Credential::Session(new.id),
            ..actor.clone()
        };
        attempt.done(&mut tx, &there, Change::none()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(SignedIn {
            token: token.expose().to_owned(),
            expires_at: new.expires_at,
            me: self.me(&there).await?,
        })
    }
}

async fn belonging(
    connection: &mut PgConnection,
    actor: &Actor,
    tenant: TenantId,
) -> Result<Belonging, AppError> {
    let belongings = memberships::of_person(connection, actor.user).await?;
    let there = belongings
        .into_iter()
        .find(|belonging| belonging.tenant == tenant);
    there.ok_or(AppError::NotFound(Resource::Tenant))
}

/// Why a session cannot go to a tenant of its person's.
fn obstacle(standing: Option<Standing>, there: &Belonging, here: TenantId) -> Option<&'static str> {
    match standing {
        _ if there.tenant == here => None,
        None => Some("a token is good in its own organisation alone"),
        Some(standing) if !standing.portable => Some(
            "you signed in through your organisation's identity provider, which vouches for you there alone",
        ),
        Some(_) if !there.password_sign_in => {
            Some("that organisation takes its own sign-in only, no passwords")
        }
        Some(_) => None,
    }
}
