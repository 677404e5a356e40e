//! Sessions: listed and ended, one's own by oneself, anybody's by an owner.

use updraft_api::rest::Page;
use updraft_api::tokens::{EndedSessions, SessionView};
use updraft_authz::{Actor, TenantAction};
use updraft_model::{SessionId, UserId};
use updraft_store::sessions::{self, ListedSession, NewSession};
use updraft_store::{PgConnection, StoreError, people};

use crate::audit::{self, Change, Target, attempt};
use crate::error::{AppError, Resource};
use crate::page::page;
use crate::{App, PageRequest, access};

impl App {
    /// One's own sessions in this tenant, the newest first; for owners also those of `of`.
    ///
    /// # Errors
    /// [`AppError::NeedsSession`]; [`AppError::Forbidden`] and [`AppError::NotFound`] for somebody else's.
    pub async fn list_sessions(
        &self,
        actor: &Actor,
        of: Option<UserId>,
        request: PageRequest,
    ) -> Result<Page<SessionView>, AppError> {
        let current = access::session(actor, "list sessions")?;
        let (limit, before) = (request.limit()?, request.position::<SessionId>()?);
        let mut connection = self.store().connection().await?;
        let user = whose(&mut connection, actor, of).await?;
        let (tenant, now) = (actor.tenant, self.now());
        let listed = sessions::list(&mut connection, tenant, user, before, limit + 1, now).await?;
        let view = |session: ListedSession| view(session, current);
        Ok(page(listed, limit, |session| session.id.to_string(), view))
    }

    /// Ends one session, everywhere it was handed to.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for what is not one's own, unless one is an owner; [`AppError::NeedsSession`].
    pub async fn revoke_session(&self, actor: &Actor, session: SessionId) -> Result<(), AppError> {
        let attempt = attempt("session.revoke").on(Target::new("session", session, None));
        access::session(actor, "end sessions")?;
        let any = access::tenant(actor, TenantAction::ManagePeople).is_ok();
        let of = (!any).then_some(actor.user);
        let mut tx = self.store().begin().await?;
        sessions::revoke_in(&mut tx, actor.tenant, of, session, self.now())
            .await?
            .ok_or(AppError::NotFound(Resource::Session))?;
        attempt.done(&mut tx, actor, Change::none()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Ends all of one's own sessions in this tenant but this one, or, for owners, all of somebody else's.
    ///
    /// # Errors
    /// As [`App::list_sessions`].
    pub async fn revoke_sessions(
        &self,
        actor: &Actor,
        of: Option<UserId>,
    ) -> Result<EndedSessions, AppError> {
        let attempt = attempt("session.revoke_all");
        let current = access::session(actor, "end sessions")?;
        let mut tx = self.store().begin().await?;
        let user = whose(&mut tx, actor, of).await?;
        let kept = (user == actor.user).then_some(current);
        let ended = sessions::revoke_all_in(&mut tx, actor.tenant, user, kept, self.now()).await?;
        attempt
            .on(Target::new("person", user, None))
            .done(&mut tx, actor, Change::none())
            .await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(EndedSessions { ended })
    }
}

/// Opens a session and remembers where the request under way came from.
pub(crate) async fn open(connection: &mut PgConnection, session: &NewSession) -> Result<(), AppError> {
    sessions::insert(connection, session).await?;
    let origin = audit::origin();
    let address = origin.address.map(|address| address.to_string());
    let (address, agent) = (address.as_deref(), origin.user_agent.as_deref());
    Ok(sessions::set_origin(connection, session.id, address, agent).await?)
}

async fn whose(connection: &mut PgConnection, actor: &Actor, of: Option<UserId>) -> Result<UserId, AppError> {
    let Some(user) = of.filter(|user| *user != actor.user) else {
        return Ok(actor.user);
    };
    access::tenant(actor, TenantAction::ManagePeople)?;
    let member = people::find_member(connection, actor.tenant, user).await?;
    member.map(|_| user).ok_or(AppError::NotFound(Resource::Person))
}

fn view(session: ListedSession, current: SessionId) -> SessionView {
    SessionView {
        current: session.id == current,
        id: session.id,
        address: session.address,
        user_agent: session.user_agent,
        provider: session.provider,
        created_at: session.created_at,
        used_at: session.used_at,
        expires_at: session.expires_at,
    }
}
