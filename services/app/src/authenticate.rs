//! Whose credential this is: looked up anew each time, so that what was revoked is worth nothing at once.

use chrono::{DateTime, Duration, Utc};
use updraft_authz::{Actor, ApiToken, Credential};
use updraft_sso::SessionToken;
use updraft_store::PgConnection;
use updraft_store::api_tokens::{self, LiveToken};
use updraft_store::sessions::{self, LiveSession};

use crate::{App, AppError, audit};

impl App {
    /// Whose session or API token this is, with the rights they have now.
    ///
    /// # Errors
    /// [`AppError::NotSignedIn`] when it is neither, expired, revoked, or its person was removed or switched off.
    pub async fn authenticate(&self, text: &str) -> Result<Actor, AppError> {
        let Some(token) = ApiToken::parse(text) else {
            return self.authenticate_session(text).await;
        };
        let mut connection = self.store().connection().await?;
        let token = api_tokens::find_live(&mut connection, &token.hash().0, self.now()).await?;
        if let Some(token) = token.as_ref().filter(|token| is_stale(token.used_at, self.now())) {
            api_tokens::note_uses(&mut connection, &[(token.id, self.now())]).await?;
        }
        recognised(token.map(token_actor))
    }

    /// The same for sessions alone: what a browser's cookie may hold.
    ///
    /// # Errors
    /// As [`App::authenticate`].
    pub async fn authenticate_session(&self, text: &str) -> Result<Actor, AppError> {
        let token = SessionToken::parse(text).ok_or(AppError::NotSignedIn)?;
        let mut connection = self.store().connection().await?;
        let session = sessions::find_by_token(&mut connection, &token.hash(), self.now()).await?;
        if let Some(session) = session
            .as_ref()
            .filter(|session| is_stale(session.used_at, self.now()))
        {
            sessions::note_use(&mut connection, session.id, self.now()).await?;
        }
        recognised(session.map(session_actor))
    }
}

/// Whether it is time to write down another use.
fn is_stale(used_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    used_at.is_none_or(|used| now - used >= Duration::minutes(1))
}

fn recognised(actor: Option<Actor>) -> Result<Actor, AppError> {
    let actor = actor.ok_or(AppError::NotSignedIn)?;
    audit::recognise(&actor);
    Ok(actor)
}

/// Who acts with a credential that was good before; nobody when it is no longer.
pub(crate) async fn actor_again(
    connection: &mut PgConnection,
    credential: Credential,
    now: DateTime<Utc>,
) -> Result<Option<Actor>, AppError> {
    Ok(match credential {
        Credential::Session(id) => sessions::find_by_id(connection, id, now)
            .await?
            .map(session_actor),
        Credential::Token { id, .. } => api_tokens::find_live_by_id(connection, id, now)
            .await?
            .map(token_actor),
    })
}

pub(crate) fn session_actor(session: LiveSession) -> Actor {
    Actor {
        user: session.user,
        tenant: session.tenant,
        tenant_role: session.tenant_role,
        credential: Credential::Session(session.id),
        // Programs have tokens only.
        is_service: false,
        email: session.email,
        name: session.name,
    }
}

fn token_actor(token: LiveToken) -> Actor {
    Actor {
        user: token.user,
        tenant: token.tenant,
        tenant_role: token.tenant_role,
        credential: Credential::Token {
            id: token.id,
            limit: token.limit,
        },
        is_service: token.is_service,
        email: token.email,
        name: token.name,
    }
}
